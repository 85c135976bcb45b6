//! `export`: hand the stores to a CA or to another program.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::error::{Error, Outcome};
use crate::cli::selection::SelectionArgs;
use crate::cli::ui::Ui;
use crate::export::{Export, Malformed, Options, adcs, cab, json, keylime, manifest, p7b, pem, reg, sst};
use crate::file;
use crate::fingerprint::Digest;
use crate::log::Event;
use crate::store::{StoreName, Stores};
use crate::time::Time;

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
    /// A folder for an AD CS issuing CA: certificates, .sst, registry file, Group Policy items, manifest, scripts
    Adcs(FormArgs),
    /// One PEM file with both stores, anchors first, that OpenSSL reads
    Pem(PemArgs),
    /// One certs-only PKCS#7 file with both stores
    P7b(TextArgs),
    /// Windows' serialized stores: a folder with EKROOT.sst and EKCA.sst, or with --in one file
    Sst(OneStoreArgs),
    /// A registry file with both stores of the local machine
    Reg(OneStoreArgs),
    /// A folder for keylime's `tpm_cert_store`, one PEM file a certificate
    Keylime(OneStoreArgs),
    /// A cabinet in the layout of TrustedTpm.cab, unsigned
    Cab(OneStoreArgs),
    /// One JSON document with every certificate, its sources and its approvals
    Json(OneStoreArgs),
}

#[derive(clap::Args, Debug)]
struct PemArgs {
    #[command(flatten)]
    text: TextArgs,

    /// A folder with ekroot.pem and ekca.pem in place of one file
    #[arg(long)]
    split: bool,
}

#[derive(clap::Args, Debug)]
struct TextArgs {
    #[command(flatten)]
    one: OneStoreArgs,

    /// Also write certificates that OpenSSL cannot load; one of them keeps it from reading the whole file
    #[arg(long)]
    with_malformed: bool,
}

#[derive(clap::Args, Debug)]
struct OneStoreArgs {
    #[command(flatten)]
    form: FormArgs,

    /// Only one of the two stores
    #[arg(id = "in-store", long = "in", value_enum, ignore_case = true, value_name = "STORE")]
    store: Option<StoreArg>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum StoreArg {
    Ekroot,
    Ekca,
}

#[derive(clap::Args, Debug)]
struct FormArgs {
    /// Where to write: a folder for adcs, keylime, sst and pem --split, a file otherwise
    #[arg(long, value_name = "PATH")]
    out: PathBuf,

    #[command(flatten)]
    selection: SelectionArgs,

    /// The time for --without-expired
    #[arg(long, value_name = "TIME", requires = "without_expired")]
    at: Option<Time>,
}

#[derive(Serialize)]
struct Row<'a> {
    out: String,
    form: &'a str,
    generation: u64,
    certificates: usize,
    ekroot: usize,
    ekca: usize,
    /// SHA-256 of the manifest of a folder, or of the one file.
    manifest_sha256: Digest,
}

/// Whether an export is a folder or a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Folder,
    File,
}

