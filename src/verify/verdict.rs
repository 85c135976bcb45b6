//! What a verification says: verdict, reasons, warnings, and the chain it looked at.

use serde::Serialize;

use crate::cert::Certificate;
use crate::cert::tpm::TpmAttributes;
use crate::fingerprint::Fingerprint;
use crate::time::Time;
use crate::verify::revocation::Status;

/// The answer (T21).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// A path to EKROOT, and no rule broken.
    Trusted,
    /// A rule broken, or no path.
    Untrusted,
    /// An input is missing: an unreadable file, or the budget.
    Undetermined,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Verdict::Trusted => "trusted",
            Verdict::Untrusted => "untrusted",
            Verdict::Undetermined => "undetermined",
        })
    }
}

/// Which rule is broken. The order is the rank: of several, the greatest tells most and is reported first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// The search would need more signature checks than the budget allows.
    Budget,
    /// Policy demands to know about revocation, and no CRL at hand tells.
    RevocationUnknown,
    /// No certificate in the stores has the issuer's name.
    UnknownIssuer,
    /// The issuer is known, but it is a candidate, rejected, distrusted, or hangs in no store.
    IssuerNotTrusted,
    /// The issuers found lead to no anchor.
    NoAnchor,
    /// The chain is longer than any real one.
    ChainTooLong,
    /// A signature algorithm cannot be checked.
    UnsupportedAlgorithm,
    /// Policy does not accept the TPM's manufacturer.
    ManufacturerNotAccepted,
    /// At the time asked for, a certificate's validity has not begun (RFC 5280 §6.1.3 (a) (2)).
    NotYetValid,
    /// At the time asked for, a certificate's validity is over (RFC 5280 §6.1.3 (a) (2)).
    Expired,
    /// A signature is made with SHA-1, which policy or catalogue do not allow here (T22).
    Sha1Refused,
    /// A rule of the EK profile is broken whose severity is error.
    Profile,
    /// No acceptable certificate policy is valid for the path (RFC 5280 §6.1.3 (f), §6.1.5 (g)).
    Policy,
    /// A CA's extKeyUsage does not cover EK certificates, which policy demands.
    ExtendedKeyUsage,
    /// A name is outside what a CA may certify (RFC 5280 §4.2.1.10).
    NameConstraints,
    /// More intermediates follow than a CA's pathLenConstraint allows (RFC 5280 §6.1.4 (l), (m)).
    PathLenExceeded,
    /// An issuer's keyUsage lacks keyCertSign (RFC 5280 §6.1.4 (n)).
    KeyUsage,
    /// An issuer is not a CA (RFC 5280 §6.1.4 (k)).
    NotACa,
    /// The EK certificate names a manufacturer that the anchor is not for (T20).
    ManufacturerMismatch,
    /// A critical extension is not known here (RFC 5280 §4.2).
    UnknownCriticalExtension,
    /// An extension is malformed or occurs twice (RFC 5280 §4.2).
    MalformedExtension,
    /// The inner and the outer signature algorithm differ (RFC 5280 §4.1.1.2).
    SignatureAlgorithmMismatch,
    /// An issuer has the right name, but its key did not make the signature: a counterfeit, or damage.
    SignatureInvalid,
    /// The certificate is for another key than the TPM's.
    EkpubMismatch,
    /// A key has the fingerprint of ROCA (CVE-2017-15361): its private key can be computed.
    WeakKey,
    /// A CA of the chain is a sample whose private key is public.
    KnownTestCa,
    /// A CRL lists a certificate of the chain.
    Revoked,
    /// It is not an EK certificate at all.
    NotAnEk,
}

