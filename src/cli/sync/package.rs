//! `sync`, signed packages: one from disk, and what is printed about any.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cert::Certificate;
use crate::cert::container;
use crate::cli::Context;
use crate::cli::error::{Error, Kind, Outcome};
use crate::cli::ui::{Tone, Ui};
use crate::file;
use crate::fingerprint::Fingerprint;
use crate::log::{SourceName, TakenPackage};
use crate::package::PACKAGE_CAP;
use crate::package::comparison::{Comparison, Disagreement};
use crate::store::{StoreName, Stores};
use crate::sync::package::{Allowances, InventoryReport, Offered, Refusal, Taken, take};
use crate::sync::{self, Move, PackageOutcome, PackageReport};

/// A signed package from disk.
#[derive(clap::Args, Debug)]
pub struct PackageArgs {
    /// Take this signed package (TrustedTpm.cab), and nothing else; needs no network
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["vendor", "mirror", "resolve", "cacert", "crls"],
        help_heading = "Signed package"
    )]
    pub package: Option<PathBuf>,

    /// A root that signs the package, if the store has none yet: DER or PEM; it must match the catalogue's pin
    #[arg(long, value_name = "FILE", requires = "package", help_heading = "Signed package")]
    package_root: Vec<PathBuf>,

    /// Believe roots that the catalogue does not pin; all certificates of the package become candidates
    #[arg(
        long,
        value_name = "REASON",
        requires = "package",
        requires = "package_root",
        help_heading = "Signed package"
    )]
    trust_package_root: Option<String>,

    /// Take a first edition that is older than the catalogue's oldest
    #[arg(long, value_name = "REASON", requires = "package", help_heading = "Signed package")]
    accept_old_edition: Option<String>,
}

/// The JSON of a package that was taken.
#[derive(Serialize)]
struct TakenRow<'a> {
    outcome: &'static str,
    #[serde(flatten)]
    named: &'a SourceName,
    #[serde(flatten)]
    package: &'a TakenPackage,
    #[serde(flatten)]
    inventory: &'a InventoryReport,
    comparison: Option<&'a Comparison>,
}

/// The JSON of a package that was not.
#[derive(Serialize)]
struct OtherRow<'a> {
    outcome: &'static str,
    #[serde(flatten)]
    source: &'a SourceName,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// The JSON line at the end of `sync --package`.
#[derive(Serialize)]
struct Summary<'a> {
    outcome: &'static str,
    generation: u64,
    events_appended: usize,
    ekroot: usize,
    ekca: usize,
    moves: &'a [Move],
}

impl PackageArgs {
    /// Takes the package in `path`.
    ///
    /// # Errors
    ///
    /// [`Error`] if a file or the store cannot be read or written, or there is no root to check it with.
    pub fn run(&self, path: &Path, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        for reason in [&self.trust_package_root, &self.accept_old_edition].into_iter().flatten() {
            if reason.trim().is_empty() {
                return Err(Error::new(Kind::Usage, "a reason must not be empty"));
            }
        }
        let bytes = file::read(path, PACKAGE_CAP)?;
        let Some((vendor, entry)) = context.catalogue.packages().next() else {
            return Err(Error::new(Kind::Usage, "the catalogue has no signed package")
                .with_hint("docs/catalogue.md tells how a [[signed-package]] is written"));
        };
        let stores = context.database().load(crate::db::Check::Quick)?;
        let roots = if self.package_root.is_empty() {
            sync::package_roots(&stores, entry)
        } else {
            read_roots(&self.package_root)?
        };
        let (name, url) = (entry.name.clone(), entry.url.clone());
        let source = SourceName { vendor: vendor.id.clone(), name, url };
        let transport = format!("file {}", path.file_name().unwrap_or_default().to_string_lossy());
        let offered = Offered { entry, source: &source, bytes: &bytes, transport: &transport };
        let allowances = Allowances {
            root_by_hand: self.trust_package_root.clone(),
            old_edition: self.accept_old_edition.clone(),
        };
        let result =
            take(&context.catalogue, &offered, &roots, &allowances, context.database(), &context.author());
        match result {
            Ok(taken) => {
                print_taken(&taken, entry.edition, ui);
                print_summary(&taken, ui);
                Ok(Outcome::Done)
            }
            Err(Refusal::Database(error)) => Err(error.into()),
            Err(error @ Refusal::NoRoot(_)) => {
                let hint = error.hint().unwrap_or_default();
                Err(Error::new(Kind::Unknown, error.to_string()).with_hint(hint))
            }
            Err(refusal) => {
                print_refused(&source, &refusal, ui);
                Ok(Outcome::No)
            }
        }
    }
}

