//! What a verification says: verdict, reasons, warnings, and the chain it looked at.

use serde::Serialize;

use crate::cert::Certificate;
use crate::cert::tpm::TpmAttributes;
use crate::fingerprint::Fingerprint;
use crate::time::Time;

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
    /// At the time asked for, a certificate's validity has not begun (RFC 5280 §6.1.3 (a)(2)).
    NotYetValid,
    /// At the time asked for, a certificate's validity is over (RFC 5280 §6.1.3 (a)(2)).
    Expired,
    /// A signature is made with SHA-1, which policy or catalogue do not allow here (T22).
    Sha1Refused,
    /// The EK certificate names a manufacturer that the anchor is not for (T20).
    ManufacturerMismatch,
    /// More intermediates follow than a CA's pathLenConstraint allows (RFC 5280 §6.1.4 (l), (m)).
    PathLenExceeded,
    /// An issuer's keyUsage lacks keyCertSign (RFC 5280 §6.1.4 (n)).
    KeyUsage,
    /// An issuer is not a CA (RFC 5280 §6.1.4 (k)).
    NotACa,
    /// A critical extension is not known here (RFC 5280 §4.2).
    UnknownCriticalExtension,
    /// An extension is malformed or occurs twice (RFC 5280 §4.2).
    MalformedExtension,
    /// The inner and the outer signature algorithm differ (RFC 5280 §4.1.1.2).
    SignatureAlgorithmMismatch,
    /// An issuer has the right name, but its key did not make the signature: a counterfeit, or damage.
    SignatureInvalid,
    /// It is not an EK certificate at all.
    NotAnEk,
}

impl Reason {
    /// The stable code, such as `unknown-issuer`.
    pub fn code(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// What to do about it, in one line.
    pub const fn hint(self) -> &'static str {
        match self {
            Reason::Budget => "the stores hold too many certificates of one name; look at `ekstore list`",
            Reason::UnknownIssuer => {
                "if the manufacturer publishes this issuer, sync it or bring it in with `ekstore add` and `ekstore approve`"
            }
            Reason::IssuerNotTrusted => "`ekstore show` tells where the issuer was seen and who decided what",
            Reason::NoAnchor => {
                "the issuer is known, but nothing approved leads to an anchor; see `ekstore status`"
            }
            Reason::ChainTooLong => "no manufacturer's chain is so long; treat it as hostile",
            Reason::UnsupportedAlgorithm => "this program cannot check that signature algorithm",
            Reason::NotYetValid => "check the clock, or give the time that matters with --at",
            Reason::Expired => "if the time of issuance is what matters, give it with --at",
            Reason::Sha1Refused => {
                "TPM 1.2 lines need SHA-1: `--allow sha1` takes it under anchors that the catalogue marks"
            }
            Reason::ManufacturerMismatch => {
                "the certificate claims another maker than its anchor's; treat it as a forgery"
            }
            Reason::PathLenExceeded | Reason::KeyUsage | Reason::NotACa => {
                "a certificate in the chain may not issue this one; treat it as a forgery"
            }
            Reason::UnknownCriticalExtension => {
                "the certificate demands something this program does not know"
            }
            Reason::MalformedExtension | Reason::SignatureAlgorithmMismatch => {
                "the certificate is malformed where it matters; look at it with `ekstore inspect`"
            }
            Reason::SignatureInvalid => {
                "the names match a known issuer, but its key did not sign this; treat it as a counterfeit"
            }
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

/// Something that breaks no rule, but that a person should know.
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
    /// extKeyUsage does not name tcg-kp-EKCertificate (Google's private CA).
    EkuMissing,
    /// The subject alternative name has no TPM manufacturer, model and version (Google's private CA).
    TpmAttributesMissing,
    /// The manufacturer named is not in the TCG registry (software TPMs).
    ManufacturerNotRegistered,
    /// keyUsage is absent (TPM 1.2).
    KeyUsageMissing,
    /// keyUsage does not fit the kind of key (AMD, Intel, Pluton).
    KeyUsageUnusual,
    /// basicConstraints are not critical (AMD).
    BasicConstraintsNotCritical,
}

impl Warning {
    /// The stable code, such as `issuer-not-in-ekca`.
    pub fn code(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Its subject by RFC 4514; empty for most EK certificates.
    pub subject: String,
    /// Where it comes from.
    pub store: LinkOrigin,
}

impl From<super::path::Step> for Link {
    fn from(step: super::path::Step) -> Self {
        Self {
            fingerprint: step.certificate.fingerprint(),
            subject: step.certificate.subject().to_string(),
            store: step.origin,
        }
    }
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
    /// The time the verdict is for.
    pub at: Time,
}

impl Report {
    /// The most telling reason, if not trusted.
    pub fn reason(&self) -> Option<Reason> {
        self.failures.first().map(|failure| failure.reason)
    }
}
