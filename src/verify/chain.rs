//! The rules of RFC 5280 §6.1 along a path, from the anchor down: what a CA may issue, and what binds those below it.
//!
//! The state after a CA depends on neither the leaf nor the time, so it is computed once for each path of CAs and used
//! for every leaf below it. Dates and hashes are checked apart.

use crate::cert::Certificate;
use crate::cert::quirk::Quirk;
use crate::oid;
use crate::time::Time;
use crate::verify::algorithms::{Hash, SignatureAlgorithm};
use crate::verify::constraints::ConstraintState;
use crate::verify::policies::{PolicyInputs, PolicyState, Position};
use crate::verify::verdict::{Failure, Reason};

/// The extensions that may be critical because what they say is taken into account.
const PROCESSED: [der::asn1::ObjectIdentifier; 12] = [
    oid::BASIC_CONSTRAINTS,
    oid::KEY_USAGE,
    oid::EXTENDED_KEY_USAGE,
    oid::SUBJECT_ALT_NAME,
    oid::SUBJECT_KEY_IDENTIFIER,
    oid::AUTHORITY_KEY_IDENTIFIER,
    oid::CERTIFICATE_POLICIES,
    oid::POLICY_MAPPINGS,
    oid::POLICY_CONSTRAINTS,
    oid::INHIBIT_ANY_POLICY,
    oid::NAME_CONSTRAINTS,
    // What it names is looked up; whether a CRL must be found is policy, not criticality.
    oid::CRL_DISTRIBUTION_POINTS,
];

/// Whether a CA's extKeyUsage must cover what is issued below it. RFC 5280 knows no such rule; CAs of TPM
/// manufacturers carry tcg-kp-EKCertificate or nothing, but not by any rule either.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EkuNesting {
    /// Not asked for.
    #[default]
    Ignore,
    /// A CA with extKeyUsage must name tcg-kp-EKCertificate or anyExtendedKeyUsage.
    Require,
}

/// What the chain rules depend on beyond the certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChainInputs {
    /// The inputs about policies.
    pub policies: PolicyInputs,
    /// Whether extKeyUsage of CAs is a limit.
    pub eku_nesting: EkuNesting,
}

/// Where the processing stands below some CA.
#[derive(Debug, Clone)]
pub struct PathState {
    /// `None` once it failed: the failure was reported.
    policies: Option<PolicyState>,
    constraints: ConstraintState,
    /// max_path_length; `None` is no limit.
    path_len: Option<u32>,
}

impl PathState {
    /// Starts below an anchor, whose own limits hold although RFC 5280 asks only for its name and key (§6.1.1 (d)): a
    /// version 1 root has none.
    pub fn below(anchor: &Certificate, inputs: &ChainInputs, failures: &mut Vec<Failure>) -> Self {
        may_sign(anchor, true, inputs, failures);
        let mut state = Self {
            policies: Some(PolicyState::new(&inputs.policies)),
            constraints: ConstraintState::default(),
            path_len: anchor.basic_constraints().and_then(|constraints| constraints.path_len),
        };
        state.constrain(anchor, failures);
        state
    }

    /// Takes in a CA below the anchor: RFC 5280 §6.1.3 and §6.1.4.
    pub fn descend(&mut self, ca: &Certificate, inputs: &ChainInputs, failures: &mut Vec<Failure>) {
        well_formed(ca, failures);
        may_sign(ca, false, inputs, failures);
        if !ca.is_self_issued() {
            self.check_names(ca, failures);
            if self.path_len == Some(0) {
                failures.push(Failure::new(Reason::PathLenExceeded, ca, "a CA above it allows no CA below"));
            }
            self.path_len = self.path_len.map(|left| left.saturating_sub(1));
        }
        self.step_policies(ca, Position::Intermediate, failures);
        self.constrain(ca, failures);
        if let Some(limit) = ca.basic_constraints().and_then(|constraints| constraints.path_len) {
            self.path_len = Some(self.path_len.map_or(limit, |left| left.min(limit)));
        }
    }

