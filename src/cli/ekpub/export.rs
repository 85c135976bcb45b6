//! `ekpub export`: the folder that the CA reads becomes equal to the list.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::adcs::plan;
use crate::cli::Context;
use crate::cli::error::{Error, Kind, Outcome};
use crate::cli::ui::{Tone, Ui};
use crate::ek_folder::{self, Stale};
use crate::ekpub::List;
use crate::fingerprint::{Digest, EkPubHash};
use crate::log::Event;

/// Make a folder equal to the list: an empty file for each hash; other files are not touched
#[derive(clap::Args, Debug)]
pub(super) struct ExportArgs {
    /// The folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,

    /// Remove hashes that are not in the list; without it they are counted and stay
    #[arg(long)]
    prune: bool,

    /// Prune also if the list is empty, so that no hash is left
    #[arg(long, requires = "prune")]
    prune_all: bool,

    /// Change nothing; exit with 1 if the folder is not there or is not equal to the list
    #[arg(long, conflicts_with = "prune")]
    check: bool,
}

#[derive(Serialize)]
struct ExportRow {
    dir: String,
    listed: usize,
    kept: usize,
    added: usize,
    stale: usize,
    removed: usize,
    list_sha256: Digest,
    register: Vec<String>,
}

impl ExportArgs {
    pub(super) fn run(&self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        let log = context.database().log()?;
        let list = List::fold(&log);
        if list.is_empty() && self.prune && !self.prune_all {
            return Err(Error::new(
                Kind::No,
                "the list is empty, so --prune would remove every hash of the folder",
            )
            .with_hint("is it the right store? --prune-all does it all the same"));
        }
        let hashes: BTreeSet<EkPubHash> = list.hashes().collect();
        if self.check {
            return check(&self.dir, &hashes, ui);
        }
        let stale = if self.prune { Stale::Remove } else { Stale::Keep };
        let written = ek_folder::write(&self.dir, &hashes, stale)?;
        let mut text = String::with_capacity(hashes.len() * 65);
        for hash in &hashes {
            text.push_str(&hash.to_string());
            text.push('\n');
        }
        let digest = Digest::of(text.as_bytes());
        if written.added + written.removed > 0 {
            context.database().append(&context.author(), &mut |stores| {
                vec![Event::Exported {
                    form: "ekpub".to_owned(),
                    generation: stores.generation(),
                    options: if self.prune { "pruned".to_owned() } else { String::new() },
                    count: hashes.len(),
                    manifest: digest,
                }]
            })?;
        }
        let register = plan::register(r"C:\EKPubList");
        let row = ExportRow {
            dir: self.dir.to_string_lossy().into_owned(),
            listed: hashes.len(),
            kept: written.kept,
            added: written.added,
            stale: written.stale,
            removed: written.removed,
            list_sha256: digest,
            register,
        };
        if ui.is_json() {
            ui.json(&row);
        } else {
            ui.line(format!(
                "{}: {} hashes, {} added, {} removed",
                row.dir, row.listed, row.added, row.removed
            ));
            ui.line("on the CA, once, with the folder's own place:");
            row.register.iter().for_each(|command| ui.line(format!("  {command}")));
        }
        if row.stale > row.removed {
            ui.warning(format!(
                "{} hashes in the folder are not in the list, and let their TPMs attest; --prune removes them",
                row.stale - row.removed
            ));
        }
        Ok(Outcome::Done)
    }
}

#[derive(Serialize)]
struct CheckRow {
    dir: String,
    reachable: bool,
    listed: usize,
    missing: Vec<EkPubHash>,
    stale: Vec<EkPubHash>,
    other_files: usize,
}

/// Compares a folder with the list.
fn check(folder: &Path, list: &BTreeSet<EkPubHash>, ui: &Ui) -> Result<Outcome, Error> {
    let reachable = folder.is_dir();
    let held = ek_folder::read(folder)?;
    let row = CheckRow {
        dir: folder.to_string_lossy().into_owned(),
        reachable,
        listed: list.len(),
        missing: list.iter().filter(|hash| !held.hashes.contains_key(hash)).copied().collect(),
        stale: held.hashes.keys().filter(|hash| !list.contains(hash)).copied().collect(),
        other_files: held.others,
    };
    let equal = reachable && row.missing.is_empty() && row.stale.is_empty();
    if ui.is_json() {
        ui.json(&row);
    } else if reachable {
        for (hashes, word) in [(&row.missing, "missing"), (&row.stale, "stale")] {
            hashes.iter().for_each(|hash| ui.line(format!("{:<7} {hash}", ui.tone(Tone::Bad, word))));
        }
        let (missing, stale) = (row.missing.len(), row.stale.len());
        ui.line(format!("{}: {} listed, {missing} missing, {stale} stale", row.dir, row.listed));
    } else {
        ui.line(format!("{} {} is not a folder that can be reached", ui.tone(Tone::Bad, "missing"), row.dir));
    }
    Ok(if equal { Outcome::Done } else { Outcome::No })
}
