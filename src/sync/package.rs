//! Taking a signed package: signature, edition, and what it changes (T26, T27).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::catalogue::{Catalogue, SignedPackage};
use crate::cert::Certificate;
use crate::db::{self, Author, Database};
use crate::fingerprint::{Digest, Fingerprint, KeyFingerprint};
use crate::log::event::line_of;
use crate::log::{Event, Origin, Packaged, SourceName, TakenPackage, Withdrawn};
use crate::package::cabinet::Limits;
use crate::package::comparison::{Comparison, Inventory};
use crate::package::{Contents, ContentsError, Edition, Signature, SignatureError};
use crate::store::record::Purpose;
use crate::store::{Stores, record};
use crate::sync::{Move, moves};
use crate::time::Time;
use crate::verify::chain;

/// A package as it came.
#[derive(Debug, Clone, Copy)]
pub struct Offered<'a> {
    /// Its entry in the catalogue.
    pub entry: &'a SignedPackage,
    /// Its source by name.
    pub source: &'a SourceName,
    /// The whole file.
    pub bytes: &'a [u8],
    /// How it came.
    pub transport: &'a str,
}

/// What a person allows beyond the catalogue, each with the reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowances {
    /// Roots that the catalogue does not pin (T26).
    pub root_by_hand: Option<String>,
    /// A first edition that is older than the catalogue's oldest (T27).
    pub old_edition: Option<String>,
}

/// Why a package was not taken. Nothing of it was recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no root at hand to believe a signature by.
    #[error("none of the roots that sign {0} is at hand")]
    NoRoot(String),
    /// A root that was given is not one that the catalogue pins.
    #[error("the package root {fingerprint} ({subject}) is not one that the catalogue pins")]
    RootNotPinned {
        /// The root.
        fingerprint: Fingerprint,
        /// Its subject.
        subject: String,
    },
    /// Its signature or time stamp does not count.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// What was signed is no package of certificates.
    #[error(transparent)]
    Contents(#[from] ContentsError),
    /// It is older than the one that was taken last (T27).
    #[error("rollback: this is the edition of {offered}{}, taken already was that of {taken}{}", signed(*offered_signed), signed(*taken_signed))]
    Rollback {
        /// Its edition.
        offered: Edition,
        /// When it was signed.
        offered_signed: Option<Time>,
        /// The edition that was taken last.
        taken: Edition,
        /// When that was signed.
        taken_signed: Option<Time>,
    },
    /// It is the same edition with other bytes, and was not signed later (T27).
    #[error(
        "rollback: the edition of {edition} was taken already with other bytes, and this one was not signed later"
    )]
    SameEdition {
        /// The edition.
        edition: Edition,
    },
    /// It is a first package, and older than the catalogue allows (T27).
    #[error(
        "the edition of {edition} is older than the oldest that the catalogue takes as a first one, {oldest}"
    )]
    TooOld {
        /// Its edition.
        edition: Edition,
        /// The catalogue's oldest.
        oldest: Edition,
    },
    /// The store cannot be read or written.
    #[error(transparent)]
    Database(#[from] db::Error),
}

fn signed(time: Option<Time>) -> String {
    time.map_or_else(|| " (no time stamp)".to_owned(), |time| format!(" (signed {time})"))
}

impl Refusal {
    /// The kind: a stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::NoRoot(_) => "no-package-root",
            Refusal::RootNotPinned { .. } => "root-not-pinned",
            Refusal::Signature(error) => error.code(),
            Refusal::Contents(ContentsError::Cabinet(_)) => "hostile-archive",
            Refusal::Contents(_) => "not-a-package",
            Refusal::Rollback { .. } | Refusal::SameEdition { .. } => "rollback",
            Refusal::TooOld { .. } => "edition-too-old",
            Refusal::Database(_) => "database",
        }
    }

    /// What to do about it, if there is something.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Refusal::NoRoot(_) => {
                "`ekstore sync` fetches them; without a network give them with --package-root FILE"
            }
            Refusal::RootNotPinned { .. } => {
                "to take the package's contents as candidates all the same: --trust-package-root REASON"
            }
            Refusal::TooOld { .. } => "to take it all the same: --accept-old-edition REASON",
            Refusal::Signature(SignatureError::NoTimestamp { .. }) => {
                "a signer's certificate lives about a year; only a time stamp keeps an older package valid"
            }
            Refusal::Signature(SignatureError::Altered { .. }) => {
                "fetch the package again from its publisher"
            }
            Refusal::Database(error) => return error.hint(),
            _ => return None,
        })
    }
}

