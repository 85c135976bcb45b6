//! The search for a path from a leaf to an anchor over sets of candidates.
//!
//! Candidates are all certificates with the issuer's name (RFC 5280 §7.1): one name has several keys (Microsoft's EK
//! services, AMD's RSA and ECC CAs), one key several certificates (re-issues). The authority key identifier and the
//! dates only order them; what counts is the signature. webpki's path builder is not used: it compares names by
//! bytes and refuses critical certificatePolicies, which all of STMicroelectronics' intermediates carry.

use std::collections::HashMap;

use crate::cert::Certificate;
use crate::fingerprint::Fingerprint;
use crate::store::record::State;
use crate::time::Time;
use crate::verify::algorithms::{self, SignatureError};
use crate::verify::trust::TrustStore;
use crate::verify::verdict::{Failure, LinkOrigin, Reason};
use crate::verify::{Policy, chain};

/// How many signatures a search may check. Real chains need at most 4, with re-issues 8; a graph of same-named CAs
/// made to waste time ends here.
pub const SIGNATURE_BUDGET: u32 = 100;

/// How many steps (candidates looked at) a search may take.
pub const STEP_BUDGET: u32 = 2_000;

/// The longest chain, leaf and anchor included. Real ones have at most 6 (Intel's on-die CAs).
pub const MAX_CHAIN: usize = 10;

/// One certificate of a path.
#[derive(Debug, Clone)]
pub struct Step {
    /// The certificate.
    pub certificate: Certificate,
    /// Where it comes from.
    pub origin: LinkOrigin,
}

/// What a search found.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// A path that breaks no rule.
    Valid(Vec<Step>),
    /// The most promising path, as far as it goes, and the rules it breaks.
    Refused {
        /// From the leaf up.
        chain: Vec<Step>,
        /// Never empty.
        failures: Vec<Failure>,
    },
    /// The budget was spent before a valid path was found.
    Budget {
        /// From the leaf up.
        chain: Vec<Step>,
    },
}

/// A search for one leaf.
pub struct Search<'a> {
    trust: &'a TrustStore,
    extra: &'a [Certificate],
    policy: Policy,
    at: Time,
    signatures: u32,
    steps: u32,
    checked: HashMap<(Fingerprint, Fingerprint), Result<(), SignatureError>>,
    best: Option<(Rank, Vec<Step>, Vec<Failure>)>,
}

/// How promising a refused path is: reached an anchor, then fewer failures, then the longer one.
type Rank = (bool, std::cmp::Reverse<usize>, usize, Option<Reason>);

enum Progress {
    Valid(Vec<Step>),
    Exhausted,
    Budget,
}

impl<'a> Search<'a> {
    /// Prepares a search through EKROOT and EKCA, and through the untrusted `extra`.
    pub fn new(trust: &'a TrustStore, extra: &'a [Certificate], policy: Policy, at: Time) -> Self {
        Self {
            trust,
            extra,
            policy,
            at,
            signatures: SIGNATURE_BUDGET,
            steps: STEP_BUDGET,
            checked: HashMap::new(),
            best: None,
        }
    }

    /// Runs it.
    pub fn run(mut self, leaf: &Certificate) -> Outcome {
        let mut path = vec![Step { certificate: leaf.clone(), origin: LinkOrigin::Leaf }];
        let progress = self.extend(&mut path);
        match progress {
            Progress::Valid(chain) => Outcome::Valid(chain),
            Progress::Budget => Outcome::Budget { chain: self.best.map_or(path, |(_, chain, _)| chain) },
            Progress::Exhausted => {
                let (_, chain, failures) =
                    self.best.expect("a search that ends without a valid path recorded why");
                Outcome::Refused { chain, failures }
            }
        }
    }

    /// Tries every issuer of the last certificate in `path`.
    fn extend(&mut self, path: &mut Vec<Step>) -> Progress {
        let child = path.last().expect("a path starts with the leaf").certificate.clone();
        if path.len() >= MAX_CHAIN {
            self.refuse(path, vec![Failure::new(Reason::ChainTooLong, &child, "")]);
            return Progress::Exhausted;
        }
        let candidates = self.candidates(&child, path);
        if candidates.is_empty() {
            let failure = self.dead_end(&child);
            self.refuse(path, vec![failure]);
            return Progress::Exhausted;
        }
        let mut wrong_signature = None;
        let mut went_on = false;
        for candidate in candidates {
            let Some(steps) = self.steps.checked_sub(1) else { return Progress::Budget };
            self.steps = steps;
            match self.check_signature(&child, &candidate.certificate) {
                None => return Progress::Budget,
                Some(Err(error)) => {
                    wrong_signature = wrong_signature.or(Some((error, candidate.certificate)));
                }
                Some(Ok(())) => {
                    went_on = true;
                    path.push(candidate);
                    let progress = self.arrive(path);
                    path.pop();
                    if !matches!(progress, Progress::Exhausted) {
                        return progress;
                    }
                }
            }
        }
        if let Some((error, issuer)) = wrong_signature.filter(|_| !went_on) {
            let reason = match error {
                SignatureError::UnsupportedAlgorithm => Reason::UnsupportedAlgorithm,
                SignatureError::KeyMismatch | SignatureError::Invalid => Reason::SignatureInvalid,
            };
            let detail = format!("{error} under the key of {} ({})", issuer.subject(), issuer.fingerprint());
            self.refuse(path, vec![Failure::new(reason, &child, detail)]);
        }
        Progress::Exhausted
    }

