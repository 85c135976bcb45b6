//! `show`: everything about one certificate.

use serde::Serialize;

use crate::cert::pem;
use crate::cli::Context;
use crate::cli::error::{Error, Outcome};
use crate::cli::list::Row;
use crate::cli::review::origin;
use crate::cli::ui::Ui;
use crate::db::Check;
use crate::fingerprint::Fingerprint;
use crate::review;
use crate::store::StoreName;
use crate::store::record::{Decision, Record};
use crate::vendor::VendorId;
use crate::verify::chain;

/// Show one certificate: where it was seen, who decided what, and why it is where it is
#[derive(clap::Args, Debug)]
pub struct ShowArgs {
    /// Fingerprints (SHA-256), or their first 8 digits or more
    #[arg(required = true, value_name = "FINGERPRINT")]
    fingerprints: Vec<String>,

    /// Print the certificate as PEM
    #[arg(long)]
    pem: bool,
}

#[derive(Serialize)]
struct Detail<'a> {
    #[serde(flatten)]
    row: Row<'a>,
    serial: String,
    is_ca: bool,
    issued_by: Option<Fingerprint>,
    signed_with_sha1: bool,
    same_key: Vec<Fingerprint>,
    decisions: &'a [Decision],
}

impl ShowArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] if there is no such certificate, or the store cannot be read.
    pub fn run(self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        let stores = context.database().load(Check::Quick)?;
        for digits in &self.fingerprints {
            let record = review::find(&stores, digits)?;
            if self.pem {
                ui.raw(pem::write(record.certificate.der()).as_bytes());
                continue;
            }
            let detail = Detail {
                row: Row::new(&stores, record),
                serial: data_encoding::HEXLOWER.encode(record.certificate.serial()),
                is_ca: record.certificate.is_ca(),
                issued_by: record.placement.issuer,
                signed_with_sha1: chain::is_sha1(&record.certificate),
                same_key: stores
                    .records()
                    .filter(|other| other.key_fingerprint() == record.key_fingerprint())
                    .map(Record::fingerprint)
                    .filter(|fingerprint| *fingerprint != record.fingerprint())
                    .collect(),
                decisions: &record.decisions,
            };
            if ui.is_json() {
                ui.json(&detail);
                continue;
            }
            let Detail { row, serial, .. } = &detail;
            let field = |name: &str, value: &str| ui.line(format!("{name:<13} {value}"));
            field("subject", &row.subject);
            field("issuer", &row.issuer);
            field("fingerprint", &row.fingerprint.to_string());
            field("thumbprint", &row.thumbprint.to_upper_hex());
            field("key", &format!("{}, SHA-256 {}", row.key, row.spki_sha256));
            field("serial", serial);
            field("validity", &format!("{} to {}", row.not_before, row.not_after));
            field("manufacturer", row.manufacturer.map_or("not stated", VendorId::as_str));
            field("purpose", &row.purpose.to_string());
            field("state", &row.state.to_string());
            field("store", row.store.map_or("none", StoreName::as_str));
            if let Some(issuer) = record.placement.issuer.and_then(|issuer| stores.record(issuer)) {
                field(
                    "verifies under",
                    &format!("{} {}", issuer.fingerprint(), issuer.certificate.subject()),
                );
            }
            if detail.signed_with_sha1 {
                field("signature", "made with SHA-1");
            }
            for other in &detail.same_key {
                field("same key", &other.to_string());
            }
            for flag in &row.flags {
                field("flag", &format!("{flag}: {}", flag.explain()));
            }
            for quirk in &row.quirks {
                field("quirk", &format!("{quirk}: {}", quirk.explain()));
            }
            for voucher in &row.vouched_for_by {
                field("vouched by", &format!("{} ({})", voucher.source, voucher.by));
            }
            for sighting in &record.sightings {
                field(
                    "seen",
                    &format!("{} by {}: {}", sighting.time, sighting.actor, origin(&sighting.origin)),
                );
            }
            for decision in &record.decisions {
                let Decision { verb, reason, actor, time, event } = decision;
                field("decision", &format!("{verb} {time} by {actor}: {reason} (event {event})"));
            }
            ui.line("");
        }
        Ok(Outcome::Done)
    }
}
