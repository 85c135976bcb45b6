//! `ekpub`: the Endorsement Key list, for attestation with high assurance.

mod add;
mod export;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use crate::cert::container;
use crate::cert::tpm_public::EkPublic;
use crate::cert::{Certificate, ekpub};
use crate::cli::Context;
use crate::cli::error::{Error, Kind, Outcome};
use crate::cli::ui::Ui;
use crate::ek_folder;
use crate::ekpub::List;
use crate::file;
use crate::fingerprint::{EkPubHash, Fingerprint};
use crate::log::{EkpubEntry, Event};
use crate::time::Time;

/// Keep the list of known endorsement keys (EKPub hashes), and make the folder that the CA reads it from
///
/// AD CS attests with high assurance if the SHA-256 of the TPM's endorsement key is in a folder that it was told of. Each
/// addition and removal is an event in the log, with its reason.
#[derive(clap::Args, Debug)]
pub struct EkpubArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Print the hash of an EK certificate, raw NV contents, TPM2B_PUBLIC, or public key; needs no list
    Hash {
        /// Certificates or public keys, in any form
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    Add(add::AddArgs),
    /// Take keys off the list
    Remove {
        /// Hashes, or files with certificates or public keys
        #[arg(required = true, value_name = "HASH|FILE")]
        keys: Vec<String>,

        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// List the keys, with label, owner, source and verdict
    List {
        /// Only those whose label or owner contains this
        #[arg(long, value_name = "TEXT")]
        matching: Option<String>,
    },
    /// Put the hashes of an existing folder on the list
    Import {
        /// The folder that a CA reads
        #[arg(value_name = "DIR")]
        folder: PathBuf,

        /// Whose they are
        #[arg(long, value_name = "TEXT")]
        owner: Option<String>,

        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    Export(export::ExportArgs),
}

#[derive(Serialize)]
struct HashRow<'a> {
    file: &'a str,
    ekpub_sha256: EkPubHash,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<Fingerprint>,
}

#[derive(Serialize)]
struct ListRow<'a> {
    ekpub_sha256: EkPubHash,
    label: Option<&'a str>,
    owner: Option<&'a str>,
    source: &'a str,
    verdict: Option<&'a str>,
    reason: &'a str,
    added: Time,
    actor: &'a str,
    event: u64,
}

#[derive(Serialize)]
struct ChangeRow<'a> {
    ekpub_sha256: EkPubHash,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'a str>,
}

/// One key that was read from a file.
struct Key {
    hash: EkPubHash,
    description: String,
    is_rsa: bool,
    certificate: Option<Certificate>,
}

/// The keys in a file: of EK certificates, or one public key.
fn read_keys(path: &Path) -> Result<Vec<Key>, Error> {
    let bytes = file::read(path, file::CERTIFICATE_FILE_CAP)?;
    match container::read(&bytes) {
        Ok(found) => {
            let certificates: Vec<Certificate> = found.into_iter().map(|found| found.certificate).collect();
            let leaves = certificates.iter().filter(|certificate| !certificate.is_ca());
            // A file with a chain is about its leaf; one with CAs alone is about them (for comparison with known hashes).
            let about: Vec<&Certificate> = if leaves.clone().next().is_some() {
                leaves.collect()
            } else {
                certificates.iter().collect()
            };
            let key = |certificate: &Certificate| Key {
                hash: ekpub::hash(&certificate.key()),
                description: certificate.key().describe(),
                is_rsa: certificate.key().rsa().is_some(),
                certificate: Some(certificate.clone()),
            };
            Ok(about.into_iter().map(key).collect())
        }
        Err(error) => {
            let key = EkPublic::read(&bytes).map_err(|_| {
                Error::new(Kind::Unknown, format!("{}: {error}, nor a public key", path.display()))
            })?;
            Ok(vec![Key {
                hash: EkPubHash::of(&key.bits()),
                description: key.describe(),
                is_rsa: matches!(key, EkPublic::Rsa { .. }),
                certificate: None,
            }])
        }
    }
}

fn warn_about_kind(keys: &[Key], ui: &Ui) {
    if keys.iter().any(|key| !key.is_rsa) {
        ui.warning("key attestation of AD CS works for RSA keys; whether it finds an EC key by this hash is not confirmed");
    }
}

fn check_reason(reason: &str) -> Result<(), Error> {
    if reason.trim().is_empty() {
        return Err(Error::new(Kind::Usage, "the list needs a reason that is not empty"));
    }
    Ok(())
}

impl EkpubArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] if a file or the store cannot be read or written.
    pub fn run(self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        match self.verb {
            Verb::Hash { files } => hash(&files, ui),
            Verb::Add(args) => args.run(context, ui),
            Verb::Remove { keys, reason } => remove(&keys, &reason, context, ui),
            Verb::List { matching } => list(matching.as_deref(), context, ui),
            Verb::Import { folder, owner, reason } => import(&folder, owner.as_deref(), &reason, context, ui),
            Verb::Export(args) => args.run(context, ui),
        }
    }
}

