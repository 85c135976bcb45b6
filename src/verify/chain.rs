//! The rules that a chain of verified signatures must keep: RFC 5280 §6.1.3 and §6.1.4, and the policy.

use crate::cert::Certificate;
use crate::cert::quirk::Quirk;
use crate::oid;
use crate::time::Time;
use crate::verify::algorithms::{Hash, SignatureAlgorithm};
use crate::verify::trust::Anchor;
use crate::verify::verdict::{Failure, Reason};
use crate::verify::{Policy, Sha1};

/// The extensions that may be critical because what they say is taken into account.
///
/// certificatePolicies need no more than being well-formed as long as no explicit policy is asked for (RFC 5280
/// §6.1.5 (g)); STMicroelectronics' and Intel's CAs and Infineon's TPM 1.2 EK certificates have them critical.
/// Constraints on names and policies are not in the list: a certificate that has them critical is refused.
const PROCESSED: [der::asn1::ObjectIdentifier; 7] = [
    oid::BASIC_CONSTRAINTS,
    oid::KEY_USAGE,
    oid::EXTENDED_KEY_USAGE,
    oid::SUBJECT_ALT_NAME,
    oid::SUBJECT_KEY_IDENTIFIER,
    oid::AUTHORITY_KEY_IDENTIFIER,
    oid::CERTIFICATE_POLICIES,
];

/// Checks `chain`, from the leaf to `anchor`, whose signatures are known to verify. Returns every rule broken, from
/// the leaf up; empty means valid.
pub fn check(chain: &[&Certificate], anchor: &Anchor, policy: Policy, at: Time) -> Vec<Failure> {
    let mut failures = Vec::new();
    let below_anchor = &chain[..chain.len().saturating_sub(1)];
    for certificate in below_anchor {
        well_formed(certificate, &mut failures);
        validity(certificate, at, &mut failures);
        hash(certificate, anchor, policy, &mut failures);
    }
    let mut intermediates = 0;
    for (depth, issuer) in chain.iter().enumerate().skip(1) {
        // An anchor is a name and a key; a version 1 root has no extensions to limit it (RFC 5280 §6.1.1 (d)).
        let is_anchor = depth + 1 == chain.len();
        may_issue(issuer, is_anchor, intermediates, &mut failures);
        if !issuer.is_self_issued() {
            intermediates += 1;
        }
    }
    failures
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

fn validity(certificate: &Certificate, at: Time, failures: &mut Vec<Failure>) {
    let validity = certificate.validity();
    if at < validity.not_before {
        let detail = format!("valid from {}, asked for {at}", validity.not_before);
        failures.push(Failure::new(Reason::NotYetValid, certificate, detail));
    }
    if at > validity.not_after {
        let detail = format!("valid until {}, asked for {at}", validity.not_after);
        failures.push(Failure::new(Reason::Expired, certificate, detail));
    }
}

fn hash(certificate: &Certificate, anchor: &Anchor, policy: Policy, failures: &mut Vec<Failure>) {
    let algorithm = SignatureAlgorithm::from_der(certificate.signature_algorithm());
    if algorithm.and_then(SignatureAlgorithm::hash) != Some(Hash::Sha1) {
        return;
    }
    let detail = match policy.sha1 {
        Sha1::WhereTheCatalogueSays if anchor.sha1 => return,
        Sha1::WhereTheCatalogueSays => {
            format!("the catalogue does not allow SHA-1 under {}", anchor.certificate.subject())
        }
        Sha1::Refuse => "signed with SHA-1".to_owned(),
    };
    failures.push(Failure::new(Reason::Sha1Refused, certificate, detail));
}

/// Whether `issuer` may issue what stands below it, `intermediates` being the CAs below it that count.
fn may_issue(issuer: &Certificate, is_anchor: bool, intermediates: u32, failures: &mut Vec<Failure>) {
    match issuer.basic_constraints() {
        Some(constraints) if constraints.ca => {
            if constraints.path_len.is_some_and(|limit| intermediates > limit) {
                let limit = constraints.path_len.unwrap_or_default();
                let detail = format!("{intermediates} intermediates follow, {limit} allowed");
                failures.push(Failure::new(Reason::PathLenExceeded, issuer, detail));
            }
        }
        None if is_anchor => {}
        _ => {
            failures.push(Failure::new(
                Reason::NotACa,
                issuer,
                "basicConstraints do not say that it is a CA",
            ));
        }
    }
    if issuer.key_usage().is_some_and(|usage| !usage.key_cert_sign()) {
        failures.push(Failure::new(Reason::KeyUsage, issuer, "keyUsage lacks keyCertSign"));
    }
}
