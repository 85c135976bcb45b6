//! Everything about the selected certificates as one JSON document, for programs of one's own.

use data_encoding::BASE64;
use serde::Serialize;

use crate::export::manifest::{self, CertificateEntry, RemovedEntry};
use crate::export::{Export, Options};
use crate::fingerprint::Digest;
use crate::store::Stores;

#[derive(Serialize)]
struct Document<'a> {
    form: u32,
    program: &'a str,
    generation: u64,
    log_head: Digest,
    options: String,
    certificates: Vec<Row<'a>>,
    removed: Vec<RemovedEntry<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    entry: CertificateEntry<'a>,
    /// The exact DER in base64.
    der: String,
}

/// Writes the document.
pub fn export(stores: &Stores, options: &Options) -> Export {
    let rows = options.stores().into_iter().flat_map(|store| {
        options.select(stores, store).into_iter().map(move |record| Row {
            entry: CertificateEntry::new(stores, record, store, None),
            der: BASE64.encode(record.certificate.der()),
        })
    });
    let document = Document {
        form: manifest::FORM,
        program: manifest::PROGRAM,
        generation: stores.generation(),
        log_head: stores.store_head(),
        options: options.describe(),
        certificates: rows.collect(),
        removed: manifest::removed(stores),
    };
    let count = document.certificates.len();
    let mut bytes =
        serde_json::to_vec_pretty(&document).expect("the document has string keys and no failing serializer");
    bytes.push(b'\n');
    Export::file(bytes, count)
}
