//! The stores in the form that someone else imports. An export is a function of a generation and its options (T28).

pub mod adcs;
pub mod cab;
pub mod element;
pub mod gpp;
pub mod json;
pub mod keylime;
pub mod manifest;
pub mod p7b;
pub mod pem;
pub mod reg;
pub mod sst;

use crate::cert::quirk::Quirk;
use crate::fingerprint::{Digest, Fingerprint};
use crate::package::cabinet::CabinetError;
use crate::store::record::{Purpose, Record};
use crate::store::{StoreName, Stores};
use crate::time::Time;
use crate::vendor::VendorId;

/// Which certificates of the stores are handed out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Only these manufacturers; all if empty.
    pub vendors: Vec<VendorId>,
    /// Whether AIK CAs are in it too (T19).
    pub aik: Aik,
    /// Leaves out what is not valid at this time; without it dates do not matter (T28).
    pub valid_at: Option<Time>,
    /// Only this store; both if not stated.
    pub only: Option<StoreName>,
}

/// Whether certificates are written that OpenSSL cannot load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Malformed {
    /// They are left out: one of them keeps OpenSSL from reading the whole file.
    #[default]
    LeaveOut,
    /// They are written, for readers that can take them.
    Include,
}

/// What OpenSSL refuses to load: serial numbers with leading zeros (six STMicroelectronics intermediates, most of which
/// were re-issued with the same key since).
pub const UNREADABLE: Quirk = Quirk::SerialNotMinimal;

/// Whether AIK CAs are handed out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Aik {
    /// Only what is for EK certificates.
    #[default]
    LeaveOut,
    /// AIK CAs too.
    Include,
}

impl Options {
    /// The options in words, for the manifest and the log. Two exports with the same text select alike.
    pub fn describe(&self) -> String {
        let mut parts = vec![match self.aik {
            Aik::LeaveOut => "purpose ek".to_owned(),
            Aik::Include => "purpose ek, aik".to_owned(),
        }];
        if !self.vendors.is_empty() {
            let vendors: Vec<&str> = self.vendors.iter().map(VendorId::as_str).collect();
            parts.push(format!("vendor {}", vendors.join(", ")));
        }
        if let Some(store) = self.only {
            parts.push(format!("store {store}"));
        }
        if let Some(at) = self.valid_at {
            parts.push(format!("valid at {at}"));
        }
        parts.join("; ")
    }

    fn take(&self, stores: &Stores, record: &Record) -> bool {
        let purpose = match record.placement.purpose {
            Purpose::Ek | Purpose::Both => true,
            Purpose::Aik => self.aik == Aik::Include,
            Purpose::PackageSigner => false,
        };
        let vendor = self.vendors.is_empty()
            || stores.manufacturer(record).is_some_and(|vendor| self.vendors.contains(vendor));
        let valid = self.valid_at.is_none_or(|at| record.certificate.validity().contains(at));
        purpose && vendor && valid
    }

    /// The stores that are handed out, anchors first.
    pub fn stores(&self) -> Vec<StoreName> {
        StoreName::ALL.into_iter().filter(|store| self.only.is_none_or(|only| only == *store)).collect()
    }

    /// The certificates of one store that are handed out, by fingerprint.
    pub fn select<'a>(&self, stores: &'a Stores, store: StoreName) -> Vec<&'a Record> {
        let records = stores.records().filter(|record| record.placement.store == Some(store));
        records.filter(|record| self.take(stores, record)).collect()
    }
}

/// An export, ready to be written: files by name, or one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The name of each file within the export, with its bytes, sorted by name.
    pub files: Vec<(String, Vec<u8>)>,
    /// SHA-256 of the manifest, or of the one file.
    pub manifest: Digest,
    /// How many certificates are in it.
    pub count: usize,
    /// Certificates that were selected, but that the form's readers could not load.
    pub left_out: Vec<Fingerprint>,
}

impl Export {
    /// An export that is one file.
    fn file(bytes: Vec<u8>, count: usize) -> Self {
        let manifest = Digest::of(&bytes);
        Self { files: vec![(String::new(), bytes)], manifest, count, left_out: Vec::new() }
    }
}

/// Why the stores cannot be handed out in a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// Two certificates have one SHA-1 thumbprint, by which Windows would confuse them (T29).
    #[error("two certificates have the thumbprint {0}: a SHA-1 collision, made on purpose")]
    ThumbprintCollision(crate::fingerprint::Thumbprint),
    /// The cabinet would be larger than its form allows.
    #[error(transparent)]
    Cabinet(CabinetError),
}
