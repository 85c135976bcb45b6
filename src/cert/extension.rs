//! The extensions that only some certificates have, decoded when they are asked for.

use der::asn1::ObjectIdentifier;
use der::{Decode, Tag, TagNumber};
use x509_cert::ext::pkix::{CertificatePolicies, InhibitAnyPolicy, PolicyConstraints, PolicyMappings};

use crate::cert::Certificate;
use crate::cert::general_name::{self, GeneralName};
use crate::cert::name::Name;
use crate::cert::tlv::{self, Cursor, Tlv, TlvError};
use crate::oid;

pub(crate) const fn context(number: u32, constructed: bool) -> Tag {
    Tag::ContextSpecific { constructed, number: TagNumber(number) }
}

fn strict<'a, T: Decode<'a>>(value: &'a [u8], what: &'static str) -> Result<T, TlvError> {
    T::from_der(value).map_err(|_| TlvError::Content { what, why: "not what RFC 5280 has" })
}

/// What an authorityInfoAccess names (RFC 5280 §4.2.2.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthorityInfo {
    /// Where the issuer's certificate is published.
    pub ca_issuers: Vec<String>,
}

/// policyConstraints (RFC 5280 §4.2.1.11): how many more certificates until the demand holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PolicyLimits {
    /// requireExplicitPolicy.
    pub explicit: Option<u32>,
    /// inhibitPolicyMapping.
    pub mapping: Option<u32>,
}

/// nameConstraints (RFC 5280 §4.2.1.10). `minimum` is 0 and `maximum` absent, as the RFC demands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameConstraints<'a> {
    /// Names must be in one of these, if of their form.
    pub permitted: Vec<GeneralName<'a>>,
    /// Names must be in none of these.
    pub excluded: Vec<GeneralName<'a>>,
}

/// A distribution point (RFC 5280 §4.2.1.13).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DistributionPoint<'a> {
    /// Its names: URIs, or directory names (those relative to the issuer made full).
    pub names: Vec<GeneralName<'a>>,
    /// The reasons it covers, bit 0 the highest; `None` is all.
    pub reasons: Option<u16>,
    /// Who issues the CRL, if not the certificate's issuer.
    pub crl_issuer: Option<Name>,
}

impl Certificate {
    /// The policies of certificatePolicies; `None` if the extension is absent.
    ///
    /// # Errors
    ///
    /// [`TlvError`] if the extension is malformed.
    pub fn policies(&self) -> Result<Option<Vec<ObjectIdentifier>>, TlvError> {
        let Some(extension) = self.extension(&oid::CERTIFICATE_POLICIES) else { return Ok(None) };
        let policies: CertificatePolicies = strict(extension.value, "certificatePolicies")?;
        Ok(Some(policies.0.into_iter().map(|policy| policy.policy_identifier).collect()))
    }

    /// The pairs of policyMappings: the issuer's policy, and the subject's that is its equal.
    ///
    /// # Errors
    ///
    /// [`TlvError`] if the extension is malformed.
    pub fn policy_mappings(&self) -> Result<Vec<(ObjectIdentifier, ObjectIdentifier)>, TlvError> {
        let Some(extension) = self.extension(&oid::POLICY_MAPPINGS) else { return Ok(Vec::new()) };
        let mappings: PolicyMappings = strict(extension.value, "policyMappings")?;
        Ok(mappings
            .0
            .into_iter()
            .map(|pair| (pair.issuer_domain_policy, pair.subject_domain_policy))
            .collect())
    }

    /// policyConstraints.
    ///
    /// # Errors
    ///
    /// [`TlvError`] if the extension is malformed.
    pub fn policy_limits(&self) -> Result<PolicyLimits, TlvError> {
        let Some(extension) = self.extension(&oid::POLICY_CONSTRAINTS) else {
            return Ok(PolicyLimits::default());
        };
        let limits: PolicyConstraints = strict(extension.value, "policyConstraints")?;
        Ok(PolicyLimits { explicit: limits.require_explicit_policy, mapping: limits.inhibit_policy_mapping })
    }

    /// inhibitAnyPolicy.
    ///
    /// # Errors
    ///
    /// [`TlvError`] if the extension is malformed.
    pub fn inhibit_any_policy(&self) -> Result<Option<u32>, TlvError> {
        let Some(extension) = self.extension(&oid::INHIBIT_ANY_POLICY) else { return Ok(None) };
        let skip: InhibitAnyPolicy = strict(extension.value, "inhibitAnyPolicy")?;
        Ok(Some(skip.0))
    }

