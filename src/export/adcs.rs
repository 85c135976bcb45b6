//! The folder that the administrator of an AD CS issuing CA imports (T28 to T30).

use std::collections::BTreeMap;

use crate::export::manifest::{self, CertificateEntry};
use crate::export::{Export, ExportError, Options, gpp, reg, sst};
use crate::fingerprint::{Fingerprint, Thumbprint};
use crate::store::Stores;

/// The texts that go into the folder as they are: no value of a certificate is ever part of them.
const TEXTS: [(&str, &str); 4] = [
    ("Import-EkStores.ps1", include_str!("../../data/Import-EkStores.ps1")),
    ("Import-EkStores.cmd", include_str!("../../data/Import-EkStores.cmd")),
    ("Test-EkStores.ps1", include_str!("../../data/Test-EkStores.ps1")),
    ("README.txt", include_str!("../../data/README-adcs.txt")),
];

/// Makes the folder: `EKROOT/*.cer` and `EKCA/*.cer` named by thumbprint, the same as `.sst`, registry file and Group Policy
/// Preferences items, the manifest, the scripts, and a README.
///
/// # Errors
///
/// [`ExportError::ThumbprintCollision`] if Windows would confuse two certificates.
pub fn export(stores: &Stores, options: &Options) -> Result<Export, ExportError> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut thumbprints: BTreeMap<Thumbprint, Fingerprint> = BTreeMap::new();
    let mut certificates = Vec::new();
    for store in options.stores() {
        let records = options.select(stores, store);
        files.insert(format!("{store}.sst"), sst::of(&records));
        for record in records {
            let thumbprint = record.certificate.thumbprint();
            if thumbprints.insert(thumbprint, record.fingerprint()).is_some() {
                return Err(ExportError::ThumbprintCollision(thumbprint));
            }
            let file = format!("{store}/{}.cer", thumbprint.to_upper_hex());
            files.insert(file.clone(), record.certificate.der().to_vec());
            certificates.push(CertificateEntry::new(stores, record, store, Some(file)));
        }
    }
    files.insert("ekstores.reg".to_owned(), reg::write(stores, options).0);
    files.insert("ekstores-gpp.xml".to_owned(), gpp::write(stores, options));
    for (name, text) in TEXTS {
        files.insert(name.to_owned(), windows_text(text));
    }
    Ok(manifest::close(stores, options, files, certificates, Vec::new()))
}

/// CRLF line ends, as Windows' older tools need them.
fn windows_text(text: &str) -> Vec<u8> {
    text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_are_ascii() {
        for (name, text) in TEXTS {
            assert!(text.is_ascii(), "{name}");
            assert!(
                !windows_text(text).windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r'),
                "{name}"
            );
        }
    }
}
