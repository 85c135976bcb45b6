//! The Endorsement Key list (high assurance): the hashes of the TPM keys that may attest, as the log has them.
//!
//! It is no part of EKROOT and EKCA, so it does not advance the generation; it is computed from the log when it is
//! asked for.

use std::collections::BTreeMap;

use crate::cert::name;
use crate::fingerprint::EkPubHash;
use crate::log::{EkpubEntry, Event, Log};
use crate::time::Time;

/// The list at the end of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    entries: BTreeMap<EkPubHash, Listed>,
}

/// One key of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The key, and what was said about it.
    pub entry: EkpubEntry,
    /// Why it is listed.
    pub reason: String,
    /// When it was added.
    pub time: Time,
    /// Who added it.
    pub actor: String,
    /// The number of the event.
    pub event: u64,
}

impl List {
    /// Computes the list at the end of `log`. What is added again counts as said last.
    pub fn fold(log: &Log) -> Self {
        let mut list = Self::default();
        for line in &log.lines {
            match &line.entry.event {
                Event::EkpubAdded { keys, reason } => {
                    for entry in keys {
                        let listed = Listed {
                            entry: entry.clone(),
                            reason: reason.clone(),
                            time: line.entry.time,
                            actor: line.entry.actor.clone(),
                            event: line.entry.n,
                        };
                        list.entries.insert(entry.ekpub, listed);
                    }
                }
                Event::EkpubRemoved { keys, .. } => {
                    for key in keys {
                        list.entries.remove(key);
                    }
                }
                _ => {}
            }
        }
        list
    }

    /// How many keys it has.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// One key.
    pub fn get(&self, ekpub: EkPubHash) -> Option<&Listed> {
        self.entries.get(&ekpub)
    }

    /// All keys, by hash.
    pub fn iter(&self) -> impl Iterator<Item = &Listed> {
        self.entries.values()
    }

    /// The hashes, sorted.
    pub fn hashes(&self) -> impl Iterator<Item = EkPubHash> {
        self.entries.keys().copied()
    }
}

/// Why a table of hashes cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// It is no CSV.
    #[error("not CSV: {0}")]
    Csv(#[from] csv::Error),
    /// A row has no hash.
    #[error("row {row}: {text:?} is not a hash of 64 hexadecimal digits")]
    Hash {
        /// The row, from 1.
        row: u64,
        /// What stands there, cut to 80 characters.
        text: String,
    },
    /// A label or an owner would forge lines of what is printed.
    #[error("row {row}: a label or owner has control characters")]
    Control {
        /// The row, from 1.
        row: u64,
    },
    /// It has no row.
    #[error("it has no row")]
    Empty,
}

/// Reads a table of hashes: CSV (RFC 4180) with the columns `ekpub`, `label` and `owner` in any order, or without a header
/// in this one.
///
/// # Errors
///
/// [`TableError`] names the first row at fault.
pub fn read_table(bytes: &[u8], source: &str) -> Result<Vec<EkpubEntry>, TableError> {
    let bytes = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(bytes);
    let mut columns = [Some(0), Some(1), Some(2)];
    let mut entries = Vec::new();
    for (number, row) in (1..).zip(reader.records()) {
        let row = row?;
        if number == 1 && row.iter().all(|field| field.parse::<EkPubHash>().is_err()) {
            let named = |names: &[&str]| {
                row.iter().position(|field| names.iter().any(|name| field.eq_ignore_ascii_case(name)))
            };
            columns = [
                named(&["ekpub", "ekpub_sha256", "hash", "PublicKeyHash"]),
                named(&["label", "name", "device"]),
                named(&["owner"]),
            ];
            if columns[0].is_some() {
                continue;
            }
            columns[0] = Some(0);
        }
        let field = |column: Option<usize>| column.and_then(|column| row.get(column)).unwrap_or_default();
        let text = field(columns[0]);
        let wrong = || TableError::Hash { row: number, text: text.chars().take(80).collect() };
        let words = [field(columns[1]), field(columns[2])];
        if words.iter().any(|word| word.chars().any(name::is_deceptive)) {
            return Err(TableError::Control { row: number });
        }
        let optional = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        entries.push(EkpubEntry {
            ekpub: text.parse().map_err(|_| wrong())?,
            label: optional(field(columns[1])),
            owner: optional(field(columns[2])),
            source: source.to_owned(),
            verdict: None,
        });
    }
    if entries.is_empty() { Err(TableError::Empty) } else { Ok(entries) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_with_and_without_a_header() {
        let hash = "AB".repeat(32);
        let with = format!("label,owner,PublicKeyHash\r\n\"a, b\",x,{hash}\r\n");
        let without = format!("{hash},\"a, b\",x\n");
        for text in [&with, &without] {
            let entries = read_table(text.as_bytes(), "t.csv").expect("a table");
            assert_eq!(entries.len(), 1);
            assert_eq!(entries[0].ekpub.to_string(), hash.to_lowercase());
            assert_eq!((entries[0].label.as_deref(), entries[0].owner.as_deref()), (Some("a, b"), Some("x")));
        }
        let error = read_table(format!("{hash}\nzz\n").as_bytes(), "t").expect_err("no hash");
        assert!(error.to_string().starts_with("row 2"), "{error}");
        let forged = read_table(format!("{hash},\"a\n{hash}\"\n").as_bytes(), "t").expect_err("two lines");
        assert!(forged.to_string().starts_with("row 1"), "{forged}");
        assert!(read_table(b"", "t").is_err() && read_table(b"a,b\n", "t").is_err());
    }
}
