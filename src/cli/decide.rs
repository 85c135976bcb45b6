//! `approve`, `reject`, `distrust`, `reinstate`: the decisions.

use serde::Serialize;

use crate::cli::Context;
use crate::cli::error::{Error, Outcome};
use crate::cli::ui::Ui;
use crate::fingerprint::Fingerprint;
use crate::review::{self, Decision};
use crate::store::StoreName;
use crate::store::placement::Flag;
use crate::store::record::State;

/// Approve candidates: each goes where its signatures put it
///
/// A self-signed certificate goes to EKROOT, one that verifies under the stores to EKCA. What is rejected or distrusted
/// must be reinstated first.
#[derive(clap::Args, Debug)]
pub struct ApproveArgs {
    #[command(flatten)]
    which: Which,

    /// Let trust start in it although another CA issued it
    #[arg(long)]
    anchor: bool,
}

/// Reject certificates: they stay out, whatever a pin or package says
#[derive(clap::Args, Debug)]
pub struct RejectArgs {
    #[command(flatten)]
    which: Which,
}

/// Distrust the public key of certificates: everything with that key leaves the stores, now and later
///
/// What hangs only under it leaves with it.
#[derive(clap::Args, Debug)]
pub struct DistrustArgs {
    #[command(flatten)]
    which: Which,

    /// Not the key, only this certificate
    #[arg(long)]
    only_this_certificate: bool,
}

/// Take a rejection or distrust back: what approved the certificate before counts again
#[derive(clap::Args, Debug)]
pub struct ReinstateArgs {
    #[command(flatten)]
    which: Which,
}

#[derive(clap::Args, Debug)]
struct Which {
    /// Fingerprints (SHA-256), or their first 8 digits or more
    #[arg(required = true, value_name = "FINGERPRINT")]
    fingerprints: Vec<String>,

    /// Why; recorded in the log
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Serialize)]
struct Row {
    fingerprint: Fingerprint,
    subject: String,
    state: State,
    store: Option<StoreName>,
    flags: Vec<Flag>,
    changed: bool,
}

impl ApproveArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] about the first certificate that cannot be approved; none is then.
    pub fn run(self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        let decision = if self.anchor { Decision::ApproveAsAnchor } else { Decision::Approve };
        run(&self.which, decision, context, ui)
    }
}

impl RejectArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] about the first certificate that cannot be rejected; none is then.
    pub fn run(self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        run(&self.which, Decision::Reject, context, ui)
    }
}

impl DistrustArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] about the first certificate that cannot be distrusted; none is then.
    pub fn run(self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        let decision =
            if self.only_this_certificate { Decision::DistrustCertificate } else { Decision::DistrustKey };
        run(&self.which, decision, context, ui)
    }
}

impl ReinstateArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] about the first certificate that cannot be reinstated; none is then.
    pub fn run(self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        run(&self.which, Decision::Reinstate, context, ui)
    }
}

fn run(which: &Which, decision: Decision, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
    let decided =
        review::decide(context.database(), &context.author(), &which.fingerprints, decision, &which.reason)?;
    decided.receipt.notices.iter().for_each(|notice| ui.warning(notice));
    let stores = &decided.receipt.stores;
    for fingerprint in &decided.certificates {
        let record = stores.record(*fingerprint).expect("what was decided on is in the stores");
        let row = Row {
            fingerprint: *fingerprint,
            subject: record.certificate.subject().to_string(),
            state: stores.state(record),
            store: record.store(),
            flags: record.placement.flags.iter().copied().collect(),
            changed: !decided.unchanged.contains(fingerprint),
        };
        if ui.is_json() {
            ui.json(&row);
            continue;
        }
        let store = row.store.map_or("in no store".to_owned(), |store| format!("in {store}"));
        let already = if row.changed { "" } else { " already" };
        ui.line(format!("{}{already}, {store}: {fingerprint} {}", row.state, row.subject));
        for flag in &row.flags {
            ui.warning(format!("{flag}: {}", flag.explain()));
        }
    }
    for moved in &decided.moves {
        if !ui.is_json() && !decided.certificates.contains(&moved.fingerprint) {
            let place =
                |store: Option<StoreName>| store.map_or("no store".to_owned(), |store| store.to_string());
            ui.line(format!(
                "with it, from {} to {}: {}",
                place(moved.from),
                place(moved.to),
                moved.fingerprint
            ));
        }
    }
    Ok(Outcome::Done)
}
