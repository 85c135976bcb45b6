//! `verify`: is this EK certificate from a genuine TPM maker?

mod input;
mod row;
mod summary;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::aia;
use crate::batch;
use crate::cert::Certificate;
use crate::cert::container::{self, Found};
use crate::cert::tpm_public::EkPublic;
use crate::cli::Context;
use crate::cli::config::{VerifyConfig, check_rule};
use crate::cli::error::{Error, Kind, Outcome};
use crate::cli::network::{NetworkArgs, runtime};
use crate::cli::ui::Ui;
use crate::cli::verify::input::{Input, Inputs};
use crate::cli::verify::row::Row;
use crate::cli::verify::summary::Summary;
use crate::clock::{Clock, System};
use crate::crl::{CRL_CAP, Crl};
use crate::crls;
use crate::db::local::Local;
use crate::db::{self, Check};
use crate::fetch::{Fetcher, Limits};
use crate::file;
use crate::log::Origin;
use crate::review;
use crate::time::Time;
use crate::vendor::VendorId;
use crate::verify::chain::{ChainInputs, EkuNesting};
use crate::verify::profile::{Severities, Severity};
use crate::verify::revocation::{CrlSet, Mode};
use crate::verify::trust::TrustStore;
use crate::verify::verdict::{LinkOrigin, Verdict};
use crate::verify::{Moment, Policy, Sha1, Verifier};

/// Check EK certificates against the trust stores
///
/// Reads DER, PEM and raw NV contents. A file may hold the EK certificate with its chain: what is a CA is used as an
/// untrusted intermediate. Folders are read with all that is in them. `-` is standard input: one certificate, or a
/// line for each, `{"id": ..., "der": "BASE64"}`.
///
/// Exits with 0 if all are trusted, 1 if any is not, 3 if one could not be read or judged.
#[derive(clap::Args, Debug)]
pub struct VerifyArgs {
    /// Files, folders, or - for standard input
    #[arg(value_name = "FILE", required_unless_present = "files_from")]
    files: Vec<PathBuf>,

    /// Also the files named in this file, one a line
    #[arg(long, value_name = "FILE")]
    files_from: Vec<PathBuf>,

    /// When to judge at: a time such as 2026-11-01T00:00:00Z, `issuance` for each certificate's notBefore, or `now`
    /// [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<String>,

    /// Allow what the default policy refuses: sha1, under anchors that the catalogue marks
    #[arg(long, value_enum, value_name = "WHAT")]
    allow: Vec<Allow>,

    /// CRLs to look certificates up in, beside those of `sync --crls`
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,

    /// What must be known about revocation [default: soft]
    #[arg(long, value_enum, value_name = "MODE")]
    revocation: Option<RevocationArg>,

    /// Untrusted intermediates: PEM or concatenated DER, as read from NV 0x01c00100 and on; several files are joined in order
    #[arg(long, value_name = "FILE")]
    chain: Vec<PathBuf>,

    /// Fetch missing issuers from where certificates name them, on hosts of the catalogue only
    #[arg(long)]
    fetch_chain: bool,

    #[command(flatten)]
    network: NetworkArgs,

    /// The TPM's public key, which the certificate must be for: TPM2B_PUBLIC, TPMT_PUBLIC, PEM or DER
    #[arg(long, value_name = "FILE")]
    ekpub: Option<PathBuf>,

    /// Accept only TPMs of these manufacturers
    #[arg(long, value_name = "ID")]
    manufacturer: Vec<VendorId>,

    /// Weigh a rule of the EK profile otherwise, such as EK-17=error
    #[arg(long, value_name = "RULE=LEVEL", value_parser = parse_severity)]
    severity: Vec<(String, Severity)>,

    /// How many certificates to judge at one time [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,

