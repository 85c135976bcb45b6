//! Which store each approved certificate belongs in: T16 to T19.
//!
//! EKCA is a least fixpoint from EKROOT: a certificate is in it only if a chain of signatures reaches it from an
//! anchor, so cross-certificates cannot hold each other up.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::fingerprint::Fingerprint;
use crate::store::record::{Purpose, Record, State};
use crate::store::{StoreName, Stores};
use crate::verify::algorithms;

/// Where a certificate is placed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The store it hangs in; AIK CAs too, though EK trust leaves them aside.
    pub store: Option<StoreName>,
    /// What it is for.
    pub purpose: Purpose,
    /// The certificate in the stores that it verifies under, if any: for EKCA the one that put it there.
    pub issuer: Option<Fingerprint>,
    /// What a reviewer should notice.
    pub flags: BTreeSet<Flag>,
    /// Whether it was in one of the stores at this or an earlier generation.
    pub ever_stored: bool,
}

impl Default for Placement {
    fn default() -> Self {
        Self { store: None, purpose: Purpose::Ek, issuer: None, flags: BTreeSet::new(), ever_stored: false }
    }
}

/// What a reviewer should notice about a placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flag {
    /// It is in EKROOT although another CA issued it, which is not in the stores (T16).
    AnchorNotSelfSigned,
    /// It is approved, but nothing in the stores issued it (T17).
    NoIssuer,
    /// Its basicConstraints do not say that it is a CA, so nothing can verify under it.
    NotACa,
    /// A package had it, and its next edition has it no more; no reviewer has decided since.
    Withdrawn,
}

impl Flag {
    /// What it means, in words.
    pub const fn explain(self) -> &'static str {
        match self {
            Flag::AnchorNotSelfSigned => {
                "another CA issued it; whether Windows takes it as an anchor in EKROOT is not confirmed"
            }
            Flag::NoIssuer => "nothing in the stores issued it, so it is in none; approve its issuer too",
            Flag::Withdrawn => {
                "a package withdrew it; it stays until you decide: approve to keep it, reject or distrust to drop it"
            }
            Flag::NotACa => {
                "its basicConstraints do not say that it is a CA, so nothing will verify under it"
            }
        }
    }
}

impl std::fmt::Display for Flag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Flag::AnchorNotSelfSigned => "anchor-not-self-signed",
            Flag::NoIssuer => "no-issuer",
            Flag::NotACa => "not-a-ca",
            Flag::Withdrawn => "withdrawn",
        })
    }
}

/// Which signatures verify under which keys: (certificate, issuer) to yes or no. It never changes, so it is kept.
pub(crate) type Links = HashMap<(Fingerprint, Fingerprint), bool>;

/// Computes every record's placement anew.
pub(crate) fn place(stores: &mut Stores) {
    let approved: Vec<Fingerprint> = stores
        .records()
        .filter(|record| stores.state(record) == State::Approved && !record.is_package_signer())
        .map(Record::fingerprint)
        .collect();
    let issuers = issuers(stores, &approved);

    let for_ek = |fingerprint: &Fingerprint| !stores.records[fingerprint].is_aik_only();
    let ek: Vec<Fingerprint> = approved.iter().copied().filter(for_ek).collect();
    // AIK CAs come second, on top of what is placed already, so they never carry an EK CA.
    let mut placed = Placed::default();
    placed.grow(stores, &ek, &issuers);
    placed.grow(stores, &approved, &issuers);

    let purposes = purposes(stores, &issuers);
    for (fingerprint, record) in &mut stores.records {
        let purpose = purposes[fingerprint];
        let is_approved = issuers.contains_key(fingerprint);
        let store = placed.stores.get(fingerprint).copied();
        let mut flags = BTreeSet::new();
        if is_approved {
            if store.is_none() {
                flags.insert(Flag::NoIssuer);
            }
            if store == Some(StoreName::Ekroot) && !issuers[fingerprint].contains(fingerprint) {
                flags.insert(Flag::AnchorNotSelfSigned);
            }
            if record.certificate.version() == 3 && !record.certificate.is_ca() {
                flags.insert(Flag::NotACa);
            }
            if record.open_withdrawal().is_some() {
                flags.insert(Flag::Withdrawn);
            }
        }
        let ever_stored = record.placement.ever_stored || store.is_some();
        record.placement =
            Placement { store, purpose, issuer: placed.issuer.get(fingerprint).copied(), flags, ever_stored };
    }
}