fn hash(files: &[PathBuf], ui: &Ui) -> Result<Outcome, Error> {
    for path in files {
        let keys = read_keys(path)?;
        warn_about_kind(&keys, ui);
        for key in &keys {
            let file = path.to_string_lossy();
            if ui.is_json() {
                ui.json(&HashRow {
                    file: &file,
                    ekpub_sha256: key.hash,
                    key: &key.description,
                    fingerprint: key.certificate.as_ref().map(Certificate::fingerprint),
                });
            } else {
                ui.line(format!("{}  {file}", key.hash));
            }
        }
    }
    Ok(Outcome::Done)
}

/// The hashes that arguments name: themselves, or keys in files.
fn named(keys: &[String]) -> Result<Vec<EkPubHash>, Error> {
    let mut hashes = Vec::new();
    for key in keys {
        match key.parse::<EkPubHash>() {
            Ok(hash) => hashes.push(hash),
            Err(_) => hashes.extend(read_keys(Path::new(key))?.into_iter().map(|key| key.hash)),
        }
    }
    Ok(hashes)
}

fn current(context: &Context) -> Result<List, Error> {
    Ok(List::fold(&context.database().log()?))
}

fn record_added(context: &Context, entries: &[EkpubEntry], reason: &str) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    context.database().append(&context.author(), &mut |_| {
        vec![Event::EkpubAdded { keys: entries.to_vec(), reason: reason.to_owned() }]
    })?;
    Ok(())
}

fn remove(keys: &[String], reason: &str, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
    check_reason(reason)?;
    let list = current(context)?;
    let hashes: BTreeSet<EkPubHash> = named(keys)?.into_iter().collect();
    let (listed, unknown): (Vec<EkPubHash>, Vec<EkPubHash>) =
        hashes.into_iter().partition(|hash| list.get(*hash).is_some());
    if !listed.is_empty() {
        context.database().append(&context.author(), &mut |_| {
            vec![Event::EkpubRemoved { keys: listed.clone(), reason: reason.to_owned() }]
        })?;
    }
    for (hashes, outcome) in [(&listed, "removed"), (&unknown, "not-listed")] {
        for hash in hashes {
            if ui.is_json() {
                ui.json(&ChangeRow { ekpub_sha256: *hash, outcome, verdict: None });
            } else {
                ui.line(format!("{outcome} {hash}"));
            }
        }
    }
    if !listed.is_empty() {
        ui.hint("`ekstore ekpub export --dir DIR --prune` takes them out of the CA's folder");
    }
    Ok(if unknown.is_empty() { Outcome::Done } else { Outcome::No })
}

fn list(matching: Option<&str>, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
    let list = current(context)?;
    let wanted = matching.map(str::to_lowercase);
    let mut count = 0;
    for listed in list.iter() {
        let entry = &listed.entry;
        let row = ListRow {
            ekpub_sha256: entry.ekpub,
            label: entry.label.as_deref(),
            owner: entry.owner.as_deref(),
            source: &entry.source,
            verdict: entry.verdict.as_deref(),
            reason: &listed.reason,
            added: listed.time,
            actor: &listed.actor,
            event: listed.event,
        };
        let text = format!("{} {}", row.label.unwrap_or_default(), row.owner.unwrap_or_default());
        if wanted.as_ref().is_some_and(|wanted| !text.to_lowercase().contains(wanted)) {
            continue;
        }
        count += 1;
        if ui.is_json() {
            ui.json(&row);
        } else {
            ui.line(format!(
                "{} {:<20} {:<16} {:<12} {}",
                row.ekpub_sha256,
                row.label.unwrap_or("-"),
                row.owner.unwrap_or("-"),
                row.verdict.unwrap_or("-"),
                row.reason
            ));
        }
    }
    ui.note(format!("{count} of {} keys", list.len()));
    Ok(Outcome::Done)
}

fn import(
    folder: &Path,
    owner: Option<&str>,
    reason: &str,
    context: &Context,
    ui: &Ui,
) -> Result<Outcome, Error> {
    check_reason(reason)?;
    if !folder.is_dir() {
        return Err(Error::new(Kind::Unknown, format!("{} is not a folder", folder.display())));
    }
    let held = ek_folder::read(folder)?;
    let list = current(context)?;
    let source = format!("folder {}", folder.file_name().unwrap_or_default().to_string_lossy());
    let new: Vec<EkpubEntry> = held
        .hashes
        .keys()
        .filter(|hash| list.get(**hash).is_none())
        .map(|hash| EkpubEntry {
            ekpub: *hash,
            label: None,
            owner: owner.map(str::to_owned),
            source: source.clone(),
            verdict: None,
        })
        .collect();
    record_added(context, &new, reason)?;
    let known = held.hashes.len() - new.len();
    if ui.is_json() {
        ui.json(&serde_json::json!({
            "dir": folder, "added": new.len(), "listed_already": known, "other_files": held.others
        }));
    } else {
        ui.line(format!("{} added, {known} listed already", new.len()));
    }
    if held.others > 0 {
        ui.warning(format!("{} other files are no hashes, and were passed over", held.others));
    }
    Ok(Outcome::Done)
}