/// What taking a package did.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The package.
    pub package: TakenPackage,
    /// Whether it was taken before, so that nothing was recorded.
    pub unchanged: bool,
    /// What is in it.
    pub inventory: InventoryReport,
    /// What changed from the edition before, if there was one.
    pub comparison: Option<Comparison>,
    /// The stores after it.
    pub stores: Stores,
    /// How many events were appended.
    pub appended: usize,
    /// What moved into, out of, or between the stores.
    pub moves: Vec<Move>,
    /// What happened beside it that a person should know.
    pub notices: Vec<String>,
}

/// What is in a package, counted and named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct InventoryReport {
    /// The members of the archive.
    pub members: usize,
    /// The distinct certificates.
    pub certificates: usize,
    /// How many the log did not have before.
    pub new: usize,
    /// How many are for EK certificates.
    pub ek: usize,
    /// How many are AIK CAs, kept aside (T19).
    pub aik: usize,
    /// Certificates that are in several members.
    pub duplicates: Vec<Vec<String>>,
    /// Certificates with one public key, in the package or in the store.
    pub re_issued_same_key: Vec<Vec<Fingerprint>>,
    /// Certificates that are not valid any more.
    pub expired: Vec<Fingerprint>,
    /// Certificates that are signed with SHA-1.
    pub sha1: Vec<Fingerprint>,
    /// Members that should be certificates, and are not.
    pub unreadable: Vec<String>,
}

/// Checks a package against `roots` and takes what is in it, as one event. `roots` that the catalogue pins make its
/// signature vouch for the certificates; others need [`Allowances::root_by_hand`], and then all are candidates.
///
/// # Errors
///
/// [`Refusal`] says why it was not taken; nothing was recorded then.
pub fn take(
    catalogue: &Catalogue,
    offered: &Offered<'_>,
    roots: &[Certificate],
    allowances: &Allowances,
    database: &dyn Database,
    author: &Author,
) -> Result<Taken, Refusal> {
    // What is no package at all is told so, whatever roots are at hand.
    let signature = Signature::read(offered.bytes)?;
    if roots.is_empty() {
        return Err(Refusal::NoRoot(offered.entry.name.clone()));
    }
    let not_pinned = roots.iter().find(|root| !offered.entry.roots.contains(&root.fingerprint()));
    if let (Some(root), None) = (not_pinned, &allowances.root_by_hand) {
        return Err(Refusal::RootNotPinned {
            fingerprint: root.fingerprint(),
            subject: root.subject().to_string(),
        });
    }
    let root_by_hand = allowances.root_by_hand.clone().filter(|_| not_pinned.is_some());
    let trusted = signature.trust(roots, author.time)?;
    let name = signature.signer_name();
    if root_by_hand.is_none() && !offered.entry.signers.is_empty() && !offered.entry.signers.contains(&name) {
        let expected = offered.entry.signers.join(", ");
        return Err(SignatureError::OtherSigner { found: name, expected }.into());
    }
    let contents = Contents::read(offered.bytes, &Limits::default())?;
    let mut package = TakenPackage {
        source: offered.source.clone(),
        sha256: Digest::of(offered.bytes),
        transport: offered.transport.to_owned(),
        edition: contents.edition,
        signed: trusted.signed,
        signer: signature.signer.subject().to_string(),
        chain: trusted.chain,
        timestamp_chain: trusted.timestamp_chain,
        root_by_hand,
        old_edition: None,
    };
    let line = line_of(&offered.source.url, package.root_by_hand.is_some());

    let mut refusal = None;
    let mut comparison = None;
    let mut unchanged = false;
    let mut before = Stores::default();
    let receipt = database.append(author, &mut |stores| {
        before = stores.clone();
        let last = stores.package(&line);
        unchanged = last.is_some_and(|last| last.sha256 == package.sha256);
        if unchanged {
            return Vec::new();
        }
        match check_edition(&package, last, offered.entry, allowances) {
            Ok(old_edition) => package.old_edition = old_edition,
            Err(error) => {
                refusal = Some(error);
                return Vec::new();
            }
        }
        comparison = last.map(|last| Comparison::new(last.edition, &inventory(stores, &package), &contents));
        let removed = comparison.iter().flat_map(|comparison| &comparison.removed);
        let withdrawn = removed
            .map(|change| Withdrawn { fingerprint: change.fingerprint, reason: change.claim.clone() })
            .collect();
        let certificates = packaged(catalogue, offered.entry, stores, &contents);
        vec![Event::PackageTaken { package: Box::new(package.clone()), certificates, withdrawn }]
    })?;
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    Ok(Taken {
        inventory: report(&before, &receipt.stores, &contents, author.time),
        package,
        unchanged,
        comparison,
        moves: moves(&before, &receipt.stores),
        stores: receipt.stores,
        appended: receipt.appended,
        notices: receipt.notices,
    })
}

