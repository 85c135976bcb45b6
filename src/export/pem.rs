//! One PEM file with both stores, anchors first: OpenSSL's `-CAfile`, and most other programs.

use std::fmt::Write as _;

use crate::cert::pem;
use crate::export::{Options, Package};
use crate::fingerprint::Digest;
use crate::store::{StoreName, Stores};

/// Writes both stores as one PEM file, a comment before each certificate. The comments cannot be taken for PEM: each
/// line starts with `#`, and names are written with control characters escaped.
pub fn package(stores: &Stores, options: &Options) -> Package {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "# EKROOT and EKCA at generation {}, log {}\n# {}",
        stores.generation(),
        stores.store_head(),
        options.describe()
    );
    let mut count = 0;
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
            text.push_str(&pem::write(certificate.der()));
            count += 1;
        }
    }
    let bytes = text.into_bytes();
    Package { manifest: Digest::of(&bytes), files: vec![("ekstores.pem".to_owned(), bytes)], count }
}
