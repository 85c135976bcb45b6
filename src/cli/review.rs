//! `review`: what waits for a decision.

use crate::cli::Context;
use crate::cli::error::{Error, Outcome};
use crate::cli::list::Row;
use crate::cli::purpose::{self, PurposeArgs};
use crate::cli::ui::{Tone, Ui};
use crate::db::Check;
use crate::log::{Origin, PackageRoot, Standing};
use crate::store::placement::Flag;
use crate::store::record::{Purpose, Record, State};
use crate::store::{StoreName, Stores};

/// Show what waits for a decision: candidates, where each would go, and what a package withdrew
#[derive(clap::Args, Debug)]
pub struct ReviewArgs {
    #[command(flatten)]
    purpose: PurposeArgs,
}

impl ReviewArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] if the store cannot be read.
    pub fn run(self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        let stores = context.database().load(Check::Quick)?;
        let purpose = self.purpose.of(context);
        let waits = |record: &&Record| {
            let asked =
                stores.state(record) == State::Candidate || record.placement.flags.contains(&Flag::Withdrawn);
            asked && (purpose == purpose::Purpose::Aik || record.placement.purpose != Purpose::Aik)
        };
        let waiting: Vec<&Record> = stores.records().filter(waits).collect();
        for record in &waiting {
            let row = Row::new(&stores, record);
            if ui.is_json() {
                ui.json(&row);
                continue;
            }
            ui.line(format!("{}  {}", row.fingerprint, row.subject));
            ui.line(format!("    issuer    {}", row.issuer));
            ui.line(format!("    validity  {} to {}, {}", row.not_before, row.not_after, row.key));
            for sighting in &record.sightings {
                ui.line(format!(
                    "    seen      {} by {}: {}",
                    sighting.time,
                    sighting.actor,
                    origin(&sighting.origin)
                ));
            }
            match record.open_withdrawal() {
                Some(withdrawal) => {
                    let reason = withdrawal.reason.as_deref().unwrap_or("without a reason");
                    let line = format!(
                        "    question  withdrawn in the edition of {}, {reason}; in {} until you decide",
                        withdrawal.edition,
                        row.store.map_or("no store", StoreName::as_str)
                    );
                    ui.line(ui.tone(Tone::Caution, &line));
                }
                None => ui.line(format!("    approved, it would go to {}", destination(&stores, record))),
            }
            if !row.quirks.is_empty() {
                let quirks: Vec<String> = row.quirks.iter().map(|quirk| quirk.code()).collect();
                ui.line(format!("    quirks    {}", quirks.join(", ")));
            }
        }
        let aside = stores
            .records()
            .filter(|record| record.placement.purpose == Purpose::Aik && asks(&stores, record))
            .count();
        if purpose == purpose::Purpose::Ek && aside > 0 {
            ui.note(format!("{aside} AIK CAs wait too: `ekstore review --purpose aik`"));
        }
        if waiting.is_empty() {
            ui.note("nothing waits for a decision");
        } else {
            ui.hint("`ekstore approve FINGERPRINT --reason TEXT`, or `ekstore reject`");
        }
        Ok(Outcome::Done)
    }
}

/// Whether a reviewer is asked about a record.
fn asks(stores: &Stores, record: &Record) -> bool {
    stores.state(record) == State::Candidate || record.placement.flags.contains(&Flag::Withdrawn)
}

/// An origin in words.
pub fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Source { source, standing, transport, .. } => {
            let standing = match standing {
                Standing::Pinned => "as pinned",
                Standing::EarlierCertificate => "an earlier certificate",
                Standing::ReIssuedSameKey => "re-issued with the same key",
            };
            format!("{source} at {} by {transport}, {standing}", source.url)
        }
        Origin::Aia { url, transport, .. } => {
            format!("authority information of a certificate: {url} by {transport}")
        }
        Origin::Package { source, edition, members, root, withdrawn, .. } => {
            let root = match root {
                PackageRoot::Pinned => "",
                PackageRoot::ByHand => ", its root given by hand",
            };
            let withdrawn = withdrawn.as_ref().map_or(String::new(), |withdrawal| {
                let reason =
                    withdrawal.reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"));
                format!(", withdrawn in {}{reason}", withdrawal.edition)
            });
            format!("{source} of {edition}{root}, member {}{withdrawn}", members.join(", "))
        }
        Origin::File { file, .. } => format!("file {file:?}"),
    }
}

fn destination(stores: &Stores, record: &Record) -> String {
    let certificate = &record.certificate;
    if certificate.is_self_issued() {
        return StoreName::Ekroot.to_string();
    }
    match stores.verifying_issuers(certificate, |issuer| issuer.store().is_some()) {
        Some(issuer) => format!("{}, under {}", StoreName::Ekca, issuer.certificate.subject()),
        None => "no store: nothing in the stores issued it".to_owned(),
    }
}