    /// nameConstraints.
    ///
    /// # Errors
    ///
    /// [`TlvError`] if the extension is malformed, or limits what RFC 5280 does not let it limit.
    pub fn name_constraints(&self) -> Result<Option<NameConstraints<'_>>, TlvError> {
        const WHAT: &str = "nameConstraints";
        let Some(extension) = self.extension(&oid::NAME_CONSTRAINTS) else { return Ok(None) };
        let mut outer = Cursor::new(extension.value);
        let mut fields = outer.expect(Tag::Sequence, WHAT)?.inside();
        outer.finish(WHAT)?;
        let permitted = fields.optional(context(0, true), WHAT)?.map(|tlv| subtrees(&tlv)).transpose()?;
        let excluded = fields.optional(context(1, true), WHAT)?.map(|tlv| subtrees(&tlv)).transpose()?;
        fields.finish(WHAT)?;
        Ok(Some(NameConstraints {
            permitted: permitted.unwrap_or_default(),
            excluded: excluded.unwrap_or_default(),
        }))
    }

    /// The distribution points of its CRLs; `None` if the extension is absent.
    ///
    /// # Errors
    ///
    /// [`TlvError`] if the extension is malformed.
    pub fn crl_distribution_points(&self) -> Result<Option<Vec<DistributionPoint<'_>>>, TlvError> {
        const WHAT: &str = "cRLDistributionPoints";
        let Some(extension) = self.extension(&oid::CRL_DISTRIBUTION_POINTS) else { return Ok(None) };
        let mut outer = Cursor::new(extension.value);
        let mut list = outer.expect(Tag::Sequence, WHAT)?.inside();
        outer.finish(WHAT)?;
        let mut points = Vec::new();
        while !list.is_empty() {
            let mut fields = list.expect(Tag::Sequence, WHAT)?.inside();
            let mut point = DistributionPoint::default();
            let name = fields.optional(context(0, true), WHAT)?;
            if let Some(reasons) = fields.optional(context(1, false), WHAT)? {
                point.reasons = Some(bits(reasons.content)?);
            }
            if let Some(issuer) = fields.optional(context(2, true), WHAT)? {
                let names = general_name::list(issuer.inside())?;
                point.crl_issuer = names.into_iter().find_map(|name| match name {
                    GeneralName::Directory(name) => Some(name),
                    _ => None,
                });
            }
            fields.finish(WHAT)?;
            if let Some(name) = name {
                let issuer = point.crl_issuer.as_ref().unwrap_or_else(|| self.issuer());
                point.names = point_names(&name, issuer)?;
            }
            points.push(point);
        }
        Ok(Some(points))
    }

    /// authorityInfoAccess; empty if absent.
    ///
    /// # Errors
    ///
    /// [`TlvError`] if the extension is malformed.
    pub fn authority_info(&self) -> Result<AuthorityInfo, TlvError> {
        const WHAT: &str = "authorityInfoAccess";
        let mut info = AuthorityInfo::default();
        let Some(extension) = self.extension(&oid::AUTHORITY_INFO_ACCESS) else { return Ok(info) };
        let mut outer = Cursor::new(extension.value);
        let mut list = outer.expect(Tag::Sequence, WHAT)?.inside();
        outer.finish(WHAT)?;
        while !list.is_empty() {
            let mut fields = list.expect(Tag::Sequence, WHAT)?.inside();
            let method = fields.expect(Tag::ObjectIdentifier, WHAT)?.content;
            let location = fields.any(WHAT)?;
            if method == oid::CA_ISSUERS.as_bytes()
                && let GeneralName::Uri(uri) = GeneralName::from_tlv(&location)?
            {
                info.ca_issuers.push(uri.to_owned());
            }
        }
        Ok(info)
    }
}

fn subtrees<'a>(list: &Tlv<'a>) -> Result<Vec<GeneralName<'a>>, TlvError> {
    const WHAT: &str = "nameConstraints";
    let mut list = list.inside();
    let mut names = Vec::new();
    while !list.is_empty() {
        let mut fields = list.expect(Tag::Sequence, WHAT)?.inside();
        names.push(GeneralName::from_tlv(&fields.any(WHAT)?)?);
        if let Some(minimum) = fields.optional(context(0, false), WHAT)?
            && tlv::unsigned(minimum.content, WHAT)? != 0
        {
            return Err(TlvError::Content { what: WHAT, why: "minimum is not 0" });
        }
        fields.finish(WHAT)?;
    }
    Ok(names)
}

/// The names of a DistributionPointName; one relative to `issuer` is made full.
pub(crate) fn point_names<'a>(point: &Tlv<'a>, issuer: &Name) -> Result<Vec<GeneralName<'a>>, TlvError> {
    const WHAT: &str = "distributionPoint";
    let mut fields = point.inside();
    if let Some(full) = fields.optional(context(0, true), WHAT)? {
        return general_name::list(full.inside());
    }
    let relative = fields.expect(context(1, true), WHAT)?;
    Ok(vec![GeneralName::Directory(issuer.with_relative(relative.content)?)])
}

/// The first sixteen bits of a BIT STRING of named bits, bit 0 the highest.
pub(crate) fn bits(content: &[u8]) -> Result<u16, TlvError> {
    let [unused @ 0..=7, octets @ ..] = content else {
        return Err(TlvError::Content { what: "BIT STRING", why: "not a BIT STRING of named bits" });
    };
    if octets.is_empty() && *unused != 0 {
        return Err(TlvError::Content { what: "BIT STRING", why: "not a BIT STRING of named bits" });
    }
    let octet = |index: usize| octets.get(index).copied().unwrap_or_default();
    Ok(u16::from_be_bytes([octet(0), octet(1)]))
}
