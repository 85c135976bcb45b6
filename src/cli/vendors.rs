//! `vendors`: the catalogue.

use clap::Subcommand;
use serde::Serialize;

use crate::catalogue::{Role, lint};
use crate::cli::Context;
use crate::cli::error::{Error, Kind, Outcome};
use crate::cli::ui::Ui;
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
                    };
                    if ui.is_json() {
                        ui.json(&row);
                    } else {
                        ui.line(format!(
                            "{:<4} {} {:<24} anchors {:>2}, intermediates {:>2}{}",
                            row.id,
                            row.registry,
                            row.name,
                            row.anchors,
                            row.intermediates,
                            if row.package_signers > 0 {
                                format!(", package signers {}", row.package_signers)
                            } else {
                                String::new()
                            }
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
            Verb::Lint => {
                let findings = lint::check(catalogue);
                for finding in &findings {
                    if ui.is_json() { ui.json(finding) } else { ui.line(finding.to_string()) }
                }
                let sources: usize = catalogue.vendors().iter().map(|vendor| vendor.sources.len()).sum();
                ui.note(format!(
                    "{} manufacturers, {sources} sources, {} findings",
                    catalogue.vendors().len(),
                    findings.len()
                ));
                Ok(if findings.is_empty() { Outcome::Done } else { Outcome::No })
            }
        }
    }
}
