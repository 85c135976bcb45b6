//! `status`: what is there, what waits, what drifts, what expires.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::Context;
use crate::cli::error::{Error, Outcome};
use crate::cli::ui::{Tone, Ui};
use crate::clock::{Clock, System};
use crate::db::Check;
use crate::fingerprint::Digest;
use crate::gaps::{self, Gaps};
use crate::log::{Require, TakenPackage};
use crate::store::census::{self, Count};
use crate::store::placement::Flag;
use crate::store::record::State;
use crate::store::{SourceState, StoreName, Stores};
use crate::time::Time;
use crate::vendor::VendorId;

/// Tell what is in the stores, what waits for a decision, what drifts or fails, and what expires
#[derive(clap::Args, Debug)]
pub struct StatusArgs {
    /// How many days ahead to look for what expires
    #[arg(long, value_name = "DAYS", default_value_t = 180)]
    expiring: u16,

    /// The time to look from [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Time>,

    /// Tell what is missing: issuers, EK CAs that nobody publishes, manufacturers without a source, silent sources
    #[arg(long)]
    gaps: bool,

    /// After how many days without a sound answer a source counts as silent
    #[arg(long, value_name = "DAYS", default_value_t = 30, requires = "gaps")]
    silent: u16,
}

#[derive(Serialize)]
struct Status<'a> {
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
    aik: usize,
    withdrawn: usize,
    approved_by: Require,
    packages: Vec<&'a TakenPackage>,
    manufacturers: BTreeMap<String, Count>,
    drifting: Vec<SourceState>,
    failing: Vec<SourceState>,
    last_checked: Option<Time>,
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
        if self.gaps {
            return Ok(self.gaps(&stores, now, context, ui));
        }
        let soon = Time::from_unix(now.unix().saturating_add(i64::from(self.expiring) * 86_400));
        let manufacturers = census::by_manufacturer(&stores, now);
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
            without_issuer: manufacturers.values().map(|count| count.orphans).sum(),
            aik: manufacturers.values().map(|count| count.aik).sum(),
            withdrawn: stores
                .records()
                .filter(|record| record.placement.flags.contains(&Flag::Withdrawn))
                .count(),
            approved_by: stores.require(),
            packages: stores.packages().collect(),
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

    fn print(&self, status: &Status<'_>, context: &Context, ui: &Ui) {
        ui.line(format!("store       {}", context.store.display()));
        ui.line(format!(
            "generation  {} ({} events, head {})",
            status.generation, status.events, status.log_head
        ));
        ui.line(format!("EKROOT      {}", status.ekroot));
        ui.line(format!("EKCA        {}", status.ekca));
        if status.aik > 0 {
            ui.line(format!("AIK CAs     {} (kept aside)", status.aik));
        }
        if !status.manufacturers.is_empty() {
            let head = "  TPM   EKROOT  EKCA  ORPHANS  1 SOURCE  2 OR MORE  EXPIRED  SHA-1";
            ui.line(ui.tone(Tone::Dim, head));
        }
        for (vendor, count) in &status.manufacturers {
            ui.line(format!(
                "  {vendor:<4}  {:>6}  {:>4}  {:>7}  {:>8}  {:>9}  {:>7}  {:>5}",
                count.ekroot,
                count.ekca,
                count.orphans,
                count.one_source,
                count.several_sources,
                count.expired,
                count.sha1
            ));
        }
        for package in &status.packages {
            let signed = package.signed.map_or(String::new(), |time| format!(", signed {time}"));
            ui.line(format!("package     {} of {}{signed}", package.source, package.edition));
        }
        if status.approved_by != Require::Any {
            ui.line(format!("approved by {}", status.approved_by));
        }
        let checked = status.last_checked.map_or("never".to_owned(), |time| time.to_string());
        ui.line(format!("last sync   {checked}"));
        for (number, tone, what) in [
            (status.candidates, Tone::Caution, "candidates wait for a decision: `ekstore review`"),
            (status.withdrawn, Tone::Caution, "withdrawn by a package wait for a decision: `ekstore review`"),
            (
                status.without_issuer,
                Tone::Caution,
                "approved without an issuer in the stores, so in none: `ekstore status --gaps`",
            ),
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

    fn gaps(&self, stores: &Stores, now: Time, context: &Context, ui: &Ui) -> Outcome {
        let since = Time::from_unix(now.unix().saturating_sub(i64::from(self.silent) * 86_400));
        let notes = context.database().notes();
        let answers = notes.into_iter().filter_map(|(url, note)| Some((url, note.sound?))).collect();
        let gaps = gaps::find(stores, &context.catalogue, &answers, since);
        if ui.is_json() {
            ui.json(&gaps);
        } else {
            print_gaps(&gaps, self.silent, ui);
        }
        Outcome::Done
    }
}

fn print_gaps(gaps: &Gaps, silent_days: u16, ui: &Ui) {
    let title = |count: usize, what: &str| {
        let tone = if count == 0 { Tone::Good } else { Tone::Caution };
        ui.line(ui.tone(tone, &format!("{count} {what}")));
    };
    title(gaps.orphans.len(), "CAs without an issuer in the stores");
    for orphan in &gaps.orphans {
        let vendor = orphan.manufacturer.as_ref().map_or("-", VendorId::as_str);
        ui.line(format!("  {vendor:<4} {} {}", &orphan.fingerprint.to_string()[..16], orphan.subject));
        let key = orphan.authority_key_id.as_ref().map_or(String::new(), |id| format!(", key id {id}"));
        ui.line(format!("       needs {}{key}", orphan.missing_issuer));
        if let Some((fingerprint, state)) = &orphan.known_issuer {
            ui.line(format!("       its issuer {fingerprint} is {state}"));
        }
        orphan.published_at.iter().for_each(|url| ui.line(format!("       at {url}")));
    }
    title(gaps.known_to_microsoft_only.len(), "EK CAs that Microsoft has AIK CAs for, and no source has");
    for ca in &gaps.known_to_microsoft_only {
        let id = ca.key_id.map(|id| format!("key id {id}"));
        let id = id.or_else(|| ca.name_id.map(|id| format!("SHA-1 of the subject {id}"))).unwrap_or_default();
        ui.line(format!("  {:<4} {id} ({} AIK CAs)", ca.manufacturer, ca.aik_cas));
    }
    title(gaps.manufacturers_without_source.len(), "manufacturers of the TCG registry without a source");
    for manufacturer in &gaps.manufacturers_without_source {
        ui.line(format!("  {:<4} {}", manufacturer.id, manufacturer.name));
    }
    let silent = format!("sources without a sound answer for {silent_days} days");
    title(gaps.silent_sources.len(), &silent);
    for source in &gaps.silent_sources {
        let last = source.last_sound.map_or("never".to_owned(), |time| time.to_string());
        ui.line(format!("  {:<4} {last:<20}  {:?} {}", source.vendor, source.name, source.url));
    }
}
