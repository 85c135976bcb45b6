//! EKROOT and EKCA as a pure fold over the events of the log.

pub mod census;
pub mod placement;
pub mod record;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::cert::{Certificate, decode};
use crate::fingerprint::{Digest, Fingerprint, KeyFingerprint};
use crate::log::{
    self, Damage, Entry, Event, Fault, Line, Log, Origin, PackageRoot, Packaged, Require, Seen, SourceName,
    TakenPackage, Withdrawal, Withdrawn,
};
use crate::store::placement::Links;
use crate::store::record::{Decision, Record, Sighting, State, Verb};
use crate::time::Time;
use crate::vendor::VendorId;
use crate::verify::algorithms;

/// Everything that a log says up to some event: the certificates, the decisions, and the two stores.
#[derive(Debug, Clone)]
pub struct Stores {
    pub(crate) generation: u64,
    pub(crate) store_head: Digest,
    pub(crate) events: u64,
    pub(crate) head: Digest,
    pub(crate) records: BTreeMap<Fingerprint, Record>,
    pub(crate) distrusted_keys: BTreeSet<KeyFingerprint>,
    pub(crate) sources: BTreeMap<String, SourceState>,
    pub(crate) packages: BTreeMap<String, TakenPackage>,
    pub(crate) require: Require,
    pub(crate) links: Links,
}

/// What the log says about the last fetches of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// The source as it was last named.
    pub source: Option<SourceName>,
    /// What it served against its pin since it last was sound, each content once.
    pub drift: BTreeSet<Digest>,
    /// The kinds of failure since it last was sound.
    pub failures: BTreeSet<String>,
}

impl SourceState {
    /// Whether there was neither drift nor failure since the source last was sound.
    pub fn is_sound(&self) -> bool {
        self.drift.is_empty() && self.failures.is_empty()
    }
}

/// One of the two stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StoreName {
    /// Anchors (T16).
    Ekroot,
    /// What verifies under them (T17).
    Ekca,
}

impl StoreName {
    /// Both, anchors first.
    pub const ALL: [StoreName; 2] = [StoreName::Ekroot, StoreName::Ekca];

    /// The name of the Windows store.
    pub const fn as_str(self) -> &'static str {
        match self {
            StoreName::Ekroot => "EKROOT",
            StoreName::Ekca => "EKCA",
        }
    }
}

impl std::fmt::Display for StoreName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl Default for Stores {
    fn default() -> Self {
        Self {
            generation: 0,
            store_head: log::GENESIS,
            events: 0,
            head: log::GENESIS,
            records: BTreeMap::new(),
            distrusted_keys: BTreeSet::new(),
            sources: BTreeMap::new(),
            packages: BTreeMap::new(),
            require: Require::default(),
            links: Links::default(),
        }
    }
}

impl Stores {
    /// Computes the stores at the end of `log`.
    ///
    /// # Errors
    ///
    /// [`Damage`] if an event speaks of a certificate that the log does not hold, or a certificate does not decode.
    pub fn fold(log: &Log) -> Result<Self, Damage> {
        let mut stores = Self::default();
        stores.extend(&log.lines)?;
        Ok(stores)
    }

    /// Computes the stores as they were at `generation`; `None` if the log has not come so far.
    ///
    /// # Errors
    ///
    /// As [`Stores::fold`].
    pub fn at_generation(log: &Log, generation: u64) -> Result<Option<Self>, Damage> {
        let mut stores = Self::default();
        for line in &log.lines {
            if stores.generation == generation {
                break;
            }
            stores.extend(std::slice::from_ref(line))?;
        }
        Ok((stores.generation == generation).then_some(stores))
    }

    /// Applies further lines, in order.
    ///
    /// # Errors
    ///
    /// As [`Stores::fold`].
    pub fn extend(&mut self, lines: &[Line]) -> Result<(), Damage> {
        for line in lines {
            self.apply(&line.entry, line.digest).map_err(|fault| Damage {
                line: line.entry.n,
                offset: line.start,
                fault,
            })?;
        }
        Ok(())
    }

