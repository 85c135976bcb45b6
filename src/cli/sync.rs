//! `sync`: fetch what the manufacturers publish.

pub mod package;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::cli::Context;
use crate::cli::error::{Error, Kind, Outcome};
use crate::cli::network::{NetworkArgs, runtime};
use crate::cli::sync::package::PackageArgs;
use crate::cli::ui::{Tone, Ui};
use crate::clock::{Clock, System};
use crate::crls::{self, CrlReport};
use crate::fetch::Limits;
use crate::log::SourceName;
use crate::store::StoreName;
use crate::sync::{self, Outcome as SourceOutcome, PackageOutcome, Report};
use crate::vendor::VendorId;

/// Fetch every source of the catalogue, hold it against its pin, and record what is new
///
/// What matches its pin is approved on the catalogue's authority. A re-issue with the same key becomes a candidate.
/// Anything else is drift: it is dropped and reported, and what was trusted stays trusted. Signed packages are taken
/// only if signature, time stamp and edition hold; with --package from a file, without any network.
///
/// Exits with 1 as long as a source drifts or a package is refused, with 3 if sources could not be fetched.
#[derive(clap::Args, Debug)]
pub struct SyncArgs {
    /// Only these manufacturers
    #[arg(long, value_name = "ID")]
    vendor: Vec<VendorId>,

    #[command(flatten)]
    network: NetworkArgs,

    #[command(flatten)]
    package: PackageArgs,

    /// Also fetch the CRLs that the CAs in the stores name, and keep the good ones for `verify`
    #[arg(long)]
    crls: bool,

    /// How many requests at one time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
}

#[derive(Serialize)]
struct Summary<'a> {
    /// Tells this last line from those about sources.
    outcome: &'static str,
    generation: u64,
    events_appended: usize,
    pinned: usize,
    new: usize,
    earlier_certificate: usize,
    re_issued_same_key: usize,
    drifted: usize,
    failed: usize,
    absent: usize,
    ekroot: usize,
    ekca: usize,
    moves: &'a [sync::Move],
}

impl SyncArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] if the store cannot be read or written, or the network not be used at all.
    pub fn run(self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        apply_policy(context, ui)?;
        if let Some(path) = &self.package.package {
            return self.package.run(path, context, ui);
        }
        for id in &self.vendor {
            if context.catalogue.vendor(id).is_none() {
                return Err(Error::new(Kind::Usage, format!("the catalogue has no manufacturer {id}"))
                    .with_hint("`ekstore vendors list` shows them"));
            }
        }
        let is_mirror = self.network.is_mirror();
        let transport = self.network.transport()?;
        let limits = Limits { total: self.jobs.into(), ..Limits::default() };
        let runtime = runtime()?;
        let bar = ui.progress();
        let report = runtime.block_on(sync::run(
            &context.catalogue,
            &self.vendor,
            Arc::clone(&transport),
            limits,
            context.database(),
            &context.author(),
            &bar,
        ))?;
        drop(bar);
        print(&report, context, ui);
        let mut outcome = outcome(&report, is_mirror);
        if self.crls {
            let work = crls::sync(&report.stores, &context.store, transport, limits, System.now());
            let reports = runtime.block_on(work);
            print_crls(&reports, ui);
            // A CRL that is missing changes no trust; that it could not be fetched is said, and counts as such.
            if reports.iter().any(|report| !report.current) && outcome == Outcome::Done && !is_mirror {
                outcome = Outcome::Unknown;
            }
        }
        Ok(outcome)
    }
}

/// Records the configuration's policy about what suffices for approval, if the log has another.
fn apply_policy(context: &Context, ui: &Ui) -> Result<(), Error> {
    let Some(require) = context.config.trust.require else { return Ok(()) };
    let before = context.database().load(crate::db::Check::Quick)?;
    if before.require() == require {
        return Ok(());
    }
    if let Some(receipt) = sync::set_policy(context.database(), &context.author(), require)? {
        ui.note(format!("from here on approved by: {require} (was {})", before.require()));
        print_moves(&sync::moves(&before, &receipt.stores), ui);
    }
    Ok(())
}

fn print_moves(moves: &[sync::Move], ui: &Ui) {
    if ui.is_json() {
        return;
    }
    for moved in moves.iter().filter(|moved| moved.from.is_some()) {
        let place = |store: Option<StoreName>| store.map_or("no store".to_owned(), |store| store.to_string());
        ui.line(format!("moved     {} from {} to {}", moved.fingerprint, place(moved.from), place(moved.to)));
    }
}

fn outcome(report: &Report, is_mirror: bool) -> Outcome {
    let package =
        |kind: fn(&PackageOutcome) -> bool| report.packages.iter().any(|report| kind(&report.outcome));
    let drifted = report.count(|outcome| matches!(outcome, SourceOutcome::Drifted { .. })) > 0
        || package(|outcome| matches!(outcome, PackageOutcome::Refused(_)));
    let failed = report.count(|outcome| matches!(outcome, SourceOutcome::Failed { .. })) > 0
        || package(|outcome| matches!(outcome, PackageOutcome::Failed { .. }));
    let absent = report.count(|outcome| matches!(outcome, SourceOutcome::Absent));
    // A mirror that has nothing at all is the wrong folder, not a quiet day.
    let nothing = is_mirror
        && !report.sources.is_empty()
        && absent == report.sources.len()
        && !package(|outcome| matches!(outcome, PackageOutcome::Taken(_)));
    if drifted {
        Outcome::No
    } else if failed || nothing {
        Outcome::Unknown
    } else {
        Outcome::Done
    }
}

