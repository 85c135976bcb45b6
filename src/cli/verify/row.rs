//! One verdict, as programs and as people read it.

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::cert::container::Found;
use crate::cert::ekpub;
use crate::cert::quirk::Quirk;
use crate::cert::tpm::{DirectoryAttributes, SecurityAssertions, TpmSpecification};
use crate::cli::ui::{Tone, Ui};
use crate::fingerprint::{EkPubHash, Fingerprint};
use crate::time::Time;
use crate::verify::Moment;
use crate::verify::revocation::Status;
use crate::verify::verdict::{Failure, Link, LinkOrigin, Reason, Report, Verdict, Warning};

/// What is printed about one certificate, or about one file that cannot be read.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    pub(super) verdict: Verdict,
    pub(super) reason: Option<String>,
    detail: Option<String>,
    hint: Option<&'static str>,
    at: Option<Time>,
    judged_at: Option<&'static str>,
    fingerprint: Option<Fingerprint>,
    subject: Option<String>,
    pub(super) issuer: Option<String>,
    not_before: Option<Time>,
    not_after: Option<Time>,
    chain: Vec<ChainRow>,
    failures: Vec<Failure>,
    revocation: Vec<RevocationRow>,
    ekpub_sha256: Option<EkPubHash>,
    key: Option<String>,
    pub(super) manufacturer: Option<String>,
    model: Option<String>,
    firmware: Option<String>,
    specification: Option<TpmSpecification>,
    security_assertions: Option<SecurityAssertions>,
    quirks: Vec<Quirk>,
    warnings: Vec<Warning>,
    notes: Vec<Warning>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notices: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ChainRow {
    fingerprint: Fingerprint,
    subject: String,
    store: LinkOrigin,
    not_before: Time,
    not_after: Time,
}

#[derive(Debug)]
struct RevocationRow {
    fingerprint: Fingerprint,
    status: Status,
}

impl Serialize for RevocationRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("fingerprint", &self.fingerprint)?;
        match &self.status {
            Status::Good => map.serialize_entry("status", "good")?,
            Status::Revoked { date, reason } => {
                map.serialize_entry("status", "revoked")?;
                map.serialize_entry("date", date)?;
                map.serialize_entry("reason", reason)?;
            }
            Status::Unknown { why } => {
                map.serialize_entry("status", "unknown")?;
                map.serialize_entry("why", why)?;
            }
            Status::NoInformation => map.serialize_entry("status", "no-information")?,
        }
        map.end()
    }
}

impl From<&Link> for ChainRow {
    fn from(link: &Link) -> Self {
        Self {
            fingerprint: link.certificate.fingerprint(),
            subject: link.certificate.subject().to_string(),
            store: link.origin,
            not_before: link.certificate.validity().not_before,
            not_after: link.certificate.validity().not_after,
        }
    }
}

impl Row {
    pub(super) fn unreadable(file: String, id: Option<Value>, detail: String, at: Option<Time>) -> Self {
        Self {
            file,
            id,
            verdict: Verdict::Undetermined,
            reason: Some("unreadable".to_owned()),
            detail: Some(detail),
            hint: Some("give a certificate in DER or PEM, or the contents of an NV index"),
            at,
            judged_at: None,
            fingerprint: None,
            subject: None,
            issuer: None,
            not_before: None,
            not_after: None,
            chain: Vec::new(),
            failures: Vec::new(),
            revocation: Vec::new(),
            ekpub_sha256: None,
            key: None,
            manufacturer: None,
            model: None,
            firmware: None,
            specification: None,
            security_assertions: None,
            quirks: Vec::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
            notices: Vec::new(),
        }
    }

    pub(super) fn new(
        file: &str,
        id: Option<&Value>,
        found: &Found,
        report: Report,
        moment: Moment,
        notices: Vec<String>,
    ) -> Self {
        let certificate = &found.certificate;
        let registered = report.tpm.registered().map(|entry| entry.id.to_string());
        let attributes = DirectoryAttributes::of(certificate).unwrap_or_default();
        Self {
            file: file.to_owned(),
            id: id.cloned(),
            verdict: report.verdict,
            reason: report.reason().map(Reason::code),
            detail: report.failures.first().map(|failure| failure.detail.clone()),
            hint: report.reason().map(Reason::hint),
            at: Some(report.at),
            judged_at: Some(match moment {
                Moment::At(_) => "time",
                Moment::Issuance => "issuance",
            }),
            fingerprint: Some(certificate.fingerprint()),
            subject: Some(certificate.subject().to_string()),
            issuer: Some(certificate.issuer().to_string()),
            not_before: Some(certificate.validity().not_before),
            not_after: Some(certificate.validity().not_after),
            chain: report.chain.iter().map(ChainRow::from).collect(),
            failures: report.failures,
            revocation: report
                .revocation
                .into_iter()
                .map(|(fingerprint, status)| RevocationRow { fingerprint, status })
                .collect(),
            ekpub_sha256: Some(ekpub::hash(&certificate.key())),
            key: Some(certificate.key().describe()),
            manufacturer: registered.or(report.tpm.manufacturer),
            model: report.tpm.model,
            firmware: report.tpm.version,
            specification: attributes.specification.and_then(Result::ok),
            security_assertions: attributes.assertions.and_then(Result::ok),
            quirks: found.quirks(),
            warnings: report.warnings,
            notes: report.notes,
            notices,
        }
    }

