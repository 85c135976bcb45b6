//! A certificate revocation list as it stands (RFC 5280 §5): who signed it, until when it counts, what it revokes.

use std::collections::HashMap;

use der::Tag;

use crate::cert::extension::{bits, context, point_names};
use crate::cert::general_name::{self, GeneralName};
use crate::cert::name::Name;
use crate::cert::pem;
use crate::cert::tlv::{self, Cursor, Tlv, TlvError};
use crate::fingerprint::Digest;
use crate::oid;
use crate::time::{ParseTimeError, Time};

/// The most bytes of a CRL that are read: 16 MiB (T12).
pub const CRL_CAP: u64 = 16 << 20;

/// Why octets are not a CRL that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CrlError {
    /// The structure is not that of a CRL.
    #[error("not a CRL: {0}")]
    Structure(#[from] TlvError),
    /// A date is malformed.
    #[error("not a CRL: {0}")]
    Time(#[from] ParseTimeError),
    /// It only holds what changed since another CRL (RFC 5280 §5.2.4).
    #[error("a delta CRL cannot be used alone, and is not supported")]
    Delta,
    /// A critical extension is not known here (RFC 5280 §5.2).
    #[error("the CRL has the critical extension {0}, which is not known here")]
    UnknownCriticalExtension(String),
    /// It is neither DER nor PEM.
    #[error("not a CRL: neither DER nor PEM with an X509 CRL block")]
    Unknown,
}

/// issuingDistributionPoint (RFC 5280 §5.2.5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IssuingPoint {
    /// URIs it is published at.
    pub uris: Vec<String>,
    /// Directory names it is published under.
    pub directory_names: Vec<Name>,
    /// It has revocations of end entities only.
    pub only_user: bool,
    /// It has revocations of CAs only.
    pub only_ca: bool,
    /// It has revocations of attribute certificates only.
    pub only_attribute: bool,
    /// It has revocations for these reasons only, bit 0 the highest; `None` is all.
    pub reasons: Option<u16>,
    /// It may have revocations of other issuers' certificates.
    pub indirect: bool,
    /// Whether it names a distribution point.
    pub has_name: bool,
}

/// One revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// When.
    pub date: Time,
    /// The reason code (RFC 5280 §5.3.1), 0 if not stated.
    pub reason: u8,
}

/// A decoded CRL.
#[derive(Debug, Clone)]
pub struct Crl {
    digest: Digest,
    der: Box<[u8]>,
    tbs: std::ops::Range<usize>,
    signature_algorithm: Box<[u8]>,
    signature: Box<[u8]>,
    issuer: Name,
    this_update: Time,
    next_update: Option<Time>,
    authority_key_id: Option<Box<[u8]>>,
    issuing_point: Option<IssuingPoint>,
    /// By certificate issuer (canonical), then by serial number (without leading zeros).
    revoked: HashMap<Box<[u8]>, BySerial>,
}

type BySerial = HashMap<Box<[u8]>, Revocation>;

const ISSUING_DISTRIBUTION_POINT: der::asn1::ObjectIdentifier =
    der::asn1::ObjectIdentifier::new_unwrap("2.5.29.28");
const DELTA_CRL_INDICATOR: der::asn1::ObjectIdentifier = der::asn1::ObjectIdentifier::new_unwrap("2.5.29.27");
const CRL_NUMBER: der::asn1::ObjectIdentifier = der::asn1::ObjectIdentifier::new_unwrap("2.5.29.20");
const REASON_CODE: der::asn1::ObjectIdentifier = der::asn1::ObjectIdentifier::new_unwrap("2.5.29.21");
const CERTIFICATE_ISSUER: der::asn1::ObjectIdentifier = der::asn1::ObjectIdentifier::new_unwrap("2.5.29.29");

impl Crl {
    /// Reads a file with one CRL in DER, or several in PEM.
    ///
    /// # Errors
    ///
    /// [`CrlError`] about the first that cannot be used.
    pub fn read(bytes: &[u8]) -> Result<Vec<Self>, CrlError> {
        if bytes.first() == Some(&0x30) {
            return Ok(vec![Self::from_der(bytes)?]);
        }
        let blocks = pem::read_crls(bytes).map_err(|_| CrlError::Unknown)?;
        if blocks.is_empty() {
            return Err(CrlError::Unknown);
        }
        blocks.iter().map(|der| Self::from_der(der)).collect()
    }