impl Reason {
    /// All reasons, by rank.
    pub const ALL: &[Reason] = &[
        Reason::Budget,
        Reason::RevocationUnknown,
        Reason::UnknownIssuer,
        Reason::IssuerNotTrusted,
        Reason::NoAnchor,
        Reason::ChainTooLong,
        Reason::UnsupportedAlgorithm,
        Reason::ManufacturerNotAccepted,
        Reason::NotYetValid,
        Reason::Expired,
        Reason::Sha1Refused,
        Reason::Profile,
        Reason::Policy,
        Reason::ExtendedKeyUsage,
        Reason::NameConstraints,
        Reason::PathLenExceeded,
        Reason::KeyUsage,
        Reason::NotACa,
        Reason::ManufacturerMismatch,
        Reason::UnknownCriticalExtension,
        Reason::MalformedExtension,
        Reason::SignatureAlgorithmMismatch,
        Reason::SignatureInvalid,
        Reason::EkpubMismatch,
        Reason::WeakKey,
        Reason::KnownTestCa,
        Reason::Revoked,
        Reason::NotAnEk,
    ];

    /// The stable code, such as `unknown-issuer`.
    pub fn code(self) -> String {
        code(&self)
    }

    /// What to do about it, in one line.
    pub const fn hint(self) -> &'static str {
        match self {
            Reason::Budget => {
                "the stores or the chain given hold too many certificates of one name; look at `ekstore list`"
            }
            Reason::RevocationUnknown => {
                "give the CRL with --crl, fetch it with `ekstore sync --crls`, or ask for less with --revocation"
            }
            Reason::UnknownIssuer => {
                "if the manufacturer publishes this issuer, sync it or bring it in with `ekstore add` and `ekstore approve`; if the device made it, give its chain with --chain"
            }
            Reason::IssuerNotTrusted => "`ekstore show` tells where the issuer was seen and who decided what",
            Reason::NoAnchor => {
                "the issuer is known, but nothing approved leads to an anchor; see `ekstore status`"
            }
            Reason::ChainTooLong => "no manufacturer's chain is so long; treat it as hostile",
            Reason::UnsupportedAlgorithm => "this program cannot check that signature algorithm",
            Reason::ManufacturerNotAccepted => {
                "the accepted manufacturers are set with --manufacturer or in the configuration"
            }
            Reason::NotYetValid => "check the clock, or give the time that matters with --at",
            Reason::Expired => "if the time of issuance is what matters, ask for it with --at issuance",
            Reason::Sha1Refused => {
                "TPM 1.2 lines need SHA-1: `--allow sha1` takes it under anchors that the catalogue marks"
            }
            Reason::Profile => {
                "docs/verdicts.md describes the rule; its severity can be set in the configuration"
            }
            Reason::Policy => "a CA of the chain does not assert the policy that is demanded",
            Reason::ExtendedKeyUsage => {
                "the CA is for other certificates; policy asks for nesting of extKeyUsage"
            }
            Reason::NameConstraints => "a CA of the chain may not certify this name; treat it as a forgery",
            Reason::PathLenExceeded => "a CA of the chain may not issue further CAs; treat it as a forgery",
            Reason::KeyUsage => "a certificate in the chain may not issue others; treat it as a forgery",
            Reason::NotACa => "a certificate in the chain may not issue others; treat it as a forgery",
            Reason::ManufacturerMismatch => {
                "the certificate claims another maker than its anchor's; treat it as a forgery"
            }
            Reason::UnknownCriticalExtension => {
                "the certificate demands something this program does not know"
            }
            Reason::MalformedExtension => {
                "the certificate is malformed where it matters; look at it with `ekstore inspect`"
            }
            Reason::SignatureAlgorithmMismatch => {
                "the certificate is malformed where it matters; look at it with `ekstore inspect`"
            }
            Reason::SignatureInvalid => {
                "the names match a known issuer, but its key did not sign this; treat it as a counterfeit"
            }
            Reason::EkpubMismatch => {
                "the certificate belongs to another TPM; read it from the same device as the key"
            }
            Reason::WeakKey => "update the TPM's firmware and make a new EK; this one can be forged",
            Reason::KnownTestCa => "anyone can issue under this CA; distrust it with `ekstore distrust`",
            Reason::Revoked => "the issuer withdrew it; do not trust the device before you know why",
            Reason::NotAnEk => {
                "ask the device for its EK certificate, not for an attestation key's or a CA's"
            }
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.code())
    }
}