/// Reads the roots that a person gives: every certificate of every file.
///
/// # Errors
///
/// [`Error`] names the file that holds none.
pub fn read_roots(paths: &[PathBuf]) -> Result<Vec<Certificate>, Error> {
    let mut roots = Vec::new();
    for path in paths {
        let bytes = file::read(path, file::CERTIFICATE_FILE_CAP)?;
        let found = container::read(&bytes)
            .map_err(|error| Error::new(Kind::Unknown, format!("{}: {error}", path.display())))?;
        roots.extend(found.into_iter().map(|found| found.certificate));
    }
    Ok(roots)
}

/// Prints what became of a package of the catalogue.
pub fn print(report: &PackageReport, newest_known: Option<crate::package::Edition>, ui: &Ui) {
    let row = |outcome, code, detail| OtherRow { outcome, source: &report.source, code, detail };
    match &report.outcome {
        PackageOutcome::Taken(taken) => {
            print_taken(taken, newest_known.unwrap_or(taken.package.edition), ui);
        }
        PackageOutcome::Refused(refusal) => print_refused(&report.source, refusal, ui),
        PackageOutcome::Unchanged if ui.is_json() => ui.json(&row("unchanged", None, None)),
        PackageOutcome::Absent if ui.is_json() => ui.json(&row("absent", None, None)),
        PackageOutcome::Failed { failure, detail } if ui.is_json() => {
            ui.json(&row("failed", Some(failure), Some(detail.clone())));
        }
        PackageOutcome::Unchanged => ui.detail(format!("unchanged {}", report.source)),
        PackageOutcome::Absent => ui.detail(format!("absent    {}: not in the mirror", report.source)),
        PackageOutcome::Failed { detail, .. } => {
            let failed = ui.tone(Tone::Bad, "failed");
            ui.line(format!("{failed}    {}: {detail}\n          {}", report.source, report.source.url));
        }
    }
}

fn print_refused(source: &SourceName, refusal: &Refusal, ui: &Ui) {
    if ui.is_json() {
        let detail = Some(refusal.to_string());
        ui.json(&OtherRow { outcome: "refused", source, code: Some(refusal.code()), detail });
    } else {
        ui.line(format!("{}   {source}: {refusal} ({})", ui.tone(Tone::Bad, "refused"), refusal.code()));
    }
    if let Some(hint) = refusal.hint() {
        ui.hint(hint);
    }
}

