//! What the TCG EK Credential Profile asks of an EK certificate, and what manufacturers really do.

use crate::cert::Certificate;
use crate::cert::tpm::TpmAttributes;
use crate::oid;
use crate::vendor::VendorId;
use crate::verify::verdict::{Failure, Reason, Warning};

/// anyExtendedKeyUsage, RFC 5280 §4.2.1.12.
const ANY_EXTENDED_KEY_USAGE: der::asn1::ObjectIdentifier =
    der::asn1::ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// Why a certificate is no EK certificate, if so. extKeyUsage alone does not tell: Google puts tcg-kp-EKCertificate on
/// attestation keys, most manufacturers put it on CAs; so cA, keyUsage and extKeyUsage are read together.
pub fn refusals(leaf: &Certificate) -> Option<Failure> {
    let not_an_ek = |detail: &str| Some(Failure::new(Reason::NotAnEk, leaf, detail));
    if leaf.is_ca() {
        return not_an_ek("it is a CA certificate");
    }
    if let Some(usage) = leaf.key_usage()
        && usage.digital_signature()
        && !usage.key_encipherment()
        && !usage.key_agreement()
    {
        return not_an_ek("keyUsage is for signatures: an attestation key, not an endorsement key");
    }
    let has = |purpose| leaf.has_extended_key_usage(purpose);
    if leaf.extended_key_usage().is_some() && !has(&oid::EK_CERTIFICATE) && !has(&ANY_EXTENDED_KEY_USAGE) {
        return if has(&oid::AIK_CERTIFICATE) {
            not_an_ek("extKeyUsage is for attestation identity keys")
        } else {
            not_an_ek("extKeyUsage names other purposes than tcg-kp-EKCertificate")
        };
    }
    None
}

/// What the profile wants otherwise, without making the certificate wrong.
pub fn warnings(leaf: &Certificate, tpm: &TpmAttributes) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if leaf.extended_key_usage().is_none() {
        warnings.push(Warning::EkuMissing);
    }
    if tpm.manufacturer.is_none() || tpm.model.is_none() || tpm.version.is_none() {
        warnings.push(Warning::TpmAttributesMissing);
    }
    if tpm.manufacturer.is_some() && tpm.registered().is_none() {
        warnings.push(Warning::ManufacturerNotRegistered);
    }
    match leaf.key_usage() {
        None => warnings.push(Warning::KeyUsageMissing),
        Some(usage) => {
            let fits =
                if leaf.key().rsa().is_some() { usage.key_encipherment() } else { usage.key_agreement() };
            if !fits {
                warnings.push(Warning::KeyUsageUnusual);
            }
        }
    }
    if leaf.extension(&oid::BASIC_CONSTRAINTS).is_some_and(|extension| !extension.critical) {
        warnings.push(Warning::BasicConstraintsNotCritical);
    }
    warnings
}

/// Whether the manufacturer in the subject alternative name contradicts the anchor's list (T20). An attribute that
/// is absent contradicts nothing.
pub fn manufacturer_mismatch(
    leaf: &Certificate,
    tpm: &TpmAttributes,
    manufacturers: Option<&[VendorId]>,
) -> Option<Failure> {
    let manufacturers = manufacturers?;
    let claimed = tpm.manufacturer.as_ref()?;
    let matches = tpm.registered().is_some_and(|entry| manufacturers.contains(&entry.id));
    if matches {
        return None;
    }
    let list: Vec<&str> = manufacturers.iter().map(VendorId::as_str).collect();
    let claimed = tpm.registered().map_or(claimed.as_str(), |entry| entry.id.as_str());
    let detail = format!("it names {claimed:?}, its anchor is for {}", list.join(", "));
    Some(Failure::new(Reason::ManufacturerMismatch, leaf, detail))
}
