//! What the answers of sources mean, held against the stores: T8 to T11.

use crate::catalogue::{Pin, Source};
use crate::cert::Certificate;
use crate::cert::container::{self, ContainerError, Found};
use crate::db::Note;
use crate::fetch::{self, Fetched};
use crate::fingerprint::{Digest, Fingerprint};
use crate::log::{Event, Origin, Seen, SourceName, Standing};
use crate::store::Stores;
use crate::store::record::State;
use crate::sync::{Outcome, SourceReport};
use crate::verify::algorithms;

/// What a source's answer is, before the stores are asked.
pub(super) enum Answer {
    Certificate {
        found: Box<Found>,
        transport: String,
    },
    /// A certificate that is known already, as the server says that nothing changed.
    Unchanged(Fingerprint),
    NotAllowed {
        actual: Digest,
        what: String,
    },
    Failed {
        failure: String,
        detail: String,
    },
    Absent,
}

impl Answer {
    pub(super) fn read(fetched: &Result<Fetched, fetch::Error>, note: Option<&Note>) -> Self {
        match fetched {
            Err(fetch::Error::Absent) => Answer::Absent,
            Err(error) => Answer::Failed { failure: error.code().to_owned(), detail: error.to_string() },
            Ok(Fetched::NotModified) => match note.and_then(|note| note.fingerprint) {
                Some(fingerprint) => Answer::Unchanged(fingerprint),
                None => Answer::Failed {
                    failure: "status".to_owned(),
                    detail: "the server says that nothing changed, but nothing is known".to_owned(),
                },
            },
            Ok(Fetched::Body { bytes, digest, transport, .. }) => Self::read_body(bytes, *digest, transport),
        }
    }

    fn read_body(bytes: &[u8], digest: Digest, transport: &str) -> Self {
        match container::read(bytes).map(|mut found| (found.pop(), found.len())) {
            Ok((Some(found), 0)) => {
                Answer::Certificate { found: Box::new(found), transport: transport.to_owned() }
            }
            Ok((_, others)) => Answer::NotAllowed {
                actual: digest,
                what: format!("{} certificates where one is pinned", others + 1),
            },
            // A bot wall or an error page says nothing about the manufacturer's certificate (T11).
            Err(error @ (ContainerError::Html | ContainerError::Empty)) => {
                Answer::Failed { failure: "not-a-certificate".to_owned(), detail: error.to_string() }
            }
            Err(error) => Answer::NotAllowed { actual: digest, what: error.to_string() },
        }
    }
}

