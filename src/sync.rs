//! `sync`: every source of the catalogue is fetched, held against its pin, and what is new goes into the log.

mod draft;
pub mod package;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use serde::Serialize;

use crate::catalogue::{Catalogue, SignedPackage, Source};
use crate::cert::Certificate;
use crate::db::{self, Author, Check, Database, Note};
use crate::fetch::{self, Fetched, Fetcher, Limits, Request, Transport, Validators};
use crate::fingerprint::{Digest, Fingerprint};
use crate::log::{Event, Require, SourceName};
use crate::package::cabinet::CabinetError;
use crate::package::{PACKAGE_CAP, SignatureError};
use crate::store::record::State;
use crate::store::{StoreName, Stores};
use crate::sync::draft::{Answer, Draft, pinned};
use crate::vendor::VendorId;

/// Told about progress, one source at a time.
pub trait Progress: Send + Sync {
    /// So many sources will be asked.
    fn start(&self, sources: usize);
    /// One is done.
    fn done(&self, source: &SourceName);
}

/// What became of one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It serves what its pin says (T8).
    Pinned {
        /// The certificate.
        fingerprint: Fingerprint,
        /// Whether the log has it, or the sighting of it, from this sync.
        new: bool,
    },
    /// It serves a certificate recorded as earlier (T8).
    EarlierCertificate {
        /// The certificate.
        fingerprint: Fingerprint,
    },
    /// It serves another certificate with the same key and subject, now a candidate (T9).
    ReIssuedSameKey {
        /// The certificate.
        fingerprint: Fingerprint,
    },
    /// It serves something that its pin does not allow; it was dropped (T10).
    Drifted {
        /// The pin.
        pinned: Fingerprint,
        /// SHA-256 of what it serves.
        actual: Digest,
        /// What that is.
        what: String,
    },
    /// It could not be fetched (T11).
    Failed {
        /// The kind, a stable code.
        failure: String,
        /// What happened.
        detail: String,
    },
    /// The mirror does not have it (T11).
    Absent,
}

/// One source and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceReport {
    /// The source.
    #[serde(flatten)]
    pub source: SourceName,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What reviewers decided against the certificate it serves, which stands (T14).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<State>,
}

/// What a sync did.
#[derive(Debug)]
pub struct Report {
    /// Each source, in the order of the catalogue.
    pub sources: Vec<SourceReport>,
    /// The stores after it.
    pub stores: Stores,
    /// How many events it appended.
    pub appended: usize,
    /// Each signed package, in the order of the catalogue.
    pub packages: Vec<PackageReport>,
    /// Certificates that this sync put into a store, took out, or moved.
    pub moves: Vec<Move>,
    /// What happened beside it that a person should know.
    pub notices: Vec<String>,
}

/// One signed package of the catalogue and what became of it.
#[derive(Debug)]
pub struct PackageReport {
    /// The source.
    pub source: SourceName,
    /// What became of it.
    pub outcome: PackageOutcome,
}

/// What became of a signed package.
#[derive(Debug)]
pub enum PackageOutcome {
    /// It was taken, now or before.
    Taken(Box<package::Taken>),
    /// The server says that it is the one that was taken last.
    Unchanged,
    /// It cannot be believed, and nothing in it was taken.
    Refused(package::Refusal),
    /// It could not be fetched, or there is no root at hand to check it with (T11).
    Failed {
        /// The kind, a stable code.
        failure: String,
        /// What happened.
        detail: String,
    },
    /// The mirror does not have it (T11).
    Absent,
}

/// A certificate whose place changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Move {
    /// The certificate.
    pub fingerprint: Fingerprint,
    /// Where it was.
    pub from: Option<StoreName>,
    /// Where it is.
    pub to: Option<StoreName>,
}

impl Report {
    /// How many sources have this kind of outcome.
    pub fn count(&self, kind: impl Fn(&Outcome) -> bool) -> usize {
        self.sources.iter().filter(|report| kind(&report.outcome)).count()
    }
}

