//! One PEM file with both stores, anchors first: OpenSSL's `-CAfile`, and most other programs.

use std::fmt::Write as _;

use crate::cert::pem;
use crate::cert::quirk::Quirk;
use crate::export::{Export, Options};
use crate::fingerprint::Digest;
use crate::store::{StoreName, Stores};

/// Whether certificates that OpenSSL cannot load are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Malformed {
    /// They are named in a comment: one of them keeps OpenSSL from reading the whole file.
    #[default]
    LeaveOut,
    /// They are written, for readers that can take them.
    Include,
}

/// What OpenSSL refuses to load: serial numbers with leading zeros (six STMicroelectronics intermediates, most of which
/// were re-issued with the same key since).
const UNREADABLE: Quirk = Quirk::SerialNotMinimal;

/// Writes both stores as one PEM file, a comment before each certificate. The comments cannot be taken for PEM: each
/// line starts with `#`, and names are written with control characters escaped.
pub fn export(stores: &Stores, options: &Options, malformed: Malformed) -> Export {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "# EKROOT and EKCA at generation {}, log {}\n# {}",
        stores.generation(),
        stores.store_head(),
        options.describe()
    );
    let mut count = 0;
    let mut left_out = Vec::new();
    for store in StoreName::ALL {
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
            count += 1;
        }
    }
    let bytes = text.into_bytes();
    Export { manifest: Digest::of(&bytes), files: vec![("ekstores.pem".to_owned(), bytes)], count, left_out }
}