impl Form {
    fn name(&self) -> &'static str {
        match self {
            Form::Adcs(_) => "adcs",
            Form::Pem(_) => "pem",
            Form::P7b(_) => "p7b",
            Form::Sst(_) => "sst",
            Form::Reg(_) => "reg",
            Form::Keylime(_) => "keylime",
            Form::Cab(_) => "cab",
            Form::Json(_) => "json",
        }
    }

    fn args(&self) -> (&FormArgs, Option<StoreName>) {
        let one = match self {
            Form::Adcs(args) => return (args, None),
            Form::Pem(args) => &args.text.one,
            Form::P7b(args) => &args.one,
            Form::Sst(args) | Form::Reg(args) | Form::Keylime(args) | Form::Cab(args) | Form::Json(args) => {
                args
            }
        };
        let store = one.store.map(|store| match store {
            StoreArg::Ekroot => StoreName::Ekroot,
            StoreArg::Ekca => StoreName::Ekca,
        });
        (&one.form, store)
    }

    fn shape(&self) -> Shape {
        match self {
            Form::Adcs(_) | Form::Keylime(_) => Shape::Folder,
            Form::Pem(args) if args.split => Shape::Folder,
            Form::Sst(args) if args.store.is_none() => Shape::Folder,
            _ => Shape::File,
        }
    }

    fn make(&self, stores: &Stores, options: &Options) -> Result<Export, Error> {
        let malformed = |args: &TextArgs| {
            if args.with_malformed { Malformed::Include } else { Malformed::LeaveOut }
        };
        Ok(match self {
            Form::Adcs(_) => adcs::export(stores, options)?,
            Form::Pem(args) if args.split => pem::export_split(stores, options, malformed(&args.text)),
            Form::Pem(args) => pem::export(stores, options, malformed(&args.text)),
            Form::P7b(args) => p7b::export(stores, options, malformed(args)),
            Form::Sst(_) => match options.only {
                Some(store) => sst::export_one(stores, options, store),
                None => sst::export(stores, options),
            },
            Form::Reg(_) => reg::export(stores, options),
            Form::Keylime(_) => keylime::export(stores, options),
            Form::Cab(_) => cab::export(stores, options)?,
            Form::Json(_) => json::export(stores, options),
        })
    }
}

impl ExportArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] if the log is damaged, or the place cannot be written.
    pub fn run(self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        let (args, only) = self.form.args();
        let stores = args.selection.stores(context)?;
        let options = args.selection.options(context, args.at, only);
        let export = self.form.make(&stores, &options)?;
        match self.form.shape() {
            Shape::Folder => file::write_folder(&args.out, is_export, &export.files)?,
            Shape::File => {
                for (_, bytes) in &export.files {
                    file::write_whole(&args.out, bytes)?;
                }
            }
        }
        record(context, self.form.name(), &stores, &options, &export)?;
        let in_store = |store| {
            let selected =
                if options.stores().contains(&store) { options.select(&stores, store) } else { Vec::new() };
            selected.iter().filter(|record| !export.left_out.contains(&record.fingerprint())).count()
        };
        let row = Row {
            out: args.out.to_string_lossy().into_owned(),
            form: self.form.name(),
            generation: stores.generation(),
            certificates: export.count,
            ekroot: in_store(StoreName::Ekroot),
            ekca: in_store(StoreName::Ekca),
            manifest_sha256: export.manifest,
        };
        self.print(&row, &export, ui);
        Ok(Outcome::Done)
    }

    fn print(&self, row: &Row<'_>, export: &Export, ui: &Ui) {
        if ui.is_json() {
            ui.json(row);
        } else {
            let Row { out, generation, ekroot, ekca, manifest_sha256, .. } = row;
            ui.line(format!("{out}: generation {generation}, EKROOT {ekroot}, EKCA {ekca}"));
            let what = if self.form.shape() == Shape::Folder { "manifest SHA-256" } else { "SHA-256" };
            ui.line(format!("{what} {manifest_sha256}"));
            match &self.form {
                Form::Adcs(_) => {
                    ui.hint(format!("on the CA: .\\Import-EkStores.ps1 -ManifestSha256 {manifest_sha256}"));
                }
                Form::Keylime(_) => ui.hint(format!("in keylime's tenant.conf: tpm_cert_store = {out}")),
                Form::Reg(_) => {
                    ui.hint("it only adds; what was distrusted is removed by the script of `export adcs`");
                }
                _ => {}
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
    }
}

/// The most that is read of a manifest: 64 MiB, thirty times that of all certificates known.
const MANIFEST_CAP: u64 = 64 << 20;

/// Whether a folder is an earlier export and nothing else: every file in it is in its manifest. A folder that only
/// happens to have a `manifest.json` must not be replaced.
fn is_export(folder: &Path) -> bool {
    let listed = file::read(&folder.join(manifest::MANIFEST), MANIFEST_CAP).ok();
    let (Some(listed), Ok(files)) = (listed.and_then(|bytes| manifest::files_of(&bytes)), file::list(folder))
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