    /// Decodes one CRL; bytes after it are ignored.
    ///
    /// # Errors
    ///
    /// [`CrlError`] says what is wrong with it.
    pub fn from_der(der: &[u8]) -> Result<Self, CrlError> {
        let whole = Cursor::new(der).expect(Tag::Sequence, "CRL")?;
        let mut fields = whole.inside();
        let tbs = fields.expect(Tag::Sequence, "tbsCertList")?;
        let algorithm = fields.expect(Tag::Sequence, "signatureAlgorithm")?;
        let signature = tlv::whole_octets(&fields.expect(Tag::BitString, "signature")?, "signature")?;
        fields.finish("CRL")?;

        let mut fields = tbs.inside();
        fields.optional(Tag::Integer, "version")?;
        let inner = fields.expect(Tag::Sequence, "signature")?;
        if inner.whole != algorithm.whole {
            return Err(TlvError::Content { what: "signature", why: "the two algorithms differ" }.into());
        }
        let issuer = Name::from_der(fields.expect(Tag::Sequence, "issuer")?.whole)?;
        let this_update = time(&fields.any("thisUpdate")?)?;
        let next = [Tag::UtcTime, Tag::GeneralizedTime]
            .into_iter()
            .find_map(|tag| fields.optional(tag, "nextUpdate").transpose())
            .transpose()?;
        let next_update = next.map(|tlv| time(&tlv)).transpose()?;
        let entries = fields.optional(Tag::Sequence, "revokedCertificates")?;
        let extensions = fields.optional(context(0, true), "crlExtensions")?;
        fields.finish("tbsCertList")?;

        let offset = whole.whole.len() - whole.content.len();
        let mut crl = Self {
            digest: Digest::of(whole.whole),
            der: whole.whole.into(),
            tbs: offset..offset + tbs.whole.len(),
            signature_algorithm: algorithm.whole.into(),
            signature: signature.into(),
            this_update,
            next_update,
            authority_key_id: None,
            issuing_point: None,
            revoked: HashMap::new(),
            issuer,
        };
        if let Some(extensions) = extensions {
            crl.extensions(extensions)?;
        }
        if let Some(entries) = entries {
            crl.entries(entries)?;
        }
        Ok(crl)
    }

    fn extensions(&mut self, explicit: Tlv<'_>) -> Result<(), CrlError> {
        let mut list = explicit.inside().expect(Tag::Sequence, "crlExtensions")?.inside();
        while !list.is_empty() {
            let (oid, critical, value) = extension(&mut list)?;
            match oid {
                oid if oid == DELTA_CRL_INDICATOR.as_bytes() => return Err(CrlError::Delta),
                oid if oid == CRL_NUMBER.as_bytes() => {}
                oid if oid == oid::AUTHORITY_KEY_IDENTIFIER.as_bytes() => {
                    let mut fields =
                        Cursor::new(value).expect(Tag::Sequence, "authorityKeyIdentifier")?.inside();
                    let id = fields.optional(context(0, false), "authorityKeyIdentifier")?;
                    self.authority_key_id = id.map(|id| id.content.into());
                }
                oid if oid == ISSUING_DISTRIBUTION_POINT.as_bytes() => {
                    self.issuing_point = Some(issuing_point(value, &self.issuer)?);
                }
                oid if critical => return Err(CrlError::UnknownCriticalExtension(oid::dotted(oid))),
                _ => {}
            }
        }
        Ok(())
    }

    fn entries(&mut self, entries: Tlv<'_>) -> Result<(), CrlError> {
        let mut list = entries.inside();
        let mut revoked = self.revoked.entry(self.issuer.canonical().into()).or_default();
        while !list.is_empty() {
            let mut fields = list.expect(Tag::Sequence, "revokedCertificate")?.inside();
            let serial = fields.expect(Tag::Integer, "userCertificate")?.content;
            let date = time(&fields.any("revocationDate")?)?;
            let mut reason = 0;
            if let Some(extensions) = fields.optional(Tag::Sequence, "crlEntryExtensions")? {
                let mut list = extensions.inside();
                while !list.is_empty() {
                    let (oid, critical, value) = extension(&mut list)?;
                    match oid {
                        oid if oid == REASON_CODE.as_bytes() => {
                            let code = Cursor::new(value).expect(Tag::Enumerated, "reasonCode")?.content;
                            reason = code.first().copied().unwrap_or_default();
                        }
                        oid if oid == CERTIFICATE_ISSUER.as_bytes() => {
                            // It holds for the entries that follow too (RFC 5280 §5.3.3).
                            let names = general_name::sequence(value)?;
                            let name = names.iter().find_map(|name| match name {
                                GeneralName::Directory(name) => Some(name),
                                _ => None,
                            });
                            if let Some(name) = name {
                                revoked = self.revoked.entry(name.canonical().into()).or_default();
                            }
                        }
                        oid if critical => return Err(CrlError::UnknownCriticalExtension(oid::dotted(oid))),
                        _ => {}
                    }
                }
            }
            fields.finish("revokedCertificate")?;
            revoked.insert(significant(serial).into(), Revocation { date, reason });
        }
        Ok(())
    }