/// The kebab-case code of a variant, as serde writes it.
fn code(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A rule broken by one certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The rule.
    pub reason: Reason,
    /// The certificate.
    pub certificate: Fingerprint,
    /// The facts, in words.
    pub detail: String,
}

impl Failure {
    pub(crate) fn new(reason: Reason, certificate: &Certificate, detail: impl Into<String>) -> Self {
        Self { reason, certificate: certificate.fingerprint(), detail: detail.into() }
    }
}

/// What a person should know although it does not decide: warnings, and rules of the profile by what breaking them means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Warning {
    /// The chain needed an intermediate that is not in EKCA; the CA gets none in a request (T23).
    IssuerNotInEkca,
    /// The anchor itself is outside its validity; RFC 5280 does not ask, Windows may.
    AnchorNotInValidity,
    /// A certificate is valid for longer than its issuer (Intel, STMicroelectronics).
    OutlivesIssuer,
    /// A certificate of the chain names a CRL that is not at hand or does not tell.
    RevocationUnknown,
    /// The issuer served chips with ROCA (CVE-2017-15361); this key does not show it, but check the firmware.
    RocaSuspectIssuer,
    /// The certificate is not version 3 (EK-01).
    VersionNot3,
    /// The serial number is zero or negative (EK-02).
    SerialNotPositive,
    /// The serial number is longer than 20 octets (EK-03).
    SerialTooLong,
    /// The issuer name is empty (EK-04).
    IssuerEmpty,
    /// A date is in the other ASN.1 form than RFC 5280 wants (EK-05).
    ValidityForm,
    /// The subject is empty and subjectAltName is not critical or absent (EK-06).
    SanNotCritical,
    /// The key's algorithm is named RSAES-OAEP, as TPM 1.2 does (EK-07).
    KeyRsaesOaep,
    /// The key is of an unusual kind or size (EK-08).
    KeyAlgorithmUnusual,
    /// authorityKeyIdentifier is absent (EK-09; Nuvoton NPCT6xx).
    AuthorityKeyIdMissing,
    /// keyUsage is absent (EK-10; TPM 1.2).
    KeyUsageMissing,
    /// keyUsage does not fit the kind of key (EK-11; AMD, Intel, Pluton).
    KeyUsageUnusual,
    /// certificatePolicies are critical (EK-12; Infineon TPM 1.2).
    PoliciesCritical,
    /// The TPM manufacturer, model or version is not named (EK-13; Google's private CA).
    TpmAttributesMissing,
    /// The manufacturer named is not in the TCG registry (EK-14; software TPMs).
    ManufacturerNotRegistered,
    /// basicConstraints are absent (EK-15).
    BasicConstraintsMissing,
    /// basicConstraints are not critical (EK-16; AMD).
    BasicConstraintsNotCritical,
    /// extKeyUsage does not name tcg-kp-EKCertificate (EK-17; Google's private CA).
    EkuMissing,
    /// extKeyUsage is critical (EK-18; STMicroelectronics ST33ZP24, Nuvoton NPCT6xx).
    EkuCritical,
    /// tPMSpecification is absent (EK-19; Pluton, Google's private CA).
    TpmSpecificationMissing,
    /// tPMSpecification is malformed (EK-20).
    TpmSpecificationMalformed,
    /// tPMSecurityAssertions are malformed (EK-21).
    SecurityAssertionsMalformed,
    /// The EK was made outside the TPM and put in, as the certificate states (EK-22; STMicroelectronics, Infineon).
    EkInjected,
    /// authorityInfoAccess or cRLDistributionPoints are critical (EK-23).
    AccessCritical,
    /// The modulus has the fingerprint of ROCA (EK-24).
    Roca,
    /// The key is not that of the TPM that was given (EK-25).
    EkpubMismatch,
}

