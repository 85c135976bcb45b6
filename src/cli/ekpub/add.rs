//! `ekpub add`: keys come onto the list, with the verdict on their certificates.

use std::collections::BTreeSet;
use std::path::Path;

use crate::cert::Certificate;
use crate::cert::tpm::TpmAttributes;
use crate::cli::Context;
use crate::cli::ekpub::{ChangeRow, check_reason, current, read_keys, record_added, warn_about_kind};
use crate::cli::error::{Error, Kind, Outcome};
use crate::cli::ui::{Tone, Ui};
use crate::clock::{Clock, System};
use crate::crls;
use crate::db::Check;
use crate::ekpub::read_table;
use crate::file;
use crate::fingerprint::EkPubHash;
use crate::log::EkpubEntry;
use crate::time::Time;
use crate::verify::revocation::CrlSet;
use crate::verify::trust::TrustStore;
use crate::verify::verdict::Verdict;
use crate::verify::{Moment, Policy, Verifier};

/// Put keys on the list: from EK certificates (the verdict is recorded), public keys, hashes, or a CSV table
#[derive(clap::Args, Debug)]
pub(super) struct AddArgs {
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

/// The most that is read of a table: 1 GiB, five million rows with a label each.
const TABLE_CAP: u64 = 1 << 30;

impl AddArgs {
    pub(super) fn run(&self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        check_reason(&self.reason)?;
        let words = [&self.label, &self.owner, &self.source].into_iter().flatten();
        if words.flat_map(|word| word.chars()).any(crate::cert::name::is_deceptive) {
            return Err(Error::new(Kind::Usage, "label, owner or source has control characters"));
        }
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