    /// SHA-256 of its DER.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Its exact DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The octets that its signature is over.
    pub fn tbs(&self) -> &[u8] {
        &self.der[self.tbs.clone()]
    }

    /// The DER of its signature algorithm.
    pub fn signature_algorithm(&self) -> &[u8] {
        &self.signature_algorithm
    }

    /// Its signature.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Who issued it.
    pub fn issuer(&self) -> &Name {
        &self.issuer
    }

    /// When it was issued.
    pub fn this_update(&self) -> Time {
        self.this_update
    }

    /// Until when a newer one will be issued.
    pub fn next_update(&self) -> Option<Time> {
        self.next_update
    }

    /// The key identifier of its signer, if stated.
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.authority_key_id.as_deref()
    }

    /// Its issuingDistributionPoint, if any.
    pub fn issuing_point(&self) -> Option<&IssuingPoint> {
        self.issuing_point.as_ref()
    }

    /// How many certificates it revokes.
    pub fn len(&self) -> usize {
        self.revoked.values().map(HashMap::len).sum()
    }

    /// Whether it revokes none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is current at `at`: issued, and the next one not due. One that states no nextUpdate (RFC 5280 wants
    /// it) never counts as current.
    pub fn is_current(&self, at: Time) -> bool {
        self.this_update <= at && self.next_update.is_some_and(|next| at <= next)
    }

    /// The revocation of the certificate with this issuer and serial number, if it is in the list.
    pub fn revocation(&self, issuer: &Name, serial: &[u8]) -> Option<Revocation> {
        self.revoked.get(issuer.canonical())?.get(significant(serial)).copied()
    }
}

/// A serial number as an integer: without leading zeros, which some certificates have too many of.
fn significant(serial: &[u8]) -> &[u8] {
    let zeros = serial.iter().take_while(|octet| **octet == 0).count();
    &serial[zeros..]
}

fn time(tlv: &Tlv<'_>) -> Result<Time, CrlError> {
    match tlv.tag {
        Tag::UtcTime => Ok(Time::from_utc_time(tlv.content)?),
        Tag::GeneralizedTime => Ok(Time::from_generalized_time(tlv.content)?),
        actual => Err(TlvError::Tag { what: "time", expected: Tag::UtcTime, actual }.into()),
    }
}

fn extension<'a>(list: &mut Cursor<'a>) -> Result<(&'a [u8], bool, &'a [u8]), TlvError> {
    let mut fields = list.expect(Tag::Sequence, "extension")?.inside();
    let oid = fields.expect(Tag::ObjectIdentifier, "extension")?.content;
    let critical = match fields.optional(Tag::Boolean, "extension")? {
        Some(flag) => tlv::boolean(&flag, "extension")?.0,
        None => false,
    };
    let value = fields.expect(Tag::OctetString, "extension")?.content;
    fields.finish("extension")?;
    Ok((oid, critical, value))
}

fn issuing_point(value: &[u8], issuer: &Name) -> Result<IssuingPoint, TlvError> {
    const WHAT: &str = "issuingDistributionPoint";
    let mut fields = Cursor::new(value).expect(Tag::Sequence, WHAT)?.inside();
    let mut point = IssuingPoint::default();
    if let Some(name) = fields.optional(context(0, true), WHAT)? {
        point.has_name = true;
        for name in point_names(&name, issuer)? {
            match name {
                GeneralName::Uri(uri) => point.uris.push(uri.to_owned()),
                GeneralName::Directory(name) => point.directory_names.push(name),
                _ => {}
            }
        }
    }
    point.only_user = flag(&mut fields, 1)?;
    point.only_ca = flag(&mut fields, 2)?;
    let reasons = fields.optional(context(3, false), WHAT)?;
    point.reasons = reasons.map(|reasons| bits(reasons.content)).transpose()?;
    point.indirect = flag(&mut fields, 4)?;
    point.only_attribute = flag(&mut fields, 5)?;
    fields.finish(WHAT)?;
    Ok(point)
}

/// Reads a `[number] BOOLEAN DEFAULT FALSE`.
fn flag(fields: &mut Cursor<'_>, number: u32) -> Result<bool, TlvError> {
    const WHAT: &str = "issuingDistributionPoint";
    let flag = fields.optional(context(number, false), WHAT)?;
    Ok(flag.map(|flag| tlv::boolean(&flag, WHAT)).transpose()?.is_some_and(|(value, _)| value))
}
