//! `adcs`: is this CA ready, did the import take, which assurance did it grant, what does this error mean?

mod chain;
mod explain;
mod issued;
mod plan;
mod stores;
mod template;

use std::path::PathBuf;

use clap::Subcommand;

use crate::adcs::Method;
use crate::cert::Certificate;
use crate::cert::container;
use crate::cli::Context;
use crate::cli::error::{Error, Kind, Outcome};
use crate::cli::ui::Ui;
use crate::file;

/// Check an AD CS issuing CA: its chain, its templates, what its stores really hold, what it issued; explain its errors
#[derive(clap::Args, Debug)]
pub struct AdcsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    CheckStores(stores::CheckStoresArgs),
    CheckTemplate(template::CheckTemplateArgs),
    CheckChain(chain::CheckChainArgs),
    CheckIssued(issued::CheckIssuedArgs),
    Explain(explain::ExplainArgs),
    Plan(plan::PlanArgs),
}

/// A way to attest, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum MethodArg {
    /// User credentials: low assurance
    User,
    /// Endorsement certificate: medium assurance
    Certificate,
    /// Endorsement key: high assurance
    Key,
}

impl From<MethodArg> for Method {
    fn from(method: MethodArg) -> Self {
        match method {
            MethodArg::User => Method::User,
            MethodArg::Certificate => Method::Certificate,
            MethodArg::Key => Method::Key,
        }
    }
}

impl AdcsArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] if something cannot be read.
    pub fn run(self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        match self.verb {
            Verb::CheckStores(args) => args.run(context, ui),
            Verb::CheckTemplate(args) => args.run(ui),
            Verb::CheckChain(args) => args.run(ui),
            Verb::CheckIssued(args) => args.run(ui),
            Verb::Explain(args) => args.run(ui),
            Verb::Plan(args) => args.run(context, ui),
        }
    }
}

/// Every certificate of these files, in DER, PEM or PKCS#7.
fn certificates(files: &[PathBuf]) -> Result<Vec<Certificate>, Error> {
    let mut certificates = Vec::new();
    for path in files {
        let bytes = file::read(path, file::CERTIFICATE_FILE_CAP)?;
        let wrong =
            |error: &dyn std::fmt::Display| Error::new(Kind::Unknown, format!("{}: {error}", path.display()));
        match container::read(&bytes) {
            Ok(found) => certificates.extend(found.into_iter().map(|found| found.certificate)),
            Err(error) => {
                let ders = crate::export::p7b::read(&bytes).map_err(|_| wrong(&error))?;
                for der in ders {
                    certificates.push(crate::cert::decode::certificate(&der).map_err(|error| wrong(&error))?);
                }
            }
        }
    }
    Ok(certificates)
}
