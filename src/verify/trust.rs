//! The stores as a verification needs them: by subject name.

use std::collections::HashMap;

use crate::catalogue::Catalogue;
use crate::cert::Certificate;
use crate::cert::name::Name;
use crate::fingerprint::Fingerprint;
use crate::store::record::State;
use crate::store::{StoreName, Stores};
use crate::vendor::VendorId;

/// Where trust starts.
#[derive(Debug, Clone)]
pub struct Anchor {
    /// The certificate; only its name and key are relied on (RFC 5280 §6.1.1 (d)).
    pub certificate: Certificate,
    /// Whether the catalogue lets SHA-1 count under it (T22).
    pub sha1: bool,
    /// The manufacturers it is for, if the catalogue states them (T20).
    pub manufacturers: Option<Vec<VendorId>>,
}

/// EKROOT and EKCA of one generation, indexed by subject.
#[derive(Debug, Clone, Default)]
pub struct TrustStore {
    anchors: HashMap<Box<[u8]>, Vec<Anchor>>,
    intermediates: HashMap<Box<[u8]>, Vec<Certificate>>,
    untrusted: HashMap<Box<[u8]>, Vec<(Certificate, State)>>,
}

impl TrustStore {
    /// Takes EKROOT and EKCA for EK trust from `stores`, and what `catalogue` says about the anchors.
    pub fn new(stores: &Stores, catalogue: &Catalogue) -> Self {
        let mut trust = Self::default();
        for record in stores.members(StoreName::Ekroot) {
            let statement = catalogue.statement(record.fingerprint());
            trust.add_anchor(Anchor {
                certificate: record.certificate.clone(),
                sha1: statement.is_some_and(|statement| statement.sha1),
                manufacturers: statement
                    .and_then(|statement| statement.manufacturers.map(<[VendorId]>::to_vec)),
            });
        }
        for record in stores.members(StoreName::Ekca) {
            trust.add_intermediate(record.certificate.clone());
        }
        for record in stores.records().filter(|record| record.store().is_none()) {
            let name = record.certificate.subject().canonical().into();
            let known = (record.certificate.clone(), stores.state(record));
            trust.untrusted.entry(name).or_default().push(known);
        }
        trust
    }

    /// Adds an anchor.
    pub fn add_anchor(&mut self, anchor: Anchor) {
        self.anchors.entry(anchor.certificate.subject().canonical().into()).or_default().push(anchor);
    }

    /// Adds an intermediate.
    pub fn add_intermediate(&mut self, certificate: Certificate) {
        self.intermediates.entry(certificate.subject().canonical().into()).or_default().push(certificate);
    }

    /// The anchors with this subject.
    pub fn anchors_named(&self, name: &Name) -> &[Anchor] {
        self.anchors.get(name.canonical()).map_or(&[], Vec::as_slice)
    }

    /// The intermediates with this subject.
    pub fn intermediates_named(&self, name: &Name) -> &[Certificate] {
        self.intermediates.get(name.canonical()).map_or(&[], Vec::as_slice)
    }

    /// The certificates with this subject that the log knows but that are in neither store, with their state: to
    /// explain a refusal, never to build a path.
    pub fn untrusted_named(&self, name: &Name) -> &[(Certificate, State)] {
        self.untrusted.get(name.canonical()).map_or(&[], Vec::as_slice)
    }

    /// The anchor with this fingerprint.
    pub fn anchor(&self, fingerprint: Fingerprint) -> Option<&Anchor> {
        self.anchors.values().flatten().find(|anchor| anchor.certificate.fingerprint() == fingerprint)
    }

    /// Whether there is no anchor, so that nothing can be trusted.
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }
}
