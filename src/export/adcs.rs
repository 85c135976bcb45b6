//! The folder that the administrator of an AD CS issuing CA imports (T28 to T30).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::export::{Export, ExportError, Options};
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

const SCRIPT: &str = include_str!("../../data/Import-EkStores.ps1");

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

#[derive(Debug, Serialize)]
struct CertificateEntry<'a> {
    file: String,
    store: StoreName,
    fingerprint: Fingerprint,
    thumbprint: Thumbprint,
    subject: String,
    issuer: String,
    not_before: Time,
    not_after: Time,
    manufacturer: Option<&'a VendorId>,
    purpose: Purpose,
    sources: Vec<&'a Origin>,
    approvals: Vec<&'a Decision>,
}

#[derive(Debug, Serialize)]
struct RemovedEntry<'a> {
    fingerprint: Fingerprint,
    thumbprint: Thumbprint,
    subject: String,
    /// `distrusted`: the script removes it. `no-longer-trusted`: it removes it with -Prune.
    why: &'static str,
    reason: Option<&'a str>,
}

/// Makes the folder: `EKROOT/*.cer` and `EKCA/*.cer` named by thumbprint, the manifest, and the import script.
///
/// # Errors
///
/// [`ExportError::ThumbprintCollision`] if Windows would confuse two certificates.
pub fn export(stores: &Stores, options: &Options) -> Result<Export, ExportError> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut thumbprints: BTreeMap<Thumbprint, Fingerprint> = BTreeMap::new();
    let mut certificates = Vec::new();
    for store in StoreName::ALL {
        for record in options.select(stores, store) {
            let thumbprint = record.certificate.thumbprint();
            if thumbprints.insert(thumbprint, record.fingerprint()).is_some() {
                return Err(ExportError::ThumbprintCollision(thumbprint));
            }
            let file = format!("{store}/{}.cer", thumbprint.to_upper_hex());
            files.insert(file.clone(), record.certificate.der().to_vec());
            certificates.push(certificate_entry(stores, record, file, store));
        }
    }
    files.insert("Import-EkStores.ps1".to_owned(), windows_text(SCRIPT));
    let manifest = Manifest {
        form: FORM,
        program: concat!("ekstore ", env!("CARGO_PKG_VERSION")),
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
    Ok(Export { files: files.into_iter().collect(), manifest: digest, count, left_out: Vec::new() })
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

fn certificate_entry<'a>(
    stores: &'a Stores,
    record: &'a Record,
    file: String,
    store: StoreName,
) -> CertificateEntry<'a> {
    let certificate = &record.certificate;
    CertificateEntry {
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

/// Everything that was in the stores at this or an earlier generation, and so may have been handed out, and is in
/// them no longer (T30). It does not depend on the options: what is left out by a filter is not removed.
fn removed(stores: &Stores) -> Vec<RemovedEntry<'_>> {
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

/// CRLF line ends, as Windows' older tools need them.
fn windows_text(text: &str) -> Vec<u8> {
    text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()
}