    /// Goes on from the certificate just added: done at an anchor, else further up.
    fn arrive(&mut self, path: &mut Vec<Step>) -> Progress {
        let last = path.last().expect("a certificate was just added");
        if last.origin != LinkOrigin::Ekroot {
            return self.extend(path);
        }
        let anchor = self.trust.anchor(last.certificate.fingerprint());
        let anchor = anchor.expect("only anchors have this origin");
        let certificates: Vec<&Certificate> = path.iter().map(|step| &step.certificate).collect();
        let failures = chain::check(&certificates, anchor, self.policy, self.at);
        if failures.is_empty() {
            return Progress::Valid(path.clone());
        }
        self.refuse(path, failures);
        Progress::Exhausted
    }

    /// The possible issuers: those with the right name that are not on the path yet. Anchors first, then by
    /// matching key identifier, then those valid at the time.
    fn candidates(&self, child: &Certificate, path: &[Step]) -> Vec<Step> {
        let name = child.issuer();
        let anchors =
            self.trust.anchors_named(name).iter().map(|anchor| (&anchor.certificate, LinkOrigin::Ekroot));
        let intermediates =
            self.trust.intermediates_named(name).iter().map(|certificate| (certificate, LinkOrigin::Ekca));
        let extra = self.extra.iter().filter(|certificate| certificate.subject() == name);
        let extra = extra.map(|certificate| (certificate, LinkOrigin::Extra));
        let mut candidates: Vec<Step> = Vec::new();
        for (certificate, origin) in anchors.chain(intermediates).chain(extra) {
            let known = path.iter().chain(&candidates).any(|step| step.certificate == *certificate);
            if !known {
                candidates.push(Step { certificate: certificate.clone(), origin });
            }
        }
        let wanted = child.authority_key_id();
        candidates.sort_by_key(|candidate| {
            let other_key = match (wanted, candidate.certificate.subject_key_id()) {
                (Some(wanted), Some(has)) => wanted != has,
                _ => false,
            };
            (other_key, !candidate.certificate.validity().contains(self.at))
        });
        candidates
    }

    fn check_signature(
        &mut self,
        child: &Certificate,
        issuer: &Certificate,
    ) -> Option<Result<(), SignatureError>> {
        let pair = (child.fingerprint(), issuer.fingerprint());
        if let Some(known) = self.checked.get(&pair) {
            return Some(*known);
        }
        self.signatures = self.signatures.checked_sub(1)?;
        let result = algorithms::signed_by(child, &issuer.key());
        self.checked.insert(pair, result);
        Some(result)
    }

    /// Why the path ends at `child`: its issuer is unknown, or known but not trusted.
    fn dead_end(&mut self, child: &Certificate) -> Failure {
        let issuer = child.issuer();
        for (known, state) in self.trust.untrusted_named(issuer) {
            if known != child && matches!(self.check_signature(child, known), Some(Ok(()))) {
                let how = match state {
                    State::Approved => "approved, but in neither store",
                    State::Candidate => "a candidate",
                    State::Rejected => "rejected",
                    State::Distrusted => "distrusted",
                };
                let detail = format!("its issuer {issuer} ({}) is {how}", known.fingerprint());
                return Failure::new(Reason::IssuerNotTrusted, child, detail);
            }
        }
        if child.is_self_issued() {
            return Failure::new(
                Reason::NoAnchor,
                child,
                format!("{issuer} is self-issued, but not in EKROOT"),
            );
        }
        let mut detail = format!("issuer {issuer} is not in the stores");
        if let Some(id) = child.authority_key_id() {
            detail.push_str(&format!(", key id {}", data_encoding::HEXLOWER.encode(id)));
        }
        if self.trust.is_empty() {
            detail.push_str("; EKROOT is empty");
        }
        Failure::new(Reason::UnknownIssuer, child, detail)
    }

    fn refuse(&mut self, path: &[Step], failures: Vec<Failure>) {
        let reached = path.last().is_some_and(|step| step.origin == LinkOrigin::Ekroot);
        let worst = failures.iter().map(|failure| failure.reason).max();
        let rank = (reached, std::cmp::Reverse(failures.len()), path.len(), worst);
        if self.best.as_ref().is_none_or(|(best, _, _)| rank > *best) {
            self.best = Some((rank, path.to_vec(), failures));
        }
    }
}