fn print(report: &Report, context: &Context, ui: &Ui) {
    for notice in &report.notices {
        ui.warning(notice);
    }
    let count = |kind: fn(&SourceOutcome) -> bool| report.count(kind);
    let summary = Summary {
        outcome: "summary",
        generation: report.stores.generation(),
        events_appended: report.appended,
        pinned: count(|outcome| matches!(outcome, SourceOutcome::Pinned { .. })),
        new: count(|outcome| matches!(outcome, SourceOutcome::Pinned { new: true, .. })),
        earlier_certificate: count(|outcome| matches!(outcome, SourceOutcome::EarlierCertificate { .. })),
        re_issued_same_key: count(|outcome| matches!(outcome, SourceOutcome::ReIssuedSameKey { .. })),
        drifted: count(|outcome| matches!(outcome, SourceOutcome::Drifted { .. })),
        failed: count(|outcome| matches!(outcome, SourceOutcome::Failed { .. })),
        absent: count(|outcome| matches!(outcome, SourceOutcome::Absent)),
        ekroot: report.stores.members(StoreName::Ekroot).count(),
        ekca: report.stores.members(StoreName::Ekca).count(),
        moves: &report.moves,
    };
    let print_packages = || {
        for package in &report.packages {
            let known = context.catalogue.packages().find(|(_, entry)| entry.url == package.source.url);
            package::print(package, known.map(|(_, entry)| entry.edition), ui);
        }
    };
    if ui.is_json() {
        report.sources.iter().for_each(|source| ui.json(source));
        print_packages();
        ui.json(&summary);
        return;
    }
    for source in &report.sources {
        if let Some(line) = describe(&source.source, &source.outcome, ui) {
            ui.line(line);
        }
        if let Some(state) = source.refused {
            ui.line(format!(
                "{}  {}: what it serves is {state} by a reviewer; that stands",
                ui.tone(Tone::Caution, "refused"),
                source.source
            ));
        }
    }
    print_failures(report, ui);
    print_packages();
    print_moves(&report.moves, ui);
    let mut parts = vec![format!("{} as pinned ({} new)", summary.pinned, summary.new)];
    for (number, what) in [
        (summary.earlier_certificate, "earlier certificate"),
        (summary.re_issued_same_key, "re-issued with the same key"),
        (summary.drifted, "drifted"),
        (summary.failed, "failed"),
        (summary.absent, "absent from the mirror"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    ui.line(format!("{} sources: {}", report.sources.len(), parts.join(", ")));
    ui.line(format!("generation {}: EKROOT {}, EKCA {}", summary.generation, summary.ekroot, summary.ekca));
    if summary.re_issued_same_key > 0 {
        ui.hint("`ekstore review` shows the candidates");
    }
}

fn describe(source: &SourceName, outcome: &SourceOutcome, ui: &Ui) -> Option<String> {
    Some(match outcome {
        SourceOutcome::Pinned { .. } => {
            ui.detail(format!("as pinned {source}"));
            return None;
        }
        SourceOutcome::Absent => {
            ui.detail(format!("absent    {source}: not in the mirror"));
            return None;
        }
        SourceOutcome::EarlierCertificate { fingerprint } => {
            format!("{}   {source}: an earlier certificate, {fingerprint}", ui.tone(Tone::Caution, "earlier"))
        }
        SourceOutcome::ReIssuedSameKey { fingerprint } => format!(
            "{} {source}: re-issued with the same key, now a candidate: {fingerprint}",
            ui.tone(Tone::Caution, "re-issued")
        ),
        SourceOutcome::Drifted { pinned, actual, what } => format!(
            "{}   {source}: {what}\n          pinned {pinned}\n          served {actual}\n          {}",
            ui.tone(Tone::Bad, "drifted"),
            source.url
        ),
        SourceOutcome::Failed { .. } => return None,
    })
}

fn print_crls(reports: &[CrlReport], ui: &Ui) {
    if ui.is_json() {
        reports.iter().for_each(|report| ui.json(report));
        return;
    }
    for report in reports {
        let revoked = report.revoked.map_or("none at hand".to_owned(), |count| format!("{count} revoked"));
        let until = report.next_update.map_or(String::new(), |next| format!(", until {next}"));
        let failure = report.failure.as_ref().map_or(String::new(), |failure| format!(" ({failure})"));
        let line = format!("CRL       {}: {revoked}{until}{failure}", report.crl);
        if report.current { ui.detail(line) } else { ui.line(line) }
    }
    let current = reports.iter().filter(|report| report.current).count();
    ui.line(format!("{} CRLs named by the stores, {current} current", reports.len()));
}

/// Prints the failures, those of one host with one cause together: a site that is down is one line, not ninety.
fn print_failures(report: &Report, ui: &Ui) {
    let mut groups: BTreeMap<(&str, &str), Vec<&SourceName>> = BTreeMap::new();
    for source in &report.sources {
        if let SourceOutcome::Failed { detail, .. } = &source.outcome {
            let host = source.source.url.host_str().unwrap_or_default();
            groups.entry((host, detail)).or_default().push(&source.source);
        }
    }
    for ((host, detail), sources) in groups {
        let failed = ui.tone(Tone::Bad, "failed");
        match sources[..] {
            [source] => ui.line(format!("{failed}    {source}: {detail}\n          {}", source.url)),
            ref several => {
                ui.line(format!("{failed}    {} sources at {host}: {detail}", several.len()));
                several.iter().for_each(|source| ui.detail(format!("failed    {source} {}", source.url)));
            }
        }
    }
}
