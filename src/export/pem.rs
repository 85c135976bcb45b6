//! One PEM file with both stores, anchors first: OpenSSL's `-CAfile`, and most other programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::cert::pem;
use crate::export::manifest::{self, CertificateEntry};
use crate::export::{Export, Malformed, Options, UNREADABLE};
use crate::fingerprint::Fingerprint;
use crate::store::Stores;

/// Writes both stores as one PEM file, a comment before each certificate. The comments cannot be taken for PEM: each
/// line starts with `#`, and names are written with control characters escaped.
pub fn export(stores: &Stores, options: &Options, malformed: Malformed) -> Export {
    let (text, written, left_out) = write(stores, options, malformed);
    let mut export = Export::file(text.into_bytes(), written.len());
    export.left_out = left_out;
    export
}

/// A folder with `ekroot.pem` and `ekca.pem`, each as [`export`] has it.
pub fn export_split(stores: &Stores, options: &Options, malformed: Malformed) -> Export {
    let mut files = BTreeMap::new();
    let (mut entries, mut left_out) = (Vec::new(), Vec::new());
    for store in options.stores() {
        let options = Options { only: Some(store), ..options.clone() };
        let (text, written, left) = write(stores, &options, malformed);
        files.insert(format!("{}.pem", store.as_str().to_lowercase()), text.into_bytes());
        entries.extend(written);
        left_out.extend(left);
    }
    manifest::close(stores, options, files, entries, left_out)
}

fn write<'a>(
    stores: &'a Stores,
    options: &Options,
    malformed: Malformed,
) -> (String, Vec<CertificateEntry<'a>>, Vec<Fingerprint>) {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "# EKROOT and EKCA at generation {}, log {}\n# {}",
        stores.generation(),
        stores.store_head(),
        options.describe()
    );
    let mut written = Vec::new();
    let mut left_out = Vec::new();
    for store in options.stores() {
        for record in options.select(stores, store) {
            let certificate = &record.certificate;
            let _ = writeln!(text, "\n# {store}: {}", certificate.subject());
            if let Some(vendor) = stores.manufacturer(record) {
                let _ = writeln!(text, "# manufacturer {vendor}");
            }
            let validity = certificate.validity();
            let _ = writeln!(text, "# valid {} to {}", validity.not_before, validity.not_after);
            let _ = writeln!(text, "# SHA-256 {}", certificate.fingerprint());
            if malformed == Malformed::LeaveOut && certificate.quirks().contains(&UNREADABLE) {
                let _ =
                    writeln!(text, "# left out: {}; OpenSSL would not read this file", UNREADABLE.explain());
                left_out.push(certificate.fingerprint());
                continue;
            }
            text.push_str(&pem::write(certificate.der()));
            written.push(CertificateEntry::new(stores, record, store, None));
        }
    }
    (text, written, left_out)
}
