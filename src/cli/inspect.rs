//! `inspect`: what is in this file?

mod package;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::adcs::held;
use crate::cert::container::{self, Found};
use crate::cert::ekpub;
use crate::cert::general_name::GeneralName;
use crate::cert::quirk::Quirk;
use crate::cert::tpm::{DirectoryAttributes, SecurityAssertions, TpmAttributes, TpmSpecification};
use crate::cert::tpm_public::EkPublic;
use crate::cli::error::{Error, Kind, Outcome};
use crate::cli::ui::Ui;
use crate::crl::Crl;
use crate::export::{reg, sst};
use crate::file;
use crate::fingerprint::{EkPubHash, Fingerprint, KeyFingerprint, Thumbprint};
use crate::oid;
use crate::package::{PACKAGE_CAP, cabinet};
use crate::time::Time;

/// Decode certificates, CRLs, TPM public areas and signed packages: fields, quirks, TPM attributes, EKPub hash, signer
///
/// Reads DER, PEM, raw NV contents, .sst, .p7b, registry files and cabinets (TrustedTpm.cab); needs no store. Exits with 1 if a package's signature is
/// refused, with 3 if a file cannot be read.
#[derive(clap::Args, Debug)]
pub struct InspectArgs {
    /// Files with certificates, CRLs or TPM public areas, or signed packages
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// A root that the signature of a package must lead to: DER or PEM
    #[arg(long, value_name = "FILE")]
    package_root: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Row {
    kind: &'static str,
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
    specification: Option<TpmSpecification>,
    security_assertions: Option<SecurityAssertions>,
    policies: Vec<String>,
    ca_issuers: Vec<String>,
    crls: Vec<String>,
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
            let shown = self.show(path, ui).unwrap_or_else(|error| {
                ui.error(error.to_string(), error.hint());
                Outcome::Unknown
            });
            outcome = outcome.max(shown);
        }
        outcome
    }

    fn show(&self, path: &Path, ui: &Ui) -> Result<Outcome, Error> {
        let cap =
            |head: &[u8]| if cabinet::looks_like(head) { PACKAGE_CAP } else { file::CERTIFICATE_FILE_CAP };
        let bytes = file::read_by_kind(path, cap)?;
        if cabinet::looks_like(&bytes) {
            return package::show(path, &bytes, &self.package_root, ui);
        }
        show(path, &bytes, ui).map(|()| Outcome::Done)
    }
}

/// Shows what is in one file, whichever of the things this program reads it is.
fn show(path: &Path, bytes: &[u8], ui: &Ui) -> Result<(), Error> {
    let name = path.to_string_lossy().into_owned();
    if sst::looks_like(bytes) || reg::looks_like(bytes) {
        return show_store(path, bytes, ui);
    }
    let not_a_certificate = match container::read(bytes) {
        Ok(found) => {
            for found in found {
                let row = Row::new(name.clone(), &found);
                if ui.is_json() { ui.json(&row) } else { row.print(ui) }
            }
            return Ok(());
        }
        Err(error) => error,
    };
    if let Ok(crls) = Crl::read(bytes) {
        for crl in crls {
            let row = CrlRow::new(name.clone(), &crl);
            if ui.is_json() { ui.json(&row) } else { row.print(ui) }
        }
        return Ok(());
    }
    if let Ok(key) = EkPublic::read(bytes) {
        let row = KeyRow::new(name, &key);
        if ui.is_json() {
            ui.json(&row);
        } else {
            row.print(ui);
        }
        return Ok(());
    }
    if held::read(bytes).is_ok_and(|content| !content.certificates.is_empty()) {
        return show_store(path, bytes, ui);
    }
    Err(Error::new(Kind::Unknown, format!("{}: {not_a_certificate}", path.display())))
}

