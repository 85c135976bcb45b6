//! `adcs check-stores`: does the CA hold what was approved?

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::adcs::held::{self, Difference, DifferenceKind, Form};
use crate::cli::Context;
use crate::cli::error::{Error, Kind, Outcome};
use crate::cli::selection::SelectionArgs;
use crate::cli::ui::{Tone, Ui};
use crate::clock::{Clock, System};
use crate::file;
use crate::fingerprint::Fingerprint;
use crate::store::StoreName;
use crate::time::Time;

/// Compare what a CA really holds with the stores: missing, extra, in the wrong store, damaged, expired
///
/// Reads a folder of .cer files, .sst, .p7b and registry exports (`reg export`), several forms side by side; each is
/// compared. Which store a file is of is told by a registry file itself, else by a folder or file name that begins with
/// EKROOT or EKCA, else by --ekroot and --ekca. Exits with 1 if anything differs.
#[derive(clap::Args, Debug)]
pub struct CheckStoresArgs {
    /// A folder with both stores, or files of them
    #[arg(value_name = "PATH", required_unless_present_any = ["ekroot", "ekca"])]
    paths: Vec<PathBuf>,

    /// What EKROOT holds: a folder or a file, whatever its name
    #[arg(long, value_name = "PATH")]
    ekroot: Vec<PathBuf>,

    /// What EKCA holds: a folder or a file, whatever its name
    #[arg(long, value_name = "PATH")]
    ekca: Vec<PathBuf>,

    #[command(flatten)]
    selection: SelectionArgs,

    /// The time for --without-expired, and to call certificates expired [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Time>,
}

#[derive(Serialize)]
struct Summary<'a> {
    outcome: &'static str,
    generation: u64,
    expected: &'a BTreeMap<StoreName, usize>,
    forms: Vec<FormRow<'a>>,
    differences: usize,
    expired: Vec<ExpiredRow<'a>>,
}

#[derive(Serialize)]
struct FormRow<'a> {
    store: StoreName,
    place: &'a str,
    certificates: usize,
}

#[derive(Serialize)]
struct ExpiredRow<'a> {
    store: StoreName,
    fingerprint: Fingerprint,
    subject: &'a str,
}

/// The extensions of files that can hold a store; others in a folder (manifest, scripts) are passed over.
const EXTENSIONS: [&str; 9] = ["cer", "crt", "der", "pem", "sst", "p7b", "p7c", "spc", "reg"];

/// The most that is read of one file: 256 MiB, a registry file with every certificate known has 20.
const CAP: u64 = 256 << 20;

impl CheckStoresArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] if a file cannot be read, or it is not clear which store it is of.
    pub fn run(&self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        let stores = self.selection.stores(context)?;
        let now = self.at.unwrap_or_else(|| System.now());
        let options = self.selection.options(context, self.at, None);
        let mut forms: BTreeMap<(StoreName, String), Form> = BTreeMap::new();
        for path in &self.paths {
            collect(path, None, &mut forms)?;
        }
        for (store, paths) in [(StoreName::Ekroot, &self.ekroot), (StoreName::Ekca, &self.ekca)] {
            for path in paths {
                collect(path, Some(store), &mut forms)?;
            }
        }
        let forms: Vec<Form> = forms.into_values().collect();
        // A folder is asked about both; by name, only what was named.
        let named = |store: &StoreName| match store {
            StoreName::Ekroot => !self.ekroot.is_empty(),
            StoreName::Ekca => !self.ekca.is_empty(),
        };
        let asked: Vec<StoreName> =
            StoreName::ALL.into_iter().filter(|store| !self.paths.is_empty() || named(store)).collect();
        let comparison = held::compare(&stores, &options, &forms, &asked, now);
        let summary = Summary {
            outcome: "summary",
            generation: stores.generation(),
            expected: &comparison.expected,
            forms: forms
                .iter()
                .map(|form| FormRow {
                    store: form.store,
                    place: &form.place,
                    certificates: form.certificates.len(),
                })
                .collect(),
            differences: comparison.differences.len(),
            expired: comparison
                .expired
                .iter()
                .map(|(store, fingerprint, subject)| ExpiredRow {
                    store: *store,
                    fingerprint: *fingerprint,
                    subject,
                })
                .collect(),
        };
        if ui.is_json() {
            comparison.differences.iter().for_each(|difference| ui.json(difference));
            ui.json(&summary);
        } else {
            print(&summary, &comparison.differences, ui);
        }
        Ok(if comparison.differences.is_empty() { Outcome::Done } else { Outcome::No })
    }
}