/// Syncs the sources of `vendors` (all if empty) over `transport`, and appends what is new.
///
/// No lock is held while fetching: readers and other writers go on. What the answers mean is decided against the
/// stores as they are when the events are appended.
///
/// # Errors
///
/// [`db::Error`] if the store cannot be read or written; a source that fails is a part of the report.
pub async fn run(
    catalogue: &Catalogue,
    vendors: &[VendorId],
    transport: Arc<dyn Transport>,
    limits: Limits,
    database: &dyn Database,
    author: &Author,
    progress: &dyn Progress,
) -> Result<Report, db::Error> {
    let sources: Vec<(SourceName, &Source, &[String])> = catalogue
        .vendors()
        .iter()
        .filter(|vendor| vendors.is_empty() || vendors.contains(&vendor.id))
        .flat_map(|vendor| {
            vendor.sources.iter().map(|source| {
                let name = SourceName {
                    vendor: vendor.id.clone(),
                    name: source.name.clone(),
                    url: source.url.clone(),
                };
                (name, source, vendor.hosts.as_slice())
            })
        })
        .collect();
    let packages: Vec<(SourceName, &SignedPackage)> = catalogue
        .packages()
        .filter(|(vendor, _)| vendors.is_empty() || vendors.contains(&vendor.id))
        .map(|(vendor, package)| {
            let (name, url) = (package.name.clone(), package.url.clone());
            (SourceName { vendor: vendor.id.clone(), name, url }, package)
        })
        .collect();
    let before = database.load(Check::Quick)?;
    let notes = database.notes();
    let hosts = sources.iter().flat_map(|(_, _, hosts)| hosts.iter().map(String::as_str));
    let package_hosts = packages.iter().flat_map(|(_, package)| package.hosts.iter().map(String::as_str));
    let fetcher = Fetcher::new(transport, limits, hosts.chain(package_hosts));
    progress.start(sources.len() + packages.len());
    let requests = sources.iter().map(|(name, source, hosts)| {
        let request = Request {
            url: source.url.clone(),
            cap: fetch::CERTIFICATE_CAP,
            validators: validators(&before, source, notes.get(source.url.as_str())),
        };
        let fetcher = &fetcher;
        async move {
            let fetched = fetcher.get(&request, hosts).await;
            progress.done(name);
            fetched
        }
    });
    let package_requests = packages.iter().map(|(name, package)| {
        let (fetcher, validators) =
            (&fetcher, package_validators(&before, name, notes.get(name.url.as_str())));
        async move {
            let fetched = fetch_package(fetcher, package, validators).await;
            progress.done(name);
            fetched
        }
    });
    // The fetcher's own limits hold; this only keeps the order.
    let requests = futures::stream::iter(requests).buffered(limits.total.max(1) * 4).collect();
    let package_requests = futures::future::join_all(package_requests);
    let (fetched, fetched_packages): (Vec<_>, Vec<_>) =
        futures::future::join(requests, package_requests).await;

    let answers: Vec<Answer> = sources
        .iter()
        .zip(&fetched)
        .map(|((name, _, _), fetched)| Answer::read(fetched, notes.get(name.url.as_str())))
        .collect();
    let mut report = Vec::new();
    let receipt = database.append(author, &mut |stores| {
        let mut draft = Draft::new(pinned(stores, &sources, &answers));
        report.clear();
        for ((name, source, _), answer) in sources.iter().zip(&answers) {
            report.push(draft.take(stores, name, source, answer));
        }
        draft.into_events()
    })?;
    let mut whole = Report {
        sources: report,
        packages: Vec::new(),
        moves: Vec::new(),
        stores: receipt.stores,
        appended: receipt.appended,
        notices: receipt.notices,
    };
    for ((name, entry), fetched) in packages.iter().zip(&fetched_packages) {
        let outcome = whole.take_package(catalogue, name, entry, fetched, database, author)?;
        whole.packages.push(PackageReport { source: name.clone(), outcome });
    }
    keep_notes(database, author, notes, &sources, &fetched, &whole, &fetched_packages);
    whole.moves = moves(&before, &whole.stores);
    Ok(whole)
}