/// Edition and time stamp together must not go back (T27). Returns the reason that an old first edition was taken for.
fn check_edition(
    package: &TakenPackage,
    last: Option<&TakenPackage>,
    entry: &SignedPackage,
    allowances: &Allowances,
) -> Result<Option<String>, Refusal> {
    let Some(last) = last else {
        if package.edition >= entry.oldest_edition {
            return Ok(None);
        }
        return match &allowances.old_edition {
            Some(reason) => Ok(Some(reason.clone())),
            None => Err(Refusal::TooOld { edition: package.edition, oldest: entry.oldest_edition }),
        };
    };
    let later = match (package.signed, last.signed) {
        (Some(offered), Some(taken)) => offered > taken,
        // Without a time stamp nobody vouches that it is the later one.
        (None, _) => false,
        (Some(_), None) => true,
    };
    if package.edition == last.edition {
        return if later { Ok(None) } else { Err(Refusal::SameEdition { edition: package.edition }) };
    }
    // A later edition without a time stamp is believed by its edition, if the one before had none either.
    let sound = package.edition > last.edition && (later || (package.signed, last.signed) == (None, None));
    if sound {
        return Ok(None);
    }
    Err(Refusal::Rollback {
        offered: package.edition,
        offered_signed: package.signed,
        taken: last.edition,
        taken_signed: last.signed,
    })
}

/// What the package that was taken last in the same line had.
fn inventory(stores: &Stores, package: &TakenPackage) -> Inventory {
    let line = package.line();
    let members = |record: &record::Record| {
        record.sightings.iter().find_map(|sighting| match &sighting.origin {
            Origin::Package { source, members, root, withdrawn: None, .. }
                if line_of(&source.url, *root == crate::log::PackageRoot::ByHand) == line =>
            {
                Some(members.clone())
            }
            _ => None,
        })
    };
    stores.records().filter_map(|record| Some((record.fingerprint(), members(record)?))).collect()
}

/// The certificates of a package as the log has them: the DER only of what is new.
fn packaged(
    catalogue: &Catalogue,
    entry: &SignedPackage,
    stores: &Stores,
    contents: &Contents,
) -> Vec<Packaged> {
    let one = |(fingerprint, packaged): (&Fingerprint, &crate::package::Packaged)| {
        let statement = catalogue.statement(*fingerprint);
        let vendor = statement.map(|statement| &statement.vendor.id);
        Packaged {
            fingerprint: *fingerprint,
            der: stores.record(*fingerprint).is_none().then(|| packaged.found.certificate.der().to_vec()),
            members: packaged.members.clone(),
            vendor: vendor.or_else(|| entry.vendor_of(packaged.folder())).cloned(),
            role: statement.map(|statement| statement.role),
            quirks: packaged.found.around.clone(),
        }
    };
    contents.certificates.iter().map(one).collect()
}

fn report(before: &Stores, after: &Stores, contents: &Contents, now: Time) -> InventoryReport {
    let mut report = InventoryReport {
        members: contents.members,
        certificates: contents.certificates.len(),
        unreadable: contents.unreadable.iter().map(|(name, error)| format!("{name}: {error}")).collect(),
        ..InventoryReport::default()
    };
    let mut by_key: BTreeMap<KeyFingerprint, Vec<Fingerprint>> = BTreeMap::new();
    for record in after.records() {
        by_key.entry(record.key_fingerprint()).or_default().push(record.fingerprint());
    }
    for (fingerprint, packaged) in &contents.certificates {
        let certificate = &packaged.found.certificate;
        report.new += usize::from(before.record(*fingerprint).is_none());
        match after.record(*fingerprint).map(|record| record.placement.purpose) {
            Some(Purpose::Aik) => report.aik += 1,
            Some(Purpose::Ek | Purpose::Both) => report.ek += 1,
            Some(Purpose::PackageSigner) | None => {}
        }
        if packaged.members.len() > 1 {
            report.duplicates.push(packaged.members.clone());
        }
        if certificate.validity().not_after < now {
            report.expired.push(*fingerprint);
        }
        if chain::is_sha1(certificate) {
            report.sha1.push(*fingerprint);
        }
    }
    let in_package = |group: &Vec<Fingerprint>| {
        group.len() > 1 && group.iter().any(|fingerprint| contents.certificates.contains_key(fingerprint))
    };
    report.re_issued_same_key = by_key.into_values().filter(in_package).collect();
    report
}
