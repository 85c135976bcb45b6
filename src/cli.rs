//! The command line: one file a command, which holds no rule of PKI.

pub mod adcs;
pub mod add;
pub mod completions;
pub mod config;
pub mod decide;
pub mod demo;
pub mod ekpub;
pub mod error;
pub mod export;
pub mod inspect;
pub mod list;
pub mod log;
pub mod network;
pub mod purpose;
pub mod review;
pub mod selection;
pub mod show;
pub mod status;
pub mod sync;
pub mod ui;
pub mod vendors;
pub mod verify;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::catalogue::Catalogue;
use crate::cli::config::Config;
use crate::cli::error::{Error, Kind, Outcome};
use crate::cli::ui::{Format, Ui, Verbosity};
use crate::clock::{Clock, System};
use crate::db::local::{self, Local};
use crate::db::{Author, Database};
use crate::file;

/// Keeps the trust stores that an issuing CA needs to believe a TPM.
///
/// EKROOT holds the TPM manufacturers' root CA certificates, EKCA their intermediates. ekstore fetches them from the
/// manufacturers, holds them against pins, records who decided what, validates endorsement key (EK) certificates, and
/// hands the stores to the CA.
#[derive(Parser, Debug)]
#[command(name = "ekstore", version, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Start with:
  ekstore demo                         the whole way on this machine, without a network
  ekstore sync                         fetch what the manufacturers publish
  ekstore verify ek.der                is this EK certificate from a genuine TPM maker?
  ekstore export adcs --out import     the folder that the CA's administrator imports

Exit status: 0 done, or all trusted; 1 the answer is no (untrusted, drift, check failed);
2 the command line is wrong; 3 could not tell (network, disk, unreadable input).";

/// What every command takes.
#[derive(clap::Args, Debug)]
pub struct Global {
    /// The store's folder
    #[arg(
        long,
        global = true,
        env = "EKSTORE_STORE",
        hide_env_values = true,
        value_name = "DIR",
        help_heading = "Global options"
    )]
    store: Option<PathBuf>,

    /// A catalogue to use in place of the embedded one: a folder of TOML files
    #[arg(
        long,
        global = true,
        env = "EKSTORE_CATALOGUE",
        hide_env_values = true,
        value_name = "DIR",
        help_heading = "Global options"
    )]
    catalogue: Option<PathBuf>,

    /// A configuration file: store, catalogue, actor, and how to verify
    #[arg(
        long,
        global = true,
        env = "EKSTORE_CONFIG",
        hide_env_values = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    config: Option<PathBuf>,

    /// Who acts, for the log [default: user@host]
    #[arg(
        long,
        global = true,
        env = "EKSTORE_ACTOR",
        hide_env_values = true,
        value_name = "NAME",
        help_heading = "Global options"
    )]
    actor: Option<String>,

    /// The form of what goes to stdout; json prints one object a line
    #[arg(long, global = true, value_enum, default_value_t, help_heading = "Global options")]
    format: Format,

    /// How long to wait, in seconds, for another process that is writing
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        default_value_t = 10,
        help_heading = "Global options"
    )]
    lock_timeout: u32,

    /// Go on although the log lost events that the index had seen; the reason is recorded
    #[arg(long, global = true, value_name = "REASON", help_heading = "Global options")]
    accept_truncated_log: Option<String>,

    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    quiet: bool,

    /// Also say what stayed as it was
    #[arg(short, long, global = true, help_heading = "Global options")]
    verbose: bool,
}

#[derive(Subcommand, Debug)]
enum Command {
    Sync(sync::SyncArgs),
    Add(add::AddArgs),
    Review(review::ReviewArgs),
    Approve(decide::ApproveArgs),
    Reject(decide::RejectArgs),
    Distrust(decide::DistrustArgs),
    Reinstate(decide::ReinstateArgs),
    List(list::ListArgs),
    Show(show::ShowArgs),
    Status(status::StatusArgs),
    Verify(verify::VerifyArgs),
    Inspect(inspect::InspectArgs),
    Export(export::ExportArgs),
    Ekpub(ekpub::EkpubArgs),
    Adcs(adcs::AdcsArgs),
    Vendors(vendors::VendorsArgs),
    Log(log::LogArgs),
    Demo(demo::DemoArgs),
    Completions(completions::CompletionsArgs),
}

/// What commands work with.
pub struct Context {
    store: PathBuf,
    catalogue: Catalogue,
    config: Config,
    actor: String,
    database: Local,
}

impl Context {
    fn new(global: &Global) -> Result<Self, Error> {
        let config = global.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
        let store = match global.store.as_ref().or(config.store.as_ref()) {
            Some(store) => store.clone(),
            None => default_store()?,
        };
        if let Some(url) = store.to_str().filter(|store| store.contains("://")) {
            return Err(Error::new(Kind::Usage, format!("{url} is not a folder"))
                .with_hint("only folders are supported as stores by this version"));
        }
        let catalogue = match global.catalogue.as_ref().or(config.catalogue.as_ref()) {
            None => Catalogue::embedded(),
            Some(folder) => read_catalogue(folder)?,
        };
        let actor = global.actor.clone().or_else(|| config.actor.clone()).unwrap_or_else(|| {
            let user = whoami::username().unwrap_or_else(|_| "unknown".to_owned());
            let host = whoami::hostname().unwrap_or_else(|_| "unknown".to_owned());
            format!("{user}@{host}")
        });
        if actor.trim().is_empty() || actor.chars().any(crate::cert::name::is_deceptive) {
            return Err(Error::new(Kind::Usage, "the actor's name is empty or has control characters"));
        }
        let database = Local::new(&store, Duration::from_secs(global.lock_timeout.into()));
        Ok(Self { store, catalogue, config, actor, database })
    }

