//! `list`: what is trusted, and what is not.

use serde::Serialize;

use crate::cert::quirk::Quirk;
use crate::cli::Context;
use crate::cli::error::{Error, Outcome};
use crate::cli::purpose;
use crate::cli::ui::{Tone, Ui};
use crate::db::Check;
use crate::fingerprint::{Fingerprint, KeyFingerprint, Thumbprint};
use crate::store::placement::Flag;
use crate::store::record::{Purpose, Record, Sighting, State, Voucher};
use crate::store::{StoreName, Stores};
use crate::time::Time;
use crate::vendor::VendorId;

/// List the certificates: which store, whose, which state
#[derive(clap::Args, Debug)]
pub struct ListArgs {
    /// Only those of one store
    #[arg(id = "in-store", long = "in", value_enum, ignore_case = true, value_name = "STORE")]
    store: Option<StoreArg>,

    /// Only these manufacturers
    #[arg(long, value_name = "ID")]
    vendor: Vec<VendorId>,

    /// Only those in this state
    #[arg(long, value_enum)]
    state: Option<StateArg>,

    /// Only those for this purpose; a CA that issues for both is for each
    #[arg(long, value_enum)]
    purpose: Option<purpose::Purpose>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum StoreArg {
    Ekroot,
    Ekca,
    /// In no store
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum StateArg {
    Candidate,
    Approved,
    Rejected,
    Distrusted,
}

impl From<StateArg> for State {
    fn from(state: StateArg) -> Self {
        match state {
            StateArg::Candidate => State::Candidate,
            StateArg::Approved => State::Approved,
            StateArg::Rejected => State::Rejected,
            StateArg::Distrusted => State::Distrusted,
        }
    }
}

/// One certificate as `list`, `review` and `show` print it.
#[derive(Debug, Serialize)]
pub struct Row<'a> {
    /// SHA-256 of the exact DER.
    pub fingerprint: Fingerprint,
    /// SHA-1 of the exact DER.
    pub thumbprint: Thumbprint,
    /// The store it is in.
    pub store: Option<StoreName>,
    /// The manufacturer.
    pub manufacturer: Option<&'a VendorId>,
    /// The subject by RFC 4514.
    pub subject: String,
    /// The issuer by RFC 4514.
    pub issuer: String,
    /// The first second of its validity.
    pub not_before: Time,
    /// The last second of its validity.
    pub not_after: Time,
    /// Where it stands.
    pub state: State,
    /// What it is for.
    pub purpose: Purpose,
    /// What a reviewer should notice.
    pub flags: Vec<Flag>,
    /// The sources that vouch for it today.
    pub vouched_for_by: Vec<VoucherRow>,
    /// Where it was seen.
    pub sources: &'a [Sighting],
    /// Tolerated departures.
    pub quirks: Vec<Quirk>,
    /// The key's kind and size.
    pub key: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki_sha256: KeyFingerprint,
}

/// A source that vouches for a certificate.
#[derive(Debug, Serialize)]
pub struct VoucherRow {
    /// The source, in words.
    pub source: String,
    /// By what.
    pub by: Voucher,
}

impl<'a> Row<'a> {
    /// The row of a record.
    pub fn new(stores: &'a Stores, record: &'a Record) -> Self {
        let certificate = &record.certificate;
        Self {
            fingerprint: record.fingerprint(),
            thumbprint: certificate.thumbprint(),
            store: record.store(),
            manufacturer: stores.manufacturer(record),
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            not_before: certificate.validity().not_before,
            not_after: certificate.validity().not_after,
            state: stores.state(record),
            purpose: record.placement.purpose,
            flags: record.placement.flags.iter().copied().collect(),
            vouched_for_by: record
                .vouchers()
                .map(|(sighting, by)| VoucherRow { source: sighting.place(), by })
                .collect(),
            sources: &record.sightings,
            quirks: record.quirks(),
            key: certificate.key().describe(),
            spki_sha256: record.key_fingerprint(),
        }
    }

    /// The row as one line for people.
    pub fn human(&self, ui: &Ui) -> String {
        let store = self.store.map_or("-", StoreName::as_str);
        let tone = match self.state {
            State::Approved => Tone::Good,
            State::Candidate => Tone::Caution,
            State::Rejected | State::Distrusted => Tone::Bad,
        };
        let state = ui.tone(tone, &format!("{:<10}", self.state));
        let vendor = self.manufacturer.map_or("-", VendorId::as_str);
        let until = self.not_after.to_string();
        let flags: Vec<String> = self.flags.iter().map(|flag| format!(" [{flag}]")).collect();
        format!(
            "{store:<6} {vendor:<4} {state} {} {} {}{}",
            &until[..10],
            &self.fingerprint.to_string()[..16],
            self.subject,
            ui.tone(Tone::Caution, &flags.concat())
        )
    }
}

impl ListArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] if the store cannot be read.
    pub fn run(self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        let stores = context.database().load(Check::Quick)?;
        let mut rows: Vec<Row<'_>> =
            stores.records().map(|record| Row::new(&stores, record)).filter(|row| self.wants(row)).collect();
        if ui.is_json() {
            rows.iter().for_each(|row| ui.json(row));
            return Ok(Outcome::Done);
        }
        let order = |row: &Row<'_>| (row.store.map_or(2, |store| store as u8), row.manufacturer.cloned());
        rows.sort_by_cached_key(|row| (order(row), row.subject.clone(), row.fingerprint));
        if rows.is_empty() {
            ui.note("nothing to list");
            if stores.events() == 0 {
                ui.hint(format!("the store {} is empty; `ekstore sync` fills it", context.store.display()));
            }
            return Ok(Outcome::Done);
        }
        ui.line(ui.tone(Tone::Dim, "STORE  TPM  STATE      UNTIL      FINGERPRINT      SUBJECT"));
        rows.iter().for_each(|row| ui.line(row.human(ui)));
        Ok(Outcome::Done)
    }

    fn wants(&self, row: &Row<'_>) -> bool {
        let store = match self.store {
            None => true,
            Some(StoreArg::Ekroot) => row.store == Some(StoreName::Ekroot),
            Some(StoreArg::Ekca) => row.store == Some(StoreName::Ekca),
            Some(StoreArg::None) => row.store.is_none(),
        };
        store
            && (self.vendor.is_empty() || row.manufacturer.is_some_and(|vendor| self.vendor.contains(vendor)))
            && self.state.is_none_or(|state| row.state == State::from(state))
            && match self.purpose {
                None => true,
                Some(purpose::Purpose::Ek) => row.purpose.is_for_ek(),
                Some(purpose::Purpose::Aik) => matches!(row.purpose, Purpose::Aik | Purpose::Both),
            }
    }
}
