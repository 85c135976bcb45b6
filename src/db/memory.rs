//! A log in memory, for tests and for programs that keep it elsewhere.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::db::{self, Author, Check, Database, Error, Note, Receipt};
use crate::log::{self, Damage, Event, Log};
use crate::store::Stores;

/// A log in memory.
#[derive(Debug, Default)]
pub struct Memory {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    bytes: Vec<u8>,
    notes: BTreeMap<String, Note>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log's bytes, as a file would hold them.
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }
}

fn damaged(damage: Damage) -> Error {
    Error::Damaged { path: PathBuf::from("in memory"), damage }
}

fn read(bytes: &[u8]) -> Result<(Log, Stores), Error> {
    let log = log::read(bytes, bytes.len() as u64).map_err(damaged)?;
    let stores = Stores::fold(&log).map_err(damaged)?;
    Ok((log, stores))
}

impl Database for Memory {
    fn load(&self, _: Check) -> Result<Stores, Error> {
        Ok(read(&self.lock().bytes)?.1)
    }

    fn log(&self) -> Result<Log, Error> {
        Ok(read(&self.lock().bytes)?.0)
    }

    fn append(
        &self,
        author: &Author,
        draft: &mut dyn FnMut(&Stores) -> Vec<Event>,
    ) -> Result<Receipt, Error> {
        let mut inner = self.lock();
        let (log, stores) = read(&inner.bytes)?;
        let events = draft(&stores);
        let appended = events.len();
        let added = db::lines(author, events, stores.events(), log.head());
        let bytes = [&inner.bytes[..], &added].concat();
        let (_, stores) = read(&bytes)?;
        inner.bytes = bytes;
        Ok(Receipt { stores, appended, notices: Vec::new() })
    }

    fn notes(&self) -> BTreeMap<String, Note> {
        self.lock().notes.clone()
    }

    fn keep_notes(&self, notes: &BTreeMap<String, Note>) {
        self.lock().notes.clone_from(notes);
    }

    fn accept_truncation(&self, _: &Author, _: &str) -> Result<Receipt, Error> {
        Err(Error::NothingLost { path: PathBuf::from("in memory") })
    }
}