/// Reads a file, or every file of a folder that can hold a store.
fn collect(
    path: &Path,
    store: Option<StoreName>,
    forms: &mut BTreeMap<(StoreName, String), Form>,
) -> Result<(), Error> {
    if !path.is_dir() {
        return read(path, path.file_name().map(Path::new), store, forms);
    }
    for file in file::list(path)? {
        let extension = file.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        if extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str())) {
            let below = file.strip_prefix(path).ok().map(Path::to_path_buf);
            // The folder's own name may say which store it is of.
            let own = path.file_name().map(PathBuf::from).unwrap_or_default();
            read(&file, below.map(|below| own.join(below)).as_deref(), store, forms)?;
        }
    }
    Ok(())
}

fn read(
    path: &Path,
    named: Option<&Path>,
    store: Option<StoreName>,
    forms: &mut BTreeMap<(StoreName, String), Form>,
) -> Result<(), Error> {
    let bytes = file::read(path, CAP)?;
    let content = held::read(&bytes);
    let by_name = store.or_else(|| named.and_then(store_of));
    let is_single = path.extension().is_some_and(|extension| {
        ["cer", "crt", "der", "pem"].iter().any(|single| extension.eq_ignore_ascii_case(single))
    });
    let place = if is_single { path.parent().unwrap_or(path) } else { path };
    let place = place.to_string_lossy().into_owned();
    let unclear = || {
        Error::new(Kind::Usage, format!("{}: it is not clear which store this is of", path.display()))
            .with_hint("name it or its folder EKROOT... or EKCA..., or give it with --ekroot or --ekca")
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut form = |store: Option<StoreName>, fill: &mut dyn FnMut(&mut Form)| {
        let store = store.or(by_name).ok_or_else(unclear)?;
        fill(forms.entry((store, place.clone())).or_insert_with(|| Form {
            store,
            place: place.clone(),
            certificates: BTreeMap::new(),
            damaged: Vec::new(),
        }));
        Ok::<(), Error>(())
    };
    match content {
        Ok(content) => {
            // A store that is there and empty is a form too.
            if content.stores.is_empty() {
                form(None, &mut |_| {})?;
            }
            for store in content.stores {
                form(Some(store), &mut |_| {})?;
            }
            for (store, der) in content.certificates {
                form(store, &mut |form| {
                    form.certificates.insert(Fingerprint::of(&der), der.clone());
                })?;
            }
            for (store, detail) in content.damaged {
                form(store, &mut |form| form.damaged.push(format!("{name}: {detail}")))?;
            }
        }
        Err(error) => form(None, &mut |form| form.damaged.push(format!("{name}: {error}")))?,
    }
    Ok(())
}

/// The store that a path names: the part nearest to the file that begins with a store's name.
fn store_of(path: &Path) -> Option<StoreName> {
    let parts: Vec<String> =
        path.components().map(|part| part.as_os_str().to_string_lossy().to_uppercase()).collect();
    parts
        .iter()
        .rev()
        .find_map(|part| StoreName::ALL.into_iter().find(|store| part.starts_with(store.as_str())))
}

fn print(summary: &Summary<'_>, differences: &[Difference], ui: &Ui) {
    for form in &summary.forms {
        ui.line(format!("{:<6} {:>5} certificates in {}", form.store, form.certificates, form.place));
    }
    for difference in differences {
        let Difference { place, store, kind, fingerprint, subject } = difference;
        let what = fingerprint.map_or(String::new(), |fingerprint| format!(" {fingerprint}"));
        let subject = subject.as_deref().unwrap_or_default();
        let (word, detail) = match kind {
            DifferenceKind::Missing => ("missing", String::new()),
            DifferenceKind::Extra { standing, was_in_stores } => {
                let earlier = if *was_in_stores { ", was in the stores before" } else { "" };
                ("extra", format!(" ({standing}{earlier})"))
            }
            DifferenceKind::WrongStore { belongs_in } => ("misplaced", format!(" (belongs in {belongs_in})")),
            DifferenceKind::Damaged { detail } => ("damaged", format!(" {detail}")),
            DifferenceKind::NotGiven => {
                ("not given", " there is nothing to compare for this store".to_owned())
            }
        };
        ui.line(format!("{} {store}{what} {subject}{detail}", ui.tone(Tone::Bad, &format!("{word:<9}"))));
        if !place.is_empty() {
            ui.detail(format!("          in {place}"));
        }
    }
    for expired in &summary.expired {
        ui.detail(format!("expired   {} {} {}", expired.store, expired.fingerprint, expired.subject));
    }
    let expected: Vec<String> =
        summary.expected.iter().map(|(store, count)| format!("{store} {count}")).collect();
    ui.line(format!(
        "generation {}: {}; {} differences, {} expired",
        summary.generation,
        expected.join(", "),
        summary.differences,
        summary.expired.len()
    ));
    if summary.differences > 0 {
        ui.hint("`ekstore export adcs` makes the folder to import; its script brings the CA to it");
    }
}
