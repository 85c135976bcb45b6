//! `add`: bring certificates in by hand.

use std::path::PathBuf;

use serde::Serialize;

use crate::cert::container;
use crate::cli::Context;
use crate::cli::error::{Error, Kind, Outcome};
use crate::cli::ui::Ui;
use crate::file;
use crate::fingerprint::Fingerprint;
use crate::log::Origin;
use crate::review;
use crate::store::record::{Purpose, State};
use crate::vendor::VendorId;

/// Bring certificates in by hand, as candidates
///
/// They reach EKROOT and EKCA only when they are approved. DER and PEM are read, several certificates a file.
/// If one file cannot be read, none is added.
#[derive(clap::Args, Debug)]
pub struct AddArgs {
    /// Files with certificates
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The manufacturer they belong to
    #[arg(long, value_name = "ID")]
    vendor: Option<VendorId>,
}

#[derive(Serialize)]
struct Row {
    fingerprint: Fingerprint,
    subject: String,
    state: State,
    new: bool,
}

impl AddArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] if a file holds no certificate, or the store cannot be written.
    pub fn run(self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        if let Some(vendor) = self.vendor.as_ref().filter(|vendor| vendor.registered().is_none()) {
            ui.warning(format!("{vendor} is not in the TCG registry"));
        }
        let mut found = Vec::new();
        for path in &self.files {
            let bytes = file::read(path, file::CERTIFICATE_FILE_CAP)?;
            let certificates = container::read(&bytes)
                .map_err(|error| Error::new(Kind::Unknown, format!("{}: {error}", path.display())))?;
            let name = path.to_string_lossy().into_owned();
            found.extend(certificates.into_iter().map(|found| {
                let statement = context.catalogue.statement(found.certificate.fingerprint());
                let role = statement.map(|statement| statement.role);
                (Origin::File { file: name.clone(), vendor: self.vendor.clone(), role }, found)
            }));
        }
        let added = review::add(context.database(), &context.author(), &found)?;
        added.receipt.notices.iter().for_each(|notice| ui.warning(notice));
        let stores = &added.receipt.stores;
        let mut candidates = 0;
        for (fingerprint, new) in added.certificates {
            let record = stores.record(fingerprint).expect("what was just added is in the stores");
            let state = stores.state(record);
            candidates += usize::from(state == State::Candidate);
            let subject = record.certificate.subject().to_string();
            if record.placement.purpose == Purpose::PackageSigner {
                ui.warning(format!(
                    "{subject} signs packages, and is trusted for nothing else, also if approved"
                ));
            }
            if ui.is_json() {
                ui.json(&Row { fingerprint, subject, state, new });
            } else {
                ui.line(format!("{} {fingerprint} {subject}", if new { "added" } else { "known" }));
                ui.line(format!("      {state}"));
            }
        }
        if candidates > 0 {
            ui.hint("candidates are not trusted; `ekstore approve FINGERPRINT --reason TEXT` decides");
        }
        Ok(Outcome::Done)
    }
}
