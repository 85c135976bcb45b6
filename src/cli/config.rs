//! The configuration file: what the command line does not say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cli::error::{Error, Kind};
use crate::cli::purpose::Purpose;
use crate::file;
use crate::log::Require;
use crate::vendor::VendorId;
use crate::verify::profile::{RULES, Severity};

/// The content of the file given with `--config`. Options on the command line outrank it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The store's folder.
    pub store: Option<PathBuf>,
    /// The catalogue's folder.
    pub catalogue: Option<PathBuf>,
    /// Who acts.
    pub actor: Option<String>,
    /// Whether AIK CAs are exported and reviewed too.
    pub purpose: Option<Purpose>,
    /// What suffices to be trusted.
    #[serde(default)]
    pub trust: TrustConfig,
    /// How `verify` judges.
    #[serde(default)]
    pub verify: VerifyConfig,
}

/// What suffices to be trusted. It takes effect, for everyone who uses the store, when a `sync` records it in the log.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrustConfig {
    /// `any`, `pin`, `package` or `two-sources`.
    pub require: Option<Require>,
}

/// How `verify` judges.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct VerifyConfig {
    /// `sha1`, under anchors that the catalogue marks.
    #[serde(default)]
    pub allow: Vec<String>,
    /// `now`, `issuance`, or a time.
    pub at: Option<String>,
    /// `off`, `soft`, `require` or `require-all`.
    pub revocation: Option<String>,
    /// The manufacturers that are accepted.
    #[serde(default)]
    pub manufacturers: Vec<VendorId>,
    /// Whether a CA's extKeyUsage must cover EK certificates.
    #[serde(default)]
    pub eku_nesting: bool,
    /// The severity of rules of the profile, by id.
    #[serde(default)]
    pub severity: BTreeMap<String, Severity>,
}

/// The most that is read of it: 1 MiB.
const CAP: u64 = 1 << 20;

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`Error`] if it cannot be read, has a key that is not known, or names a rule that does not exist.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = file::read(path, CAP)?;
        let wrong = |why: String| Error::new(Kind::Usage, format!("{}: {why}", path.display()));
        let text = String::from_utf8(bytes).map_err(|_| wrong("not UTF-8".to_owned()))?;
        let config: Self = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        for id in config.verify.severity.keys() {
            check_rule(id).map_err(wrong)?;
        }
        Ok(config)
    }
}

/// Checks that the EK profile has a rule with this id.
///
/// # Errors
///
/// A message if it has none.
pub fn check_rule(id: &str) -> Result<(), String> {
    if RULES.iter().any(|rule| rule.id == id) {
        Ok(())
    } else {
        Err(format!("{id:?} is not a rule of the EK profile; docs/verdicts.md lists them"))
    }
}
