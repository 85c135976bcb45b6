//! `verify`: is this EK certificate from a genuine TPM maker?

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cert::container::{self, Found};
use crate::cert::quirk::Quirk;
use crate::cert::{Certificate, ekpub};
use crate::cli::Context;
use crate::cli::error::{Error, Outcome};
use crate::cli::ui::{Tone, Ui};
use crate::clock::{Clock, System};
use crate::db::Check;
use crate::file;
use crate::fingerprint::{EkPubHash, Fingerprint};
use crate::time::Time;
use crate::verify::trust::TrustStore;
use crate::verify::verdict::{Failure, Link, Reason, Report, Verdict, Warning};
use crate::verify::{self, Policy, Sha1};

/// Check EK certificates against the trust stores
///
/// Reads DER, PEM and raw NV contents. A file may hold the EK certificate with its chain: what is a CA is used as an
/// untrusted intermediate. Folders are read with all that is in them; `-` is standard input.
///
/// Exits with 0 if all are trusted, 1 if any is not, 3 if one could not be read.
#[derive(clap::Args, Debug)]
pub struct VerifyArgs {
    /// Files, folders, or - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The time to judge at, such as 2026-11-01T00:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Time>,

    /// Allow what the default policy refuses: sha1, under anchors that the catalogue marks
    #[arg(long, value_enum, value_name = "WHAT")]
    allow: Vec<Allow>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Allow {
    /// SHA-1 signatures, for TPM 1.2 lines
    Sha1,
}

/// What is printed about one certificate, or about one file that cannot be read.
#[derive(Debug, Serialize)]
struct Row {
    file: String,
    verdict: Verdict,
    reason: Option<String>,
    detail: Option<String>,
    hint: Option<&'static str>,
    at: Time,
    fingerprint: Option<Fingerprint>,
    subject: Option<String>,
    issuer: Option<String>,
    chain: Vec<Link>,
    failures: Vec<Failure>,
    ekpub_sha256: Option<EkPubHash>,
    manufacturer: Option<String>,
    model: Option<String>,
    firmware: Option<String>,
    quirks: Vec<Quirk>,
    warnings: Vec<Warning>,
}

impl VerifyArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] if the store cannot be read. A file that cannot be read is part of the answer.
    pub fn run(self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        let stores = context.database().load(Check::Quick)?;
        let trust = TrustStore::new(&stores, &context.catalogue);
        if trust.is_empty() {
            ui.warning("EKROOT is empty, so nothing can be trusted");
            ui.hint("`ekstore sync` fills it");
        }
        let policy = Policy {
            sha1: if self.allow.contains(&Allow::Sha1) { Sha1::WhereTheCatalogueSays } else { Sha1::Refuse },
        };
        let at = self.at.unwrap_or_else(|| System.now());
        let mut outcome = Outcome::Done;
        for path in self.files()? {
            for row in check(&path, &trust, policy, at, ui) {
                outcome = outcome.max(match row.verdict {
                    Verdict::Trusted => Outcome::Done,
                    Verdict::Untrusted => Outcome::No,
                    Verdict::Undetermined => Outcome::Unknown,
                });
                if ui.is_json() { ui.json(&row) } else { print(&row, ui) }
            }
        }
        Ok(outcome)
    }

    /// The files named, those in folders included.
    fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let mut files = Vec::new();
        for path in &self.files {
            if path.is_dir() { files.extend(file::list(path)?) } else { files.push(path.clone()) }
        }
        Ok(files)
    }
}

