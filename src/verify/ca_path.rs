//! The paths within the stores: found and validated once for each CA, as far as neither leaf nor time matter.

use crate::cert::Certificate;
use crate::store::StoreName;
use crate::verify::chain::{self, PathState};
use crate::verify::path::{MAX_CHAIN, SIGNATURE_BUDGET, STEP_BUDGET};
use crate::verify::verdict::{Failure, Reason};
use crate::verify::{Verifier, weak};

/// The most paths that are kept for one CA: real ones have at most 4 (re-issues on two levels).
pub const MAX_CA_PATHS: usize = 16;

/// All paths from one CA of the stores to anchors, validated as far as neither leaf nor time matter.
#[derive(Debug)]
pub struct CaPaths {
    pub(super) paths: Vec<CaPath>,
    /// Whether the budget was spent before all were found.
    pub(super) exhausted: bool,
}

/// One path from a CA of the stores to an anchor.
#[derive(Debug)]
pub(super) struct CaPath {
    /// Indices into the stores, from the CA to the anchor.
    pub(super) nodes: Vec<usize>,
    /// The state below the CA.
    pub(super) state: PathState,
    /// Rules broken whatever comes below, from the CA up.
    pub(super) failures: Vec<Failure>,
    /// Those below the anchor whose signature is made with SHA-1.
    pub(super) sha1: Vec<usize>,
}

impl Verifier {
    /// The paths of a CA of the stores, found and validated when they are first asked for.
    pub(super) fn ca_paths(&self, ca: usize) -> &CaPaths {
        self.paths[ca].get_or_init(|| {
            let mut finder = PathFinder {
                verifier: self,
                signatures: SIGNATURE_BUDGET,
                steps: STEP_BUDGET,
                found: Vec::new(),
            };
            let exhausted = finder.extend(&mut vec![ca]).is_none();
            let mut paths: Vec<CaPath> = finder.found.into_iter().map(|nodes| self.validate(nodes)).collect();
            paths.sort_by_key(|path| (path.failures.len(), path.nodes.len()));
            CaPaths { paths, exhausted }
        })
    }

    /// Applies the rules that depend on neither leaf nor time to a path of CAs, from the anchor down.
    fn validate(&self, nodes: Vec<usize>) -> CaPath {
        let all = self.trust.nodes();
        let mut failures = Vec::new();
        let (anchor, below) = nodes.split_last().expect("a path of CAs ends in an anchor");
        let anchor = &all[*anchor].certificate;
        let mut state = PathState::below(anchor, &self.policy.chain, &mut failures);
        weak_key(anchor, &mut failures);
        for index in below.iter().rev() {
            let ca = &all[*index].certificate;
            state.descend(ca, &self.policy.chain, &mut failures);
            weak_key(ca, &mut failures);
        }
        failures.reverse();
        let sha1 = below.iter().copied().filter(|index| chain::is_sha1(&all[*index].certificate)).collect();
        CaPath { nodes, state, failures, sha1 }
    }
}

fn weak_key(ca: &Certificate, failures: &mut Vec<Failure>) {
    if ca.key().rsa().is_some_and(|(modulus, _)| weak::is_roca(modulus)) {
        failures.push(Failure::new(
            Reason::WeakKey,
            ca,
            "the key has the fingerprint of ROCA (CVE-2017-15361)",
        ));
    }
    if let Some(whose) = weak::known_test_key(ca.key().fingerprint()) {
        failures.push(Failure::new(Reason::KnownTestCa, ca, format!("its private key is public: {whose}")));
    }
}

/// Finds the paths from a CA of the stores to anchors.
struct PathFinder<'a> {
    verifier: &'a Verifier,
    signatures: u32,
    steps: u32,
    found: Vec<Vec<usize>>,
}

impl PathFinder<'_> {
    /// Follows the last of `path` up; `None` when the budget is spent.
    fn extend(&mut self, path: &mut Vec<usize>) -> Option<()> {
        let nodes = self.verifier.trust.nodes();
        let last = &nodes[*path.last().expect("a path starts with the CA")];
        if last.store == StoreName::Ekroot {
            self.found.push(path.clone());
            return Some(());
        }
        if path.len() >= MAX_CHAIN {
            return Some(());
        }
        let child = &last.certificate;
        let wanted = child.authority_key_id();
        let mut candidates: Vec<usize> = self.verifier.trust.named(child.issuer()).to_vec();
        candidates.sort_by_key(|index| match (wanted, nodes[*index].certificate.subject_key_id()) {
            (Some(wanted), Some(has)) => wanted != has,
            _ => false,
        });
        for candidate in candidates {
            if path.contains(&candidate) || self.found.len() >= MAX_CA_PATHS {
                continue;
            }
            self.steps = self.steps.checked_sub(1)?;
            self.signatures = self.signatures.checked_sub(1)?;
            let issuer = &nodes[candidate];
            if issuer.key.signed_by(child, &issuer.certificate).is_ok() {
                path.push(candidate);
                let done = self.extend(path);
                path.pop();
                done?;
            }
        }
        Some(())
    }
}