fn print_taken(taken: &Taken, newest_known: crate::package::Edition, ui: &Ui) {
    let Taken { package, inventory, .. } = taken;
    if package.edition < newest_known {
        ui.warning(format!(
            "this is the edition of {}; one of {newest_known} is known: `ekstore sync` fetches the newest",
            package.edition
        ));
    }
    for unreadable in &inventory.unreadable {
        ui.warning(format!("a member is no certificate: {unreadable}"));
    }
    let comparison = taken.comparison.as_ref();
    if ui.is_json() {
        let outcome = if taken.unchanged { "unchanged" } else { "taken" };
        ui.json(&TakenRow { outcome, named: &package.source, package, inventory, comparison });
        return;
    }
    let signed = package.signed.map_or("without a time stamp".to_owned(), |time| format!("signed {time}"));
    let what = if taken.unchanged { "as before" } else { "taken" };
    ui.line(format!("{what:<9} {}: edition of {}, {signed}", package.source, package.edition));
    ui.line(format!("          by {}", package.signer));
    if let Some(reason) = &package.root_by_hand {
        ui.line(format!("          its root was given by hand, so all are candidates: {reason}"));
    }
    ui.line(format!(
        "          {} certificates ({} new): {} for EK certificates, {} AIK CAs kept aside",
        inventory.certificates, inventory.new, inventory.ek, inventory.aik
    ));
    ui.line(format!(
        "          {} expired, {} signed with SHA-1, {} in several members, {} keys with several certificates",
        inventory.expired.len(),
        inventory.sha1.len(),
        inventory.duplicates.len(),
        inventory.re_issued_same_key.len()
    ));
    let list = |what: &str, fingerprints: &[Fingerprint]| {
        let named = fingerprints.iter().filter_map(|fingerprint| taken.stores.record(*fingerprint));
        named.for_each(|record| {
            ui.detail(format!("{what:<9} {} {}", record.fingerprint(), record.certificate.subject()));
        });
    };
    list("expired", &inventory.expired);
    list("SHA-1", &inventory.sha1);
    inventory.re_issued_same_key.iter().for_each(|group| list("same key", group));
    inventory.duplicates.iter().for_each(|members| ui.detail(format!("same      {}", members.join(", "))));
    if let Some(comparison) = comparison {
        print_comparison(comparison, &taken.stores, ui);
    }
}

fn print_comparison(comparison: &Comparison, stores: &Stores, ui: &Ui) {
    let Comparison { earlier, added, removed, renamed, disagreements, .. } = comparison;
    ui.line(format!(
        "          since {earlier}: {} added, {} removed, {} renamed or moved",
        added.len(),
        removed.len(),
        renamed.len()
    ));
    for change in added {
        ui.detail(format!("added     {} {}", change.fingerprint, change.members.join(", ")));
    }
    for renaming in renamed {
        ui.line(format!(
            "renamed   {} from {} to {}",
            renaming.fingerprint,
            renaming.from.join(", "),
            renaming.to.join(", ")
        ));
    }
    for change in removed {
        let claim = change.claim.as_deref().unwrap_or("version.txt does not say so");
        ui.line(format!(
            "{} {} {}",
            ui.tone(Tone::Caution, "withdrawn"),
            change.fingerprint,
            change.members.join(", ")
        ));
        ui.line(format!("          {claim}"));
    }
    for Disagreement { kind, name, claim } in disagreements {
        let claim = claim.as_ref().map_or(String::new(), |claim| format!(" ({claim})"));
        ui.line(format!("{} {name}: {}{claim}", ui.tone(Tone::Caution, "disagrees"), kind.explain()));
    }
    let open = stores.records().filter(|record| record.open_withdrawal().is_some()).count();
    if open > 0 {
        ui.hint(format!(
            "{open} withdrawn certificates stay until you decide: `ekstore review --purpose aik`"
        ));
    }
}

fn print_summary(taken: &Taken, ui: &Ui) {
    let summary = Summary {
        outcome: "summary",
        generation: taken.stores.generation(),
        events_appended: taken.appended,
        ekroot: taken.stores.members(StoreName::Ekroot).count(),
        ekca: taken.stores.members(StoreName::Ekca).count(),
        moves: &taken.moves,
    };
    for notice in &taken.notices {
        ui.warning(notice);
    }
    if ui.is_json() {
        ui.json(&summary);
        return;
    }
    super::print_moves(&taken.moves, ui);
    ui.line(format!("generation {}: EKROOT {}, EKCA {}", summary.generation, summary.ekroot, summary.ekca));
    let without = taken.stores.records().filter(|record| {
        record.placement.purpose.is_for_ek()
            && record.placement.flags.contains(&crate::store::placement::Flag::NoIssuer)
    });
    let without = without.count();
    if without > 0 {
        ui.hint(format!(
            "{without} certificates have no issuer in the stores and are in none; `ekstore sync` fetches what the \
             manufacturers publish, `ekstore status --gaps` tells what is missing"
        ));
    }
}
