//! `inspect`: what is in this file?

use std::path::PathBuf;

use serde::Serialize;

use crate::cert::container::{self, Found};
use crate::cert::ekpub;
use crate::cert::quirk::Quirk;
use crate::cert::tpm::TpmAttributes;
use crate::cli::error::{Error, Kind, Outcome};
use crate::cli::ui::Ui;
use crate::file;
use crate::fingerprint::{EkPubHash, Fingerprint, KeyFingerprint, Thumbprint};
use crate::oid;
use crate::time::Time;

/// Decode certificates: their fields, quirks, TPM attributes, and EKPub hash
///
/// Reads DER, PEM and raw NV contents; needs no store.
#[derive(clap::Args, Debug)]
pub struct InspectArgs {
    /// Files with certificates
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Row {
    file: String,
    fingerprint: Fingerprint,
    thumbprint: Thumbprint,
    subject: String,
    issuer: String,
    serial: String,
    version: u32,
    not_before: Time,
    not_after: Time,
    key: String,
    spki_sha256: KeyFingerprint,
    ekpub_sha256: EkPubHash,
    is_ca: bool,
    path_len: Option<u32>,
    key_usage: Option<Vec<&'static str>>,
    extended_key_usage: Option<Vec<String>>,
    subject_key_id: Option<String>,
    authority_key_id: Option<String>,
    manufacturer: Option<String>,
    model: Option<String>,
    firmware: Option<String>,
    extensions: Vec<ExtensionRow>,
    trailing_bytes: usize,
    quirks: Vec<Quirk>,
}

#[derive(Serialize)]
struct ExtensionRow {
    oid: String,
    critical: bool,
}

impl InspectArgs {
    /// Runs the command. Files that cannot be read are named; the others are shown all the same.
    pub fn run(&self, ui: &Ui) -> Outcome {
        let mut outcome = Outcome::Done;
        for path in &self.files {
            let read = file::read(path, file::CERTIFICATE_FILE_CAP).map_err(Error::from).and_then(|bytes| {
                container::read(&bytes)
                    .map_err(|error| Error::new(Kind::Unknown, format!("{}: {error}", path.display())))
            });
            match read {
                Ok(found) => {
                    for found in found {
                        let row = Row::new(path.to_string_lossy().into_owned(), &found);
                        if ui.is_json() { ui.json(&row) } else { row.print(ui) }
                    }
                }
                Err(error) => {
                    ui.error(error.to_string(), error.hint());
                    outcome = Outcome::Unknown;
                }
            }
        }
        outcome
    }
}

impl Row {
    fn new(file: String, found: &Found) -> Self {
        let certificate = &found.certificate;
        let tpm = TpmAttributes::of(certificate);
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        Self {
            file,
            fingerprint: certificate.fingerprint(),
            thumbprint: certificate.thumbprint(),
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            serial: hex(certificate.serial()),
            version: certificate.version(),
            not_before: certificate.validity().not_before,
            not_after: certificate.validity().not_after,
            key: certificate.key().describe(),
            spki_sha256: certificate.key().fingerprint(),
            ekpub_sha256: ekpub::hash(&certificate.key()),
            is_ca: certificate.is_ca(),
            path_len: certificate.basic_constraints().and_then(|constraints| constraints.path_len),
            key_usage: certificate.key_usage().map(crate::cert::KeyUsage::names),
            extended_key_usage: certificate
                .extended_key_usage()
                .map(|usages| usages.map(oid::dotted).collect()),
            subject_key_id: certificate.subject_key_id().map(hex),
            authority_key_id: certificate.authority_key_id().map(hex),
            manufacturer: tpm.registered().map(|entry| entry.id.to_string()).or(tpm.manufacturer),
            model: tpm.model,
            firmware: tpm.version,
            extensions: certificate
                .extensions()
                .map(|extension| ExtensionRow {
                    oid: oid::dotted(extension.oid),
                    critical: extension.critical,
                })
                .collect(),
            trailing_bytes: found.trailing,
            quirks: found.quirks(),
        }
    }

    fn print(&self, ui: &Ui) {
        let field = |name: &str, value: &str| ui.line(format!("{name:<13} {value}"));
        let optional = |name: &str, value: Option<&String>| {
            if let Some(value) = value {
                field(name, value);
            }
        };
        field("file", &self.file);
        field("subject", if self.subject.is_empty() { "(empty)" } else { &self.subject });
        field("issuer", &self.issuer);
        field("serial", &self.serial);
        field("validity", &format!("{} to {}", self.not_before, self.not_after));
        field("fingerprint", &self.fingerprint.to_string());
        field("thumbprint", &self.thumbprint.to_upper_hex());
        field("key", &format!("{}, SHA-256 {}", self.key, self.spki_sha256));
        field("EKPub", &self.ekpub_sha256.to_string());
        let path_len = self.path_len.map_or(String::new(), |limit| format!(", pathLen {limit}"));
        field("CA", &format!("{}{path_len}", if self.is_ca { "yes" } else { "no" }));
        optional("key usage", self.key_usage.as_ref().map(|names| names.join(", ")).as_ref());
        optional("ext. usage", self.extended_key_usage.as_ref().map(|usages| usages.join(", ")).as_ref());
        optional("key id", self.subject_key_id.as_ref());
        optional("issuer key id", self.authority_key_id.as_ref());
        optional("manufacturer", self.manufacturer.as_ref());
        optional("model", self.model.as_ref());
        optional("firmware", self.firmware.as_ref());
        for extension in &self.extensions {
            field(
                "extension",
                &format!("{}{}", extension.oid, if extension.critical { ", critical" } else { "" }),
            );
        }
        if self.trailing_bytes > 0 {
            field("cut off", &format!("{} bytes after the certificate", self.trailing_bytes));
        }
        for quirk in &self.quirks {
            field("quirk", &format!("{quirk}: {}", quirk.explain()));
        }
        ui.line("");
    }
}