/// Shows the certificates of a Windows store: `.sst`, `.p7b` or a registry file.
fn show_store(path: &Path, bytes: &[u8], ui: &Ui) -> Result<(), Error> {
    let wrong = |why: String| Error::new(Kind::Unknown, format!("{}: {why}", path.display()));
    let content = held::read(bytes).map_err(|error| wrong(error.to_string()))?;
    for (store, der) in &content.certificates {
        let place = store.map_or(String::new(), |store| format!(" ({store})"));
        for found in container::read(der).map_err(|error| wrong(error.to_string()))? {
            let row = Row::new(format!("{}{place}", path.to_string_lossy()), &found);
            if ui.is_json() { ui.json(&row) } else { row.print(ui) }
        }
    }
    match content.damaged.first() {
        Some((_, detail)) => Err(wrong(detail.clone())),
        None => Ok(()),
    }
}

#[derive(Serialize)]
struct CrlRow {
    kind: &'static str,
    file: String,
    issuer: String,
    authority_key_id: Option<String>,
    this_update: Time,
    next_update: Option<Time>,
    revoked: usize,
    indirect: bool,
}

impl CrlRow {
    fn new(file: String, crl: &Crl) -> Self {
        Self {
            kind: "crl",
            file,
            issuer: crl.issuer().to_string(),
            authority_key_id: crl.authority_key_id().map(|id| data_encoding::HEXLOWER.encode(id)),
            this_update: crl.this_update(),
            next_update: crl.next_update(),
            revoked: crl.len(),
            indirect: crl.issuing_point().is_some_and(|point| point.indirect),
        }
    }

    fn print(&self, ui: &Ui) {
        let until = self.next_update.map_or("no end".to_owned(), |next| next.to_string());
        ui.line(format!("file          {}", self.file));
        ui.line(format!("CRL of        {}", self.issuer));
        ui.line(format!("validity      {} to {until}", self.this_update));
        ui.line(format!("revoked       {}{}", self.revoked, if self.indirect { ", indirect" } else { "" }));
        ui.line("");
    }
}

#[derive(Serialize)]
struct KeyRow {
    kind: &'static str,
    file: String,
    key: String,
    ekpub_sha256: EkPubHash,
}

impl KeyRow {
    fn new(file: String, key: &EkPublic) -> Self {
        Self { kind: "public-key", file, key: key.describe(), ekpub_sha256: EkPubHash::of(&key.bits()) }
    }

    fn print(&self, ui: &Ui) {
        ui.line(format!("file          {}", self.file));
        ui.line(format!("public key    {}", self.key));
        ui.line(format!("EKPub         {}", self.ekpub_sha256));
        ui.line("");
    }
}

impl Row {
    fn new(file: String, found: &Found) -> Self {
        let certificate = &found.certificate;
        let tpm = TpmAttributes::of(certificate);
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let attributes = DirectoryAttributes::of(certificate).unwrap_or_default();
        let points = certificate.crl_distribution_points().ok().flatten().unwrap_or_default();
        let crl_uri = |name: GeneralName<'_>| match name {
            GeneralName::Uri(uri) => Some(uri.to_owned()),
            _ => None,
        };
        Self {
            kind: "certificate",
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
            specification: attributes.specification.and_then(Result::ok),
            security_assertions: attributes.assertions.and_then(Result::ok),
            policies: certificate
                .policies()
                .ok()
                .flatten()
                .unwrap_or_default()
                .iter()
                .map(ToString::to_string)
                .collect(),
            ca_issuers: certificate.authority_info().unwrap_or_default().ca_issuers,
            crls: points.into_iter().flat_map(|point| point.names).filter_map(crl_uri).collect(),
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
        if let Some(specification) = &self.specification {
            let TpmSpecification { family, level, revision, .. } = specification;
            field("specification", &format!("TPM {family} level {level} revision {revision}"));
        }
        self.policies.iter().for_each(|policy| field("policy", policy));
        self.ca_issuers.iter().for_each(|uri| field("issuer at", uri));
        self.crls.iter().for_each(|uri| field("CRL at", uri));
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
