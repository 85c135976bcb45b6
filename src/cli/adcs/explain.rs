//! `adcs explain`: what does this error mean?

use crate::adcs::hresult;
use crate::cli::error::{Error, Outcome};
use crate::cli::ui::Ui;

/// Explain an error of key attestation: a code (0x80094817, -2146875369), a symbol, or any text with one in it
#[derive(clap::Args, Debug)]
pub struct ExplainArgs {
    /// The code, the symbol, or the text of an event or a failed request
    #[arg(required = true, value_name = "CODE|TEXT", allow_hyphen_values = true)]
    text: Vec<String>,
}

impl ExplainArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// None; the signature is that of its siblings.
    #[expect(clippy::unnecessary_wraps, reason = "as its siblings")]
    pub fn run(&self, ui: &Ui) -> Result<Outcome, Error> {
        let found = hresult::explain(&self.text.join(" "));
        for entry in &found {
            if ui.is_json() {
                ui.json(entry);
                continue;
            }
            ui.line(format!("0x{:08X} {}", entry.code, entry.symbol));
            ui.line(format!("  {}", entry.cause));
            entry.next.iter().for_each(|next| ui.line(format!("  - {next}")));
        }
        if found.is_empty() {
            ui.note("no error of key attestation is named there");
            ui.hint(format!(
                "known are {}",
                hresult::TABLE.map(|entry| format!("0x{:08X}", entry.code)).join(", ")
            ));
            return Ok(Outcome::No);
        }
        Ok(Outcome::Done)
    }
}
