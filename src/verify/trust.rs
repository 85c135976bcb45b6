//! The stores as a verification needs them: by subject, with keys parsed once.

use std::collections::HashMap;

use crate::catalogue::Catalogue;
use crate::cert::Certificate;
use crate::cert::name::Name;
use crate::fingerprint::Fingerprint;
use crate::oid;
use crate::store::record::State;
use crate::store::{StoreName, Stores};
use crate::vendor::VendorId;
use crate::verify::algorithms::PreparedKey;
use crate::verify::weak;

/// Where trust starts.
#[derive(Debug, Clone)]
pub struct Anchor {
    /// The certificate.
    pub certificate: Certificate,
    /// Whether the catalogue lets SHA-1 count under it (T22).
    pub sha1: bool,
    /// The manufacturers it is for, if the catalogue states them (T20).
    pub manufacturers: Option<Vec<VendorId>>,
}

/// A certificate of one of the stores.
#[derive(Debug)]
pub struct Node {
    /// The certificate.
    pub certificate: Certificate,
    /// The store it is in.
    pub store: StoreName,
    /// Whether SHA-1 may count under it, if it is an anchor.
    pub sha1: bool,
    /// The manufacturers it is for, if it is an anchor and the catalogue states them.
    pub manufacturers: Option<Vec<VendorId>>,
    /// Whether it served chips with ROCA (CVE-2017-15361).
    pub(crate) roca_era: bool,
    /// Its key, parsed when it is first needed.
    pub(crate) key: PreparedKey,
}

/// EKROOT and EKCA of one generation, indexed by subject.
#[derive(Debug, Default)]
pub struct TrustStore {
    nodes: Vec<Node>,
    by_subject: HashMap<Box<[u8]>, Vec<usize>>,
    /// From a subject's exact DER to its canonical form's entry: most issuers are written as their CA writes itself, and
    /// then nothing need be prepared for comparison.
    by_der: HashMap<Box<[u8]>, Box<[u8]>>,
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
        self.add(Node {
            certificate: anchor.certificate,
            store: StoreName::Ekroot,
            sha1: anchor.sha1,
            manufacturers: anchor.manufacturers,
            roca_era: false,
            key: PreparedKey::default(),
        });
    }

    /// Adds an intermediate.
    pub fn add_intermediate(&mut self, certificate: Certificate) {
        self.add(Node {
            roca_era: is_roca_era(&certificate),
            certificate,
            store: StoreName::Ekca,
            sha1: false,
            manufacturers: None,
            key: PreparedKey::default(),
        });
    }

    fn add(&mut self, node: Node) {
        let name: Box<[u8]> = node.certificate.subject().canonical().into();
        self.by_der.insert(node.certificate.subject().der().into(), name.clone());
        self.by_subject.entry(name).or_default().push(self.nodes.len());
        self.nodes.push(node);
    }

    /// All certificates of the stores; their indices stay.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The indices of the certificates with this subject.
    pub fn named(&self, name: &Name) -> &[usize] {
        let canonical = self.by_der.get(name.der()).map_or_else(|| name.canonical(), AsRef::as_ref);
        self.by_subject.get(canonical).map_or(&[], Vec::as_slice)
    }

    /// The certificates with this subject that the log knows but that are in neither store, with their state: to
    /// explain a refusal, never to build a path.
    pub fn untrusted_named(&self, name: &Name) -> &[(Certificate, State)] {
        self.untrusted.get(name.canonical()).map_or(&[], Vec::as_slice)
    }

    /// Whether one of the stores has this certificate.
    pub fn contains(&self, fingerprint: Fingerprint) -> bool {
        self.nodes.iter().any(|node| node.certificate.fingerprint() == fingerprint)
    }

    /// Whether there is no anchor, so that nothing can be trusted.
    pub fn is_empty(&self) -> bool {
        !self.nodes.iter().any(|node| node.store == StoreName::Ekroot)
    }
}

fn is_roca_era(certificate: &Certificate) -> bool {
    certificate.subject().attribute_text(&oid::COMMON_NAME).is_some_and(|name| weak::is_roca_era_ca(&name))
}
