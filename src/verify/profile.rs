//! The TCG EK Credential Profile as a table: what an EK certificate must, should and may contain, and what manufacturers
//! really issue. Nothing that real manufacturers do is an error by default.
//!
//! The rules follow TCG EK Credential Profile for TPM Family 2.0, version 2.6 §3.2, as other implementations cite it; its
//! wording of MUST and SHOULD was not at hand.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cert::Certificate;
use crate::cert::quirk::Quirk;
use crate::cert::tpm::{DirectoryAttributes, EkGeneration, TpmAttributes};
use crate::cert::tpm_public::EkPublic;
use crate::oid;
use crate::vendor::VendorId;
use crate::verify::verdict::{Failure, Reason, Warning};
use crate::verify::weak;

/// How much a broken rule weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Not looked at.
    Off,
    /// Told among the notes.
    Info,
    /// Told among the warnings.
    Warning,
    /// The certificate is not trusted.
    Error,
}

/// Severities that differ from the table, by rule id.
pub type Severities = BTreeMap<String, Severity>;

/// What a rule looks at.
struct Subject<'a> {
    leaf: &'a Certificate,
    tpm: &'a TpmAttributes,
    attributes: DirectoryAttributes,
    expected: Option<&'a EkPublic>,
}

/// One rule of the profile.
pub struct Rule {
    /// Its id, as in `docs/verdicts.md`.
    pub id: &'static str,
    /// How much breaking it weighs, if nobody says otherwise.
    pub severity: Severity,
    /// What is reported when it is broken.
    pub code: Warning,
    /// What it asks for.
    pub asks: &'static str,
    /// Where that stands.
    pub source: &'static str,
    /// Which real certificates break it.
    pub deviations: &'static str,
    /// Whether the certificate breaks it.
    broken: fn(&Subject<'_>) -> bool,
}

const PROFILE: &str = "TCG EK Credential Profile 2.6 §3.2";

/// All rules, in the order of the certificate's fields.
pub const RULES: &[Rule] = &[
    Rule {
        id: "EK-01",
        severity: Severity::Error,
        code: Warning::VersionNot3,
        asks: "version 3",
        source: PROFILE,
        deviations: "none seen",
        broken: |subject| subject.leaf.version() != 3,
    },
    Rule {
        id: "EK-02",
        severity: Severity::Error,
        code: Warning::SerialNotPositive,
        asks: "a serial number above zero",
        source: "RFC 5280 §4.1.2.2",
        deviations: "none seen",
        broken: |subject| has(subject, Quirk::SerialNotPositive),
    },
    Rule {
        id: "EK-03",
        severity: Severity::Warning,
        code: Warning::SerialTooLong,
        asks: "a serial number of at most 20 octets",
        source: "RFC 5280 §4.1.2.2",
        deviations: "none seen",
        broken: |subject| has(subject, Quirk::SerialTooLong),
    },
    Rule {
        id: "EK-04",
        severity: Severity::Error,
        code: Warning::IssuerEmpty,
        asks: "an issuer name that is not empty",
        source: "RFC 5280 §4.1.2.4",
        deviations: "none seen",
        broken: |subject| subject.leaf.issuer().is_empty(),
    },
    Rule {
        id: "EK-05",
        severity: Severity::Info,
        code: Warning::ValidityForm,
        asks: "UTCTime before 2050, GeneralizedTime from then on",
        source: "RFC 5280 §4.1.2.5",
        deviations: "AMD (CAs)",
        broken: |subject| has(subject, Quirk::GeneralizedTimeBefore2050),
    },
    Rule {
        id: "EK-06",
        severity: Severity::Error,
        code: Warning::SanNotCritical,
        asks: "a critical subjectAltName where the subject is empty",
        source: "RFC 5280 §4.1.2.6",
        deviations: "none seen",
        broken: |subject| {
            let alternative = subject.leaf.extension(&oid::SUBJECT_ALT_NAME);
            subject.leaf.subject().is_empty() && alternative.is_none_or(|extension| !extension.critical)
        },
    },
    Rule {
        id: "EK-07",
        severity: Severity::Info,
        code: Warning::KeyRsaesOaep,
        asks: "rsaEncryption or id-ecPublicKey with a named curve",
        source: PROFILE,
        deviations: "TPM 1.2 of Infineon, STMicroelectronics, Nuvoton: id-RSAES-OAEP, as the 1.2 profile has it",
        broken: |subject| has(subject, Quirk::RsaesOaepKey),
    },
    Rule {
        id: "EK-08",
        severity: Severity::Warning,
        code: Warning::KeyAlgorithmUnusual,
        asks: "an RSA key of 2048 bits or more, or an EC key on P-256, P-384 or P-521",
        source: PROFILE,
        deviations: "none seen",
        broken: |subject| {
            let key = subject.leaf.key();
            match key.rsa() {
                Some((modulus, _)) => modulus.len() < 256,
                None => !matches!(key.curve(), Some(oid::P256 | oid::P384 | oid::P521)),
            }
        },
    },
    Rule {
        id: "EK-09",
        severity: Severity::Warning,
        code: Warning::AuthorityKeyIdMissing,
        asks: "an authorityKeyIdentifier with a key identifier",
        source: PROFILE,
        deviations: "Nuvoton NPCT6xx",
        broken: |subject| subject.leaf.authority_key_id().is_none(),
    },
    Rule {
        id: "EK-10",
        severity: Severity::Warning,
        code: Warning::KeyUsageMissing,
        asks: "keyUsage",
        source: PROFILE,
        deviations: "Nuvoton NPCT6xx, TPM 1.2",
        broken: |subject| subject.leaf.key_usage().is_none(),
    },
    Rule {
        id: "EK-11",
        severity: Severity::Warning,
        code: Warning::KeyUsageUnusual,
        asks: "keyEncipherment for RSA, keyAgreement for EC",
        source: PROFILE,
        deviations: "AMD, Intel (keyEncipherment on EC), Pluton (keyAgreement on RSA)",
        broken: |subject| {
            let rsa = subject.leaf.key().rsa().is_some();
            subject
                .leaf
                .key_usage()
                .is_some_and(|usage| if rsa { !usage.key_encipherment() } else { !usage.key_agreement() })
        },
    },
    Rule {
        id: "EK-12",
        severity: Severity::Info,
        code: Warning::PoliciesCritical,
        asks: "certificatePolicies, if present, not critical",
        source: PROFILE,
        deviations: "Infineon TPM 1.2",
        broken: |subject| is_critical(subject, &oid::CERTIFICATE_POLICIES),
    },
    Rule {
        id: "EK-13",
        severity: Severity::Warning,
        code: Warning::TpmAttributesMissing,
        asks: "tpmManufacturer, tpmModel and tpmVersion in subjectAltName",
        source: PROFILE,
        deviations: "Google's private CA",
        broken: |subject| {
            subject.tpm.manufacturer.is_none() || subject.tpm.model.is_none() || subject.tpm.version.is_none()
        },
    },
    Rule {
        id: "EK-14",
        severity: Severity::Warning,
        code: Warning::ManufacturerNotRegistered,
        asks: "a tpmManufacturer of the TCG registry",
        source: "TCG TPM Vendor ID Registry",
        deviations: "software TPMs (swtpm)",
        broken: |subject| subject.tpm.manufacturer.is_some() && subject.tpm.registered().is_none(),
    },
    Rule {
        id: "EK-15",
        severity: Severity::Warning,
        code: Warning::BasicConstraintsMissing,
        asks: "basicConstraints",
        source: PROFILE,
        deviations: "none seen",
        broken: |subject| subject.leaf.extension(&oid::BASIC_CONSTRAINTS).is_none(),
    },
    Rule {
        id: "EK-16",
        severity: Severity::Warning,
        code: Warning::BasicConstraintsNotCritical,
        asks: "basicConstraints critical",
        source: PROFILE,
        deviations: "AMD",
        broken: |subject| {
            subject.leaf.extension(&oid::BASIC_CONSTRAINTS).is_some_and(|extension| !extension.critical)
        },
    },
    Rule {
        id: "EK-17",
        severity: Severity::Warning,
        code: Warning::EkuMissing,
        asks: "tcg-kp-EKCertificate in extKeyUsage",
        source: PROFILE,
        deviations: "Google's private CA",
        broken: |subject| !subject.leaf.has_extended_key_usage(&oid::EK_CERTIFICATE),
    },
    Rule {
        id: "EK-18",
        severity: Severity::Info,
        code: Warning::EkuCritical,
        asks: "extKeyUsage not critical",
        source: PROFILE,
        deviations: "STMicroelectronics ST33ZP24, Nuvoton NPCT6xx",
        broken: |subject| is_critical(subject, &oid::EXTENDED_KEY_USAGE),
    },
    Rule {
        id: "EK-19",
        severity: Severity::Info,
        code: Warning::TpmSpecificationMissing,
        asks: "tPMSpecification in subjectDirectoryAttributes",
        source: PROFILE,
        deviations: "Pluton, Google's private CA",
        broken: |subject| subject.attributes.specification.is_none(),
    },
    Rule {
        id: "EK-20",
        severity: Severity::Warning,
        code: Warning::TpmSpecificationMalformed,
        asks: "a well-formed tPMSpecification",
        source: PROFILE,
        deviations: "AMD: the family in hexadecimal, the revision without room for its sign; both are read",
        broken: |subject| match &subject.attributes.specification {
            None => false,
            Some(read) => read.as_ref().is_ok_and(|specification| !specification.regular) || read.is_err(),
        },
    },
    Rule {
        id: "EK-21",
        severity: Severity::Warning,
        code: Warning::SecurityAssertionsMalformed,
        asks: "well-formed tPMSecurityAssertions, if present",
        source: PROFILE,
        deviations: "three dialects, all of which are read",
        broken: |subject| matches!(subject.attributes.assertions, Some(Err(_))),
    },
    Rule {
        id: "EK-22",
        severity: Severity::Info,
        code: Warning::EkInjected,
        asks: "an EK that was made inside the TPM",
        source: PROFILE,
        deviations: "STMicroelectronics and Infineon state that theirs are injected",
        broken: |subject| {
            let assertions = subject.attributes.assertions.as_ref().and_then(|read| read.as_ref().ok());
            assertions.is_some_and(|assertions| {
                matches!(
                    assertions.ek_generation,
                    Some(EkGeneration::Injected | EkGeneration::InjectedRevocable)
                )
            })
        },
    },
    Rule {
        id: "EK-23",
        severity: Severity::Info,
        code: Warning::AccessCritical,
        asks: "authorityInfoAccess and cRLDistributionPoints not critical",
        source: "RFC 5280 §4.2.2.1, §4.2.1.13",
        deviations: "none seen",
        broken: |subject| {
            is_critical(subject, &oid::AUTHORITY_INFO_ACCESS)
                || is_critical(subject, &oid::CRL_DISTRIBUTION_POINTS)
        },
    },
    Rule {
        id: "EK-24",
        severity: Severity::Error,
        code: Warning::Roca,
        asks: "an RSA modulus without the fingerprint of ROCA",
        source: "CVE-2017-15361",
        deviations: "Infineon firmware before late 2017; none among the public samples",
        broken: |subject| subject.leaf.key().rsa().is_some_and(|(modulus, _)| weak::is_roca(modulus)),
    },
    Rule {
        id: "EK-25",
        severity: Severity::Error,
        code: Warning::EkpubMismatch,
        asks: "the key of the TPM that was given",
        source: PROFILE,
        deviations: "none: it is another TPM's certificate",
        broken: |subject| {
            subject
                .expected
                .is_some_and(|expected| EkPublic::of(&subject.leaf.key()).as_ref() != Some(expected))
        },
    },
];

fn has(subject: &Subject<'_>, quirk: Quirk) -> bool {
    subject.leaf.quirks().contains(&quirk)
}

fn is_critical(subject: &Subject<'_>, oid: &der::asn1::ObjectIdentifier) -> bool {
    subject.leaf.extension(oid).is_some_and(|extension| extension.critical)
}

/// What the profile says about a certificate.
#[derive(Debug, Default)]
pub struct Applied {
    /// Rules broken that make it untrusted.
    pub failures: Vec<Failure>,
    /// Rules broken that a person should know about.
    pub warnings: Vec<Warning>,
    /// Rules broken that are worth a note.
    pub notes: Vec<Warning>,
}

/// Applies all rules to a leaf.
pub fn apply(
    leaf: &Certificate,
    tpm: &TpmAttributes,
    expected: Option<&EkPublic>,
    severities: &Severities,
) -> Applied {
    let mut applied = Applied::default();
    applied.failures.extend(not_an_ek(leaf));
    let attributes = DirectoryAttributes::of(leaf)
        .unwrap_or_else(|error| DirectoryAttributes { specification: Some(Err(error)), assertions: None });
    let subject = Subject { leaf, tpm, attributes, expected };
    for rule in RULES {
        let severity = severities.get(rule.id).copied().unwrap_or(rule.severity);
        if severity == Severity::Off || !(rule.broken)(&subject) {
            continue;
        }
        match severity {
            Severity::Error => {
                let reason = match rule.code {
                    Warning::Roca => Reason::WeakKey,
                    Warning::EkpubMismatch => Reason::EkpubMismatch,
                    _ => Reason::Profile,
                };
                let detail = format!("{} {}: wanted is {}", rule.id, rule.code, rule.asks);
                applied.failures.push(Failure::new(reason, leaf, detail));
            }
            Severity::Warning => applied.warnings.push(rule.code),
            Severity::Info | Severity::Off => applied.notes.push(rule.code),
        }
    }
    applied
}

/// Why a certificate is no EK certificate, if so. extKeyUsage alone does not tell: Google puts tcg-kp-EKCertificate on
/// attestation keys, most manufacturers put it on CAs; so cA, keyUsage and extKeyUsage are read together.
fn not_an_ek(leaf: &Certificate) -> Option<Failure> {
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
    if leaf.extended_key_usage().is_some() && !has(&oid::EK_CERTIFICATE) && !has(&oid::ANY_EXTENDED_KEY_USAGE)
    {
        return if has(&oid::AIK_CERTIFICATE) {
            not_an_ek("extKeyUsage is for attestation identity keys")
        } else {
            not_an_ek("extKeyUsage names other purposes than tcg-kp-EKCertificate")
        };
    }
    None
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
    if tpm.registered().is_some_and(|entry| manufacturers.contains(&entry.id)) {
        return None;
    }
    let detail = format!("it names {:?}, its anchor is for {}", name(tpm, claimed), list(manufacturers));
    Some(Failure::new(Reason::ManufacturerMismatch, leaf, detail))
}

/// Whether policy accepts the TPM's manufacturer; an empty list accepts all, any other needs one to be named.
pub fn not_accepted(leaf: &Certificate, tpm: &TpmAttributes, accepted: &[VendorId]) -> Option<Failure> {
    if accepted.is_empty() || tpm.registered().is_some_and(|entry| accepted.contains(&entry.id)) {
        return None;
    }
    let claimed = tpm.manufacturer.as_deref().map_or("none", |claimed| name(tpm, claimed));
    let detail = format!("it names {claimed:?}, accepted are {}", list(accepted));
    Some(Failure::new(Reason::ManufacturerNotAccepted, leaf, detail))
}

fn name<'a>(tpm: &TpmAttributes, claimed: &'a str) -> &'a str {
    tpm.registered().map_or(claimed, |entry| entry.id.as_str())
}

fn list(manufacturers: &[VendorId]) -> String {
    manufacturers.iter().map(VendorId::as_str).collect::<Vec<_>>().join(", ")
}