/// Fetches a package from its link; a mirror may have it where the link led.
async fn fetch_package(
    fetcher: &Fetcher,
    package: &SignedPackage,
    validators: Validators,
) -> Result<Fetched, fetch::Error> {
    let request =
        |url: &url::Url| Request { url: url.clone(), cap: PACKAGE_CAP, validators: validators.clone() };
    let fetched = fetcher.get(&request(&package.url), &package.hosts).await;
    match (&fetched, &package.led_to) {
        (Err(fetch::Error::Absent), Some(led_to)) => fetcher.get(&request(led_to), &package.hosts).await,
        _ => fetched,
    }
}

/// What to ask for a package again with: only if it is the one that the log took last.
fn package_validators(stores: &Stores, name: &SourceName, note: Option<&Note>) -> Validators {
    let taken = stores.package(name.url.as_str()).map(|package| package.sha256);
    match note.filter(|note| note.package.is_some() && note.package == taken) {
        Some(note) => Validators { etag: note.etag.clone(), last_modified: note.last_modified.clone() },
        None => Validators::default(),
    }
}

/// The certificates that a package is believed by: those of the log that its entry pins, and that no reviewer decided
/// against. What suffices to be approved for EKROOT and EKCA does not matter here: a signer has no second source.
pub fn package_roots(stores: &Stores, entry: &SignedPackage) -> Vec<Certificate> {
    let roots = entry.roots.iter().filter_map(|root| stores.record(*root));
    let believed = roots.filter(|record| draft::refused(stores, record.fingerprint()).is_none());
    believed.map(|record| record.certificate.clone()).collect()
}

impl Report {
    /// Takes one package that was fetched, and records what became of it.
    fn take_package(
        &mut self,
        catalogue: &Catalogue,
        name: &SourceName,
        entry: &SignedPackage,
        fetched: &Result<Fetched, fetch::Error>,
        database: &dyn Database,
        author: &Author,
    ) -> Result<PackageOutcome, db::Error> {
        let failed =
            |failure: &str, detail: String| PackageOutcome::Failed { failure: failure.to_owned(), detail };
        let outcome = match fetched {
            Err(fetch::Error::Absent) => PackageOutcome::Absent,
            Err(error) => failed(error.code(), error.to_string()),
            Ok(Fetched::NotModified) => PackageOutcome::Unchanged,
            Ok(Fetched::Body { bytes, transport, .. }) => {
                let offered = package::Offered { entry, source: name, bytes, transport };
                let roots = package_roots(&self.stores, entry);
                let none = package::Allowances::default();
                match package::take(catalogue, &offered, &roots, &none, database, author) {
                    Ok(taken) => {
                        self.stores = taken.stores.clone();
                        self.appended += taken.appended;
                        self.notices.extend(taken.notices.iter().cloned());
                        PackageOutcome::Taken(Box::new(taken))
                    }
                    Err(package::Refusal::Database(error)) => return Err(error),
                    Err(error @ package::Refusal::NoRoot(_)) => failed(error.code(), error.to_string()),
                    // A bot wall says nothing about the package (T11).
                    Err(package::Refusal::Signature(SignatureError::Cabinet(CabinetError::NotACabinet))) => {
                        failed("not-a-package", "what was served is no cabinet".to_owned())
                    }
                    Err(error) => PackageOutcome::Refused(error),
                }
            }
        };
        let digest = match fetched {
            Ok(Fetched::Body { digest, .. }) => *digest,
            _ => Digest::of(b""),
        };
        let draft = |stores: &Stores| {
            let state = stores.source(name.url.as_str());
            let source = name.clone();
            match &outcome {
                PackageOutcome::Refused(refusal) => {
                    let known = state.is_some_and(|state| state.drift.contains(&digest));
                    let (refusal, detail) = (refusal.code().to_owned(), refusal.to_string());
                    let event = Event::PackageRefused { source, sha256: digest, refusal, detail };
                    if known { Vec::new() } else { vec![event] }
                }
                PackageOutcome::Failed { failure, detail } => {
                    let known = state.is_some_and(|state| state.failures.contains(failure));
                    let (failure, detail) = (failure.clone(), detail.clone());
                    if known { Vec::new() } else { vec![Event::FetchFailed { source, failure, detail }] }
                }
                PackageOutcome::Taken(_) | PackageOutcome::Unchanged => {
                    let unsound = state.is_some_and(|state| !state.is_sound());
                    if unsound { vec![Event::Recovered { source }] } else { Vec::new() }
                }
                PackageOutcome::Absent => Vec::new(),
            }
        };
        // An append reads and checks the whole log; most syncs have nothing to say here.
        if draft(&self.stores).is_empty() {
            return Ok(outcome);
        }
        let receipt = database.append(author, &mut |stores| draft(stores))?;
        self.stores = receipt.stores;
        self.appended += receipt.appended;
        Ok(outcome)
    }
}