    /// Takes in the last certificate, which the path is for.
    pub fn finish(&self, last: &Certificate, inputs: &ChainInputs, failures: &mut Vec<Failure>) {
        well_formed(last, failures);
        self.check_names(last, failures);
        let Some(policies) = &self.policies else { return };
        let mut policies = policies.clone();
        let result =
            policies.step(last, Position::Last).and_then(|()| policies.finish(last, &inputs.policies));
        if let Err(error) = result {
            failures.push(Failure::new(Reason::Policy, last, error.to_string()));
        }
    }

    fn step_policies(&mut self, certificate: &Certificate, position: Position, failures: &mut Vec<Failure>) {
        if let Some(policies) = &mut self.policies
            && let Err(error) = policies.step(certificate, position)
        {
            failures.push(Failure::new(Reason::Policy, certificate, error.to_string()));
            self.policies = None;
        }
    }

    fn constrain(&mut self, ca: &Certificate, failures: &mut Vec<Failure>) {
        if let Err(error) = self.constraints.add(ca) {
            failures.push(Failure::new(Reason::NameConstraints, ca, error.to_string()));
        }
    }

    fn check_names(&self, certificate: &Certificate, failures: &mut Vec<Failure>) {
        if let Err(error) = self.constraints.check(certificate) {
            failures.push(Failure::new(Reason::NameConstraints, certificate, error.to_string()));
        }
    }
}

fn well_formed(certificate: &Certificate, failures: &mut Vec<Failure>) {
    for (quirk, reason) in [
        (Quirk::SignatureAlgorithmMismatch, Reason::SignatureAlgorithmMismatch),
        (Quirk::ExtensionMalformed, Reason::MalformedExtension),
        (Quirk::ExtensionDuplicate, Reason::MalformedExtension),
    ] {
        if certificate.quirks().contains(&quirk) {
            failures.push(Failure::new(reason, certificate, quirk.explain()));
        }
    }
    let unknown = certificate.extensions().find(|extension| {
        extension.critical && !PROCESSED.iter().any(|known| known.as_bytes() == extension.oid)
    });
    if let Some(extension) = unknown {
        let detail = format!("extension {}", oid::dotted(extension.oid));
        failures.push(Failure::new(Reason::UnknownCriticalExtension, certificate, detail));
    }
}

/// Whether `ca` may sign certificates: RFC 5280 §6.1.4 (k), (n).
fn may_sign(ca: &Certificate, is_anchor: bool, inputs: &ChainInputs, failures: &mut Vec<Failure>) {
    match ca.basic_constraints() {
        Some(constraints) if constraints.ca => {}
        None if is_anchor => {}
        _ => failures.push(Failure::new(Reason::NotACa, ca, "basicConstraints do not say that it is a CA")),
    }
    if ca.key_usage().is_some_and(|usage| !usage.key_cert_sign()) {
        failures.push(Failure::new(Reason::KeyUsage, ca, "keyUsage lacks keyCertSign"));
    }
    let covers = |purpose| ca.has_extended_key_usage(purpose);
    if inputs.eku_nesting == EkuNesting::Require
        && ca.extended_key_usage().is_some()
        && !covers(&oid::EK_CERTIFICATE)
        && !covers(&oid::ANY_EXTENDED_KEY_USAGE)
    {
        failures.push(Failure::new(
            Reason::ExtendedKeyUsage,
            ca,
            "extKeyUsage does not cover EK certificates",
        ));
    }
}

/// Checks that `at` is inside the validity (RFC 5280 §6.1.3 (a) (2)).
pub fn check_validity(certificate: &Certificate, at: Time) -> Option<Failure> {
    let validity = certificate.validity();
    if at < validity.not_before {
        let detail = format!("valid from {}, asked for {at}", validity.not_before);
        Some(Failure::new(Reason::NotYetValid, certificate, detail))
    } else if at > validity.not_after {
        let detail = format!("valid until {}, asked for {at}", validity.not_after);
        Some(Failure::new(Reason::Expired, certificate, detail))
    } else {
        None
    }
}

/// Whether a certificate is signed with SHA-1.
pub fn is_sha1(certificate: &Certificate) -> bool {
    let algorithm = SignatureAlgorithm::from_der(certificate.signature_algorithm());
    algorithm.and_then(SignatureAlgorithm::hash) == Some(Hash::Sha1)
}
