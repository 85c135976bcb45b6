//! The index: the stores as computed from the log, and notes about sources. This file alone names sled.
//!
//! sled 0.34 is beta software without releases since 2021 (see `deny.toml`), so it is never the only copy of
//! anything that matters, and it is never opened in doubt: when we close it we keep a digest of its files
//! (`index.sum`), and files that do not match it, after a crash or a changed byte, are deleted and computed anew. What
//! comes out of it is checked once more against a checksum over its entries. A panic inside it is caught.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cert::decode;
use crate::db::Note;
use crate::file;
use crate::fingerprint::{Digest, Fingerprint, KeyFingerprint};
use crate::store::placement::Placement;
use crate::store::record::{Decision, Record, Sighting};
use crate::store::{SourceState, Stores};

/// The version of the index's own form; another one is computed anew.
const FORM: u32 = 2;

/// How long a write waits for a reader to close the index; then it is left behind, to be computed anew.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the index is.
#[derive(Debug)]
pub(super) struct Index {
    folder: PathBuf,
    lock: PathBuf,
    sum: PathBuf,
}

/// What the index knows about the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Summary {
    form: u32,
    pub(super) generation: u64,
    pub(super) store_head: Digest,
    pub(super) events: u64,
    pub(super) head: Digest,
    /// The length of the log in bytes.
    pub(super) length: u64,
    /// Where the last line starts.
    pub(super) last_start: u64,
    /// Over all entries but this one.
    checksum: Digest,
}

/// What reading the index gave.
#[derive(Debug)]
pub(super) enum Found {
    /// It is sound.
    Whole { summary: Summary, stores: Box<Stores> },
    /// It is missing, or spoilt and to be computed anew.
    Nothing,
    /// Another process has it open.
    Held,
}

impl Found {
    pub(super) fn summary(&self) -> Option<&Summary> {
        match self {
            Found::Whole { summary, .. } => Some(summary),
            Found::Nothing | Found::Held => None,
        }
    }
}

/// A record without its certificate, which stands beside it.
#[derive(Serialize, Deserialize)]
struct Kept {
    sightings: Vec<Sighting>,
    decisions: Vec<Decision>,
    placement: Placement,
}

