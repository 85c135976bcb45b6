//! Is this EK certificate from a genuine TPM maker? Pure functions of the certificate, the stores and a time.

pub mod algorithms;
pub mod chain;
pub mod path;
pub mod profile;
pub mod trust;
pub mod verdict;

use crate::cert::Certificate;
use crate::cert::tpm::TpmAttributes;
use crate::time::Time;
use crate::verify::path::{Outcome, Search};
use crate::verify::trust::TrustStore;
use crate::verify::verdict::{Failure, Link, Reason, Report, Verdict, Warning};

/// Whether SHA-1 signatures may count (T22).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sha1 {
    /// Never.
    #[default]
    Refuse,
    /// Under anchors whose catalogue entry says so.
    WhereTheCatalogueSays,
}

/// What is asked of a chain beyond RFC 5280.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// Whether SHA-1 signatures may count.
    pub sha1: Sha1,
}

/// Validates one EK certificate against `trust`, as of `at`.
///
/// Builds a path from `leaf` through `extra` and EKCA to an anchor in EKROOT by [RFC 5280 §6.1], then applies the EK
/// profile. Does no I/O and reads no clock: the same arguments give the same verdict.
///
/// `at` counts whole seconds; both ends of a validity period are inside it. `extra` is untrusted, in any order.
///
/// [RFC 5280 §6.1]: https://www.rfc-editor.org/rfc/rfc5280#section-6.1
pub fn verify(
    trust: &TrustStore,
    leaf: &Certificate,
    extra: &[Certificate],
    policy: Policy,
    at: Time,
) -> Report {
    let mut failures: Vec<Failure> = profile::refusals(leaf).into_iter().collect();
    let outcome = Search::new(trust, extra, policy, at).run(leaf);
    let (chain, found, spent) = match outcome {
        Outcome::Valid(chain) => (chain, Vec::new(), false),
        Outcome::Refused { chain, failures } => (chain, failures, false),
        Outcome::Budget { chain } => (chain, vec![Failure::new(Reason::Budget, leaf, "")], true),
    };
    failures.extend(found);

    let tpm = TpmAttributes::of(leaf);
    let mut warnings = profile::warnings(leaf, &tpm);
    if let Some(anchor) = chain.last().and_then(|last| trust.anchor(last.certificate.fingerprint())) {
        failures.extend(profile::manufacturer_mismatch(leaf, &tpm, anchor.manufacturers.as_deref()));
        if !anchor.certificate.validity().contains(at) {
            warnings.push(Warning::AnchorNotInValidity);
        }
    }
    if failures.is_empty() && chain.iter().any(|link| link.origin == verdict::LinkOrigin::Extra) {
        warnings.push(Warning::IssuerNotInEkca);
    }
    if chain
        .windows(2)
        .any(|pair| pair[0].certificate.validity().not_after > pair[1].certificate.validity().not_after)
    {
        warnings.push(Warning::OutlivesIssuer);
    }
    warnings.sort_unstable();
    warnings.dedup();

    let verdict = match failures.iter().map(|failure| failure.reason).max() {
        None => Verdict::Trusted,
        Some(Reason::Budget) if spent && failures.len() == 1 => Verdict::Undetermined,
        Some(_) => Verdict::Untrusted,
    };
    // The most telling failure first; those of equal rank as found, from the leaf up.
    failures.sort_by_key(|failure| std::cmp::Reverse(failure.reason));
    Report { verdict, failures, chain: chain.into_iter().map(Link::from).collect(), tpm, warnings, at }
}
