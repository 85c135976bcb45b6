//! The manifest of an export that is a folder: every file, every certificate, and what must no longer be on the CA.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::export::{Export, Options};
use crate::fingerprint::{Digest, Fingerprint, Thumbprint};
use crate::log::Origin;
use crate::store::record::{Decision, Purpose, Record, State};
use crate::store::{StoreName, Stores};
use crate::time::Time;
use crate::vendor::VendorId;

/// The name of the manifest.
pub const MANIFEST: &str = "manifest.json";

/// The version of the manifest's form.
pub const FORM: u32 = 1;

/// Who wrote it.
pub const PROGRAM: &str = concat!("ekstore ", env!("CARGO_PKG_VERSION"));

/// What is in the folder, and what must no longer be on the CA. Without any time but those of the log.
#[derive(Debug, Serialize)]
struct Manifest<'a> {
    form: u32,
    program: &'a str,
    generation: u64,
    /// SHA-256 of the last line of the log that could change the stores.
    log_head: Digest,
    options: String,
    files: Vec<FileEntry>,
    certificates: Vec<CertificateEntry<'a>>,
    removed: Vec<RemovedEntry<'a>>,
}

#[derive(Debug, Serialize)]
struct FileEntry {
    path: String,
    sha256: Digest,
}

/// One certificate of an export.
#[derive(Debug, Serialize)]
pub struct CertificateEntry<'a> {
    /// The file of the folder that holds it, if it has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The store it belongs in.
    pub store: StoreName,
    /// SHA-256 of the exact DER.
    pub fingerprint: Fingerprint,
    /// SHA-1 of the exact DER.
    pub thumbprint: Thumbprint,
    subject: String,
    issuer: String,
    not_before: Time,
    not_after: Time,
    manufacturer: Option<&'a VendorId>,
    purpose: Purpose,
    sources: Vec<&'a Origin>,
    approvals: Vec<&'a Decision>,
}

/// One certificate that was in the stores and is in them no more (T30).
#[derive(Debug, Serialize)]
pub struct RemovedEntry<'a> {
    /// SHA-256 of the exact DER.
    pub fingerprint: Fingerprint,
    thumbprint: Thumbprint,
    subject: String,
    /// `distrusted`: the script removes it. `no-longer-trusted`: it removes it with -Prune.
    why: &'static str,
    reason: Option<&'a str>,
}

impl<'a> CertificateEntry<'a> {
    /// The entry of a record in `store`.
    pub fn new(stores: &'a Stores, record: &'a Record, store: StoreName, file: Option<String>) -> Self {
        let certificate = &record.certificate;
        Self {
            file,
            store,
            fingerprint: record.fingerprint(),
            thumbprint: certificate.thumbprint(),
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            not_before: certificate.validity().not_before,
            not_after: certificate.validity().not_after,
            manufacturer: stores.manufacturer(record),
            purpose: record.placement.purpose,
            sources: record.sightings.iter().map(|sighting| &sighting.origin).collect(),
            approvals: record.decisions.iter().collect(),
        }
    }
}

/// Everything that was in the stores at this or an earlier generation, and so may have been handed out, and is in
/// them no longer (T30). It does not depend on the options: what is left out by a filter is not removed.
pub fn removed(stores: &Stores) -> Vec<RemovedEntry<'_>> {
    let gone =
        stores.records().filter(|record| record.placement.ever_stored && record.placement.store.is_none());
    gone.map(|record| RemovedEntry {
        fingerprint: record.fingerprint(),
        thumbprint: record.certificate.thumbprint(),
        subject: record.certificate.subject().to_string(),
        why: if stores.state(record) == State::Distrusted { "distrusted" } else { "no-longer-trusted" },
        reason: record.decisions.last().map(|decision| decision.reason.as_str()),
    })
    .collect()
}

/// Completes a folder with its manifest.
pub fn close(
    stores: &Stores,
    options: &Options,
    mut files: BTreeMap<String, Vec<u8>>,
    certificates: Vec<CertificateEntry<'_>>,
    left_out: Vec<Fingerprint>,
) -> Export {
    let manifest = Manifest {
        form: FORM,
        program: PROGRAM,
        generation: stores.generation(),
        log_head: stores.store_head(),
        options: options.describe(),
        files: files
            .iter()
            .map(|(path, bytes)| FileEntry { path: path.clone(), sha256: Digest::of(bytes) })
            .collect(),
        certificates,
        removed: removed(stores),
    };
    let count = manifest.certificates.len();
    let mut bytes =
        serde_json::to_vec_pretty(&manifest).expect("the manifest has string keys and no failing serializer");
    bytes.push(b'\n');
    let digest = Digest::of(&bytes);
    files.insert(MANIFEST.to_owned(), bytes);
    Export { files: files.into_iter().collect(), manifest: digest, count, left_out }
}

/// The files of an export by its manifest, the manifest included; `None` if it is not a manifest of ours.
pub fn files_of(manifest: &[u8]) -> Option<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Written {
        program: String,
        files: Vec<Listed>,
    }
    #[derive(Deserialize)]
    struct Listed {
        path: String,
    }
    let written: Written = serde_json::from_slice(manifest).ok()?;
    let listed = written.files.into_iter().map(|file| file.path);
    written.program.starts_with("ekstore ").then(|| listed.chain([MANIFEST.to_owned()]).collect())
}
