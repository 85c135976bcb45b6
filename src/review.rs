//! The decisions of reviewers, and certificates brought in by hand.

use crate::cert::container::Found;
use crate::db::{self, Author, Database, Receipt};
use crate::fingerprint::{Fingerprint, KeyFingerprint};
use crate::log::{Event, Origin, Seen};
use crate::store::Stores;
use crate::store::record::{Record, State};
use crate::sync::{self, Move};

/// The fewest hexadecimal digits that name a certificate.
pub const SHORTEST_PREFIX: usize = 8;

/// A decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Approve: it goes where its signatures put it (T16, T17).
    Approve,
    /// Approve, and let trust start in it although it is not self-signed.
    ApproveAsAnchor,
    /// Reject: outranks every pin until reinstated (T14).
    Reject,
    /// Distrust the public key: every certificate with it leaves (T15).
    DistrustKey,
    /// Distrust this certificate alone.
    DistrustCertificate,
    /// Take rejection and distrust back.
    Reinstate,
}

/// Why a decision was not taken. Nothing was recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not the beginning of a fingerprint.
    #[error("{0:?} is not a fingerprint: {SHORTEST_PREFIX} to 64 hexadecimal digits are expected")]
    NotAFingerprint(String),
    /// The log holds no such certificate.
    #[error("no certificate with the fingerprint {0} was ever seen")]
    Unknown(String),
    /// Several certificates have fingerprints that start so.
    #[error("{digits} is the beginning of {count} fingerprints")]
    Ambiguous {
        /// What was given.
        digits: String,
        /// How many there are.
        count: usize,
    },
    /// It was rejected or distrusted, which stands until it is reinstated.
    #[error("{fingerprint} is {state}; that stands until it is reinstated")]
    Refused {
        /// The certificate.
        fingerprint: Fingerprint,
        /// What stands against it.
        state: State,
    },
    /// A decision needs a reason.
    #[error("a decision needs a reason that is not empty")]
    NoReason,
    /// The store cannot be read or written.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl Error {
    /// What to do about it, if there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::NotAFingerprint(_) | Error::Unknown(_) => {
                Some("`ekstore list` and `ekstore review` show them")
            }
            Error::Ambiguous { .. } => Some("give more digits"),
            Error::Refused { .. } => Some("`ekstore reinstate` takes it back, with a reason"),
            Error::NoReason => None,
            Error::Database(error) => error.hint(),
        }
    }
}

/// What a decision changed.
#[derive(Debug, Clone)]
pub struct Decided {
    /// The certificates it was about.
    pub certificates: Vec<Fingerprint>,
    /// Those of them that already were so; no event speaks of them.
    pub unchanged: Vec<Fingerprint>,
    /// What moved into, out of, or between the stores.
    pub moves: Vec<Move>,
    /// The receipt of the log.
    pub receipt: Receipt,
}

/// Finds the certificate whose fingerprint starts with `digits`.
///
/// # Errors
///
/// [`Error::NotAFingerprint`], [`Error::Unknown`] or [`Error::Ambiguous`].
pub fn find<'a>(stores: &'a Stores, digits: &str) -> Result<&'a Record, Error> {
    let plain: String = digits.chars().filter(|c| *c != ':').collect();
    let sound =
        (SHORTEST_PREFIX..=64).contains(&plain.len()) && plain.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !sound {
        return Err(Error::NotAFingerprint(digits.chars().take(80).collect()));
    }
    match stores.starting_with(&plain)[..] {
        [record] => Ok(record),
        [] => Err(Error::Unknown(plain)),
        ref several => Err(Error::Ambiguous { digits: plain, count: several.len() }),
    }
}

/// Records one decision on all of `named`, or on none: certificates that already are so need no event.
///
/// # Errors
///
/// [`Error`] about the first certificate that the decision cannot be taken on.
pub fn decide(
    database: &dyn Database,
    author: &Author,
    named: &[String],
    decision: Decision,
    reason: &str,
) -> Result<Decided, Error> {
    if reason.trim().is_empty() {
        return Err(Error::NoReason);
    }
    let mut refusal = None;
    let mut certificates = Vec::new();
    let mut unchanged = Vec::new();
    let mut before = Stores::default();
    let receipt = database.append(author, &mut |stores| {
        before = stores.clone();
        certificates.clear();
        unchanged.clear();
        let drafted = draft(stores, named, decision, reason, &mut certificates, &mut unchanged);
        drafted.unwrap_or_else(|error| {
            refusal = Some(error);
            Vec::new()
        })
    })?;
    match refusal {
        Some(error) => Err(error),
        None => {
            Ok(Decided { moves: sync::moves(&before, &receipt.stores), certificates, unchanged, receipt })
        }
    }
}

