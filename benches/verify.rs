//! One EK certificate: from DER bytes to a verdict, beside the bare signature of its issuer.
//!
//! `cargo bench --bench verify`

#![allow(missing_docs, reason = "criterion's macro makes undocumented items")]

mod support;

use std::hint::black_box;

use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ekstore::cert::decode;
use ekstore::demo::authority::{Authority, KeyKind};
use ekstore::verify::revocation::CrlSet;
use ekstore::verify::trust::TrustStore;
use ekstore::verify::verdict::Verdict;
use ekstore::verify::{Moment, Policy, Verifier};

use crate::support::{KINDS, Line};

fn one(criterion: &mut Criterion) {
    for (name, kind) in KINDS {
        let line = Line::new(kind, 64);
        let verifier = line.verifier();
        let at = Moment::At("2026-11-01".parse().expect("a time"));
        let algorithm: &'static dyn VerificationAlgorithm = match name {
            "RSA-2048" => &signature::RSA_PKCS1_2048_8192_SHA256,
            "P-256" => &signature::ECDSA_P256_SHA256_ASN1,
            _ => &signature::ECDSA_P384_SHA384_ASN1,
        };
        let ca = decode::certificate(line.ca.der()).expect("made");
        let key = ParsedPublicKey::new(algorithm, ca.key().bits).expect("made");
        let leaves: Vec<_> = line.eks.iter().map(|der| decode::certificate(der).expect("made")).collect();

        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(64));
        group.bench_function("bare signature", |bencher| {
            bencher.iter(|| {
                for leaf in &leaves {
                    key.verify_sig(black_box(leaf.tbs()), leaf.signature()).expect("signed");
                }
            });
        });
        group.bench_function("decode", |bencher| {
            bencher.iter(|| {
                for der in &line.eks {
                    black_box(decode::certificate(black_box(der)).expect("made"));
                }
            });
        });
        group.bench_function("decode and verify", |bencher| {
            bencher.iter(|| {
                for der in &line.eks {
                    let leaf = decode::certificate(black_box(der)).expect("made");
                    assert_eq!(verifier.verify(&leaf, &[], at, None).verdict, Verdict::Trusted);
                }
            });
        });
        group.finish();
    }
}

/// Graphs made to waste time: each must end by budget in under 100 ms.
fn hostile(criterion: &mut Criterion) {
    let line = Line::new(KeyKind::P256, 1);
    let leaf = decode::certificate(&line.eks[0]).expect("made");
    let at = Moment::At("2026-11-01".parse().expect("a time"));
    let decoded = |authority: &Authority| decode::certificate(authority.der()).expect("made");
    let same = Authority::root("Bench CA", KeyKind::P256, 9).expect("made");
    let twins: Vec<_> =
        (10..1010).map(|serial| decoded(&same.reissue_numbered(&same, serial).expect("made"))).collect();
    let under_twin =
        decode::certificate(&same.ek(KeyKind::P256, &support::ek(1)).expect("made")).expect("made");
    let other_keys: Vec<_> =
        (0..300).map(|_| decoded(&Authority::root("Bench CA", KeyKind::P256, 1).expect("made"))).collect();
    let empty = || Verifier::new(TrustStore::default(), Policy::default(), CrlSet::default());

    let mut group = criterion.benchmark_group("hostile");
    group.sample_size(10);
    group.bench_function("1000 CAs of one name and key", |bencher| {
        bencher.iter(|| {
            assert_eq!(empty().verify(&under_twin, &twins, at, None).verdict, Verdict::Undetermined);
        });
    });
    group.bench_function("300 CAs of one name, other keys", |bencher| {
        bencher
            .iter(|| assert_eq!(empty().verify(&leaf, &other_keys, at, None).verdict, Verdict::Undetermined));
    });
    group.finish();
}

criterion_group!(benches, one, hostile);
criterion_main!(benches);