/// The events of a sync as they come together.
pub(super) struct Draft<'a> {
    /// What this sync itself approves: a re-issue may verify under it before the log has it (T9).
    pinned: Vec<&'a Certificate>,
    seen: Vec<Seen>,
    others: Vec<Event>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(pinned: Vec<&'a Certificate>) -> Self {
        Self { pinned, seen: Vec::new(), others: Vec::new() }
    }

    pub(super) fn take(
        &mut self,
        stores: &Stores,
        name: &SourceName,
        source: &Source,
        answer: &Answer,
    ) -> SourceReport {
        let (outcome, refused) = match answer {
            Answer::Absent => (Outcome::Absent, None),
            Answer::Failed { failure, detail } => {
                self.failed(stores, name, failure, detail);
                (Outcome::Failed { failure: failure.clone(), detail: detail.clone() }, None)
            }
            Answer::NotAllowed { actual, what } => (self.drifted(stores, name, source, *actual, what), None),
            Answer::Unchanged(fingerprint) => {
                self.recovered(stores, name);
                let outcome = match source.pin(*fingerprint) {
                    Some(Pin::Earlier) => Outcome::EarlierCertificate { fingerprint: *fingerprint },
                    _ => Outcome::Pinned { fingerprint: *fingerprint, new: false },
                };
                (outcome, refused(stores, *fingerprint))
            }
            Answer::Certificate { found, transport } => {
                let fingerprint = found.certificate.fingerprint();
                let standing = match source.pin(fingerprint) {
                    Some(Pin::Current) => Some(Standing::Pinned),
                    Some(Pin::Earlier) => Some(Standing::EarlierCertificate),
                    None => (source.same_key_and_subject(&found.certificate)
                        && self.signature_holds(stores, &found.certificate))
                    .then_some(Standing::ReIssuedSameKey),
                };
                match standing {
                    Some(standing) => {
                        let new = self.saw(stores, name, source, found, standing, transport);
                        self.recovered(stores, name);
                        let outcome = match standing {
                            Standing::Pinned => Outcome::Pinned { fingerprint, new },
                            Standing::EarlierCertificate => Outcome::EarlierCertificate { fingerprint },
                            Standing::ReIssuedSameKey => Outcome::ReIssuedSameKey { fingerprint },
                        };
                        (outcome, refused(stores, fingerprint))
                    }
                    None => {
                        let what = format!("another certificate, of {}", found.certificate.subject());
                        let actual = Digest::from_bytes(*fingerprint.as_bytes());
                        (self.drifted(stores, name, source, actual, &what), None)
                    }
                }
            }
        };
        SourceReport { source: name.clone(), outcome, refused }
    }

    fn signature_holds(&self, stores: &Stores, certificate: &Certificate) -> bool {
        stores.signature_holds(certificate)
            || self.pinned.iter().any(|issuer| {
                issuer.subject() == certificate.issuer()
                    && algorithms::signed_by(certificate, &issuer.key()).is_ok()
            })
    }

    /// Notes a sighting, unless the log has it. Says whether it is new.
    fn saw(
        &mut self,
        stores: &Stores,
        name: &SourceName,
        source: &Source,
        found: &Found,
        standing: Standing,
        transport: &str,
    ) -> bool {
        let fingerprint = found.certificate.fingerprint();
        let record = stores.record(fingerprint);
        let known = record.is_some_and(|record| {
            record.sightings.iter().any(|sighting| {
                sighting.quirks == found.around
                    && matches!(&sighting.origin, Origin::Source { source: seen, role, standing: stands, .. }
                        if seen == name && *role == source.role && *stands == standing)
            })
        });
        if known {
            return false;
        }
        let carried = record.is_some() || self.seen.iter().any(|seen| seen.fingerprint == fingerprint);
        self.seen.push(Seen {
            fingerprint,
            der: (!carried).then(|| found.certificate.der().to_vec()),
            origin: Origin::Source {
                source: name.clone(),
                role: source.role,
                standing,
                transport: transport.to_owned(),
            },
            quirks: found.around.clone(),
        });
        true
    }

    fn drifted(
        &mut self,
        stores: &Stores,
        name: &SourceName,
        source: &Source,
        actual: Digest,
        what: &str,
    ) -> Outcome {
        let known = stores.source(name.url.as_str()).is_some_and(|state| state.drift.contains(&actual));
        if !known {
            self.others.push(Event::Drifted {
                source: name.clone(),
                pinned: source.sha256,
                actual,
                what: what.to_owned(),
            });
        }
        Outcome::Drifted { pinned: source.sha256, actual, what: what.to_owned() }
    }

    fn failed(&mut self, stores: &Stores, name: &SourceName, failure: &str, detail: &str) {
        let known = stores.source(name.url.as_str()).is_some_and(|state| state.failures.contains(failure));
        if !known {
            self.others.push(Event::FetchFailed {
                source: name.clone(),
                failure: failure.to_owned(),
                detail: detail.to_owned(),
            });
        }
    }

    fn recovered(&mut self, stores: &Stores, name: &SourceName) {
        if stores.source(name.url.as_str()).is_some_and(|state| !state.is_sound()) {
            self.others.push(Event::Recovered { source: name.clone() });
        }
    }

    pub(super) fn into_events(self) -> Vec<Event> {
        let seen = (!self.seen.is_empty()).then_some(Event::Seen { certificates: self.seen });
        seen.into_iter().chain(self.others).collect()
    }
}

/// The answers that match their pins, and that no reviewer decided against.
pub(super) fn pinned<'a>(
    stores: &Stores,
    sources: &[(SourceName, &Source, &[String])],
    answers: &'a [Answer],
) -> Vec<&'a Certificate> {
    let certificate = |(source, answer): (&Source, &'a Answer)| match answer {
        Answer::Certificate { found, .. } => {
            let fingerprint = found.certificate.fingerprint();
            let allowed = source.pin(fingerprint).is_some()
                && !stores.is_key_distrusted(found.certificate.key().fingerprint())
                && refused(stores, fingerprint).is_none();
            allowed.then_some(&found.certificate)
        }
        _ => None,
    };
    sources.iter().map(|(_, source, _)| *source).zip(answers).filter_map(certificate).collect()
}

/// What reviewers decided against a certificate, if they did.
pub(super) fn refused(stores: &Stores, fingerprint: Fingerprint) -> Option<State> {
    let state = stores.state(stores.record(fingerprint)?);
    matches!(state, State::Rejected | State::Distrusted).then_some(state)
}
