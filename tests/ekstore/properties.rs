//! Hostile bytes: no decoder panics or hangs, nothing that was changed verifies, and graphs made to waste time end by
//! budget. `PROPTEST_CASES=N` runs more cases; the same functions stand behind the fuzz targets in `fuzz/`.

use std::sync::LazyLock;

use ekstore::cert::container;
use ekstore::cert::{Certificate, decode};
use ekstore::demo::authority::{Authority, Ek, KeyKind};
use ekstore::verify::revocation::CrlSet;
use ekstore::verify::trust::{Anchor, TrustStore};
use ekstore::verify::verdict::{Reason, Report, Verdict};
use ekstore::verify::{Moment, Policy, Verifier};
use proptest::prelude::*;

#[path = "../../fuzz/src/lib.rs"]
mod targets;

/// Sound bytes to start from: certificates of each kind, a CRL, PEM, an NV index, a public area, a
/// cabinet.
static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let root = Authority::root("Root", KeyKind::P256, 1).expect("made");
    let crl = Some("http://pki.example/crl".to_owned());
    let ca = root.intermediate_naming_crl("CA", KeyKind::P384, 2, "http://pki.example/crl").expect("made");
    let ek = Ek {
        serial: 3,
        years: (2024, 2034),
        manufacturer: "id:49465800".to_owned(),
        model: "M".to_owned(),
        crl,
        aia: Some("http://pki.example/ca".to_owned()),
    };
    let leaf = ca.ek(KeyKind::Rsa, &ek).expect("made");
    let nv = [&[0x10, 0x01, 0x00, 0x04, 0x64, 0x10, 0x02][..], &leaf, &[0xff; 40]].concat();
    let chain = [&leaf[..], ca.der(), root.der()].concat();
    let pem = ekstore::cert::pem::write(&leaf).into_bytes();
    let mut area =
        vec![0, 1, 0, 0x0b, 0, 3, 0, 0xb2, 0, 2, 0xaa, 0xbb, 0, 6, 0, 0x80, 0, 0x43, 0, 0x10, 8, 0];
    area.extend([0, 0, 0, 0, 0, 4, 0xc0, 1, 2, 3]);
    let cabinet = crate::package_maker::cabinet(&[("version.txt", b"1-May-2023"), ("A\\x.cer", &leaf)]);
    let sst = ekstore::export::sst::write([root.der(), ca.der()]);
    let p7b = ekstore::export::p7b::write([root.der(), ca.der()]);
    vec![sst, p7b, leaf, nv, chain, pem, root.crl(&[1, 2, 3]).expect("made"), area, cabinet]
});

/// A seed with a few bytes changed, put in, taken out, or cut off.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0u8..5);
    (0..SEEDS.len(), prop::collection::vec(change, 0..6)).prop_map(|(seed, changes)| {
        let mut bytes = SEEDS[seed].clone();
        for (at, value, kind) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = value,
                1 => bytes[at] ^= 1 << (value % 8),
                2 => bytes.insert(at, value),
                3 => {
                    bytes.remove(at);
                }
                _ => bytes.truncate(at),
            }
        }
        bytes
    })
}

/// Everything that reads bytes from outside.
fn read_all(bytes: &[u8]) {
    targets::certificates(bytes);
    targets::crl(bytes);
    targets::tpm_public(bytes);
    targets::log(bytes);
    targets::package(bytes);
    targets::windows(bytes);
}

proptest! {
    #[test]
    fn no_decoder_panics_on_changed_bytes(bytes in mutated()) {
        read_all(&bytes);
    }

    #[test]
    fn no_decoder_panics_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        read_all(&bytes);
    }

    /// The identity is the exact DER, and nothing is re-encoded: what is decoded is a slice of what was given.
    #[test]
    fn what_is_found_stands_in_what_was_given(bytes in mutated()) {
        if let Ok(found) = container::read(&bytes) {
            for found in found.iter().filter(|found| !found.around.iter().any(|quirk| quirk.code().starts_with("pem"))) {
                let der = found.certificate.der();
                prop_assert!(bytes.starts_with(b"-----") || bytes.windows(der.len()).any(|window| window == der));
                let again = decode::certificate(der).expect("it was decoded before");
                prop_assert_eq!(again.fingerprint(), found.certificate.fingerprint());
            }
        }
    }

    /// One changed byte anywhere in a certificate: it no longer decodes, or no longer verifies.
    #[test]
    fn a_changed_certificate_never_verifies(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        static LINE: LazyLock<(Authority, Vec<u8>)> = LazyLock::new(|| {
            let root = Authority::root("Root", KeyKind::P256, 1).expect("made");
            let ek = Ek {
                serial: 3,
                years: (2020, 2034),
                manufacturer: "id:49465800".to_owned(),
                model: "M".to_owned(),
                crl: None,
                aia: None,
            };
            let leaf = root.ek(KeyKind::P256, &ek).expect("made");
            (root, leaf)
        });
        let (root, leaf) = &*LINE;
        let mut changed = leaf.clone();
        let at = at.index(changed.len());
        changed[at] ^= 1 << bit;
        if let Ok(certificate) = decode::certificate(&changed) {
            let report = judge(&[root.der().to_vec()], &certificate, &[]);
            prop_assert_ne!(report.verdict, Verdict::Trusted, "byte {}, bit {}", at, bit);
        }
    }
}

