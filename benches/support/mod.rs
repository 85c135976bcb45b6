//! A manufacturer and its EK certificates, drawn from a pool of keys.

use ekstore::cert::decode;
use ekstore::demo::authority::{Authority, Ek, KeyKind};
use ekstore::verify::revocation::CrlSet;
use ekstore::verify::trust::{Anchor, TrustStore};
use ekstore::verify::{Policy, Verifier};

/// A line of CAs whose keys are of one kind, and EK certificates under it.
pub struct Line {
    pub root: Authority,
    pub ca: Authority,
    pub eks: Vec<Vec<u8>>,
}

/// The kinds of issuers that manufacturers have most.
pub const KINDS: [(&str, KeyKind); 3] =
    [("RSA-2048", KeyKind::Rsa), ("P-256", KeyKind::P256), ("P-384", KeyKind::P384)];

/// What an EK certificate of the load says.
pub fn ek(serial: u64) -> Ek {
    Ek {
        serial,
        years: (2024, 2048),
        manufacturer: "id:49465800".to_owned(),
        model: "BENCH 1".to_owned(),
        crl: None,
        aia: None,
    }
}

impl Line {
    /// Makes a line with `count` EK certificates, half RSA and half EC as on real devices, from a pool of 8 keys.
    pub fn new(kind: KeyKind, count: u64) -> Self {
        let root = Authority::root("Bench Root", kind, 1).expect("made");
        let ca = root.intermediate("Bench CA", kind, 2).expect("made");
        let pool: Vec<_> = [KeyKind::Rsa, KeyKind::P256]
            .into_iter()
            .cycle()
            .take(8)
            .map(|kind| (kind, kind.generate().expect("made")))
            .collect();
        let eks = (0..count)
            .map(|serial| {
                let (kind, key) = &pool[usize::try_from(serial).expect("fits") % pool.len()];
                ca.ek_for(key, *kind, &ek(serial + 1)).expect("made")
            })
            .collect();
        Self { root, ca, eks }
    }

    /// A verifier with this line in its stores.
    pub fn verifier(&self) -> Verifier {
        let mut trust = TrustStore::default();
        let certificate = decode::certificate(self.root.der()).expect("made");
        trust.add_anchor(Anchor { certificate, sha1: false, manufacturers: None });
        trust.add_intermediate(decode::certificate(self.ca.der()).expect("made"));
        Verifier::new(trust, Policy::default(), CrlSet::default())
    }
}
