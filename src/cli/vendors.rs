//! `vendors`: the catalogue.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use crate::catalogue::proposal::{self, Proposal};
use crate::catalogue::{Role, Source, lint};
use crate::cert::container;
use crate::cli::Context;
use crate::cli::error::{Error, Kind, Outcome};
use crate::cli::ui::Ui;
use crate::db::Check;
use crate::file;
use crate::vendor::VendorId;

/// Show and check the catalogue: the manufacturers, their sources and pins
#[derive(clap::Args, Debug)]
pub struct VendorsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// List the manufacturers
    List,
    /// Show one manufacturer's sources, pins and evidence
    Show {
        /// The manufacturer, such as IFX
        #[arg(value_name = "ID")]
        id: VendorId,
    },
    /// Check hosts, schemes, pins, duplicates and registry ids; exits with 1 if something is wrong
    Lint,
    /// Propose sources: issuers that the store has, at the URLs that certificates name for them, as TOML for review
    ///
    /// The certificates are those of the store, and those of the files given here (EK certificates name the most
    /// interesting URLs). A host that the manufacturer's entry does not list is commented out: whose it is must be found
    /// out first.
    Propose {
        /// Further certificates, such as EK certificates
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

#[derive(Serialize)]
struct Row<'a> {
    id: &'a VendorId,
    registry: &'a str,
    name: &'a str,
    hosts: &'a [String],
    anchors: usize,
    intermediates: usize,
    package_signers: usize,
    without_url: usize,
    packages: usize,
}

impl VendorsArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] if there is no such manufacturer.
    pub fn run(self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        let catalogue = &context.catalogue;
        match self.verb {
            Verb::List => {
                for vendor in catalogue.vendors() {
                    let count = |role| vendor.sources.iter().filter(|source| source.role == role).count();
                    let row = Row {
                        id: &vendor.id,
                        registry: &vendor.registry,
                        name: &vendor.name,
                        hosts: &vendor.hosts,
                        anchors: count(Role::Anchor),
                        intermediates: count(Role::Intermediate),
                        package_signers: count(Role::PackageSigner),
                        without_url: vendor.certificates.len(),
                        packages: vendor.packages.len(),
                    };
                    if ui.is_json() {
                        ui.json(&row);
                    } else {
                        let mut more = String::new();
                        for (number, what) in [
                            (row.without_url, "without URL"),
                            (row.package_signers, "package signers"),
                            (row.packages, "signed package"),
                        ] {
                            if number > 0 {
                                more.push_str(&format!(", {what} {number}"));
                            }
                        }
                        ui.line(format!(
                            "{:<4} {} {:<24} anchors {:>2}, intermediates {:>2}{more}",
                            row.id, row.registry, row.name, row.anchors, row.intermediates,
                        ));
                    }
                }
                Ok(Outcome::Done)
            }
            Verb::Show { id } => {
                let vendor = catalogue.vendor(&id).ok_or_else(|| {
                    Error::new(Kind::No, format!("the catalogue has no manufacturer {id}"))
                        .with_hint("`ekstore vendors list` shows them")
                })?;
                if ui.is_json() {
                    ui.json(vendor);
                } else {
                    let text = toml::to_string_pretty(vendor).map_err(|error| {
                        Error::new(Kind::Unknown, format!("cannot write the entry as TOML: {error}"))
                    })?;
                    ui.raw(text.as_bytes());
                }
                Ok(Outcome::Done)
            }
            Verb::Propose { files } => propose(&files, context, ui),
            Verb::Lint => {
                let findings = lint::check(catalogue);
                for finding in &findings {
                    if ui.is_json() { ui.json(finding) } else { ui.line(finding.to_string()) }
                }
                let sources: usize = catalogue.vendors().iter().map(|vendor| vendor.sources.len()).sum();
                let packages = catalogue.packages().count();
                ui.note(format!(
                    "{} manufacturers, {sources} sources, {packages} signed packages, {} findings",
                    catalogue.vendors().len(),
                    findings.len()
                ));
                Ok(if findings.is_empty() { Outcome::Done } else { Outcome::No })
            }
        }
    }
}

fn propose(files: &[PathBuf], context: &Context, ui: &Ui) -> Result<Outcome, Error> {
    let mut leaves = Vec::new();
    for path in files {
        let bytes = file::read(path, file::CERTIFICATE_FILE_CAP)?;
        let found = container::read(&bytes)
            .map_err(|error| Error::new(Kind::Unknown, format!("{}: {error}", path.display())))?;
        leaves.extend(found.into_iter().map(|found| found.certificate));
    }
    let stores = context.database().load(Check::Quick)?;
    let proposals = proposal::propose(&stores, &context.catalogue, &leaves);
    for proposal in &proposals {
        if ui.is_json() { ui.json(proposal) } else { ui.raw(entry(proposal)?.as_bytes()) }
    }
    ui.note(format!("{} sources proposed", proposals.len()));
    if stores.events() == 0 {
        ui.hint("the store is empty; `ekstore sync --package TrustedTpm.cab` brings the most issuers in");
    }
    Ok(Outcome::Done)
}

/// A proposal as it would stand in `vendors/<id>.toml`.
fn entry(proposal: &Proposal) -> Result<String, Error> {
    #[derive(Serialize)]
    struct File<'a> {
        source: [&'a Source; 1],
    }
    let text = toml::to_string_pretty(&File { source: [&proposal.source] })
        .map_err(|error| Error::new(Kind::Unknown, format!("cannot write the entry as TOML: {error}")))?;
    let id = proposal.vendor.as_ref().map_or("no manufacturer known", VendorId::as_str);
    let host = proposal.source.url.host_str().unwrap_or_default();
    if proposal.host_listed {
        return Ok(format!("# {id}\n{text}\n"));
    }
    let commented: Vec<String> = text.lines().map(|line| format!("# {line}")).collect();
    Ok(format!("# {id}: {host} is not among its hosts; whose is it?\n{}\n\n", commented.join("\n")))
}
