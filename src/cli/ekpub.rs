//! `ekpub`: the Endorsement Key list, for attestation with high assurance.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use crate::adcs::plan;
use crate::cert::container;
use crate::cert::tpm::TpmAttributes;
use crate::cert::tpm_public::EkPublic;
use crate::cert::{Certificate, ekpub};
use crate::cli::Context;
use crate::cli::error::{Error, Kind, Outcome};
use crate::cli::ui::{Tone, Ui};
use crate::clock::{Clock, System};
use crate::crls;
use crate::db::Check;
use crate::ek_folder::{self, Stale};
use crate::ekpub::{List, read_table};
use crate::file;
use crate::fingerprint::{Digest, EkPubHash, Fingerprint};
use crate::log::{EkpubEntry, Event};
use crate::time::Time;
use crate::verify::revocation::CrlSet;
use crate::verify::trust::TrustStore;
use crate::verify::verdict::Verdict;
use crate::verify::{Moment, Policy, Verifier};

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
    Add(AddArgs),
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
    Export(ExportArgs),
}

/// Put keys on the list: from EK certificates (the verdict is recorded), public keys, hashes, or a CSV table
#[derive(clap::Args, Debug)]
struct AddArgs {
    /// Files with EK certificates or public keys, CSV tables (ekpub,label,owner), or hashes of 64 digits
    #[arg(required = true, value_name = "FILE|HASH")]
    keys: Vec<String>,

    /// The device
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,

    /// Whose it is
    #[arg(long, value_name = "TEXT")]
    owner: Option<String>,

    /// Where the key comes from [default: the file, the table, or the command line]
    #[arg(long, value_name = "TEXT")]
    source: Option<String>,

    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// Take only keys whose certificate is given and has this verdict
    #[arg(long, value_enum)]
    require: Option<RequireArg>,

    /// The time to judge certificates at [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Time>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum RequireArg {
    /// Trusted by EKROOT and EKCA
    Trusted,
}

/// Make a folder equal to the list: an empty file for each hash; other files are not touched
#[derive(clap::Args, Debug)]
struct ExportArgs {
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

/// The most that is read of a table: 1 GiB, five million rows with a label each.
const TABLE_CAP: u64 = 1 << 30;

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

impl AddArgs {
    fn run(&self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        check_reason(&self.reason)?;
        let list = current(context)?;
        let mut entries: Vec<EkpubEntry> = Vec::new();
        let mut verifier = None;
        for key in &self.keys {
            entries.extend(self.read(key, context, &mut verifier, ui)?);
        }
        let mut refused = false;
        if self.require.is_some() {
            for entry in entries.iter().filter(|entry| entry.verdict.as_deref() != Some("trusted")) {
                refused = true;
                let verdict = entry.verdict.as_deref();
                if ui.is_json() {
                    ui.json(&ChangeRow { ekpub_sha256: entry.ekpub, outcome: "refused", verdict });
                } else {
                    let verdict = verdict.unwrap_or("no certificate was given");
                    ui.line(format!(
                        "{} {} {}: {verdict}",
                        ui.tone(Tone::Bad, "refused"),
                        entry.ekpub,
                        entry.source
                    ));
                }
            }
        }
        if refused {
            ui.hint("nothing was added; `ekstore verify` tells why a certificate is not trusted");
            return Ok(Outcome::No);
        }
        let mut seen = BTreeSet::new();
        entries.retain(|entry| seen.insert(entry.ekpub));
        let (known, new): (Vec<_>, Vec<_>) = entries
            .into_iter()
            .partition(|entry| list.get(entry.ekpub).is_some_and(|listed| same(&listed.entry, entry)));
        record_added(context, &new, &self.reason)?;
        if ui.is_json() {
            for (entries, outcome) in [(&known, "listed-already"), (&new, "added")] {
                for entry in entries {
                    let verdict = entry.verdict.as_deref();
                    ui.json(&ChangeRow { ekpub_sha256: entry.ekpub, outcome, verdict });
                }
            }
        } else {
            for entry in &new {
                let verdict =
                    entry.verdict.as_deref().map_or(String::new(), |verdict| format!(" ({verdict})"));
                ui.detail(format!("added {}{verdict}", entry.ekpub));
            }
            ui.line(format!("{} added, {} listed already", new.len(), known.len()));
        }
        let doubtful =
            new.iter().filter(|entry| entry.verdict.as_deref().is_some_and(|verdict| verdict != "trusted"));
        let doubtful = doubtful.count();
        if doubtful > 0 {
            ui.warning(format!(
                "{doubtful} of them have a certificate that is not trusted; the list takes a person's word for it \
                 (--require trusted does not)"
            ));
        }
        Ok(Outcome::Done)
    }

    /// The entries that one argument stands for.
    fn read(
        &self,
        key: &str,
        context: &Context,
        verifier: &mut Option<Verifier>,
        ui: &Ui,
    ) -> Result<Vec<EkpubEntry>, Error> {
        let entry = |ekpub, source: &str, verdict| EkpubEntry {
            ekpub,
            label: self.label.clone(),
            owner: self.owner.clone(),
            source: self.source.as_deref().unwrap_or(source).to_owned(),
            verdict,
        };
        if let Ok(hash) = key.parse::<EkPubHash>() {
            return Ok(vec![entry(hash, "command line", None)]);
        }
        let path = Path::new(key);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv")) {
            let bytes = file::read(path, TABLE_CAP)?;
            let mut rows = read_table(&bytes, &format!("table {name}"))
                .map_err(|error| Error::new(Kind::Unknown, format!("{}: {error}", path.display())))?;
            for row in &mut rows {
                row.label = row.label.take().or_else(|| self.label.clone());
                row.owner = row.owner.take().or_else(|| self.owner.clone());
                if let Some(source) = &self.source {
                    row.source.clone_from(source);
                }
            }
            return Ok(rows);
        }
        let keys = read_keys(path)?;
        warn_about_kind(&keys, ui);
        let mut entries = Vec::new();
        for key in keys {
            let verdict = match &key.certificate {
                Some(certificate) => Some(self.judge(certificate, context, verifier)?),
                None => None,
            };
            let model = key.certificate.as_ref().and_then(|certificate| TpmAttributes::of(certificate).model);
            let mut entry = entry(key.hash, &format!("file {name}"), verdict);
            entry.label = entry.label.or(model);
            entries.push(entry);
        }
        Ok(entries)
    }

    fn judge(
        &self,
        certificate: &Certificate,
        context: &Context,
        verifier: &mut Option<Verifier>,
    ) -> Result<String, Error> {
        if verifier.is_none() {
            let stores = context.database().load(Check::Quick)?;
            let mut set = CrlSet::default();
            let (crls, _) = crls::load(&context.store)?;
            crls.into_iter().for_each(|crl| set.add(crl));
            let trust = TrustStore::new(&stores, &context.catalogue);
            *verifier = Some(Verifier::new(trust, Policy::default(), set));
        }
        let verifier = verifier.as_ref().expect("it was made above");
        let at = Moment::At(self.at.unwrap_or_else(|| System.now()));
        Ok(match verifier.verify(certificate, &[], at, None).verdict {
            Verdict::Trusted => "trusted",
            Verdict::Untrusted => "untrusted",
            Verdict::Undetermined => "undetermined",
        }
        .to_owned())
    }
}

/// Whether nothing new is said about a key.
fn same(listed: &EkpubEntry, new: &EkpubEntry) -> bool {
    listed.label == new.label && listed.owner == new.owner && listed.verdict == new.verdict
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

impl ExportArgs {
    fn run(&self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
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
