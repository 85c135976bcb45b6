//! `inspect`, signed packages: who signed, when, which edition, and what is in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::catalogue::{Catalogue, SignedPackage};
use crate::cli::error::{Error, Outcome};
use crate::cli::sync::package::read_roots;
use crate::cli::ui::{Tone, Ui};
use crate::clock::{Clock, System};
use crate::fingerprint::{Digest, Fingerprint};
use crate::oid;
use crate::package::cabinet::Limits;
use crate::package::{Contents, Edition, Packaged, Signature, SignatureError};
use crate::time::Time;
use crate::verify::chain;

#[derive(Serialize)]
struct Row {
    kind: &'static str,
    file: String,
    sha256: Digest,
    bytes: usize,
    /// `trusted`, `intact` (it holds, but whom it leads to was not checked), or `refused`.
    signature: &'static str,
    code: Option<&'static str>,
    detail: Option<String>,
    signer: Option<String>,
    signer_fingerprint: Option<Fingerprint>,
    signed: Option<Time>,
    timestamp_authority: Option<String>,
    /// Whether the catalogue pins every root that was given.
    roots_pinned: Option<bool>,
    edition: Option<Edition>,
    members: usize,
    certificates: usize,
    ek_or_other: usize,
    aik: usize,
    sha1: usize,
    expired: usize,
    folders: BTreeMap<String, usize>,
    other_members: Vec<String>,
    unreadable: Vec<String>,
    certificate_list: Vec<CertificateRow>,
}

#[derive(Serialize)]
struct CertificateRow {
    fingerprint: Fingerprint,
    subject: String,
    members: Vec<String>,
}

/// Shows a package. The content is read only if the signature holds and, if `roots` were given, leads to one of them.
///
/// # Errors
///
/// [`Error`] if a root cannot be read.
pub fn show(path: &Path, bytes: &[u8], roots: &[PathBuf], ui: &Ui) -> Result<Outcome, Error> {
    let roots = read_roots(roots)?;
    let entries = Catalogue::embedded();
    let pinned = |entry: &SignedPackage| roots.iter().all(|root| entry.roots.contains(&root.fingerprint()));
    let roots_pinned = (!roots.is_empty()).then(|| entries.packages().any(|(_, entry)| pinned(entry)));
    let mut row = Row {
        kind: "package",
        file: path.to_string_lossy().into_owned(),
        sha256: Digest::of(bytes),
        bytes: bytes.len(),
        signature: "refused",
        code: None,
        detail: None,
        signer: None,
        signer_fingerprint: None,
        signed: None,
        timestamp_authority: None,
        roots_pinned,
        edition: None,
        members: 0,
        certificates: 0,
        ek_or_other: 0,
        aik: 0,
        sha1: 0,
        expired: 0,
        folders: BTreeMap::new(),
        other_members: Vec::new(),
        unreadable: Vec::new(),
        certificate_list: Vec::new(),
    };
    let now = System.now();
    let refusal = match Signature::read(bytes) {
        Ok(signature) => {
            row.sign(&signature);
            row.signature = if roots.is_empty() { "intact" } else { "trusted" };
            let trusted = if roots.is_empty() { Ok(()) } else { signature.trust(&roots, now).map(|_| ()) };
            trusted.err()
        }
        Err(error) => Some(error),
    };
    let mut outcome = Outcome::Done;
    if let Some(error) = refusal {
        row.refuse(&error);
        outcome = Outcome::No;
    } else {
        match Contents::read(bytes, &Limits::default()) {
            Ok(contents) => row.fill(&contents, now),
            Err(error) => {
                row.detail = Some(error.to_string());
                outcome = Outcome::No;
            }
        }
    }
    if ui.is_json() {
        ui.json(&row);
    } else {
        row.print(ui);
    }
    Ok(outcome)
}

