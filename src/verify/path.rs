//! The search for a path from a leaf to an anchor over sets of candidates.
//!
//! Candidates are all certificates with the issuer's name (RFC 5280 §7.1): one name has several keys (Microsoft's EK
//! services, AMD's RSA and ECC CAs), one key several certificates (re-issues). The authority key identifier and the
//! dates only order them; what counts is the signature. webpki's path builder is not used: it compares names by
//! bytes and refuses critical certificatePolicies, which all of STMicroelectronics' intermediates carry.
//!
//! Paths within the stores are found and validated once for each CA ([`crate::verify::ca_path`]); a search goes through the untrusted
//! material of its own leaf until it meets a CA of the stores.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use crate::cert::Certificate;
use crate::cert::name::Name;
use crate::fingerprint::Fingerprint;
use crate::store::StoreName;
use crate::store::record::State;
use crate::time::Time;
use crate::verify::algorithms::{self, SignatureError};
use crate::verify::ca_path::CaPath;
use crate::verify::chain;
use crate::verify::revocation::{Mode, Signers, Status};
use crate::verify::verdict::{Failure, Link, LinkOrigin, Reason};
use crate::verify::{Sha1, Verifier};

/// How many signatures a search may check. Real chains need at most 4, with re-issues 8; a graph of same-named CAs
/// made to waste time ends here.
pub const SIGNATURE_BUDGET: u32 = 100;

/// How many candidates a search may look at.
pub const STEP_BUDGET: u32 = 500;

/// The longest chain, leaf and anchor included. Real ones have at most 6 (Intel's on-die CAs).
pub const MAX_CHAIN: usize = 20;

/// How far the validity of CRL signers is followed: a signer's own CRL may have a signer, and so on.
const MAX_SIGNER_DEPTH: u8 = 2;

/// What a search found: a path, or the most promising one and what it breaks.
#[derive(Debug, Default)]
pub struct Found {
    /// From the leaf up, as far as it goes.
    pub chain: Vec<Link>,
    /// Empty exactly if the path is valid.
    pub failures: Vec<Failure>,
    /// What is known about revocation, for those of the chain below the anchor that were looked up.
    pub revocation: Vec<(Fingerprint, Status)>,
    /// The anchor, if the path reaches one.
    pub anchor: Option<usize>,
    /// The leaf's issuer, if it is in the stores.
    pub issuer: Option<usize>,
}

/// A search for one leaf.
pub struct Search<'a> {
    verifier: &'a Verifier,
    extra: HashMap<&'a [u8], Vec<&'a Certificate>>,
    at: Time,
    signatures: u32,
    steps: u32,
    checked: HashMap<(Fingerprint, Fingerprint), Result<(), SignatureError>>,
    best: Option<(Rank, Found)>,
    signer_depth: u8,
}

/// How promising a refused path is: it reached an anchor, then broke fewer rules, then is longer, then tells more.
type Rank = (bool, Reverse<usize>, usize, Option<Reason>);

/// How a part of a search ended.
enum Progress {
    Valid(Found),
    Exhausted,
    Budget,
}

/// A possible issuer.
enum Candidate<'a> {
    Stored(usize),
    Extra(&'a Certificate),
}

impl<'a> Search<'a> {
    /// Prepares a search through EKROOT and EKCA, and through the untrusted `extra`.
    pub fn new(verifier: &'a Verifier, extra: &'a [Certificate], at: Time) -> Self {
        Self::at_depth(verifier, by_subject(extra), at, 0)
    }

    fn at_depth(
        verifier: &'a Verifier,
        extra: HashMap<&'a [u8], Vec<&'a Certificate>>,
        at: Time,
        signer_depth: u8,
    ) -> Self {
        Self {
            verifier,
            extra,
            at,
            signatures: SIGNATURE_BUDGET,
            steps: STEP_BUDGET,
            checked: HashMap::new(),
            best: None,
            signer_depth,
        }
    }

    /// Runs it.
    pub fn run(mut self, leaf: &'a Certificate) -> Found {
        let mut path = vec![leaf];
        let progress = self.extend(&mut path);
        let best = self.best.take().map(|(_, found)| found);
        match progress {
            Progress::Valid(found) => found,
            Progress::Budget => {
                let mut found = best.unwrap_or_else(|| Found { chain: links(&path), ..Found::default() });
                let detail = format!("more than {SIGNATURE_BUDGET} signatures or {STEP_BUDGET} candidates");
                found.failures = vec![Failure::new(Reason::Budget, leaf, detail)];
                found
            }
            Progress::Exhausted => best.expect("a search that ends without a valid path recorded why"),
        }
    }

