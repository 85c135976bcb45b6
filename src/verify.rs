//! Is this EK certificate from a genuine TPM maker? Pure functions of the certificate, the stores and a time.

pub mod algorithms;
pub mod ca_path;
pub mod chain;
pub mod constraints;
pub mod path;
pub mod policies;
pub mod profile;
pub mod revocation;
pub mod trust;
pub mod verdict;
pub mod weak;

use std::sync::OnceLock;

use crate::cert::Certificate;
use crate::cert::tpm::TpmAttributes;
use crate::cert::tpm_public::EkPublic;
use crate::time::Time;
use crate::vendor::VendorId;
use crate::verify::ca_path::CaPaths;
use crate::verify::chain::ChainInputs;
use crate::verify::path::{Found, Search};
use crate::verify::profile::Severities;
use crate::verify::revocation::{CrlSet, Mode};
use crate::verify::trust::TrustStore;
use crate::verify::verdict::{Failure, LinkOrigin, Reason, Report, Verdict, Warning};

/// Whether SHA-1 signatures may count (T22).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sha1 {
    /// Never.
    #[default]
    Refuse,
    /// Under anchors whose catalogue entry says so.
    WhereTheCatalogueSays,
}

/// The time that validity is judged at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// This time.
    At(Time),
    /// When the EK certificate was issued: its notBefore. For CAs that expire before the devices do.
    Issuance,
}

impl Moment {
    /// The time for this leaf.
    pub fn of(self, leaf: &Certificate) -> Time {
        match self {
            Moment::At(time) => time,
            Moment::Issuance => leaf.validity().not_before,
        }
    }
}

/// What is asked of a certificate and its chain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// Whether SHA-1 signatures may count.
    pub sha1: Sha1,
    /// What must be known about revocation.
    pub revocation: Mode,
    /// The inputs of path validation.
    pub chain: ChainInputs,
    /// The manufacturers whose TPMs are accepted; all if empty.
    pub manufacturers: Vec<VendorId>,
    /// How the rules of the EK profile weigh, where that differs from the table.
    pub severities: Severities,
}

/// Verifies EK certificates against one generation of the stores. Paths of CAs are validated once and kept, and keys are
/// parsed once, so a certificate whose issuer was met before costs one signature. Shared between threads.
pub struct Verifier {
    trust: TrustStore,
    policy: Policy,
    crls: CrlSet,
    paths: Vec<OnceLock<CaPaths>>,
}

impl Verifier {
    /// Prepares for verifications against `trust` with what `crls` say.
    pub fn new(trust: TrustStore, policy: Policy, crls: CrlSet) -> Self {
        let paths = trust.nodes().iter().map(|_| OnceLock::new()).collect();
        Self { trust, policy, crls, paths }
    }

    /// What is trusted.
    pub fn trust(&self) -> &TrustStore {
        &self.trust
    }

    /// What is asked.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Validates one EK certificate.
    ///
    /// Builds a path from `leaf` through `extra` and EKCA to an anchor in EKROOT by [RFC 5280 §6.1], then applies the
    /// EK profile, and compares the key with `expected` if given. Does no I/O and reads no clock: the same arguments
    /// give the same verdict.
    ///
    /// Both ends of a validity period are inside it. `extra` is untrusted, in any order.
    ///
    /// [RFC 5280 §6.1]: https://www.rfc-editor.org/rfc/rfc5280#section-6.1
    pub fn verify(
        &self,
        leaf: &Certificate,
        extra: &[Certificate],
        moment: Moment,
        expected: Option<&EkPublic>,
    ) -> Report {
        let at = moment.of(leaf);
        let tpm = TpmAttributes::of(leaf);
        let Found { chain, mut failures, revocation, anchor, issuer } =
            Search::new(self, extra, at).run(leaf);

        let profile = profile::apply(leaf, &tpm, expected, &self.policy.severities);
        failures.extend(profile.failures);
        let mut warnings = profile.warnings;
        if let Some(node) = anchor.map(|index| &self.trust.nodes()[index]) {
            failures.extend(profile::manufacturer_mismatch(leaf, &tpm, node.manufacturers.as_deref()));
            if !node.certificate.validity().contains(at) {
                warnings.push(Warning::AnchorNotInValidity);
            }
        }
        failures.extend(profile::not_accepted(leaf, &tpm, &self.policy.manufacturers));
        if chain.iter().any(|link| link.origin == LinkOrigin::Extra) && anchor.is_some() {
            warnings.push(Warning::IssuerNotInEkca);
        }
        let ends = |pair: &[verdict::Link]| {
            pair[0].certificate.validity().not_after > pair[1].certificate.validity().not_after
        };
        if chain.windows(2).any(ends) {
            warnings.push(Warning::OutlivesIssuer);
        }
        if issuer.is_some_and(|index| self.trust.nodes()[index].roca_era) && leaf.key().rsa().is_some() {
            warnings.push(Warning::RocaSuspectIssuer);
        }
        let unknown = |status: &revocation::Status| matches!(status, revocation::Status::Unknown { .. });
        if self.policy.revocation == Mode::Soft && revocation.iter().any(|(_, status)| unknown(status)) {
            warnings.push(Warning::RevocationUnknown);
        }
        warnings.sort_unstable();
        warnings.dedup();

        // The most telling failure first; those of equal rank as found, from the leaf up.
        failures.sort_by_key(|failure| std::cmp::Reverse(failure.reason));
        let open = |failure: &Failure| matches!(failure.reason, Reason::Budget | Reason::RevocationUnknown);
        let verdict = if failures.is_empty() {
            Verdict::Trusted
        } else if failures.iter().all(open) {
            Verdict::Undetermined
        } else {
            Verdict::Untrusted
        };
        Report { verdict, failures, chain, tpm, warnings, notes: profile.notes, revocation, at }
    }
}