fn draft(
    stores: &Stores,
    named: &[String],
    decision: Decision,
    reason: &str,
    certificates: &mut Vec<Fingerprint>,
    unchanged: &mut Vec<Fingerprint>,
) -> Result<Vec<Event>, Error> {
    let mut changed: Vec<&Record> = Vec::new();
    for digits in named {
        let record = find(stores, digits)?;
        let fingerprint = record.fingerprint();
        if certificates.contains(&fingerprint) {
            continue;
        }
        certificates.push(fingerprint);
        let state = stores.state(record);
        let is_so = match decision {
            Decision::Approve | Decision::ApproveAsAnchor => {
                if matches!(state, State::Rejected | State::Distrusted) {
                    return Err(Error::Refused { fingerprint, state });
                }
                // Approving what a package withdrew answers the question, so it is an event.
                state == State::Approved
                    && (decision == Decision::Approve || record.may_anchor())
                    && record.open_withdrawal().is_none()
            }
            Decision::Reject => matches!(state, State::Rejected | State::Distrusted),
            Decision::DistrustKey => stores.is_key_distrusted(record.key_fingerprint()),
            Decision::DistrustCertificate => state == State::Distrusted,
            Decision::Reinstate => !matches!(state, State::Rejected | State::Distrusted),
        };
        if is_so { unchanged.push(fingerprint) } else { changed.push(record) }
    }
    if changed.is_empty() {
        return Ok(Vec::new());
    }
    let reason = reason.to_owned();
    let keys = || -> Vec<KeyFingerprint> {
        let mut keys: Vec<KeyFingerprint> = changed.iter().map(|record| record.key_fingerprint()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    };
    let certificates = changed.iter().map(|record| record.fingerprint()).collect();
    Ok(vec![match decision {
        Decision::Approve => Event::Approved { certificates, anchor: false, reason },
        Decision::ApproveAsAnchor => Event::Approved { certificates, anchor: true, reason },
        Decision::Reject => Event::Rejected { certificates, reason },
        Decision::DistrustKey => Event::Distrusted { keys: keys(), certificates, reason },
        Decision::DistrustCertificate => Event::Distrusted { keys: Vec::new(), certificates, reason },
        Decision::Reinstate => {
            let keys = keys().into_iter().filter(|key| stores.is_key_distrusted(*key)).collect();
            Event::Reinstated { keys, certificates, reason }
        }
    }])
}

/// What bringing certificates in by hand did.
#[derive(Debug, Clone)]
pub struct Added {
    /// Each certificate, with whether this brought it into the log.
    pub certificates: Vec<(Fingerprint, bool)>,
    /// The receipt of the log.
    pub receipt: Receipt,
}

/// Brings certificates in as candidates, each with where it was found: by hand, or on the way of a verification.
///
/// # Errors
///
/// [`db::Error`] if the store cannot be read or written.
pub fn add(database: &dyn Database, author: &Author, found: &[(Origin, Found)]) -> Result<Added, db::Error> {
    let mut certificates = Vec::new();
    let receipt = database.append(author, &mut |stores| {
        certificates.clear();
        let mut seen: Vec<Seen> = Vec::new();
        for (origin, found) in found {
            let fingerprint = found.certificate.fingerprint();
            let record = stores.record(fingerprint);
            let drafted = seen.iter().any(|seen| seen.fingerprint == fingerprint);
            certificates.push((fingerprint, record.is_none() && !drafted));
            let known = record
                .is_some_and(|record| record.sightings.iter().any(|sighting| sighting.origin == *origin));
            if known || drafted {
                continue;
            }
            let der = record.is_none().then(|| found.certificate.der().to_vec());
            seen.push(Seen { fingerprint, der, origin: origin.clone(), quirks: found.around.clone() });
        }
        if seen.is_empty() { Vec::new() } else { vec![Event::Seen { certificates: seen }] }
    })?;
    Ok(Added { certificates, receipt })
}