impl Warning {
    /// All of them.
    pub const ALL: &[Warning] = &[
        Warning::IssuerNotInEkca,
        Warning::AnchorNotInValidity,
        Warning::OutlivesIssuer,
        Warning::RevocationUnknown,
        Warning::RocaSuspectIssuer,
        Warning::VersionNot3,
        Warning::SerialNotPositive,
        Warning::SerialTooLong,
        Warning::IssuerEmpty,
        Warning::ValidityForm,
        Warning::SanNotCritical,
        Warning::KeyRsaesOaep,
        Warning::KeyAlgorithmUnusual,
        Warning::AuthorityKeyIdMissing,
        Warning::KeyUsageMissing,
        Warning::KeyUsageUnusual,
        Warning::PoliciesCritical,
        Warning::TpmAttributesMissing,
        Warning::ManufacturerNotRegistered,
        Warning::BasicConstraintsMissing,
        Warning::BasicConstraintsNotCritical,
        Warning::EkuMissing,
        Warning::EkuCritical,
        Warning::TpmSpecificationMissing,
        Warning::TpmSpecificationMalformed,
        Warning::SecurityAssertionsMalformed,
        Warning::EkInjected,
        Warning::AccessCritical,
        Warning::Roca,
        Warning::EkpubMismatch,
    ];

    /// The stable code, such as `issuer-not-in-ekca`.
    pub fn code(self) -> String {
        code(&self)
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.code())
    }
}

/// Where a certificate of the chain comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum LinkOrigin {
    /// It is the certificate in question.
    #[serde(rename = "leaf")]
    Leaf,
    /// EKROOT.
    #[serde(rename = "EKROOT")]
    Ekroot,
    /// EKCA.
    #[serde(rename = "EKCA")]
    Ekca,
    /// Untrusted material given for this verdict.
    #[serde(rename = "extra")]
    Extra,
}

impl std::fmt::Display for LinkOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            LinkOrigin::Leaf => "leaf",
            LinkOrigin::Ekroot => "EKROOT",
            LinkOrigin::Ekca => "EKCA",
            LinkOrigin::Extra => "extra",
        })
    }
}

/// One certificate of a chain, from the leaf to the anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The certificate.
    pub certificate: Certificate,
    /// Where it comes from.
    pub origin: LinkOrigin,
}

/// A verdict with what is behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The answer.
    pub verdict: Verdict,
    /// The rules broken on the most promising path, the most telling first; empty exactly if trusted.
    pub failures: Vec<Failure>,
    /// The most promising path, from the leaf as far as it goes.
    pub chain: Vec<Link>,
    /// What the certificate says about its TPM.
    pub tpm: TpmAttributes,
    /// What breaks no rule but matters, sorted.
    pub warnings: Vec<Warning>,
    /// What is worth a note, in the order of the profile.
    pub notes: Vec<Warning>,
    /// What is known about revocation, by certificate of the chain.
    pub revocation: Vec<(Fingerprint, Status)>,
    /// The time the verdict is for.
    pub at: Time,
}

impl Report {
    /// The most telling reason, if not trusted.
    pub fn reason(&self) -> Option<Reason> {
        self.failures.first().map(|failure| failure.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_and_warning_is_listed_once() {
        assert!(Reason::ALL.is_sorted_by(|one, other| one < other));
        assert!(Warning::ALL.is_sorted_by(|one, other| one < other));
        assert_eq!(Reason::ALL.last(), Some(&Reason::NotAnEk));
        assert_eq!(Warning::ALL.last(), Some(&Warning::EkpubMismatch));
        assert_eq!(Reason::UnknownIssuer.code(), "unknown-issuer");
    }
}