    /// Tell counts by manufacturer, reason and issuer at the end, on stderr
    #[arg(long)]
    summary: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Allow {
    /// SHA-1 signatures, for TPM 1.2 lines
    Sha1,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum RevocationArg {
    /// CRLs are not looked at
    Off,
    /// A CRL that is named but not at hand is a warning
    Soft,
    /// A certificate that names a CRL must be found good
    Require,
    /// Every certificate must be found good
    RequireAll,
}

impl From<RevocationArg> for Mode {
    fn from(mode: RevocationArg) -> Self {
        match mode {
            RevocationArg::Off => Mode::Off,
            RevocationArg::Soft => Mode::Soft,
            RevocationArg::Require => Mode::Require,
            RevocationArg::RequireAll => Mode::RequireAll,
        }
    }
}

fn parse_severity(text: &str) -> Result<(String, Severity), String> {
    let (id, level) = text.split_once('=').ok_or("expected RULE=LEVEL, such as EK-17=error")?;
    check_rule(id)?;
    let level = match level {
        "off" => Severity::Off,
        "info" => Severity::Info,
        "warning" => Severity::Warning,
        "error" => Severity::Error,
        _ => return Err(format!("{level:?} is none of off, info, warning, error")),
    };
    Ok((id.to_owned(), level))
}

impl VerifyArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] if the store cannot be read. A file that cannot be read is part of the answer.
    pub fn run(self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        let stores = context.database().load(Check::Quick)?;
        let trust = TrustStore::new(&stores, &context.catalogue);
        if trust.is_empty() {
            ui.warning("EKROOT is empty, so nothing can be trusted");
            ui.hint("`ekstore sync` fills it");
        }
        let config = &context.config.verify;
        let moment = self.moment(config)?;
        let policy = self.policy(config)?;
        let crls = self.crls(context, policy.revocation, ui)?;
        let judge = Judge {
            verifier: Verifier::new(trust, policy, crls),
            moment,
            extra: self.extra()?,
            expected: self.expected()?,
            network: self.network(context)?,
            context,
        };
        let inputs = Inputs::new(&self.files, &self.files_from)?;
        let workers = self.jobs.map_or_else(
            || std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            usize::from,
        );
        let total = inputs.len();
        let bar = ui.count(total);
        let mut summary = Summary::default();
        let mut outcome = Outcome::Done;
        let judged = AtomicU64::new(0);
        batch::ordered(
            inputs,
            workers,
            |input| {
                let rows = judge.judge(input);
                judged.fetch_add(1, Ordering::Relaxed);
                // Writing JSON costs as much as judging: it is done here, in parallel.
                rows.into_iter().map(|row| (ui.is_json().then(|| row.json()), row)).collect::<Vec<_>>()
            },
            |rows| {
                for (json, row) in rows {
                    outcome = outcome.max(match row.verdict {
                        Verdict::Trusted => Outcome::Done,
                        Verdict::Untrusted => Outcome::No,
                        Verdict::Undetermined => Outcome::Unknown,
                    });
                    summary.add(&row);
                    match json {
                        Some(json) => ui.raw(json.as_bytes()),
                        None => row.print(ui),
                    }
                }
                bar.set(judged.load(Ordering::Relaxed));
                !ui.is_closed()
            },
        );
        drop(bar);
        if self.summary || (!ui.is_json() && summary.count() > 1) {
            summary.print(ui);
        }
        Ok(outcome)
    }

    fn moment(&self, config: &VerifyConfig) -> Result<Moment, Error> {
        match self.at.as_deref().or(config.at.as_deref()) {
            None | Some("now") => Ok(Moment::At(System.now())),
            Some("issuance") => Ok(Moment::Issuance),
            Some(text) => text
                .parse::<Time>()
                .map(Moment::At)
                .map_err(|error| Error::new(Kind::Usage, format!("--at: {error}, nor issuance, nor now"))),
        }
    }

    fn policy(&self, config: &VerifyConfig) -> Result<Policy, Error> {
        let usage = |message: String| Error::new(Kind::Usage, message);
        if let Some(other) = config.allow.iter().find(|allowed| *allowed != "sha1") {
            return Err(usage(format!("verify.allow: {other:?} is not sha1")));
        }
        let revocation = match (self.revocation, config.revocation.as_deref()) {
            (Some(mode), _) => mode.into(),
            (None, None) => Mode::Soft,
            (None, Some(text)) => <RevocationArg as clap::ValueEnum>::from_str(text, false)
                .map_err(|_| usage(format!("verify.revocation: {text:?} is not a mode")))?
                .into(),
        };
        let allows_sha1 = self.allow.contains(&Allow::Sha1) || !config.allow.is_empty();
        let mut severities: Severities = config.severity.clone();
        severities.extend(self.severity.iter().cloned());
        Ok(Policy {
            sha1: if allows_sha1 { Sha1::WhereTheCatalogueSays } else { Sha1::Refuse },
            revocation,
            chain: ChainInputs {
                eku_nesting: if config.eku_nesting { EkuNesting::Require } else { EkuNesting::Ignore },
                ..ChainInputs::default()
            },
            manufacturers: if self.manufacturer.is_empty() {
                config.manufacturers.clone()
            } else {
                self.manufacturer.clone()
            },
            severities,
        })
    }

    fn crls(&self, context: &Context, mode: Mode, ui: &Ui) -> Result<CrlSet, Error> {
        let mut set = CrlSet::default();
        if mode == Mode::Off {
            return Ok(set);
        }
        let (kept, notices) = crls::load(&context.store)?;
        notices.iter().for_each(|notice| ui.warning(notice));
        kept.into_iter().for_each(|crl| set.add(crl));
        for path in &self.crl {
            let bytes = file::read(path, CRL_CAP)?;
            let crls = Crl::read(&bytes)
                .map_err(|error| Error::new(Kind::Unknown, format!("{}: {error}", path.display())))?;
            crls.into_iter().for_each(|crl| set.add(crl));
        }
        Ok(set)
    }