    fn apply(&mut self, entry: &Entry, digest: Digest) -> Result<(), Fault> {
        match &entry.event {
            Event::Seen { certificates } => {
                for seen in certificates {
                    self.see(entry, seen)?;
                }
            }
            Event::PackageTaken { package, certificates, withdrawn } => {
                self.take(entry, package, certificates, withdrawn)?;
            }
            Event::TrustPolicy { require } => self.require = *require,
            Event::Approved { certificates, anchor, reason } => {
                let verb = if *anchor { Verb::ApproveAsAnchor } else { Verb::Approve };
                self.decide(entry, certificates, verb, reason)?;
            }
            Event::Rejected { certificates, reason } => {
                self.decide(entry, certificates, Verb::Reject, reason)?;
            }
            Event::Distrusted { keys, certificates, reason } => {
                let verb = if keys.is_empty() { Verb::DistrustCertificate } else { Verb::DistrustKey };
                self.decide(entry, certificates, verb, reason)?;
                self.distrusted_keys.extend(keys);
            }
            Event::Reinstated { keys, certificates, reason } => {
                self.decide(entry, certificates, Verb::Reinstate, reason)?;
                for key in keys {
                    self.distrusted_keys.remove(key);
                }
            }
            Event::Drifted { source, actual, .. } => {
                self.source_mut(source).drift.insert(*actual);
            }
            Event::PackageRefused { source, sha256, .. } => {
                self.source_mut(source).drift.insert(*sha256);
            }
            Event::FetchFailed { source, failure, .. } => {
                self.source_mut(source).failures.insert(failure.clone());
            }
            Event::Recovered { source } => {
                self.sources.remove(source.url.as_str());
            }
            Event::EkpubAdded { .. }
            | Event::EkpubRemoved { .. }
            | Event::Exported { .. }
            | Event::TruncationAccepted { .. } => {}
        }
        self.events = entry.n;
        self.head = digest;
        if entry.event.changes_stores() {
            self.generation += 1;
            self.store_head = digest;
            placement::place(self);
        }
        Ok(())
    }

    fn see(&mut self, entry: &Entry, seen: &Seen) -> Result<(), Fault> {
        let sighting = Sighting {
            origin: seen.origin.clone(),
            quirks: seen.quirks.clone(),
            time: entry.time,
            actor: entry.actor.clone(),
        };
        self.note(seen.fingerprint, seen.der.as_deref(), sighting)
    }

    fn take(
        &mut self,
        entry: &Entry,
        package: &TakenPackage,
        certificates: &[Packaged],
        withdrawn: &[Withdrawn],
    ) -> Result<(), Fault> {
        let root = if package.root_by_hand.is_none() { PackageRoot::Pinned } else { PackageRoot::ByHand };
        for packaged in certificates {
            let sighting = Sighting {
                origin: Origin::Package {
                    source: package.source.clone(),
                    edition: package.edition,
                    members: packaged.members.clone(),
                    vendor_of: packaged.vendor.clone(),
                    role: packaged.role,
                    root,
                    withdrawn: None,
                },
                quirks: packaged.quirks.clone(),
                time: entry.time,
                actor: entry.actor.clone(),
            };
            self.note(packaged.fingerprint, packaged.der.as_deref(), sighting)?;
        }
        for Withdrawn { fingerprint, reason } in withdrawn {
            let record = self.records.get_mut(fingerprint).ok_or(Fault::UnknownCertificate(*fingerprint))?;
            for sighting in &mut record.sightings {
                if let Origin::Package { source, root: its, withdrawn, .. } = &mut sighting.origin
                    && source.url == package.source.url
                    && *its == root
                {
                    *withdrawn =
                        Some(Withdrawal { edition: package.edition, reason: reason.clone(), event: entry.n });
                }
            }
        }
        self.packages.insert(package.line(), package.clone());
        Ok(())
    }

    fn note(
        &mut self,
        fingerprint: Fingerprint,
        der: Option<&[u8]>,
        sighting: Sighting,
    ) -> Result<(), Fault> {
        if let Some(record) = self.records.get_mut(&fingerprint) {
            // A source speaks once about a certificate: what it says last is what counts.
            record.sightings.retain(|earlier| !earlier.same_place(&sighting));
            record.sightings.push(sighting);
            return Ok(());
        }
        let der = der.ok_or(Fault::UnknownCertificate(fingerprint))?;
        let certificate = decode::certificate(der).map_err(|error| Fault::Unreadable(error.to_string()))?;
        self.records.insert(fingerprint, Record::new(certificate, sighting));
        Ok(())
    }

    fn decide(
        &mut self,
        entry: &Entry,
        certificates: &[Fingerprint],
        verb: Verb,
        reason: &str,
    ) -> Result<(), Fault> {
        for fingerprint in certificates {
            let record = self.records.get_mut(fingerprint).ok_or(Fault::UnknownCertificate(*fingerprint))?;
            record.decisions.push(Decision {
                verb,
                reason: reason.to_owned(),
                actor: entry.actor.clone(),
                time: entry.time,
                event: entry.n,
            });
        }
        Ok(())
    }

