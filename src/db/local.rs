//! A store in a folder: `log.ndjson` is the store, `index/` what was computed from it.
//!
//! | file | what |
//! |---|---|
//! | `log.ndjson` | the log; the only copy of anything that trust depends on |
//! | `log.torn` | what an append left that was cut short before it was acknowledged (T2) |
//! | `lock` | held by the process that appends, with its name in it (T4) |
//! | `index/`, `index.lock`, `index.sum` | sled's files, who may touch them, and the digest they were left with (T3) |

mod index;
mod journal;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use index::is_guarded;

use crate::db::local::index::{Found, Index};
use crate::db::local::journal::Journal;
use crate::db::{Author, Check, Database, Error, Note, Receipt};
use crate::log::{Event, Log};
use crate::store::Stores;

/// A store in a folder.
#[derive(Debug)]
pub struct Local {
    journal: Journal,
    index: Index,
    lock_timeout: Duration,
}

impl Local {
    /// Names the folder; nothing is touched or created yet. `lock_timeout` is how long an append waits for another.
    pub fn new(folder: impl Into<PathBuf>, lock_timeout: Duration) -> Self {
        let folder = folder.into();
        Self { index: Index::new(&folder), journal: Journal::new(folder), lock_timeout }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.journal.folder()
    }

    /// Reads and checks the whole log, against the index where that can be had.
    fn checked(&self, found: &Found) -> Result<(Log, Stores), Error> {
        let summary = found.summary();
        // A log shorter than what was acknowledged lost events: where it was cut, inside a line or not, is no damage.
        let acknowledged = summary.map_or(0, |summary| summary.length);
        let log = self.journal.read(if self.journal.length() < acknowledged { 0 } else { acknowledged })?;
        if let Some(summary) = summary {
            let known = summary.events == 0
                || usize::try_from(summary.events - 1)
                    .ok()
                    .and_then(|at| log.lines.get(at))
                    .is_some_and(|line| line.digest == summary.head);
            if !known {
                return Err(Error::LostEvents {
                    path: self.journal.path(),
                    expected_events: summary.events,
                    expected_head: summary.head,
                    found_events: log.lines.len() as u64,
                });
            }
        }
        let stores = self.fold(&log, found)?;
        Ok((log, stores))
    }

    /// The stores at the head of `log`: the index's own if it is at the head, else its stores and the lines since.
    fn fold(&self, log: &Log, found: &Found) -> Result<Stores, Error> {
        let damaged = |damage| Error::Damaged { path: self.journal.path(), damage };
        let mut stores = match found {
            Found::Whole { stores, .. } => (**stores).clone(),
            _ => Stores::default(),
        };
        let done = usize::try_from(stores.events()).unwrap_or(usize::MAX).min(log.lines.len());
        stores.extend(&log.lines[done..]).map_err(damaged)?;
        Ok(stores)
    }

    /// Renews an index that is missing, behind or spoilt, if nobody is writing.
    fn renew(&self, log: &Log, stores: &Stores) {
        if let Ok(Some(_lock)) = self.journal.try_lock() {
            // Only what is still true: another process may have appended since the log was read.
            if self.journal.length() == log.length() {
                self.index.write(stores, log.length(), last_start(log), None);
            }
        }
    }
}

fn last_start(log: &Log) -> u64 {
    log.lines.last().map_or(0, |line| line.start)
}

impl Database for Local {
    fn load(&self, check: Check) -> Result<Stores, Error> {
        if !self.journal.exists()? && !self.index.exists() {
            return Ok(Stores::default());
        }
        let found = self.index.read();
        if let (Check::Quick, Found::Whole { summary, stores }) = (check, &found)
            && self.journal.ends_with(summary.length, summary.last_start, summary.head)?
        {
            return Ok((**stores).clone());
        }
        let (log, mut stores) = self.checked(&found)?;
        if check == Check::Full {
            // What is handed out is computed from the log alone.
            stores = self.fold(&log, &Found::Nothing)?;
        }
        let current = found.summary().is_some_and(|summary| summary.events == stores.events());
        if !current && !matches!(found, Found::Held) {
            self.renew(&log, &stores);
        }
        Ok(stores)
    }

    fn log(&self) -> Result<Log, Error> {
        Ok(self.checked(&self.index.read())?.0)
    }

    fn append(
        &self,
        author: &Author,
        draft: &mut dyn FnMut(&Stores) -> Vec<Event>,
    ) -> Result<Receipt, Error> {
        let lock = self.journal.lock(self.lock_timeout, author)?;
        let found = self.index.read();
        let (log, mut stores) = self.checked(&found)?;
        let mut notices = Vec::new();
        if let Some(notice) = self.journal.cut_torn(&log)? {
            notices.push(notice);
        }
        let events = draft(&stores);
        let appended = events.len();
        if appended == 0 {
            return Ok(Receipt { stores, appended, notices });
        }
        let written = self.journal.append(&log, author, events)?;
        stores.extend(&written).map_err(|damage| Error::Damaged { path: self.journal.path(), damage })?;
        if let Some(last) = written.last() {
            self.index.write(&stores, last.end, last.start, None);
        }
        drop(lock);
        Ok(Receipt { stores, appended, notices })
    }

    fn notes(&self) -> BTreeMap<String, Note> {
        self.index.notes()
    }

    fn keep_notes(&self, notes: &BTreeMap<String, Note>) {
        if let (Ok(Some(_lock)), Found::Whole { summary, stores }) =
            (self.journal.try_lock(), self.index.read())
        {
            self.index.write(&stores, summary.length, summary.last_start, Some(notes));
        }
    }

    fn accept_truncation(&self, author: &Author, reason: &str) -> Result<Receipt, Error> {
        let lock = self.journal.lock(self.lock_timeout, author)?;
        let (expected_events, expected_head) = match self.checked(&self.index.read()) {
            Err(Error::LostEvents { expected_events, expected_head, .. }) => (expected_events, expected_head),
            Err(error) => return Err(error),
            Ok(_) => return Err(Error::NothingLost { path: self.journal.path() }),
        };
        let log = self.journal.read(0)?;
        let mut stores = self.fold(&log, &Found::Nothing)?;
        let notices = self.journal.cut_torn(&log)?.into_iter().collect();
        let reason = reason.to_owned();
        let event = Event::TruncationAccepted { expected_events, expected_head, reason };
        // The index, which alone knows of the loss, goes only when the log says so.
        let written = self.journal.append(&log, author, vec![event])?;
        self.index.delete();
        stores.extend(&written).map_err(|damage| Error::Damaged { path: self.journal.path(), damage })?;
        if let Some(last) = written.last() {
            self.index.write(&stores, last.end, last.start, None);
        }
        drop(lock);
        Ok(Receipt { stores, appended: written.len(), notices })
    }
}