    /// The untrusted intermediates. A certificate may straddle two files, as it does two NV indices; or each file is
    /// padded, as NV indices are too. Both are looked for.
    fn extra(&self) -> Result<Vec<Certificate>, Error> {
        let mut joined = Vec::new();
        let mut found = Vec::new();
        for path in &self.chain {
            let bytes = file::read(path, file::CERTIFICATE_FILE_CAP)?;
            found.extend(container::read(&bytes).unwrap_or_default());
            joined.extend(bytes);
        }
        if joined.is_empty() {
            return Ok(Vec::new());
        }
        match container::read(&joined) {
            Ok(more) => found.extend(more),
            Err(error) if found.is_empty() => {
                return Err(Error::new(Kind::Unknown, format!("--chain: {error}")));
            }
            Err(_) => {}
        }
        Ok(found.into_iter().map(|found| found.certificate).collect())
    }

    fn expected(&self) -> Result<Option<EkPublic>, Error> {
        let Some(path) = &self.ekpub else { return Ok(None) };
        let bytes = file::read(path, file::CERTIFICATE_FILE_CAP)?;
        let key = EkPublic::read(&bytes)
            .map_err(|error| Error::new(Kind::Unknown, format!("{}: {error}", path.display())))?;
        Ok(Some(key))
    }

    fn network(&self, context: &Context) -> Result<Option<Network>, Error> {
        if !self.fetch_chain {
            return Ok(None);
        }
        let vendors = context.catalogue.vendors().iter();
        let hosts = vendors.flat_map(|vendor| vendor.hosts.iter().map(String::as_str));
        let fetcher = Fetcher::new(self.network.transport()?, Limits::default(), hosts);
        Ok(Some(Network { fetcher, runtime: runtime()? }))
    }
}

struct Network {
    fetcher: Fetcher,
    runtime: Runtime,
}

/// Everything that one input is judged with.
struct Judge<'a> {
    verifier: Verifier,
    moment: Moment,
    extra: Vec<Certificate>,
    expected: Option<EkPublic>,
    network: Option<Network>,
    context: &'a Context,
}

impl Judge<'_> {
    /// The rows of one input: one for each certificate in question, or one that says why there is none.
    fn judge(&self, input: Input) -> Vec<Row> {
        let Input { file, id, bytes } = input;
        let at = match self.moment {
            Moment::At(time) => Some(time),
            Moment::Issuance => None,
        };
        let found = bytes.and_then(|bytes| container::read(&bytes).map_err(|error| error.to_string()));
        let found = match found {
            Ok(found) => found,
            Err(detail) => return vec![Row::unreadable(file, id, detail, at)],
        };
        // What is no CA is a leaf; the CAs with it are its chain. Where there are only CAs, the first is in question.
        let (leaves, chain): (Vec<Found>, Vec<Found>) =
            found.into_iter().partition(|found| !found.certificate.is_ca());
        let mut extra: Vec<Certificate> = chain.iter().map(|found| found.certificate.clone()).collect();
        extra.extend(self.extra.iter().cloned());
        let in_question: Vec<Found> =
            if leaves.is_empty() { chain.into_iter().take(1).collect() } else { leaves };
        in_question.into_iter().map(|found| self.judge_one(&file, id.as_ref(), &found, &extra)).collect()
    }

    fn judge_one(
        &self,
        file: &str,
        id: Option<&serde_json::Value>,
        found: &Found,
        extra: &[Certificate],
    ) -> Row {
        let leaf = &found.certificate;
        let verify =
            |extra: &[Certificate]| self.verifier.verify(leaf, extra, self.moment, self.expected.as_ref());
        let Some(network) = &self.network else {
            return Row::new(file, id, found, verify(extra), self.moment, Vec::new());
        };
        let (fetched, mut notices) = network.runtime.block_on(aia::fetch_chain(
            &network.fetcher,
            &self.context.catalogue,
            self.verifier.trust(),
            leaf,
            extra,
        ));
        let with_fetched: Vec<Certificate> =
            extra.iter().cloned().chain(fetched.iter().map(|(_, found)| found.certificate.clone())).collect();
        let report = verify(&with_fetched);
        // What verified up to an approved anchor on the way is worth a reviewer's look (T24).
        if report.failures.is_empty() {
            let used = |found: &Found| {
                let mut extras = report.chain.iter().filter(|link| link.origin == LinkOrigin::Extra);
                extras.any(|link| link.certificate == found.certificate)
            };
            let candidates: Vec<(Origin, Found)> =
                fetched.into_iter().filter(|(_, found)| used(found)).collect();
            notices.extend(self.propose(&candidates));
        }
        Row::new(file, id, found, report, self.moment, notices)
    }

    /// Adds candidates to the log, if nobody is writing: a verification never waits for a writer.
    fn propose(&self, candidates: &[(Origin, Found)]) -> Option<String> {
        if candidates.is_empty() {
            return None;
        }
        let database = Local::new(&self.context.store, Duration::ZERO);
        match review::add(&database, &self.context.author(), candidates) {
            Ok(_) => None,
            Err(db::Error::Locked { .. }) => {
                Some("the issuers found were not recorded: another process is writing".to_owned())
            }
            Err(error) => Some(format!("the issuers found were not recorded: {error}")),
        }
    }
}