#[derive(Debug, thiserror::Error)]
enum Spoilt {
    #[error("sled: {0}")]
    Sled(#[from] sled::Error),
    #[error("an entry is unreadable")]
    Entry,
    #[error("the entries do not match their checksum")]
    Checksum,
    #[error("it has another form")]
    Form,
    #[error("sled panicked")]
    Panic,
    #[error("{0}")]
    Io(#[from] io::Error),
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside sled, or is one of sled's own: a panic there is caught, and not worth a message.
pub fn is_guarded() -> bool {
    GUARDED.get() || std::thread::current().name().is_some_and(|name| name.starts_with("sled"))
}

/// Runs `work`, which touches sled, and turns a panic into an error.
fn guarded<T>(work: impl FnOnce() -> Result<T, Spoilt>) -> Result<T, Spoilt> {
    let before = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(before);
    result.unwrap_or(Err(Spoilt::Panic))
}

impl Index {
    pub(super) fn new(store: &Path) -> Self {
        Self { folder: store.join("index"), lock: store.join("index.lock"), sum: store.join("index.sum") }
    }

    pub(super) fn exists(&self) -> bool {
        self.folder.exists()
    }

    /// Reads everything, if nobody else has the index open and it is as it was left.
    pub(super) fn read(&self) -> Found {
        if !self.exists() {
            return Found::Nothing;
        }
        let Some(_lock) = self.lock(Duration::ZERO) else { return Found::Held };
        match self.with_sled(read) {
            Ok((summary, stores)) => Found::Whole { summary, stores: Box::new(stores) },
            Err(Spoilt::Sled(error)) if is_lock_error(&error) => Found::Held,
            Err(_) => Found::Nothing,
        }
    }

    /// Brings the index to `stores`; what cannot be written is deleted, to be computed anew. Needs the log's lock.
    pub(super) fn write(
        &self,
        stores: &Stores,
        length: u64,
        last_start: u64,
        notes: Option<&BTreeMap<String, Note>>,
    ) {
        // A reader has it open: the index stays behind, and says so by its length.
        let Some(_lock) = self.lock(PATIENCE) else { return };
        if !self.is_as_left() {
            self.remove();
        }
        let written = self.with_sled(|db| write(db, stores, length, last_start, notes));
        match written {
            Ok(()) => {}
            Err(Spoilt::Sled(error)) if is_lock_error(&error) => {}
            Err(_) => self.remove(),
        }
    }

    /// The notes about sources; none if the index cannot be read.
    pub(super) fn notes(&self) -> BTreeMap<String, Note> {
        if !self.exists() {
            return BTreeMap::new();
        }
        let Some(_lock) = self.lock(PATIENCE) else { return BTreeMap::new() };
        self.with_sled(read_notes).unwrap_or_default()
    }

    /// Deletes it, to be computed anew. Needs the log's lock.
    pub(super) fn delete(&self) {
        let _lock = self.lock(PATIENCE);
        self.remove();
    }

    fn remove(&self) {
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::remove_file(&self.sum);
    }

    fn lock(&self, patience: Duration) -> Option<File> {
        let file = OpenOptions::new().create(true).append(true).open(&self.lock).ok()?;
        let start = Instant::now();
        loop {
            if file.try_lock().is_ok() {
                return Some(file);
            }
            if start.elapsed() >= patience {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Opens sled on files that are as they were left (or on none), works on it, closes it, and keeps the digest of
    /// how it is left now. Needs the index's lock.
    fn with_sled<T>(&self, work: impl FnOnce(&sled::Db) -> Result<T, Spoilt>) -> Result<T, Spoilt> {
        if self.exists() && !self.is_as_left() {
            return Err(Spoilt::Checksum);
        }
        // While it is open, or if we die, there is no sum, and so no index.
        match fs::remove_file(&self.sum) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let result = guarded(|| {
            let db = sled::Config::new()
                .path(&self.folder)
                .cache_capacity(32 << 20)
                .flush_every_ms(None)
                .open()?;
            let result = work(&db);
            db.flush()?;
            drop(db);
            result
        });
        if result.is_ok() {
            file::write_whole(&self.sum, self.digest()?.to_string().as_bytes())
                .map_err(|error| io::Error::other(error.to_string()))?;
        }
        result
    }

    fn is_as_left(&self) -> bool {
        let left = fs::read_to_string(&self.sum).ok().and_then(|text| text.parse::<Digest>().ok());
        left.is_some() && left == self.digest().ok()
    }

    /// The digest over the names and contents of sled's files.
    fn digest(&self) -> io::Result<Digest> {
        let mut all = Vec::new();
        let files = file::list(&self.folder).map_err(|error| io::Error::other(error.to_string()))?;
        for path in files {
            let name = path.strip_prefix(&self.folder).unwrap_or(&path);
            all.extend_from_slice(Digest::of(name.as_os_str().as_encoded_bytes()).as_bytes());
            all.extend_from_slice(Digest::of(&fs::read(&path)?).as_bytes());
        }
        Ok(Digest::of(&all))
    }
}

/// sled says so in words only.
fn is_lock_error(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock
        || error.to_string().contains("lock"))
}

const SUMMARY: &[u8] = b"summary";
const SOURCES: &[u8] = b"sources";
const DISTRUSTED: &[u8] = b"distrusted-keys";
const PACKAGES: &[u8] = b"packages";
const REQUIRE: &[u8] = b"require";
const TREES: [&str; 4] = ["certificates", "records", "links", "tables"];

fn checksum(db: &sled::Db) -> Result<Digest, Spoilt> {
    let mut digests = Vec::new();
    for name in TREES {
        let mut entries = Vec::new();
        for entry in &db.open_tree(name)? {
            let (key, value) = entry?;
            entries.extend_from_slice(Digest::of(&key).as_bytes());
            entries.extend_from_slice(Digest::of(&value).as_bytes());
        }
        digests.extend_from_slice(Digest::of(&entries).as_bytes());
    }
    Ok(Digest::of(&digests))
}

fn json<T: for<'a> Deserialize<'a>>(bytes: Option<sled::IVec>) -> Result<T, Spoilt> {
    serde_json::from_slice(&bytes.ok_or(Spoilt::Entry)?).map_err(|_| Spoilt::Entry)
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("our own tables have string keys and no failing serializer")
}

fn read(db: &sled::Db) -> Result<(Summary, Stores), Spoilt> {
    let summary: Summary = json(db.get(SUMMARY)?)?;
    if summary.form != FORM {
        return Err(Spoilt::Form);
    }
    if summary.checksum != checksum(db)? {
        return Err(Spoilt::Checksum);
    }
    let tables = db.open_tree("tables")?;
    let sources: BTreeMap<String, SourceState> = json(tables.get(SOURCES)?)?;
    let distrusted_keys: Vec<KeyFingerprint> = json(tables.get(DISTRUSTED)?)?;
    let mut stores = Stores {
        generation: summary.generation,
        store_head: summary.store_head,
        events: summary.events,
        head: summary.head,
        sources,
        packages: json(tables.get(PACKAGES)?)?,
        require: json(tables.get(REQUIRE)?)?,
        distrusted_keys: distrusted_keys.into_iter().collect(),
        ..Stores::default()
    };
    let certificates = db.open_tree("certificates")?;
    for entry in &db.open_tree("records")? {
        let (key, value) = entry?;
        let kept: Kept = serde_json::from_slice(&value).map_err(|_| Spoilt::Entry)?;
        let der = certificates.get(&key)?.ok_or(Spoilt::Entry)?;
        let certificate = decode::certificate(&der).map_err(|_| Spoilt::Entry)?;
        let fingerprint = certificate.fingerprint();
        if fingerprint.as_bytes()[..] != key[..] {
            return Err(Spoilt::Entry);
        }
        let record = Record {
            key: certificate.key().fingerprint(),
            certificate,
            sightings: kept.sightings,
            decisions: kept.decisions,
            placement: kept.placement,
        };
        stores.records.insert(fingerprint, record);
    }
    for entry in &db.open_tree("links")? {
        let (key, value) = entry?;
        let (child, issuer) = key.split_at_checked(32).ok_or(Spoilt::Entry)?;
        let fingerprint =
            |bytes: &[u8]| bytes.try_into().map(Fingerprint::from_bytes).map_err(|_| Spoilt::Entry);
        stores.links.insert((fingerprint(child)?, fingerprint(issuer)?), value.first() == Some(&1));
    }
    Ok((summary, stores))
}

fn write(
    db: &sled::Db,
    stores: &Stores,
    length: u64,
    last_start: u64,
    notes: Option<&BTreeMap<String, Note>>,
) -> Result<(), Spoilt> {
    let put = |tree: &sled::Tree, key: &[u8], value: &[u8]| -> Result<(), Spoilt> {
        // What is the same already is not written: sled's files only grow until it tidies up.
        if tree.get(key)?.is_none_or(|there| there[..] != *value) {
            tree.insert(key, value)?;
        }
        Ok(())
    };
    let certificates = db.open_tree("certificates")?;
    let records = db.open_tree("records")?;
    if records.len() > stores.records.len() {
        // Entries of a log that is no longer there.
        records.clear()?;
        certificates.clear()?;
    }
    for (fingerprint, record) in &stores.records {
        let kept = Kept {
            sightings: record.sightings.clone(),
            decisions: record.decisions.clone(),
            placement: record.placement.clone(),
        };
        put(&certificates, fingerprint.as_bytes(), record.certificate.der())?;
        put(&records, fingerprint.as_bytes(), &to_json(&kept))?;
    }
    let links = db.open_tree("links")?;
    for ((child, issuer), verified) in &stores.links {
        put(&links, &[child.as_bytes().as_slice(), issuer.as_bytes()].concat(), &[u8::from(*verified)])?;
    }
    let tables = db.open_tree("tables")?;
    put(&tables, SOURCES, &to_json(&stores.sources))?;
    put(&tables, DISTRUSTED, &to_json(&stores.distrusted_keys))?;
    put(&tables, PACKAGES, &to_json(&stores.packages))?;
    put(&tables, REQUIRE, &to_json(&stores.require))?;
    if let Some(notes) = notes {
        let tree = db.open_tree("notes")?;
        for (url, note) in notes {
            put(&tree, url.as_bytes(), &to_json(note))?;
        }
    }
    let summary = Summary {
        form: FORM,
        generation: stores.generation,
        store_head: stores.store_head,
        events: stores.events,
        head: stores.head,
        length,
        last_start,
        checksum: checksum(db)?,
    };
    put(db, SUMMARY, &to_json(&summary))
}

fn read_notes(db: &sled::Db) -> Result<BTreeMap<String, Note>, Spoilt> {
    let mut notes = BTreeMap::new();
    for entry in &db.open_tree("notes")? {
        let (url, note) = entry?;
        let url = std::str::from_utf8(&url).map_err(|_| Spoilt::Entry)?;
        notes.insert(url.to_owned(), serde_json::from_slice(&note).map_err(|_| Spoilt::Entry)?);
    }
    Ok(notes)
}
