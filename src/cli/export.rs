//! `export`: hand the stores to a CA or to another program.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::error::{Error, Kind, Outcome};
use crate::cli::purpose::{Purpose, PurposeArgs};
use crate::cli::ui::Ui;
use crate::db::Check;
use crate::export::pem::Malformed;
use crate::export::{Aik, Export, Options, adcs, pem};
use crate::file;
use crate::fingerprint::Digest;
use crate::log::Event;
use crate::store::{StoreName, Stores};
use crate::time::Time;
use crate::vendor::VendorId;

/// Hand the stores out, in the form that someone else imports
///
/// The whole log is checked first. The same generation and options give the same bytes; what is written is written
/// beside its place and renamed, so it is never half there.
#[derive(clap::Args, Debug)]
pub struct ExportArgs {
    #[command(subcommand)]
    form: Form,
}

#[derive(Subcommand, Debug)]
enum Form {
    /// A folder for an AD CS issuing CA: certificates, a manifest, and the import script
    Adcs(FormArgs),
    /// One PEM file with both stores, anchors first, that OpenSSL reads
    Pem(PemArgs),
}

#[derive(clap::Args, Debug)]
struct PemArgs {
    #[command(flatten)]
    form: FormArgs,

    /// Also write certificates that OpenSSL cannot load; one of them keeps it from reading the whole file
    #[arg(long)]
    with_malformed: bool,
}

#[derive(clap::Args, Debug)]
struct FormArgs {
    /// Where to write: a folder for adcs, a file otherwise
    #[arg(long, value_name = "PATH")]
    out: PathBuf,

    /// Only these manufacturers
    #[arg(long, value_name = "ID")]
    vendor: Vec<VendorId>,

    #[command(flatten)]
    purpose: PurposeArgs,

    /// Leave out what is not valid at the time given with --at
    #[arg(long, requires = "at")]
    without_expired: bool,

    /// The time for --without-expired
    #[arg(long, value_name = "TIME", requires = "without_expired")]
    at: Option<Time>,

    /// The generation to export [default: the current one]
    #[arg(long, value_name = "N")]
    generation: Option<u64>,
}

#[derive(Serialize)]
struct Row<'a> {
    out: String,
    form: &'a str,
    generation: u64,
    certificates: usize,
    ekroot: usize,
    ekca: usize,
    manifest_sha256: Digest,
}

impl ExportArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] if the log is damaged, or the place cannot be written.
    pub fn run(self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        let (form, args) = match &self.form {
            Form::Adcs(args) => ("adcs", args),
            Form::Pem(args) => ("pem", &args.form),
        };
        let stores = args.stores(context)?;
        let options = args.options(context);
        let export = match &self.form {
            Form::Adcs(_) => adcs::export(&stores, &options)?,
            Form::Pem(args) => {
                let malformed = if args.with_malformed { Malformed::Include } else { Malformed::LeaveOut };
                pem::export(&stores, &options, malformed)
            }
        };
        match &self.form {
            Form::Adcs(_) => file::write_folder(&args.out, is_export, &export.files)?,
            Form::Pem(_) => {
                for (_, bytes) in &export.files {
                    file::write_whole(&args.out, bytes)?;
                }
            }
        }
        record(context, form, &stores, &options, &export)?;
        let in_store = |store| {
            let selected = options.select(&stores, store);
            selected.iter().filter(|record| !export.left_out.contains(&record.fingerprint())).count()
        };
        let row = Row {
            out: args.out.to_string_lossy().into_owned(),
            form,
            generation: stores.generation(),
            certificates: export.count,
            ekroot: in_store(StoreName::Ekroot),
            ekca: in_store(StoreName::Ekca),
            manifest_sha256: export.manifest,
        };
        if ui.is_json() {
            ui.json(&row);
        } else {
            ui.line(format!(
                "{}: generation {}, EKROOT {}, EKCA {}",
                row.out, row.generation, row.ekroot, row.ekca
            ));
            match &self.form {
                Form::Adcs(_) => {
                    ui.line(format!("manifest SHA-256 {}", row.manifest_sha256));
                    ui.hint(format!(
                        "on the CA: .\\Import-EkStores.ps1 -ManifestSha256 {}",
                        row.manifest_sha256
                    ));
                }
                Form::Pem(_) => ui.line(format!("SHA-256 {}", row.manifest_sha256)),
            }
        }
        if !export.left_out.is_empty() {
            ui.warning(format!(
                "{} certificates were left out, as OpenSSL cannot load them; --with-malformed writes them",
                export.left_out.len()
            ));
        }
        if export.count == 0 {
            ui.warning("the export holds no certificate");
        }
        Ok(Outcome::Done)
    }
}

/// The most that is read of a manifest: 64 MiB, thirty times that of all certificates known.
const MANIFEST_CAP: u64 = 64 << 20;

/// Whether a folder is an earlier export and nothing else: every file in it is in its manifest. A folder that only
/// happens to have a `manifest.json` must not be replaced.
fn is_export(folder: &Path) -> bool {
    let listed = file::read(&folder.join(adcs::MANIFEST), MANIFEST_CAP).ok();
    let (Some(listed), Ok(files)) = (listed.and_then(|bytes| adcs::files_of(&bytes)), file::list(folder))
    else {
        return false;
    };
    files.iter().all(|file| {
        let name = file.strip_prefix(folder).unwrap_or(file).to_string_lossy().replace('\\', "/");
        listed.contains(&name)
    })
}

/// An export is an event, though it is not part of itself.
fn record(
    context: &Context,
    form: &str,
    stores: &Stores,
    options: &Options,
    export: &Export,
) -> Result<(), Error> {
    context.database().append(&context.author(), &mut |_| {
        vec![Event::Exported {
            form: form.to_owned(),
            generation: stores.generation(),
            options: options.describe(),
            count: export.count,
            manifest: export.manifest,
        }]
    })?;
    Ok(())
}

impl FormArgs {
    fn options(&self, context: &Context) -> Options {
        Options {
            vendors: self.vendor.clone(),
            aik: match self.purpose.of(context) {
                Purpose::Ek => Aik::LeaveOut,
                Purpose::Aik => Aik::Include,
            },
            valid_at: self.at.filter(|_| self.without_expired),
        }
    }

    fn stores(&self, context: &Context) -> Result<Stores, Error> {
        let database = context.database();
        let Some(generation) = self.generation else { return Ok(database.load(Check::Full)?) };
        let log = database.log()?;
        let stores = Stores::at_generation(&log, generation)
            .map_err(|damage| Error::new(Kind::Unknown, format!("the log is damaged: {damage}")))?;
        stores.ok_or_else(|| {
            Error::new(Kind::No, format!("the store has no generation {generation} yet"))
                .with_hint("`ekstore status` tells the current one")
        })
    }
}
