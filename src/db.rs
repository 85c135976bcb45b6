//! Where the log is kept. The trait is small so that a shared database can stand behind it as well as a folder.

pub mod local;
pub mod memory;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::file;
use crate::fingerprint::{Digest, Fingerprint};
use crate::log::{self, Damage, Entry, Event, Log};
use crate::store::Stores;
use crate::time::Time;

/// Keeps a log, and the stores computed from it.
pub trait Database: Send + Sync {
    /// The stores at the head of the log. What does not exist reads as empty.
    ///
    /// # Errors
    ///
    /// [`Error`] if the log cannot be read, or is damaged as far as `check` looks.
    fn load(&self, check: Check) -> Result<Stores, Error>;

    /// The whole log, every line checked.
    ///
    /// # Errors
    ///
    /// [`Error`] if the log cannot be read or is damaged.
    fn log(&self) -> Result<Log, Error>;

    /// Checks the whole log, asks `draft` for events on the stores as they are now, and appends them as one.
    ///
    /// Nobody else can append between `draft`'s look and the append. When this returns, the events are on disk.
    /// With no events nothing is written.
    ///
    /// # Errors
    ///
    /// [`Error`] if the log cannot be read, checked, locked or written; nothing was appended then.
    fn append(&self, author: &Author, draft: &mut dyn FnMut(&Stores) -> Vec<Event>)
    -> Result<Receipt, Error>;

    /// What trust does not depend on: notes about sources, by URL. Empty if they cannot be read.
    fn notes(&self) -> BTreeMap<String, Note>;

    /// Keeps notes; they may be lost at any time.
    fn keep_notes(&self, notes: &BTreeMap<String, Note>);

    /// Accepts that the log lost events that the index had seen, with a reason (T3).
    ///
    /// # Errors
    ///
    /// As [`Database::append`]; also if nothing was lost.
    fn accept_truncation(&self, author: &Author, reason: &str) -> Result<Receipt, Error>;
}

/// How much of the log is checked before it is relied on (T5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Length, head, and the fingerprint of each certificate as read: for looking and verifying.
    Quick,
    /// The whole chain: for exports.
    Full,
}

/// Who writes, when, and under which catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Who acts.
    pub actor: String,
    /// When.
    pub time: Time,
    /// The digest of the catalogue in force.
    pub catalogue: Digest,
}

/// What an append did.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The stores after it.
    pub stores: Stores,
    /// How many events were appended.
    pub appended: usize,
    /// What happened beside it that a person should know.
    pub notices: Vec<String>,
}

/// What is remembered about a source between syncs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The entity tag of the last sound answer (RFC 9110 §8.8.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The Last-Modified of the last sound answer (RFC 9110 §8.8.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// The certificate of the last sound answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// SHA-256 of the package of the last sound answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<Digest>,
    /// When the source was last asked.
    pub checked: Option<Time>,
    /// When it last gave a sound answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sound: Option<Time>,
}

/// Why the log could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] file::Error),
    /// The log is damaged.
    #[error("the log {} is damaged: {damage}", path.display())]
    Damaged {
        /// The log.
        path: PathBuf,
        /// Where and how.
        damage: Damage,
    },
    /// The log lost events that the index had seen, or they were replaced.
    #[error("the log {} lost events: the index has seen {expected_events}, the log holds {found_events} of them", path.display())]
    LostEvents {
        /// The log.
        path: PathBuf,
        /// How many events the index had seen.
        expected_events: u64,
        /// SHA-256 of the last line it had seen.
        expected_head: Digest,
        /// How many events the log holds.
        found_events: u64,
    },
    /// Nothing was lost, so there is nothing to accept.
    #[error("the log {} lost no events", path.display())]
    NothingLost {
        /// The log.
        path: PathBuf,
    },
    /// Another process is writing.
    #[error("the store {} is being written by another process: {holder}", path.display())]
    Locked {
        /// The store.
        path: PathBuf,
        /// Who holds the lock, as it wrote itself down.
        holder: String,
    },
}

impl Error {
    /// What to do about it, if there is something.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Error::File(_) | Error::NothingLost { .. } => return None,
            Error::Damaged { damage: Damage { fault: log::Fault::Newer(_), .. }, .. } => {
                "use the newer program; this one would not understand what it decides on"
            }
            Error::Damaged { .. } => {
                "restore the store from a copy; `ekstore log verify` tells whether a copy is sound"
            }
            Error::LostEvents { .. } => {
                "restore the log from a copy, or go on without the lost events: --accept-truncated-log REASON"
            }
            Error::Locked { .. } => "wait for it, or give it more time with --lock-timeout",
        })
    }
}

/// Writes `events` as the lines that follow `head`, the last being number `count`.
pub(crate) fn lines(author: &Author, events: Vec<Event>, count: u64, head: Digest) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut previous = head;
    for (n, event) in (count + 1..).zip(events) {
        let line = log::write(&Entry {
            n,
            time: author.time,
            format: log::FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            catalogue: author.catalogue,
            actor: author.actor.clone(),
            previous,
            event,
        });
        previous = Digest::of(line.as_bytes());
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
    }
    bytes
}
