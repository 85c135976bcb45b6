//! A `tpm_cert_store` folder of keylime: one PEM file a certificate. keylime reads `*.pem`, and takes every one of them
//! as trusted for what its key verifies, without a path to an anchor.

use std::collections::BTreeMap;

use crate::cert::pem;
use crate::export::manifest::{self, CertificateEntry};
use crate::export::{Export, Options};
use crate::store::Stores;

/// Writes the folder; files are named by fingerprint.
pub fn export(stores: &Stores, options: &Options) -> Export {
    let mut files = BTreeMap::new();
    let mut entries = Vec::new();
    for store in options.stores() {
        for record in options.select(stores, store) {
            let file = format!("{}.pem", record.fingerprint());
            files.insert(file.clone(), pem::write(record.certificate.der()).into_bytes());
            entries.push(CertificateEntry::new(stores, record, store, Some(file)));
        }
    }
    manifest::close(stores, options, files, entries, Vec::new())
}
