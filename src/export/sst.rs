//! `.sst`: one Windows certificate store as a file (MS-BPAU §4.2).

use std::collections::BTreeMap;

use crate::export::element::{self, ElementError};
use crate::export::manifest::{self, CertificateEntry};
use crate::export::{Export, Options};
use crate::store::record::Record;
use crate::store::{StoreName, Stores};

/// Version 0 and `CERT`.
const HEADER: [u8; 8] = [0, 0, 0, 0, b'C', b'E', b'R', b'T'];
/// An element with the id 0.
const END: [u8; 12] = [0; 12];

/// Whether `bytes` begin as an `.sst` file does.
pub fn looks_like(bytes: &[u8]) -> bool {
    bytes.starts_with(&HEADER)
}

/// Writes one store.
pub fn write<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let elements = certificates.into_iter().map(element::write);
    [HEADER.to_vec()].into_iter().chain(elements).chain([END.to_vec()]).flatten().collect()
}

/// Reads the certificates of an `.sst` file.
///
/// # Errors
///
/// [`ElementError`] about the first element that is malformed.
pub fn read(bytes: &[u8]) -> Result<Vec<&[u8]>, ElementError> {
    let rest = bytes.strip_prefix(&HEADER).ok_or(ElementError::Encoding(0))?;
    element::read(rest)
}

pub(super) fn of(records: &[&Record]) -> Vec<u8> {
    write(records.iter().map(|record| record.certificate.der()))
}

/// A folder with `EKROOT.sst` and `EKCA.sst`.
pub fn export(stores: &Stores, options: &Options) -> Export {
    let mut files = BTreeMap::new();
    let mut entries = Vec::new();
    for store in options.stores() {
        let records = options.select(stores, store);
        files.insert(format!("{store}.sst"), of(&records));
        entries.extend(records.into_iter().map(|record| CertificateEntry::new(stores, record, store, None)));
    }
    manifest::close(stores, options, files, entries, Vec::new())
}

/// One store as one file.
pub fn export_one(stores: &Stores, options: &Options, store: StoreName) -> Export {
    let records = options.select(stores, store);
    Export::file(of(&records), records.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_store_has_twenty_bytes_and_reads_back() {
        let empty = write([]);
        assert_eq!(empty.len(), 20);
        assert_eq!(read(&empty), Ok(vec![]));
    }

    #[test]
    fn what_is_written_reads_back_and_a_changed_byte_is_found() {
        let one: &[u8] = &[0x30, 3, 2, 1, 5];
        let file = write([one, &[0x30, 0]]);
        assert_eq!(read(&file), Ok(vec![one, &[0x30, 0]]));
        // The header, an element's encoding, its length.
        for at in [4, 12, 19] {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert!(read(&changed).is_err(), "{at}");
        }
        let with_hash = [&HEADER[..], &element::write_with_hash(one), &END].concat();
        assert_eq!(read(&with_hash), Ok(vec![one]));
        let mut changed = with_hash;
        changed[20] ^= 1;
        assert_eq!(read(&changed), Err(ElementError::Hash(0)));
        for end in 9..file.len() - 12 {
            let cut = read(&file[..end]);
            assert!(cut.is_err() || cut.is_ok_and(|found| found.len() < 2), "{end}");
        }
    }
}