fn check(path: &Path, trust: &TrustStore, policy: Policy, at: Time, ui: &Ui) -> Vec<Row> {
    let name = path.to_string_lossy().into_owned();
    let bytes = if name == "-" {
        if std::io::stdin().is_terminal() {
            ui.note("reading a certificate from standard input");
        }
        file::read_from(std::io::stdin().lock(), path, file::CERTIFICATE_FILE_CAP)
    } else {
        file::read(path, file::CERTIFICATE_FILE_CAP)
    };
    let found = match bytes {
        Ok(bytes) => container::read(&bytes).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let found = match found {
        Ok(found) => found,
        Err(detail) => return vec![Row::unreadable(name, detail, at)],
    };
    // What is no CA is a leaf; the CAs with it are its chain. Where there are only CAs, the first is in question.
    let (leaves, chain): (Vec<Found>, Vec<Found>) =
        found.into_iter().partition(|found| !found.certificate.is_ca());
    let extra: Vec<Certificate> = chain.iter().map(|found| found.certificate.clone()).collect();
    let in_question = if leaves.is_empty() { chain.into_iter().take(1).collect() } else { leaves };
    in_question
        .into_iter()
        .map(|found| {
            let report = verify::verify(trust, &found.certificate, &extra, policy, at);
            Row::new(name.clone(), &found, report)
        })
        .collect()
}

impl Row {
    fn unreadable(file: String, detail: String, at: Time) -> Self {
        Self {
            file,
            verdict: Verdict::Undetermined,
            reason: Some("unreadable".to_owned()),
            detail: Some(detail),
            hint: Some("give a certificate in DER or PEM, or the contents of an NV index"),
            at,
            fingerprint: None,
            subject: None,
            issuer: None,
            chain: Vec::new(),
            failures: Vec::new(),
            ekpub_sha256: None,
            manufacturer: None,
            model: None,
            firmware: None,
            quirks: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn new(file: String, found: &Found, report: Report) -> Self {
        let certificate = &found.certificate;
        let registered = report.tpm.registered().map(|entry| entry.id.to_string());
        Self {
            file,
            verdict: report.verdict,
            reason: report.reason().map(Reason::code),
            detail: report.failures.first().map(|failure| failure.detail.clone()),
            hint: report.reason().map(Reason::hint),
            at: report.at,
            fingerprint: Some(certificate.fingerprint()),
            subject: Some(certificate.subject().to_string()),
            issuer: Some(certificate.issuer().to_string()),
            chain: report.chain,
            failures: report.failures,
            ekpub_sha256: Some(ekpub::hash(&certificate.key())),
            manufacturer: registered.or(report.tpm.manufacturer),
            model: report.tpm.model,
            firmware: report.tpm.version,
            quirks: found.quirks(),
            warnings: report.warnings,
        }
    }
}

fn print(row: &Row, ui: &Ui) {
    let tone = match row.verdict {
        Verdict::Trusted => Tone::Good,
        Verdict::Untrusted => Tone::Bad,
        Verdict::Undetermined => Tone::Caution,
    };
    let reason = row.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    ui.line(format!("{} {}{reason}", ui.tone(tone, &row.verdict.to_string()), row.file));
    if let Some(detail) = row.detail.as_ref().filter(|detail| !detail.is_empty()) {
        ui.line(format!("  {detail}"));
    }
    let tpm: Vec<&str> =
        [&row.manufacturer, &row.model, &row.firmware].into_iter().flatten().map(String::as_str).collect();
    if !tpm.is_empty() {
        ui.line(format!("  TPM      {}", tpm.join(", ")));
    }
    for (depth, link) in row.chain.iter().enumerate() {
        let subject = if link.subject.is_empty() { "(no subject)" } else { &link.subject };
        let indent = "  ".repeat(depth);
        ui.line(format!("  {indent}{} {} {subject}", link.store, &link.fingerprint.to_string()[..16]));
    }
    if let Some(hash) = &row.ekpub_sha256 {
        ui.line(format!("  EKPub    {hash}"));
    }
    for failure in row.failures.iter().skip(1) {
        ui.line(format!("  also     {}: {}", failure.reason, failure.detail));
    }
    for warning in &row.warnings {
        ui.line(format!("  {}  {warning}", ui.tone(Tone::Caution, "warning")));
    }
    for quirk in &row.quirks {
        ui.line(format!("  quirk    {quirk}: {}", quirk.explain()));
    }
    if let Some(hint) = row.hint {
        ui.line(format!("  hint     {hint}"));
    }
}
