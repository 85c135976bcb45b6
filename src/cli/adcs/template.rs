//! `adcs check-template`: can keys be attested with this certificate template?

use std::path::PathBuf;

use crate::adcs::template::{self, Finding, Report, Severity};
use crate::adcs::{Method, ldif};
use crate::cli::adcs::MethodArg;
use crate::cli::error::{Error, Kind, Outcome};
use crate::cli::ui::{Tone, Ui};
use crate::file;

/// Check certificate templates, exported with `ldifde`, against what key attestation needs
///
/// Tells for each finding what is set, what should be, and where in the console it is. Exits with 1 if a template that
/// attests has a fault, or none attests.
#[derive(clap::Args, Debug)]
pub struct CheckTemplateArgs {
    /// Exports of one or many templates: ldifde -f FILE -d "CN=...,CN=Certificate Templates,..."
    #[arg(required = true, value_name = "FILE.ldf")]
    files: Vec<PathBuf>,

    /// The method that the template must grant
    #[arg(long, value_enum)]
    method: Option<MethodArg>,
}

/// The most that is read of an export: 64 MiB.
const CAP: u64 = 64 << 20;

impl CheckTemplateArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] if a file is no LDIF, or has no template.
    pub fn run(&self, ui: &Ui) -> Result<Outcome, Error> {
        let mut reports = Vec::new();
        for path in &self.files {
            let bytes = file::read(path, CAP)?;
            let wrong = |why: String| Error::new(Kind::Unknown, format!("{}: {why}", path.display()));
            let records = ldif::read(&bytes).map_err(|error| wrong(format!("not LDIF: {error}")))?;
            let found: Vec<Report> =
                records.iter().filter(|record| template::is_template(record)).map(template::check).collect();
            if found.is_empty() {
                return Err(wrong("it has no certificate template".to_owned()).with_hint(
                    "ldifde -f FILE -d \"CN=<name>,CN=Certificate Templates,CN=Public Key Services,...\"",
                ));
            }
            reports.extend(found);
        }
        let wanted = self.method.map(Method::from);
        // Among many, those that never attest are no fault; alone, or if none attests, they are.
        let alone = !reports.iter().any(|report| report.attests);
        let mut sound = true;
        for report in &mut reports {
            let counts = report.attests || alone;
            if let Some(method) = wanted.filter(|method| counts && !report.methods.contains(method)) {
                report.findings.insert(0, missing(method));
            }
            sound &= !counts || report.is_sound();
            if ui.is_json() { ui.json(report) } else { print(report, counts, ui) }
        }
        Ok(if sound { Outcome::Done } else { Outcome::No })
    }
}

fn missing(method: Method) -> Finding {
    Finding {
        rule: "method-missing",
        severity: Severity::Error,
        is: "not granted".to_owned(),
        should_be: format!("{} (0x{:X})", method.title(), method.flag()),
        console: "Key Attestation > Perform attestation based on",
    }
}

fn print(report: &Report, counts: bool, ui: &Ui) {
    let methods: Vec<String> =
        report.methods.iter().map(|method| format!("{} ({})", method.title(), method.assurance())).collect();
    let methods = if methods.is_empty() { "no method".to_owned() } else { methods.join(", ") };
    if !counts {
        ui.line(format!("{}: does not attest", report.name));
        return;
    }
    let required = match (report.attests, report.required) {
        (_, true) => "attestation required",
        (true, false) => "attestation not required",
        _ => "no attestation",
    };
    ui.line(format!("{}: {required}; {methods}; flags {}", report.name, report.private_key_flag));
    for finding in &report.findings {
        let (tone, word) = match finding.severity {
            Severity::Error => (Tone::Bad, "error"),
            Severity::Warning => (Tone::Caution, "warning"),
        };
        ui.line(format!("  {} {}: is {}", ui.tone(tone, &format!("{word:<8}")), finding.rule, finding.is));
        ui.line(format!("           should be {}", finding.should_be));
        ui.line(format!("           in {}", finding.console));
    }
    if report.findings.is_empty() {
        ui.line(format!("  {}", ui.tone(Tone::Good, "nothing is wrong with it")));
    }
    for method in &report.methods {
        match method {
            Method::User => {}
            Method::Certificate => ui.detail("  the CA needs EKROOT and EKCA: `ekstore export adcs`"),
            Method::Key => ui.detail("  the CA needs a folder with EKPub hashes: `ekstore ekpub export`"),
        }
    }
}
