//! The folder that a CA reads the Endorsement Key list from: a file of zero bytes for each hash, without extension.
//!
//! Windows looks for a name without regard to letter case. Other files are never touched. Creating and removing empty
//! files cannot leave anything half-written: after a crash the next run goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::file::{self, Error};
use crate::fingerprint::EkPubHash;

/// From so many new hashes on, most are hard links to a few empty files. A million empty files are a million inodes, and
/// making them takes minutes on a busy file system; names alone are what the CA looks for. Where links are not supported
/// each is a file of its own.
const LINK_FROM: usize = 10_000;

/// How many names one empty file has at most: NTFS allows 1,023, ext4 65,000.
const MOST_LINKS: usize = 1_000;

/// What stands in a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// The hashes, each with the names it stands under.
    pub hashes: BTreeMap<EkPubHash, Vec<std::ffi::OsString>>,
    /// How many other files and folders there are.
    pub others: usize,
}

/// What an export did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Hashes that were there already.
    pub kept: usize,
    /// Hashes that were added.
    pub added: usize,
    /// Hashes that are not in the list.
    pub stale: usize,
    /// How many of these were removed.
    pub removed: usize,
}

/// Whether hashes that are not in the list are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// They are counted and stay.
    Keep,
    /// They are removed.
    Remove,
}

/// Reads a folder. One that does not exist is empty.
///
/// # Errors
///
/// What the system says.
pub fn read(folder: &Path) -> Result<Held, Error> {
    let fail = |source| Error::io("read", folder, source);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Held::default()),
        Err(error) => return Err(fail(error)),
    };
    let mut held = Held::default();
    for entry in entries {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        let hash = name.to_str().and_then(|name| name.parse::<EkPubHash>().ok());
        match hash.filter(|_| entry.file_type().is_ok_and(|kind| kind.is_file())) {
            Some(hash) => held.hashes.entry(hash).or_default().push(name),
            None => held.others += 1,
        }
    }
    Ok(held)
}

/// Makes a folder equal to `list`.
///
/// # Errors
///
/// What the system says about the first file; what was done until then stays, and the next run goes on.
pub fn write(folder: &Path, list: &BTreeSet<EkPubHash>, stale: Stale) -> Result<Written, Error> {
    fs::create_dir_all(folder).map_err(|source| Error::io("create", folder, source))?;
    let held = read(folder)?;
    let mut written = Written::default();
    let missing: Vec<&EkPubHash> = list.iter().filter(|hash| !held.hashes.contains_key(hash)).collect();
    written.kept = list.len() - missing.len();
    // The empty file that the next names are links to, and how many it has.
    let mut first: Option<(PathBuf, usize)> = None;
    for hash in &missing {
        let path = folder.join(hash.to_string());
        let linked = match &mut first {
            Some((file, links)) if *links < MOST_LINKS => {
                *links += 1;
                fs::hard_link(file, &path).is_ok()
            }
            _ => false,
        };
        if linked {
            written.added += 1;
            continue;
        }
        // Not over something that came in between; a folder of that name is no hash, and is not touched.
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(_) => {
                written.added += 1;
                first = (missing.len() >= LINK_FROM).then_some((path, 1));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_file() => written.kept += 1,
            Err(source) => return Err(Error::io("create", &path, source)),
        }
    }
    for (hash, names) in &held.hashes {
        if list.contains(hash) {
            continue;
        }
        written.stale += 1;
        if stale == Stale::Remove {
            for name in names {
                let path = folder.join(name);
                fs::remove_file(&path).map_err(|source| Error::io("remove", &path, source))?;
            }
            written.removed += 1;
        }
    }
    file::sync_folder(folder)?;
    Ok(written)
}
