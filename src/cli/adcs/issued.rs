//! `adcs check-issued`: which assurance does this certificate carry, and is it believed?

use std::path::PathBuf;

use crate::adcs::issued;
use crate::cli::adcs::certificates;
use crate::cli::error::{Error, Kind, Outcome};
use crate::cli::ui::{Tone, Ui};
use crate::clock::{Clock, System};
use crate::time::Time;

/// Tell which attestation policies an issued certificate carries, and whether its chain lets a relying party believe them
///
/// Exits with 1 if it carries none, or with a chain if one is not believed.
#[derive(clap::Args, Debug)]
pub struct CheckIssuedArgs {
    /// The issued certificate
    #[arg(value_name = "CERT")]
    file: PathBuf,

    /// Certificates of the CAs above it, the root among them, in any order
    #[arg(long, value_name = "FILE")]
    chain: Vec<PathBuf>,

    /// The time to judge validity at [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Time>,
}

impl CheckIssuedArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] if a file cannot be read, or the certificate's policies are malformed.
    pub fn run(&self, ui: &Ui) -> Result<Outcome, Error> {
        let mut given = certificates(std::slice::from_ref(&self.file))?;
        let certificate = given.remove(0);
        let mut chain = certificates(&self.chain)?;
        // What came in the same file is its chain.
        chain.extend(given);
        let at = self.at.unwrap_or_else(|| System.now());
        let report = issued::check(&certificate, &chain, at)
            .map_err(|error| Error::new(Kind::Unknown, format!("{}: {error}", self.file.display())))?;
        if ui.is_json() {
            ui.json(&report);
        } else {
            ui.line(format!("{} {}", report.fingerprint, report.subject));
            for attestation in &report.attestations {
                let believed = match (attestation.believed, &attestation.why) {
                    (Some(true), _) => ui.tone(Tone::Good, "believed on this chain"),
                    (Some(false), why) => {
                        let why = why.as_deref().unwrap_or_default();
                        ui.tone(Tone::Bad, &format!("not believed: {why}"))
                    }
                    (None, _) => ui.tone(Tone::Caution, "whether it is believed was not checked (--chain)"),
                };
                ui.line(format!(
                    "  {:<6} {} ({}): {believed}",
                    attestation.assurance,
                    attestation.method.title(),
                    attestation.policy
                ));
            }
            if report.attestations.is_empty() {
                ui.line(ui.tone(Tone::Bad, "  it carries no attestation policy"));
            }
        }
        let refused = report.attestations.iter().any(|attestation| attestation.believed == Some(false));
        Ok(if refused || report.attestations.is_empty() { Outcome::No } else { Outcome::Done })
    }
}
