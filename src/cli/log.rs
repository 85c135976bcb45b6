//! `log`: the record.

use clap::Subcommand;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::error::{Error, Kind, Outcome};
use crate::cli::ui::{Tone, Ui};
use crate::db;
use crate::fingerprint::{Digest, Fingerprint};
use crate::log::{Damage, Entry, Event, Fault};
use crate::store::record::State;
use crate::store::{StoreName, Stores};
use crate::sync::moves;

/// Show and check the log: everything seen and decided
#[derive(clap::Args, Debug)]
pub struct LogArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Show the events, oldest first; with --format json the entries as they are, without the certificates
    Show {
        /// Only the last N events
        #[arg(long, value_name = "N")]
        last: Option<usize>,
    },
    /// Tell what entered, left or moved between two generations of the stores
    Diff {
        /// The earlier generation
        #[arg(value_name = "FROM")]
        from: u64,
        /// The later generation [default: the current one]
        #[arg(value_name = "TO")]
        to: Option<u64>,
    },
    /// Check every line's checksum, the chain, and every certificate; exits with 1 if the log is damaged
    Verify,
}

#[derive(Serialize)]
struct Checked {
    sound: bool,
    events: u64,
    generation: u64,
    head: Option<Digest>,
    line: Option<u64>,
    byte: Option<u64>,
    fault: Option<String>,
}

impl LogArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] if the log cannot be read; for `show`, also if it is damaged.
    pub fn run(self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        match self.verb {
            Verb::Show { last } => {
                let log = context.database().log()?;
                let skip = last.map_or(0, |last| log.lines.len().saturating_sub(last));
                for line in &log.lines[skip..] {
                    if ui.is_json() {
                        ui.json(&without_certificates(&line.entry));
                    } else {
                        print(&line.entry, ui);
                    }
                }
                if log.lines.is_empty() {
                    ui.note("the log is empty");
                }
                Ok(Outcome::Done)
            }
            Verb::Diff { from, to } => diff(context, from, to, ui),
            Verb::Verify => verify(context, ui),
        }
    }
}

#[derive(Serialize)]
struct Difference<'a> {
    fingerprint: Fingerprint,
    subject: String,
    from: Option<StoreName>,
    to: Option<StoreName>,
    state: State,
    reason: Option<&'a str>,
}

fn diff(context: &Context, from: u64, to: Option<u64>, ui: &Ui) -> Result<Outcome, Error> {
    let log = context.database().log()?;
    let fold = |generation: u64| {
        let stores = Stores::at_generation(&log, generation)
            .map_err(|damage| Error::new(Kind::Unknown, format!("the log is damaged: {damage}")))?;
        stores.ok_or_else(|| {
            Error::new(Kind::No, format!("the store has no generation {generation} yet"))
                .with_hint("`ekstore status` tells the current one")
        })
    };
    let current = log.lines.iter().filter(|line| line.entry.event.changes_stores()).count() as u64;
    let (before, after) = (fold(from)?, fold(to.unwrap_or(current))?);
    let moves = moves(&before, &after);
    for moved in &moves {
        let record = after.record(moved.fingerprint).expect("moves are of known certificates");
        let row = Difference {
            fingerprint: moved.fingerprint,
            subject: record.certificate.subject().to_string(),
            from: moved.from,
            to: moved.to,
            state: after.state(record),
            reason: record.decisions.last().map(|decision| decision.reason.as_str()),
        };
        if ui.is_json() {
            ui.json(&row);
            continue;
        }
        let (sign, tone) = match (row.from, row.to) {
            (None, _) => ("+", Tone::Good),
            (_, None) => ("-", Tone::Bad),
            _ => ("~", Tone::Caution),
        };
        let place = |store: Option<StoreName>| store.map_or("-", StoreName::as_str);
        let because = row.reason.map_or(String::new(), |reason| format!(" ({}: {reason})", row.state));
        ui.line(format!(
            "{} {:<6} {:<6} {} {}{because}",
            ui.tone(tone, sign),
            place(row.from),
            place(row.to),
            &row.fingerprint.to_string()[..16],
            row.subject
        ));
    }
    ui.note(format!(
        "generation {} to {}: {} differences",
        before.generation(),
        after.generation(),
        moves.len()
    ));
    Ok(Outcome::Done)
}