    /// The row as one line of JSON, its newline included.
    pub(super) fn json(&self) -> String {
        let mut text = serde_json::to_string(self).expect("a row has string keys and no failing serializer");
        text.push('\n');
        text
    }

    /// The row for people: the verdict, the tree from the EK to the anchor with what each certificate breaks, what is
    /// odd, and what to do.
    pub(super) fn print(&self, ui: &Ui) {
        let tone = match self.verdict {
            Verdict::Trusted => Tone::Good,
            Verdict::Untrusted => Tone::Bad,
            Verdict::Undetermined => Tone::Caution,
        };
        let reason = self.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
        let issuance = if self.judged_at == Some("issuance") { "its issuance, " } else { "" };
        let at = self.at.map_or(String::new(), |at| format!(" (at {issuance}{at})"));
        ui.line(format!("{} {}{reason}{at}", ui.tone(tone, &self.verdict.to_string()), self.file));
        if self.chain.is_empty()
            && let Some(detail) = &self.detail
        {
            ui.line(format!("  {detail}"));
        }
        let tpm = [&self.manufacturer, &self.model, &self.firmware, &self.key];
        let tpm: Vec<&str> = tpm.into_iter().flatten().map(String::as_str).collect();
        if !tpm.is_empty() {
            let specification = self.specification.as_ref().map_or(String::new(), |specification| {
                format!(", TPM {} revision {}", specification.family, specification.revision)
            });
            ui.line(format!("  TPM      {}{specification}", tpm.join(", ")));
        }
        for (depth, link) in self.chain.iter().enumerate() {
            self.print_link(depth, link, ui);
        }
        if let Some(hash) = &self.ekpub_sha256 {
            ui.line(format!("  EKPub    {hash}"));
        }
        let caution = ui.tone(Tone::Caution, "warning");
        self.warnings.iter().for_each(|warning| ui.line(format!("  {caution}  {warning}")));
        self.quirks.iter().for_each(|quirk| ui.line(format!("  quirk    {quirk}: {}", quirk.explain())));
        self.notes.iter().for_each(|note| ui.detail(format!("  note     {note}")));
        self.notices.iter().for_each(|notice| ui.line(format!("  notice   {notice}")));
        if let Some(hint) = self.hint {
            ui.line(format!("  hint     {hint}"));
        }
    }

    fn print_link(&self, depth: usize, link: &ChainRow, ui: &Ui) {
        let subject = if link.subject.is_empty() { "(no subject)" } else { &link.subject };
        let indent = "  ".repeat(depth);
        ui.line(format!("  {indent}{} {} {subject}", link.store, &link.fingerprint.to_string()[..16]));
        let broken: Vec<&Failure> =
            self.failures.iter().filter(|failure| failure.certificate == link.fingerprint).collect();
        if broken.is_empty() {
            let signed = if self.chain.len() > depth + 1 { "signature and rules hold, " } else { "" };
            ui.line(format!("  {indent}  {signed}valid {} to {}", link.not_before, link.not_after));
        }
        for failure in broken {
            let code = ui.tone(Tone::Bad, &failure.reason.to_string());
            let detail =
                if failure.detail.is_empty() { String::new() } else { format!(": {}", failure.detail) };
            ui.line(format!("  {indent}  {code}{detail}"));
        }
        let status = self.revocation.iter().find(|row| row.fingerprint == link.fingerprint);
        match status.map(|row| &row.status) {
            Some(Status::Good) => ui.line(format!("  {indent}  not revoked")),
            Some(Status::Unknown { why }) => ui.line(format!("  {indent}  revocation unknown: {why}")),
            Some(Status::NoInformation) => ui.detail(format!("  {indent}  no revocation information")),
            Some(Status::Revoked { .. }) | None => {}
        }
    }
}