    fn source_mut(&mut self, source: &SourceName) -> &mut SourceState {
        let state = self.sources.entry(source.url.to_string()).or_default();
        state.source = Some(source.clone());
        state
    }

    /// The count of events that could change the stores.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// SHA-256 of the last line that could change the stores.
    pub fn store_head(&self) -> Digest {
        self.store_head
    }

    /// The latest time of a sighting or a decision; 1970 if there is none.
    pub fn last_time(&self) -> Time {
        let seen = self.records().flat_map(|record| record.sightings.iter().map(|sighting| sighting.time));
        let decided = self.records().flat_map(|record| record.decisions.iter().map(|decision| decision.time));
        seen.chain(decided).max().unwrap_or(Time::from_unix(0))
    }

    /// The count of all events.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// SHA-256 of the last line.
    pub fn head(&self) -> Digest {
        self.head
    }

    /// All certificates ever seen, by fingerprint.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// One certificate.
    pub fn record(&self, fingerprint: Fingerprint) -> Option<&Record> {
        self.records.get(&fingerprint)
    }

    /// The certificates whose fingerprint starts with these hexadecimal digits.
    pub fn starting_with(&self, digits: &str) -> Vec<&Record> {
        let digits = digits.to_ascii_lowercase();
        self.records().filter(|record| record.fingerprint().to_string().starts_with(&digits)).collect()
    }

    /// The state of a certificate's record.
    pub fn state(&self, record: &Record) -> State {
        if self.distrusted_keys.contains(&record.key_fingerprint()) {
            State::Distrusted
        } else {
            record.own_state(self.require)
        }
    }

    /// Whether this public key is distrusted (T15).
    pub fn is_key_distrusted(&self, key: KeyFingerprint) -> bool {
        self.distrusted_keys.contains(&key)
    }

    /// The certificates in one of the stores, for EK trust (purposes `ek` and `both`), by fingerprint.
    pub fn members(&self, store: StoreName) -> impl Iterator<Item = &Record> {
        self.records().filter(move |record| record.store() == Some(store))
    }

    /// The certificates whose key verifies `certificate`'s signature among `among`, with names that chain.
    pub fn verifying_issuers<'a>(
        &'a self,
        certificate: &Certificate,
        among: impl Fn(&Record) -> bool,
    ) -> Option<&'a Record> {
        self.records().find(|record| {
            among(record)
                && record.certificate.subject() == certificate.issuer()
                && algorithms::signed_by(certificate, &record.certificate.key()).is_ok()
        })
    }

    /// The sources that drifted or failed and were not sound since, by URL.
    pub fn unsound_sources(&self) -> impl Iterator<Item = &SourceState> {
        self.sources.values().filter(|state| !state.is_sound())
    }

    /// The package that was last taken in a line of packages ([`TakenPackage::line`]).
    pub fn package(&self, line: &str) -> Option<&TakenPackage> {
        self.packages.get(line)
    }

    /// The packages that were taken last, one a line of packages.
    pub fn packages(&self) -> impl Iterator<Item = &TakenPackage> {
        self.packages.values()
    }

    /// What suffices for a certificate to be approved without a reviewer.
    pub fn require(&self) -> Require {
        self.require
    }

    /// What the log says about the last fetches of the source with this URL.
    pub fn source(&self, url: &str) -> Option<&SourceState> {
        self.sources.get(url)
    }

    /// The manufacturer of a record (T20): as its sources say, else as its issuer's sources say.
    pub fn manufacturer<'a>(&'a self, record: &'a Record) -> Option<&'a VendorId> {
        let mut record = record;
        // A chain of issuers is no longer than this; a cycle of cross-certificates ends here too.
        for _ in 0..8 {
            if let Some(vendor) = record.vendor() {
                return Some(vendor);
            }
            let issuer = record.placement.issuer?;
            record = self.records.get(&issuer)?;
        }
        None
    }

    /// Whether a certificate's own signature verifies: under its own key if it names itself as issuer, or under an
    /// approved certificate (T9).
    pub fn signature_holds(&self, certificate: &Certificate) -> bool {
        (certificate.is_self_issued() && algorithms::signed_by(certificate, &certificate.key()).is_ok())
            || self.verifying_issuers(certificate, |record| self.state(record) == State::Approved).is_some()
    }
}

/// Whether an origin gives the authority of the catalogue (T8).
pub(crate) fn has_authority(origin: &Origin) -> bool {
    matches!(
        origin,
        Origin::Source { standing: log::Standing::Pinned | log::Standing::EarlierCertificate, .. }
    )
}