    /// Tries every issuer of the last certificate in `path`, which is the leaf or untrusted.
    fn extend(&mut self, path: &mut Vec<&'a Certificate>) -> Progress {
        let child = *path.last().expect("a path starts with the leaf");
        if path.len() >= MAX_CHAIN {
            self.refuse(links(path), vec![Failure::new(Reason::ChainTooLong, child, "")], None);
            return Progress::Exhausted;
        }
        let candidates = self.candidates(child, path);
        if candidates.is_empty() {
            let failure = self.dead_end(child);
            self.refuse(links(path), vec![failure], None);
            return Progress::Exhausted;
        }
        let mut wrong_signature = None;
        let mut went_on = false;
        for candidate in candidates {
            let Some(steps) = self.steps.checked_sub(1) else { return Progress::Budget };
            self.steps = steps;
            match self.check_signature(child, &candidate) {
                None => return Progress::Budget,
                Some(Err(error)) => wrong_signature = wrong_signature.or(Some((error, candidate))),
                Some(Ok(())) => {
                    went_on = true;
                    let progress = match candidate {
                        Candidate::Stored(index) => self.arrive(path, index),
                        Candidate::Extra(certificate) => {
                            path.push(certificate);
                            let progress = self.extend(path);
                            path.pop();
                            progress
                        }
                    };
                    if !matches!(progress, Progress::Exhausted) {
                        return progress;
                    }
                }
            }
        }
        if let Some((error, candidate)) = wrong_signature.filter(|_| !went_on) {
            let reason = match error {
                SignatureError::UnsupportedAlgorithm => Reason::UnsupportedAlgorithm,
                SignatureError::KeyMismatch | SignatureError::Invalid => Reason::SignatureInvalid,
            };
            let issuer = self.certificate(&candidate);
            let detail = format!(
                "the names match {} ({}), but {error} under its key",
                issuer.subject(),
                issuer.fingerprint()
            );
            self.refuse(links(path), vec![Failure::new(reason, child, detail)], None);
        }
        Progress::Exhausted
    }