/// Records what suffices for approval, if it is another than the log has. Returns the receipt if it was.
///
/// # Errors
///
/// [`db::Error`] if the store cannot be read or written.
pub fn set_policy(
    database: &dyn Database,
    author: &Author,
    require: Require,
) -> Result<Option<db::Receipt>, db::Error> {
    let receipt = database.append(author, &mut |stores| {
        if stores.require() == require { Vec::new() } else { vec![Event::TrustPolicy { require }] }
    })?;
    Ok((receipt.appended > 0).then_some(receipt))
}

/// What to ask again with: only if the certificate of the last sound answer is still known and still allowed.
fn validators(stores: &Stores, source: &Source, note: Option<&Note>) -> Validators {
    let sound = note
        .and_then(|note| note.fingerprint)
        .is_some_and(|fingerprint| source.pin(fingerprint).is_some() && stores.record(fingerprint).is_some());
    match note.filter(|_| sound) {
        Some(note) => Validators { etag: note.etag.clone(), last_modified: note.last_modified.clone() },
        None => Validators::default(),
    }
}

/// The certificates whose place differs between two states of the stores.
pub fn moves(before: &Stores, after: &Stores) -> Vec<Move> {
    let place = |stores: &Stores, fingerprint| {
        stores.record(fingerprint).and_then(crate::store::record::Record::store)
    };
    let known = after.records().map(crate::store::record::Record::fingerprint);
    known
        .map(|fingerprint| Move {
            fingerprint,
            from: place(before, fingerprint),
            to: place(after, fingerprint),
        })
        .filter(|moved| moved.from != moved.to)
        .collect()
}

fn keep_notes(
    database: &dyn Database,
    author: &Author,
    mut notes: BTreeMap<String, Note>,
    sources: &[(SourceName, &Source, &[String])],
    fetched: &[Result<Fetched, fetch::Error>],
    report: &Report,
    fetched_packages: &[Result<Fetched, fetch::Error>],
) {
    for (((name, _, _), fetched), report) in sources.iter().zip(fetched).zip(&report.sources) {
        let note = notes.entry(name.url.to_string()).or_default();
        if report.outcome != Outcome::Absent {
            note.checked = Some(author.time);
        }
        if matches!(report.outcome, Outcome::Pinned { .. } | Outcome::EarlierCertificate { .. }) {
            note.sound = Some(author.time);
        }
        match (&report.outcome, fetched) {
            (
                Outcome::Pinned { fingerprint, .. } | Outcome::EarlierCertificate { fingerprint },
                Ok(Fetched::Body { validators, .. }),
            ) => {
                note.etag.clone_from(&validators.etag);
                note.last_modified.clone_from(&validators.last_modified);
                note.fingerprint = Some(*fingerprint);
            }
            (Outcome::Pinned { .. } | Outcome::EarlierCertificate { .. }, Ok(Fetched::NotModified)) => {}
            _ => {
                note.etag = None;
                note.last_modified = None;
                note.fingerprint = None;
            }
        }
    }
    for (package, fetched) in report.packages.iter().zip(fetched_packages) {
        let note = notes.entry(package.source.url.to_string()).or_default();
        if !matches!(package.outcome, PackageOutcome::Absent) {
            note.checked = Some(author.time);
        }
        match (&package.outcome, fetched) {
            (PackageOutcome::Taken(taken), Ok(Fetched::Body { validators, .. })) => {
                note.etag.clone_from(&validators.etag);
                note.last_modified.clone_from(&validators.last_modified);
                note.package = Some(taken.package.sha256);
                note.sound = Some(author.time);
            }
            (PackageOutcome::Unchanged, _) => note.sound = Some(author.time),
            _ => note.package = None,
        }
    }
    notes.retain(|_, note| note.checked.is_some());
    database.keep_notes(&notes);
}
