//! Which assurance an issued certificate carries, and whether its chain lets a relying party believe it.

use der::asn1::ObjectIdentifier;
use serde::Serialize;

use crate::adcs::Method;
use crate::adcs::chain::is_root;
use crate::cert::Certificate;
use crate::fingerprint::Fingerprint;
use crate::time::Time;
use crate::verify::chain::ChainInputs;
use crate::verify::path::Search;
use crate::verify::policies::PolicyInputs;
use crate::verify::revocation::{CrlSet, Mode};
use crate::verify::trust::{Anchor, TrustStore};
use crate::verify::verdict::Reason;
use crate::verify::{Policy, Verifier};

/// One attestation policy of an issued certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attestation {
    /// The method.
    pub method: Method,
    /// Its assurance.
    pub assurance: &'static str,
    /// The policy, dotted.
    pub policy: String,
    /// Whether the policy is valid for the path; not known without a chain.
    pub believed: Option<bool>,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What an issued certificate says about how its key was attested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The certificate.
    pub fingerprint: Fingerprint,
    /// Its subject.
    pub subject: String,
    /// Its attestation policies, from low to high assurance.
    pub attestations: Vec<Attestation>,
}

/// Checks a certificate against its chain, in any order; roots are those of the chain that issued themselves.
///
/// # Errors
///
/// The certificatePolicies extension is malformed.
pub fn check(
    certificate: &Certificate,
    chain: &[Certificate],
    at: Time,
) -> Result<Report, crate::cert::tlv::TlvError> {
    let policies = certificate.policies()?.unwrap_or_default();
    let carried = Method::ALL.into_iter().filter(|method| policies.contains(&method.policy()));
    let attestations = carried
        .map(|method| {
            let why = (!chain.is_empty()).then(|| refusal(certificate, chain, method.policy(), at));
            Attestation {
                method,
                assurance: method.assurance(),
                policy: method.policy().to_string(),
                believed: why.as_ref().map(Option::is_none),
                why: why.flatten(),
            }
        })
        .collect();
    Ok(Report {
        fingerprint: certificate.fingerprint(),
        subject: certificate.subject().to_string(),
        attestations,
    })
}

/// Why the policy does not hold on a path to a root, by our own validator; `None` if it does.
fn refusal(
    certificate: &Certificate,
    chain: &[Certificate],
    policy: ObjectIdentifier,
    at: Time,
) -> Option<String> {
    let mut trust = TrustStore::default();
    for root in chain.iter().filter(|certificate| is_root(certificate)) {
        trust.add_anchor(Anchor { certificate: root.clone(), sha1: false, manufacturers: None });
    }
    let policies = PolicyInputs { acceptable: vec![policy], explicit: true, ..PolicyInputs::default() };
    let inputs = ChainInputs { policies, ..ChainInputs::default() };
    let verifier = Verifier::new(
        trust,
        Policy { revocation: Mode::Off, chain: inputs, ..Policy::default() },
        CrlSet::default(),
    );
    let extra: Vec<Certificate> = chain.iter().filter(|certificate| !is_root(certificate)).cloned().collect();
    let found = Search::new(&verifier, &extra, at).run(certificate);
    found.failures.first().map(|failure| match failure.reason {
        Reason::Policy => {
            "a CA of the chain does not carry the policy, nor anyPolicy: `ekstore adcs check-chain`"
                .to_owned()
        }
        Reason::UnknownIssuer | Reason::NoAnchor | Reason::IssuerNotTrusted => {
            let top = found.chain.last().map_or(certificate, |link| &link.certificate);
            format!("the chain is incomplete: {} was not given", top.issuer())
        }
        _ => format!("{} ({})", failure.detail, failure.reason),
    })
}