fn verify(context: &Context, ui: &Ui) -> Result<Outcome, Error> {
    let result = context.database().log().and_then(|log| match Stores::fold(&log) {
        Ok(stores) => Ok((log, stores)),
        Err(damage) => Err(db::Error::Damaged { path: context.store.join("log.ndjson"), damage }),
    });
    match result {
        Ok((log, stores)) => {
            let checked = Checked {
                sound: true,
                events: stores.events(),
                generation: stores.generation(),
                head: Some(log.head()),
                line: None,
                byte: None,
                fault: None,
            };
            if ui.is_json() {
                ui.json(&checked);
            } else {
                ui.line(format!(
                    "sound: {} events, generation {}, {} certificates, head {}",
                    checked.events,
                    checked.generation,
                    stores.records().count(),
                    log.head()
                ));
            }
            if log.torn > 0 {
                ui.warning(format!(
                    "{} bytes follow that were never acknowledged; the next write sets them aside",
                    log.torn
                ));
            }
            Ok(Outcome::Done)
        }
        // A newer program's log is not damaged; it just cannot be judged here.
        Err(db::Error::Damaged { damage: Damage { line, offset, fault }, .. })
            if !matches!(fault, Fault::Newer(_)) =>
        {
            let checked = Checked {
                sound: false,
                events: line - 1,
                generation: 0,
                head: None,
                line: Some(line),
                byte: Some(offset),
                fault: Some(fault.to_string()),
            };
            if ui.is_json() {
                ui.json(&checked);
            } else {
                let damaged = ui.tone(Tone::Bad, "damaged");
                ui.line(format!("{damaged}: line {line} (byte {offset}): {fault}"));
                ui.line(format!("the {} events before it are sound", line - 1));
                ui.hint("restore the store from a copy");
            }
            Ok(Outcome::No)
        }
        Err(error) => Err(error.into()),
    }
}

/// An entry as it is, but for the DER of its certificates, which `show` prints.
fn without_certificates(entry: &Entry) -> Entry {
    let mut entry = entry.clone();
    if let Event::Seen { certificates } = &mut entry.event {
        certificates.iter_mut().for_each(|seen| seen.der = None);
    }
    if let Event::PackageTaken { certificates, .. } = &mut entry.event {
        certificates.iter_mut().for_each(|packaged| packaged.der = None);
    }
    entry
}

fn print(entry: &Entry, ui: &Ui) {
    ui.line(format!("{:>5}  {}  {}  {}", entry.n, entry.time, entry.actor, describe(&entry.event)));
    for fingerprint in certificates(&entry.event) {
        ui.line(format!("           {fingerprint}"));
    }
}

/// An event in words.
fn describe(event: &Event) -> String {
    match event {
        Event::Seen { certificates } => {
            let new = certificates.iter().filter(|seen| seen.der.is_some()).count();
            format!("saw {} certificates, {new} of them for the first time", certificates.len())
        }
        Event::PackageTaken { package, certificates, withdrawn } => {
            let new = certificates.iter().filter(|packaged| packaged.der.is_some()).count();
            let by = package.root_by_hand.as_ref();
            let by = by.map_or(String::new(), |reason| format!(", its root given by hand: {reason}"));
            format!(
                "took {} of {}, signed by {}: {} certificates, {new} of them for the first time, {} withdrawn{by}",
                package.source,
                package.edition,
                package.signer,
                certificates.len(),
                withdrawn.len()
            )
        }
        Event::PackageRefused { source, sha256, detail, .. } => {
            format!("refused {source}: {detail}, SHA-256 {sha256}")
        }
        Event::TrustPolicy { require } => format!("from here on approved by: {require}"),
        Event::Approved { anchor: false, reason, .. } => format!("approved: {reason}"),
        Event::Approved { anchor: true, reason, .. } => format!("approved as anchor: {reason}"),
        Event::Rejected { reason, .. } => format!("rejected: {reason}"),
        Event::Distrusted { keys, reason, .. } if keys.is_empty() => {
            format!("distrusted the certificate: {reason}")
        }
        Event::Distrusted { reason, .. } => format!("distrusted the key: {reason}"),
        Event::Reinstated { reason, .. } => format!("reinstated: {reason}"),
        Event::Drifted { source, actual, what, .. } => format!("drift at {source}: {what}, SHA-256 {actual}"),
        Event::FetchFailed { source, detail, .. } => format!("could not fetch {source}: {detail}"),
        Event::Recovered { source } => format!("{source} is sound again"),
        Event::EkpubAdded { keys, reason } => format!("listed {} endorsement keys: {reason}", keys.len()),
        Event::EkpubRemoved { keys, reason } => format!("unlisted {} endorsement keys: {reason}", keys.len()),
        Event::Exported { form, generation, count, manifest, .. } => {
            format!("exported generation {generation} as {form}: {count} certificates, SHA-256 {manifest}")
        }
        Event::TruncationAccepted { expected_events, reason, .. } => {
            format!("accepted the loss of events (the index had seen {expected_events}): {reason}")
        }
    }
}

/// The certificates a decision is about; a sighting of many names none here.
fn certificates(event: &Event) -> Vec<Fingerprint> {
    match event {
        Event::Approved { certificates, .. }
        | Event::Rejected { certificates, .. }
        | Event::Distrusted { certificates, .. }
        | Event::Reinstated { certificates, .. } => certificates.clone(),
        Event::Seen { certificates } if certificates.len() <= 8 => {
            certificates.iter().map(|seen| seen.fingerprint).collect()
        }
        _ => Vec::new(),
    }
}