impl Row {
    fn sign(&mut self, signature: &Signature) {
        self.signer = Some(signature.signer.subject().to_string());
        self.signer_fingerprint = Some(signature.signer.fingerprint());
        self.signed = signature.timestamp.as_ref().map(|stamp| stamp.time);
        let authority = signature.timestamp.as_ref().map(|stamp| stamp.authority.subject().to_string());
        self.timestamp_authority = authority;
    }

    fn refuse(&mut self, error: &SignatureError) {
        self.signature = "refused";
        self.code = Some(error.code());
        self.detail = Some(error.to_string());
    }

    fn fill(&mut self, contents: &Contents, now: Time) {
        self.edition = Some(contents.edition);
        self.members = contents.members;
        self.certificates = contents.certificates.len();
        self.other_members.clone_from(&contents.others);
        self.unreadable =
            contents.unreadable.iter().map(|(name, error)| format!("{name}: {error}")).collect();
        for (fingerprint, packaged) in &contents.certificates {
            let Packaged { found, members } = packaged;
            let certificate = &found.certificate;
            let is_aik = certificate.has_extended_key_usage(&oid::AIK_CERTIFICATE)
                && !certificate.has_extended_key_usage(&oid::EK_CERTIFICATE);
            self.aik += usize::from(is_aik);
            self.ek_or_other += usize::from(!is_aik);
            self.sha1 += usize::from(chain::is_sha1(certificate));
            self.expired += usize::from(certificate.validity().not_after < now);
            *self.folders.entry(packaged.folder().to_owned()).or_default() += 1;
            self.certificate_list.push(CertificateRow {
                fingerprint: *fingerprint,
                subject: certificate.subject().to_string(),
                members: members.clone(),
            });
        }
    }

    fn print(&self, ui: &Ui) {
        let field = |name: &str, value: &str| ui.line(format!("{name:<13} {value}"));
        field("file", &self.file);
        field("SHA-256", &format!("{}, {} bytes", self.sha256, self.bytes));
        match (self.signature, &self.detail) {
            ("trusted", _) => {
                let pinned =
                    if self.roots_pinned == Some(true) { "pinned by the catalogue" } else { "given" };
                let line = format!("holds, and leads to a root that is {pinned}");
                field("signature", &ui.tone(Tone::Good, &line));
            }
            ("intact", _) => {
                let line = "holds; whom it leads to was not checked (--package-root FILE does)";
                field("signature", &ui.tone(Tone::Caution, line));
            }
            (_, detail) => {
                let detail = detail.as_deref().unwrap_or_default();
                let line = format!("refused: {detail} ({})", self.code.unwrap_or_default());
                field("signature", &ui.tone(Tone::Bad, &line));
            }
        }
        if let Some(signer) = &self.signer {
            field("signer", signer);
        }
        match (&self.signed, &self.timestamp_authority) {
            (Some(signed), Some(authority)) => {
                field("signed", &format!("{signed}, time stamp by {authority}"));
            }
            _ if self.signer.is_some() => field("signed", "no time stamp"),
            _ => {}
        }
        let Some(edition) = self.edition else {
            if let (true, Some(detail)) = (self.code.is_none(), &self.detail) {
                field("content", &ui.tone(Tone::Bad, detail));
            }
            ui.line("");
            return;
        };
        field("edition", &edition.to_string());
        field("members", &self.members.to_string());
        field(
            "certificates",
            &format!(
                "{}: {} AIK CAs, {} others; {} expired, {} signed with SHA-1",
                self.certificates, self.aik, self.ek_or_other, self.expired, self.sha1
            ),
        );
        for (folder, count) in &self.folders {
            field("", &format!("{folder:<10} {count:>5}"));
        }
        field("other members", &self.other_members.join(", "));
        self.unreadable.iter().for_each(|line| field("unreadable", line));
        for certificate in &self.certificate_list {
            ui.detail(format!(
                "{} {} ({})",
                certificate.fingerprint,
                certificate.subject,
                certificate.members.join(", ")
            ));
        }
        ui.line("");
    }
}
