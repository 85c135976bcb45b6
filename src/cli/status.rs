//! `status`: what is there, what waits, what drifts, what expires.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::Context;
use crate::cli::error::{Error, Outcome};
use crate::cli::ui::{Tone, Ui};
use crate::clock::{Clock, System};
use crate::db::Check;
use crate::fingerprint::Digest;
use crate::store::record::State;
use crate::store::{SourceState, StoreName};
use crate::time::Time;

/// Tell what is in the stores, what waits for a decision, what drifts or fails, and what expires
#[derive(clap::Args, Debug)]
pub struct StatusArgs {
    /// How many days ahead to look for what expires
    #[arg(long, value_name = "DAYS", default_value_t = 180)]
    expiring: u16,

    /// The time to look from [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Time>,
}

#[derive(Serialize)]
struct Status {
    generation: u64,
    events: u64,
    log_head: Digest,
    catalogue: Digest,
    ekroot: usize,
    ekca: usize,
    candidates: usize,
    rejected: usize,
    distrusted: usize,
    without_issuer: usize,
    expired: usize,
    expiring: usize,
    manufacturers: BTreeMap<String, Count>,
    drifting: Vec<SourceState>,
    failing: Vec<SourceState>,
    last_checked: Option<Time>,
}

#[derive(Default, Serialize)]
struct Count {
    ekroot: usize,
    ekca: usize,
}

impl StatusArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] if the store cannot be read.
    pub fn run(self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        let stores = context.database().load(Check::Quick)?;
        let now = self.at.unwrap_or_else(|| System.now());
        let soon = Time::from_unix(now.unix().saturating_add(i64::from(self.expiring) * 86_400));
        let mut manufacturers: BTreeMap<String, Count> = BTreeMap::new();
        for record in stores.records() {
            let Some(store) = record.store() else { continue };
            let vendor = stores.manufacturer(record).map_or_else(|| "-".to_owned(), ToString::to_string);
            let count = manufacturers.entry(vendor).or_default();
            match store {
                StoreName::Ekroot => count.ekroot += 1,
                StoreName::Ekca => count.ekca += 1,
            }
        }
        let in_state = |state| stores.records().filter(|record| stores.state(record) == state).count();
        let until = |check: &dyn Fn(Time) -> bool| {
            let stored = stores.records().filter(|record| record.store().is_some());
            stored.filter(|record| check(record.certificate.validity().not_after)).count()
        };
        let status = Status {
            generation: stores.generation(),
            events: stores.events(),
            log_head: stores.head(),
            catalogue: context.catalogue.digest(),
            ekroot: stores.members(StoreName::Ekroot).count(),
            ekca: stores.members(StoreName::Ekca).count(),
            candidates: in_state(State::Candidate),
            rejected: in_state(State::Rejected),
            distrusted: in_state(State::Distrusted),
            without_issuer: stores
                .records()
                .filter(|record| record.placement.flags.contains(&crate::store::placement::Flag::NoIssuer))
                .count(),
            expired: until(&|end| end < now),
            expiring: until(&|end| now <= end && end <= soon),
            manufacturers,
            drifting: stores.unsound_sources().filter(|source| !source.drift.is_empty()).cloned().collect(),
            failing: stores.unsound_sources().filter(|source| !source.failures.is_empty()).cloned().collect(),
            last_checked: context.database().notes().values().filter_map(|note| note.checked).max(),
        };
        if ui.is_json() {
            ui.json(&status);
        } else {
            self.print(&status, context, ui);
        }
        Ok(Outcome::Done)
    }

    fn print(&self, status: &Status, context: &Context, ui: &Ui) {
        ui.line(format!("store       {}", context.store.display()));
        ui.line(format!(
            "generation  {} ({} events, head {})",
            status.generation, status.events, status.log_head
        ));
        ui.line(format!("EKROOT      {}", status.ekroot));
        ui.line(format!("EKCA        {}", status.ekca));
        for (vendor, count) in &status.manufacturers {
            ui.line(format!("  {vendor:<4}      EKROOT {:>3}  EKCA {:>3}", count.ekroot, count.ekca));
        }
        let checked = status.last_checked.map_or("never".to_owned(), |time| time.to_string());
        ui.line(format!("last sync   {checked}"));
        for (number, tone, what) in [
            (status.candidates, Tone::Caution, "candidates wait for a decision: `ekstore review`"),
            (status.without_issuer, Tone::Caution, "approved without an issuer in the stores, so in none"),
            (status.rejected, Tone::Dim, "rejected"),
            (status.distrusted, Tone::Dim, "distrusted"),
            (status.expired, Tone::Caution, "in the stores are expired"),
        ] {
            if number > 0 {
                ui.line(ui.tone(tone, &format!("{number} {what}")));
            }
        }
        if status.expiring > 0 {
            let line = format!("{} in the stores expire within {} days", status.expiring, self.expiring);
            ui.line(ui.tone(Tone::Caution, &line));
        }
        for (states, tone, what) in
            [(&status.drifting, Tone::Bad, "drifting"), (&status.failing, Tone::Caution, "failing")]
        {
            for state in states {
                let Some(source) = &state.source else { continue };
                let kinds: Vec<&str> = state.failures.iter().map(String::as_str).collect();
                ui.line(format!("{} {source} {} {}", ui.tone(tone, what), source.url, kinds.join(", ")));
            }
        }
    }
}