    /// The store.
    pub fn database(&self) -> &dyn Database {
        &self.database
    }

    /// Who writes now.
    pub fn author(&self) -> Author {
        Author { actor: self.actor.clone(), time: System.now(), catalogue: self.catalogue.digest() }
    }
}

/// Where the store is if nobody says: the user's data folder.
fn default_store() -> Result<PathBuf, Error> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_DATA_HOME")
        .or_else(|| set("LOCALAPPDATA"))
        .or_else(|| set("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("ekstore"))
        .ok_or_else(|| {
            Error::new(Kind::Usage, "there is no home folder to keep the store in")
                .with_hint("give one with --store DIR")
        })
}

/// The most that is read of a catalogue file: 4 MiB, forty times the largest.
const CATALOGUE_CAP: u64 = 4 << 20;

fn read_catalogue(folder: &std::path::Path) -> Result<Catalogue, Error> {
    let mut files = std::collections::BTreeMap::new();
    for path in file::list(folder)? {
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let bytes = file::read(&path, CATALOGUE_CAP)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::new(Kind::Unknown, format!("{} is not UTF-8", path.display())))?;
        let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
        files.insert(name, text);
    }
    Ok(Catalogue::from_files(files)?)
}

/// Runs the program with these arguments, the first being its name. Returns the exit status.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    silence_guarded_panics();
    report_file_size_limits();
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // clap's own text: help and version to stdout with 0, mistakes to stderr with 2.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let verbosity = match (cli.global.quiet, cli.global.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let ui = Ui::new(cli.global.format, verbosity);
    let result = dispatch(cli, &ui);
    let code = match result {
        Ok(outcome) => outcome.code(),
        Err(error) => {
            ui.error(error.to_string(), error.hint());
            error.code()
        }
    };
    match ui.finish() {
        Ok(()) => code,
        Err(error) => {
            ui.error(format!("cannot write to standard output: {error}"), None);
            3
        }
    }
}

fn dispatch(cli: Cli, ui: &Ui) -> Result<Outcome, Error> {
    let global = &cli.global;
    // These need no store, and must work where there is none.
    match &cli.command {
        Command::Completions(args) => return Ok(args.run(ui)),
        Command::Demo(args) => return args.run(ui),
        Command::Inspect(args) => return Ok(args.run(ui)),
        _ => {}
    }
    let context = Context::new(global)?;
    if let Some(reason) = &global.accept_truncated_log {
        accept_truncated_log(&context, reason, ui)?;
    }
    match cli.command {
        Command::Sync(args) => args.run(&context, ui),
        Command::Add(args) => args.run(&context, ui),
        Command::Review(args) => args.run(&context, ui),
        Command::Approve(args) => args.run(&context, ui),
        Command::Reject(args) => args.run(&context, ui),
        Command::Distrust(args) => args.run(&context, ui),
        Command::Reinstate(args) => args.run(&context, ui),
        Command::List(args) => args.run(&context, ui),
        Command::Show(args) => args.run(&context, ui),
        Command::Status(args) => args.run(&context, ui),
        Command::Verify(args) => args.run(&context, ui),
        Command::Export(args) => args.run(&context, ui),
        Command::Ekpub(args) => args.run(&context, ui),
        Command::Adcs(args) => args.run(&context, ui),
        Command::Vendors(args) => args.run(&context, ui),
        Command::Log(args) => args.run(&context, ui),
        Command::Completions(_) | Command::Demo(_) | Command::Inspect(_) => Ok(Outcome::Done),
    }
}

fn accept_truncated_log(context: &Context, reason: &str, ui: &Ui) -> Result<(), Error> {
    if reason.trim().is_empty() {
        return Err(Error::new(Kind::Usage, "--accept-truncated-log needs a reason that is not empty"));
    }
    let receipt = context.database().accept_truncation(&context.author(), reason)?;
    ui.warning(format!(
        "the loss of events was accepted; the log holds {} events now",
        receipt.stores.events()
    ));
    Ok(())
}

/// A panic inside the index is caught there; it is no news for a person. Any other keeps its message.
fn silence_guarded_panics() {
    let inner = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !local::is_guarded() {
            inner(info);
        }
    }));
}

/// A file size limit (`ulimit -f`) is a full disk to us: an error from the write, not the end of the process.
#[cfg(unix)]
fn report_file_size_limits() {
    let ignored = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    // If it cannot be registered the signal ends the process, as it would have.
    let _ = signal_hook::flag::register(signal_hook::consts::signal::SIGXFSZ, ignored);
}

#[cfg(not(unix))]
fn report_file_size_limits() {}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Cli::command().debug_assert();
        // Options of a command and global ones share one space of names: read each command's once.
        for command in ["list", "status", "review", "vendors list", "log verify"] {
            let arguments = ["ekstore"].into_iter().chain(command.split(' '));
            assert!(Cli::try_parse_from(arguments).is_ok(), "{command}");
        }
    }
}