/// For each approved certificate, the approved ones (itself included) that it verifies under, in order.
fn issuers(stores: &mut Stores, approved: &[Fingerprint]) -> BTreeMap<Fingerprint, Vec<Fingerprint>> {
    let mut links = std::mem::take(&mut stores.links);
    let mut by_subject: HashMap<&[u8], Vec<&Record>> = HashMap::new();
    for fingerprint in approved {
        let record = &stores.records[fingerprint];
        by_subject.entry(record.certificate.subject().canonical()).or_default().push(record);
    }
    let mut issuers = BTreeMap::new();
    for fingerprint in approved {
        let child = &stores.records[fingerprint].certificate;
        let candidates = by_subject.get(child.issuer().canonical()).map_or(&[][..], Vec::as_slice);
        let verifying = candidates.iter().filter(|candidate| {
            *links
                .entry((*fingerprint, candidate.fingerprint()))
                .or_insert_with(|| algorithms::signed_by(child, &candidate.certificate.key()).is_ok())
        });
        issuers.insert(*fingerprint, verifying.map(|record| record.fingerprint()).collect());
    }
    drop(by_subject);
    stores.links = links;
    issuers
}

#[derive(Default)]
struct Placed {
    stores: BTreeMap<Fingerprint, StoreName>,
    issuer: BTreeMap<Fingerprint, Fingerprint>,
}

impl Placed {
    /// Adds those of `among` that belong in a store, given what is placed already.
    fn grow(
        &mut self,
        stores: &Stores,
        among: &[Fingerprint],
        issuers: &BTreeMap<Fingerprint, Vec<Fingerprint>>,
    ) {
        for fingerprint in among {
            if issuers[fingerprint].contains(fingerprint) {
                self.stores.entry(*fingerprint).or_insert(StoreName::Ekroot);
            }
        }
        self.reach(among, issuers);
        // Anchors that nothing above reaches carry the rest. One of them that another carries is no anchor here:
        // each is tried in order of fingerprints, so of anchors that carry each other the last one stays.
        let mut anchors: Vec<Fingerprint> = among
            .iter()
            .copied()
            .filter(|fingerprint| {
                !self.stores.contains_key(fingerprint) && stores.records[fingerprint].may_anchor()
            })
            .collect();
        let mut position = 0;
        while position < anchors.len() {
            let tried = anchors[position];
            let mut without = Self { stores: self.stores.clone(), issuer: BTreeMap::new() };
            without.stores.extend(
                anchors.iter().filter(|anchor| **anchor != tried).map(|anchor| (*anchor, StoreName::Ekroot)),
            );
            without.reach(among, issuers);
            if without.stores.contains_key(&tried) {
                anchors.remove(position);
            } else {
                position += 1;
            }
        }
        self.stores.extend(anchors.into_iter().map(|anchor| (anchor, StoreName::Ekroot)));
        self.reach(among, issuers);
    }

    /// Adds to EKCA what verifies under something placed, until nothing is left to add.
    fn reach(&mut self, among: &[Fingerprint], issuers: &BTreeMap<Fingerprint, Vec<Fingerprint>>) {
        let mut waiting: Vec<Fingerprint> =
            among.iter().copied().filter(|fingerprint| !self.stores.contains_key(fingerprint)).collect();
        loop {
            let before = waiting.len();
            waiting.retain(|fingerprint| {
                let Some(issuer) =
                    issuers[fingerprint].iter().find(|issuer| self.stores.contains_key(issuer))
                else {
                    return true;
                };
                self.stores.insert(*fingerprint, StoreName::Ekca);
                self.issuer.insert(*fingerprint, *issuer);
                false
            });
            if waiting.len() == before {
                return;
            }
        }
    }
}

/// Every record's purpose. `both` is what issued, among the approved, CAs of both kinds.
fn purposes(
    stores: &Stores,
    issuers: &BTreeMap<Fingerprint, Vec<Fingerprint>>,
) -> BTreeMap<Fingerprint, Purpose> {
    let mut issues_aik: BTreeSet<Fingerprint> = BTreeSet::new();
    let mut issues_ek: BTreeSet<Fingerprint> = BTreeSet::new();
    for (child, parents) in issuers {
        let issues = if stores.records[child].is_aik_only() { &mut issues_aik } else { &mut issues_ek };
        issues.extend(parents.iter().filter(|parent| *parent != child));
    }
    let purpose = |record: &Record| {
        let fingerprint = record.fingerprint();
        if record.is_package_signer() {
            Purpose::PackageSigner
        } else if record.is_aik_only() {
            Purpose::Aik
        } else if issues_aik.contains(&fingerprint) && issues_ek.contains(&fingerprint) {
            Purpose::Both
        } else {
            Purpose::Ek
        }
    };
    stores.records().map(|record| (record.fingerprint(), purpose(record))).collect()
}
