//! `--purpose`: whether AIK CAs are looked at too (T19).

use serde::Deserialize;

use crate::cli::Context;

/// What the certificates are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// EK certificates
    Ek,
    /// AIK certificates too
    Aik,
}

/// The option, for commands that leave AIK CAs aside unless asked.
#[derive(clap::Args, Debug)]
pub struct PurposeArgs {
    /// What the certificates are for; aik adds the AIK CAs [default: ek, or as the configuration says]
    #[arg(long = "purpose", value_enum, value_name = "PURPOSE")]
    purpose: Option<Purpose>,
}

impl PurposeArgs {
    /// What was asked for: on the command line, else in the configuration, else EK certificates.
    pub fn of(&self, context: &Context) -> Purpose {
        self.purpose.or(context.config.purpose).unwrap_or(Purpose::Ek)
    }
}