    /// Judges `path` under each path of the CA that it has met.
    fn arrive(&mut self, path: &[&'a Certificate], ca: usize) -> Progress {
        let paths = self.verifier.ca_paths(ca);
        for above in &paths.paths {
            let Some(steps) = self.steps.checked_sub(1) else { return Progress::Budget };
            self.steps = steps;
            let found = self.judge(path, above);
            if found.failures.is_empty() {
                return Progress::Valid(found);
            }
            self.refuse_found(found);
        }
        if paths.exhausted {
            return Progress::Budget;
        }
        if paths.paths.is_empty() {
            let top = &self.verifier.trust.nodes()[ca].certificate;
            let mut chain = links(path);
            chain.push(Link { certificate: top.clone(), origin: LinkOrigin::Ekca });
            self.refuse(chain, vec![Failure::new(Reason::NoAnchor, top, "it leads to no anchor")], None);
        }
        Progress::Exhausted
    }

    /// Applies every rule to one complete path: `path` from the leaf up, then `above`.
    fn judge(&self, path: &[&'a Certificate], above: &CaPath) -> Found {
        let nodes = self.verifier.trust.nodes();
        let policy = &self.verifier.policy;
        let anchor_index = *above.nodes.last().expect("a path of CAs ends in an anchor");
        let anchor = &nodes[anchor_index];
        let (leaf, extra) = path.split_first().expect("a path starts with the leaf");

        let mut rules = Vec::new();
        let mut state = None;
        for certificate in extra.iter().rev() {
            let state = state.get_or_insert_with(|| above.state.clone());
            state.descend(certificate, &policy.chain, &mut rules);
        }
        state.as_ref().unwrap_or(&above.state).finish(leaf, &policy.chain, &mut rules);
        // Found from the anchor down; told from the leaf up.
        rules.reverse();

        let mut failures = Vec::new();
        let stored = above.nodes[..above.nodes.len() - 1].iter().map(|index| &nodes[*index].certificate);
        let below_anchor: Vec<&Certificate> = path.iter().copied().chain(stored).collect();
        for certificate in &below_anchor {
            failures.extend(chain::check_validity(certificate, self.at));
        }
        let sha1 = path.iter().copied().filter(|certificate| chain::is_sha1(certificate));
        for certificate in sha1.chain(above.sha1.iter().map(|index| &nodes[*index].certificate)) {
            let detail = match policy.sha1 {
                Sha1::WhereTheCatalogueSays if anchor.sha1 => continue,
                Sha1::WhereTheCatalogueSays => {
                    format!("the catalogue does not allow SHA-1 under {}", anchor.certificate.subject())
                }
                Sha1::Refuse => "signed with SHA-1".to_owned(),
            };
            failures.push(Failure::new(Reason::Sha1Refused, certificate, detail));
        }
        failures.extend(rules);
        failures.extend(above.failures.iter().cloned());

        let revocation = self.revocation(&below_anchor, &anchor.certificate, anchor_index, &mut failures);
        let mut chain = links(path);
        chain.extend(above.nodes.iter().map(|index| {
            let node = &nodes[*index];
            let origin = match node.store {
                StoreName::Ekroot => LinkOrigin::Ekroot,
                StoreName::Ekca => LinkOrigin::Ekca,
            };
            Link { certificate: node.certificate.clone(), origin }
        }));
        let issuer = extra.is_empty().then(|| above.nodes[0]);
        Found { chain, failures, revocation, anchor: Some(anchor_index), issuer }
    }

    /// Looks up each certificate below the anchor, and adds what that breaks.
    fn revocation(
        &self,
        below_anchor: &[&Certificate],
        anchor: &Certificate,
        anchor_index: usize,
        failures: &mut Vec<Failure>,
    ) -> Vec<(Fingerprint, Status)> {
        let mode = self.verifier.policy.revocation;
        let names_crl =
            |certificate: &Certificate| certificate.extension(&crate::oid::CRL_DISTRIBUTION_POINTS).is_some();
        let nothing_to_ask = self.verifier.crls.is_empty()
            && mode == Mode::Soft
            && !below_anchor.iter().any(|certificate| names_crl(certificate));
        if mode == Mode::Off || nothing_to_ask || self.signer_depth >= MAX_SIGNER_DEPTH {
            return Vec::new();
        }
        let signers = SignerSearch { search: self, anchor: anchor_index };
        let mut found = Vec::new();
        for (position, certificate) in below_anchor.iter().enumerate() {
            let issuer = below_anchor.get(position + 1).copied().unwrap_or(anchor);
            let status = self.verifier.crls.status(certificate, issuer, &signers, self.at);
            let required = match mode {
                Mode::RequireAll => true,
                Mode::Require => matches!(status, Status::Unknown { .. }),
                Mode::Soft | Mode::Off => false,
            };
            match &status {
                Status::Revoked { date, reason } => {
                    let detail = format!("revoked {date}: {reason}");
                    failures.push(Failure::new(Reason::Revoked, certificate, detail));
                }
                Status::Unknown { why } if required => {
                    failures.push(Failure::new(Reason::RevocationUnknown, certificate, why.clone()));
                }
                Status::NoInformation if required => {
                    let detail = "it names no CRL, and none of its issuer is at hand";
                    failures.push(Failure::new(Reason::RevocationUnknown, certificate, detail));
                }
                _ => {}
            }
            found.push((certificate.fingerprint(), status));
        }
        found
    }

    /// The possible issuers: those with the right name that are not on the path yet. Those with the right key
    /// identifier first, of these the ones in the stores, of these the ones that are valid at the time.
    fn candidates(&self, child: &Certificate, path: &[&'a Certificate]) -> Vec<Candidate<'a>> {
        let name = child.issuer();
        let mut candidates: Vec<Candidate<'a>> =
            self.verifier.trust.named(name).iter().map(|index| Candidate::Stored(*index)).collect();
        let extra = self.extra.get(name.canonical()).map_or(&[][..], Vec::as_slice);
        let stored = candidates.len();
        for certificate in extra {
            let on_path = path.iter().any(|there| std::ptr::eq(*there, *certificate));
            let is_stored =
                || candidates[..stored].iter().any(|candidate| self.certificate(candidate) == *certificate);
            if !on_path && !is_stored() {
                candidates.push(Candidate::Extra(certificate));
            }
        }
        if candidates.len() > 1 {
            let wanted = child.authority_key_id();
            candidates.sort_by_cached_key(|candidate| {
                let certificate = self.certificate(candidate);
                let other_key = match (wanted, certificate.subject_key_id()) {
                    (Some(wanted), Some(has)) => wanted != has,
                    _ => false,
                };
                let is_extra = matches!(candidate, Candidate::Extra(_));
                (other_key, is_extra, !certificate.validity().contains(self.at))
            });
            // More cannot be looked at.
            candidates.truncate(STEP_BUDGET as usize);
        }
        candidates
    }

    fn certificate<'c>(&'c self, candidate: &Candidate<'c>) -> &'c Certificate {
        match candidate {
            Candidate::Stored(index) => &self.verifier.trust.nodes()[*index].certificate,
            Candidate::Extra(certificate) => certificate,
        }
    }

    fn check_signature(
        &mut self,
        child: &Certificate,
        candidate: &Candidate<'a>,
    ) -> Option<Result<(), SignatureError>> {
        if let Candidate::Stored(index) = candidate {
            self.signatures = self.signatures.checked_sub(1)?;
            let node = &self.verifier.trust.nodes()[*index];
            return Some(node.key.signed_by(child, &node.certificate));
        }
        let issuer = self.certificate(candidate).clone();
        self.check_unprepared(child, &issuer)
    }

    fn check_unprepared(
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
        let verifier = self.verifier;
        for (known, state) in verifier.trust.untrusted_named(issuer) {
            if known != child && matches!(self.check_unprepared(child, known), Some(Ok(()))) {
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
        if self.verifier.trust.is_empty() {
            detail.push_str("; EKROOT is empty");
        }
        Failure::new(Reason::UnknownIssuer, child, detail)
    }

    fn refuse(&mut self, chain: Vec<Link>, failures: Vec<Failure>, anchor: Option<usize>) {
        self.refuse_found(Found { chain, failures, anchor, ..Found::default() });
    }

    fn refuse_found(&mut self, found: Found) {
        let worst = found.failures.iter().map(|failure| failure.reason).max();
        let rank = (found.anchor.is_some(), Reverse(found.failures.len()), found.chain.len(), worst);
        if self.best.as_ref().is_none_or(|(best, _)| rank > *best) {
            self.best = Some((rank, found));
        }
    }
}

fn by_subject(certificates: &[Certificate]) -> HashMap<&[u8], Vec<&Certificate>> {
    let mut map: HashMap<&[u8], Vec<&Certificate>> = HashMap::new();
    let mut seen = HashSet::new();
    for certificate in certificates.iter().filter(|certificate| seen.insert(certificate.fingerprint())) {
        map.entry(certificate.subject().canonical()).or_default().push(certificate);
    }
    map
}

fn links(path: &[&Certificate]) -> Vec<Link> {
    path.iter()
        .enumerate()
        .map(|(depth, certificate)| Link {
            certificate: (*certificate).clone(),
            origin: if depth == 0 { LinkOrigin::Leaf } else { LinkOrigin::Extra },
        })
        .collect()
}

/// Finds and judges signers of CRLs with the material of a search.
struct SignerSearch<'s, 'a> {
    search: &'s Search<'a>,
    anchor: usize,
}

impl Signers for SignerSearch<'_, '_> {
    fn named(&self, name: &Name) -> Vec<Certificate> {
        let stored = self.search.verifier.trust.named(name).iter();
        let stored = stored.map(|index| self.search.verifier.trust.nodes()[*index].certificate.clone());
        let extra = self.search.extra.get(name.canonical()).map_or(&[][..], Vec::as_slice);
        // A handful of keys sign CRLs under one name; more is a flood.
        stored.chain(extra.iter().map(|certificate| (*certificate).clone())).take(8).collect()
    }

    fn is_valid(&self, signer: &Certificate) -> bool {
        let search = self.search;
        if search.verifier.trust.nodes()[self.anchor].certificate == *signer {
            return true;
        }
        let inner =
            Search::at_depth(search.verifier, search.extra.clone(), search.at, search.signer_depth + 1);
        let found = inner.run(signer);
        found.failures.is_empty() && found.anchor == Some(self.anchor)
    }
}
