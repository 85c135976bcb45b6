//! What a CA really holds, as it was read back, against a generation of the stores.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::cert::container;
use crate::export::{Options, p7b, reg, sst};
use crate::fingerprint::Fingerprint;
use crate::store::record::State;
use crate::store::{StoreName, Stores};
use crate::time::Time;

/// Why a file is none of the forms that a store can be read from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("neither a certificate, .sst, .p7b nor registry file: {0}")]
pub struct FormError(String);

/// What one file holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// Certificates by the store that the file itself names; none if it names none.
    pub certificates: Vec<(Option<StoreName>, Vec<u8>)>,
    /// The stores that the file itself speaks of, also if they are empty.
    pub stores: BTreeSet<StoreName>,
    /// What it holds that is no certificate Windows would use, in words.
    pub damaged: Vec<(Option<StoreName>, String)>,
}

/// Reads a file in whichever form it is: DER or PEM certificates, `.sst`, `.p7b`, a registry file.
///
/// # Errors
///
/// [`FormError`] if it is none of them.
pub fn read(bytes: &[u8]) -> Result<Content, FormError> {
    let wrong = |error: &dyn std::fmt::Display| FormError(error.to_string());
    let plain = |ders: Vec<Vec<u8>>| {
        let mut content = Content::default();
        for der in ders {
            // A store can hold only what decodes as a certificate.
            match crate::cert::decode::certificate(&der) {
                Ok(_) => content.certificates.push((None, der)),
                Err(error) => content.damaged.push((None, error.to_string())),
            }
        }
        content
    };
    if sst::looks_like(bytes) {
        return match sst::read(bytes) {
            Ok(found) => Ok(plain(found.into_iter().map(<[u8]>::to_vec).collect())),
            Err(error) => Ok(Content { damaged: vec![(None, error.to_string())], ..Content::default() }),
        };
    }
    if reg::looks_like(bytes) {
        let mut content = Content::default();
        for (name, found) in reg::read(bytes).map_err(|error| wrong(&error))? {
            let store = reg::store_of(&name);
            content.stores.extend(store);
            for certificate in found.into_iter().filter(|_| store.is_some()) {
                match certificate.der {
                    Ok(der) => content.certificates.push((store, der)),
                    Err(error) => content.damaged.push((store, format!("{}: {error}", certificate.key))),
                }
            }
        }
        return Ok(content);
    }
    match container::read(bytes) {
        Ok(found) => {
            let ders = found.into_iter().map(|found| found.certificate.der().to_vec());
            Ok(Content { certificates: ders.map(|der| (None, der)).collect(), ..Content::default() })
        }
        Err(error) => match p7b::read(bytes) {
            Ok(found) => Ok(plain(found)),
            Err(_) => Err(wrong(&error)),
        },
    }
}

/// One form of one store: a folder of certificates, or one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// The store.
    pub store: StoreName,
    /// The folder or file.
    pub place: String,
    /// What it holds, by fingerprint.
    pub certificates: BTreeMap<Fingerprint, Vec<u8>>,
    /// What in it is no certificate Windows would use.
    pub damaged: Vec<String>,
}

/// One difference between a form and the generation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// The form that has it.
    pub place: String,
    /// The store that the form is of.
    pub store: StoreName,
    /// Which kind.
    #[serde(flatten)]
    pub kind: DifferenceKind,
    /// The certificate, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// Its subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// How a form differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "difference", rename_all = "kebab-case")]
pub enum DifferenceKind {
    /// The store lacks it.
    Missing,
    /// The store has it, and should not.
    Extra {
        /// What the log knows about it: `never-seen`, `candidate`, `approved-elsewhere`, `rejected`, `distrusted`.
        standing: &'static str,
        /// Whether it was in the stores at an earlier generation.
        was_in_stores: bool,
    },
    /// It belongs in the other store.
    WrongStore {
        /// Where it belongs.
        belongs_in: StoreName,
    },
    /// It is no certificate that Windows would use.
    Damaged {
        /// What is wrong.
        detail: String,
    },
    /// No form of the store was given.
    NotGiven,
}

/// The comparison of all forms with a generation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// What differs, by form.
    pub differences: Vec<Difference>,
    /// Certificates that are as they should be but not valid at the time asked for: no difference, worth knowing.
    pub expired: Vec<(StoreName, Fingerprint, String)>,
    /// How many certificates each store should hold.
    pub expected: BTreeMap<StoreName, usize>,
}

/// Compares every form with what `options` select of `stores`. `asked` are the stores that must have been given.
pub fn compare(
    stores: &Stores,
    options: &Options,
    forms: &[Form],
    asked: &[StoreName],
    now: Time,
) -> Comparison {
    let mut wanted: BTreeMap<Fingerprint, StoreName> = BTreeMap::new();
    let mut comparison = Comparison::default();
    for store in StoreName::ALL {
        let selected = options.select(stores, store);
        comparison.expected.insert(store, selected.len());
        for record in selected {
            wanted.insert(record.fingerprint(), store);
            if asked.contains(&store) && record.certificate.validity().not_after < now {
                let subject = record.certificate.subject().to_string();
                comparison.expired.push((store, record.fingerprint(), subject));
            }
        }
    }
    for store in asked.iter().filter(|store| !forms.iter().any(|form| form.store == **store)) {
        comparison.differences.push(Difference {
            place: String::new(),
            store: *store,
            kind: DifferenceKind::NotGiven,
            fingerprint: None,
            subject: None,
        });
    }
    for form in forms {
        comparison.differences.extend(compare_form(stores, &wanted, form));
    }
    comparison.differences.sort();
    comparison
}

fn compare_form(stores: &Stores, wanted: &BTreeMap<Fingerprint, StoreName>, form: &Form) -> Vec<Difference> {
    let difference = |kind, fingerprint: Option<Fingerprint>, subject: Option<String>| Difference {
        place: form.place.clone(),
        store: form.store,
        kind,
        fingerprint,
        subject,
    };
    let subject = |fingerprint: &Fingerprint| {
        stores.record(*fingerprint).map(|record| record.certificate.subject().to_string())
    };
    let mut differences = Vec::new();
    for (fingerprint, _) in wanted.iter().filter(|(_, store)| **store == form.store) {
        if !form.certificates.contains_key(fingerprint) {
            differences.push(difference(DifferenceKind::Missing, Some(*fingerprint), subject(fingerprint)));
        }
    }
    for (fingerprint, der) in &form.certificates {
        let decoded = || crate::cert::decode::certificate(der).ok().map(|it| it.subject().to_string());
        let name = subject(fingerprint).or_else(decoded);
        match wanted.get(fingerprint) {
            Some(store) if *store == form.store => {}
            Some(store) => {
                let kind = DifferenceKind::WrongStore { belongs_in: *store };
                differences.push(difference(kind, Some(*fingerprint), name));
            }
            None => {
                let record = stores.record(*fingerprint);
                let standing = match record.map(|record| stores.state(record)) {
                    None => "never-seen",
                    Some(State::Candidate) => "candidate",
                    Some(State::Approved) => "approved-elsewhere",
                    Some(State::Rejected) => "rejected",
                    Some(State::Distrusted) => "distrusted",
                };
                let was_in_stores = record.is_some_and(|record| record.placement.ever_stored);
                let kind = DifferenceKind::Extra { standing, was_in_stores };
                differences.push(difference(kind, Some(*fingerprint), name));
            }
        }
    }
    for detail in &form.damaged {
        differences.push(difference(DifferenceKind::Damaged { detail: detail.clone() }, None, None));
    }
    differences
}
