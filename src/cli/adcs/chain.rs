//! `adcs check-chain`: do the issuing CA's certificates let the assurance be seen?

use std::path::PathBuf;

use crate::adcs::Method;
use crate::adcs::chain::{self, Report};
use crate::adcs::template::Severity;
use crate::cli::adcs::{MethodArg, certificates};
use crate::cli::error::{Error, Kind, Outcome};
use crate::cli::ui::{Tone, Ui};
use crate::clock::{Clock, System};
use crate::time::Time;

/// Check the issuing CA's chain: issuance policies in every CA below the root, pathLen, validity
///
/// Prints the lines for CAPolicy.inf if a CA lacks policies. Exits with 1 if something is wrong.
#[derive(clap::Args, Debug)]
pub struct CheckChainArgs {
    /// The certificates of the issuing CA and all above it, in any order
    #[arg(required = true, value_name = "CERT")]
    files: Vec<PathBuf>,

    /// The methods whose policies must be valid [default: at least one; those that are not are warnings]
    #[arg(long, value_enum)]
    method: Vec<MethodArg>,

    /// The time to judge validity at [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Time>,
}

impl CheckChainArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] if a file cannot be read, or the certificates are no chain.
    pub fn run(&self, ui: &Ui) -> Result<Outcome, Error> {
        let certificates = certificates(&self.files)?;
        let ordered =
            chain::order(&certificates).map_err(|error| Error::new(Kind::Unknown, error.to_string()))?;
        let methods: Vec<Method> = self.method.iter().map(|method| Method::from(*method)).collect();
        let report = chain::check(&ordered, &methods, self.at.unwrap_or_else(|| System.now()));
        if ui.is_json() {
            ui.json(&report);
        } else {
            print(&report, ui);
        }
        Ok(if report.is_sound() { Outcome::Done } else { Outcome::No })
    }
}

fn print(report: &Report, ui: &Ui) {
    for ca in &report.chain {
        let policies = match (&ca.policies, ca.is_root) {
            (Some(policies), _) => policies.join(", "),
            (None, true) => "no policies (a root needs none)".to_owned(),
            (None, false) => "no policies".to_owned(),
        };
        let path_len = ca.path_len.map_or(String::new(), |limit| format!(", pathLen {limit}"));
        ui.line(ca.subject.clone());
        ui.line(format!("    until {}{path_len}, {policies}", ca.not_after));
    }
    for finding in &report.findings {
        let (tone, word) = match finding.severity {
            Severity::Error => (Tone::Bad, "error"),
            Severity::Warning => (Tone::Caution, "warning"),
        };
        let subject = report.chain.iter().find(|ca| ca.fingerprint == finding.fingerprint);
        let subject = subject.map_or("", |ca| ca.subject.as_str());
        ui.line(format!("{} {}: {subject} {}", ui.tone(tone, word), finding.rule, finding.detail));
    }
    let allowed: Vec<String> =
        report.allowed.iter().map(|method| format!("{} ({})", method.title(), method.assurance())).collect();
    let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
    ui.line(format!("policies valid below the issuing CA: {allowed}"));
    if let Some(text) = report.capolicy_inf {
        ui.line("");
        ui.line("%SystemRoot%\\CAPolicy.inf, before the CA's certificate is requested anew:");
        ui.line("");
        text.lines().for_each(|line| ui.line(line));
        ui.hint(
            "if the new certificate lacks the extension all the same, the parent drops it: `certutil -dump -v` of the request, \
             and the parent's configuration",
        );
    }
}