fn judge(anchors: &[Vec<u8>], leaf: &Certificate, extra: &[Certificate]) -> Report {
    let mut trust = TrustStore::default();
    for der in anchors {
        let certificate = decode::certificate(der).expect("made");
        trust.add_anchor(Anchor { certificate, sha1: false, manufacturers: None });
    }
    let verifier = Verifier::new(trust, Policy::default(), CrlSet::default());
    verifier.verify(leaf, extra, Moment::At("2026-11-01".parse().expect("a time")), None)
}

fn ek(authority: &Authority) -> Certificate {
    let ek = Ek {
        serial: 3,
        years: (2024, 2034),
        manufacturer: "id:49465800".to_owned(),
        model: "M".to_owned(),
        crl: None,
        aia: None,
    };
    decode::certificate(&authority.ek(KeyKind::P256, &ek).expect("made")).expect("made")
}

#[test]
fn a_thousand_cas_of_one_name_and_one_key_end_by_budget() {
    // Each is a possible issuer of each other: the number of paths is beyond counting.
    let base = Authority::root("Same", KeyKind::P256, 1).expect("made");
    let leaf = ek(&base);
    let twins: Vec<Certificate> = (0..1000u16)
        .map(|number| {
            let twin = base.reissue_numbered(&base, u64::from(number) + 10).expect("made");
            decode::certificate(twin.der()).expect("made")
        })
        .collect();
    let other = Authority::root("Other", KeyKind::P256, 1).expect("made");
    let report = judge(&[other.der().to_vec()], &leaf, &twins);
    assert_eq!((report.verdict, report.reason()), (Verdict::Undetermined, Some(Reason::Budget)));
    // With the anchor at hand, the flood does not matter.
    let report = judge(&[base.der().to_vec()], &leaf, &twins);
    assert_eq!(report.verdict, Verdict::Trusted);
}

#[test]
fn a_thousand_cas_of_one_name_with_other_keys_end_by_budget() {
    let base = Authority::root("Same", KeyKind::P256, 1).expect("made");
    let leaf = ek(&base);
    let others: Vec<Certificate> = (0..300)
        .map(|_| Authority::root("Same", KeyKind::P256, 1).expect("made"))
        .map(|other| decode::certificate(other.der()).expect("made"))
        .collect();
    let anchor = Authority::root("Other", KeyKind::P256, 1).expect("made");
    let report = judge(&[anchor.der().to_vec()], &leaf, &others);
    assert_eq!(report.reason(), Some(Reason::Budget));
}

#[test]
fn a_chain_without_end_is_too_long() {
    let root = Authority::root("CA 0", KeyKind::P256, 1).expect("made");
    let mut chain = Vec::new();
    let mut last = root.unlimited_intermediate("CA 1", 2).expect("made");
    for number in 2..40 {
        let next = last.unlimited_intermediate(&format!("CA {number}"), 2).expect("made");
        chain.push(decode::certificate(last.der()).expect("made"));
        last = next;
    }
    let leaf = ek(&last);
    chain.push(decode::certificate(last.der()).expect("made"));
    assert_eq!(judge(&[root.der().to_vec()], &leaf, &chain).reason(), Some(Reason::ChainTooLong));
}

#[test]
fn more_policies_than_any_certificate_has_are_refused() {
    let root = Authority::root("Root", KeyKind::P256, 1).expect("made");
    let der = root.with_policies("CA", 2, 5_000).expect("made");
    let ca = decode::certificate(der.der()).expect("made");
    let report = judge(&[root.der().to_vec()], &ek(&der), &[ca]);
    assert_eq!(report.reason(), Some(Reason::Policy), "{:?}", report.failures);
}
