//! Second opinions: OpenSSL on every real CA certificate, webpki on every real EK certificate. Each divergence has a
//! reason; one more, or one less, fails.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use ekstore::cert::quirk::Quirk;
use ekstore::cert::{Certificate, container, pem};
use ekstore::fingerprint::Fingerprint;
use ekstore::verify::algorithms;
use ekstore::verify::profile::{RULES, Severities, Severity};
use ekstore::verify::revocation::{CrlSet, Mode};
use ekstore::verify::trust::{Anchor, TrustStore};
use ekstore::verify::verdict::{Reason, Report};
use ekstore::verify::{Moment, Policy, Sha1, Verifier};

use crate::real::unpacked;
use crate::support::{Place, peer, shared};

/// All real CA certificates, each once.
fn real_cas(place: &Place) -> Option<BTreeMap<Fingerprint, Certificate>> {
    let mut files = unpacked(place, "TrustedTpm-12242024.cab")?;
    files.extend(ekstore::file::list(&shared("real/vendor-sites")?).expect("readable"));
    let read = |path: &PathBuf| container::read(&std::fs::read(path).expect("readable")).ok();
    let found = files.iter().filter_map(read).flatten();
    Some(found.map(|found| (found.certificate.fingerprint(), found.certificate)).collect())
}

fn is_self_signed(certificate: &Certificate) -> bool {
    certificate.is_self_issued() && algorithms::signed_by(certificate, &certificate.key()).is_ok()
}

/// A verifier over all CAs, the self-signed ones as anchors, that asks for nothing but a chain.
fn verifier(cas: &BTreeMap<Fingerprint, Certificate>) -> Verifier {
    let mut trust = TrustStore::default();
    for certificate in cas.values() {
        if is_self_signed(certificate) {
            trust.add_anchor(Anchor { certificate: certificate.clone(), sha1: true, manufacturers: None });
        } else {
            trust.add_intermediate(certificate.clone());
        }
    }
    let severities: Severities = RULES.iter().map(|rule| (rule.id.to_owned(), Severity::Off)).collect();
    let policy =
        Policy { sha1: Sha1::WhereTheCatalogueSays, revocation: Mode::Off, severities, ..Policy::default() };
    Verifier::new(trust, policy, CrlSet::default())
}

/// Dates aside, and whether it is an EK: the question is whether a chain leads to an anchor.
fn links(report: &Report) -> bool {
    report
        .failures
        .iter()
        .all(|failure| matches!(failure.reason, Reason::NotAnEk | Reason::Expired | Reason::NotYetValid))
}

#[test]
fn all_2231_real_cas_link_to_an_anchor_and_openssl_differs_on_23_of_them_for_two_reasons() {
    let place = Place::new();
    let Some(cas) = real_cas(&place) else { return };
    if !peer("openssl") {
        return;
    }
    assert_eq!(cas.len(), 2231);
    let verifier = verifier(&cas);
    let at = Moment::At("2026-11-01".parse().expect("a time"));
    let ours: BTreeSet<Fingerprint> = cas
        .iter()
        .filter(|(_, certificate)| {
            is_self_signed(certificate) || links(&verifier.verify(certificate, &[], at, None))
        })
        .map(|(fingerprint, _)| *fingerprint)
        .collect();
    assert_eq!(ours.len(), 2231);

    let theirs = openssl(&place, &cas);
    let differ: Vec<&Certificate> =
        cas.values().filter(|certificate| !theirs.contains(&certificate.fingerprint())).collect();
    let (serial, key_id): (Vec<&Certificate>, Vec<&Certificate>) =
        differ.iter().partition(|certificate| certificate.quirks().contains(&Quirk::SerialNotMinimal));
    assert_eq!(serial.len(), 6, "OpenSSL cannot load serial numbers with leading zeros");
    assert_eq!(
        key_id.len(),
        17,
        "OpenSSL wants the serial number in authorityKeyIdentifier to be the issuer's"
    );
    for certificate in key_id {
        assert!(certificate.issuer().to_string().contains("Infineon"), "{certificate:?}");
    }
}

/// The certificates that OpenSSL links to an anchor: dates and signature strength aside, partial chains allowed.
fn openssl(place: &Place, cas: &BTreeMap<Fingerprint, Certificate>) -> BTreeSet<Fingerprint> {
    let folder = place.path("openssl");
    std::fs::create_dir(&folder).expect("writable");
    let (mut anchors, mut others) = (String::new(), String::new());
    for (fingerprint, certificate) in cas {
        let text = pem::write(certificate.der());
        std::fs::write(folder.join(fingerprint.to_string()), &text).expect("writable");
        // One that OpenSSL cannot load spoils the whole file.
        if certificate.quirks().contains(&Quirk::SerialNotMinimal) {
            continue;
        }
        if is_self_signed(certificate) { anchors.push_str(&text) } else { others.push_str(&text) }
    }
    std::fs::write(folder.join("anchors.pem"), anchors).expect("writable");
    std::fs::write(folder.join("others.pem"), others).expect("writable");
    let mut linked = BTreeSet::new();
    // One call for many: it stops at a file it cannot load, so those go one by one.
    let call = |names: &[&Fingerprint]| {
        let mut command = Command::new("openssl");
        command.args([
            "verify",
            "-partial_chain",
            "-auth_level",
            "0",
            "-no_check_time",
            "-CAfile",
            "anchors.pem",
        ]);
        command
            .args(["-untrusted", "others.pem"])
            .args(names.iter().map(ToString::to_string))
            .current_dir(&folder);
        String::from_utf8_lossy(&command.output().expect("openssl starts").stdout).into_owned()
    };
    let (alone, together): (Vec<&Fingerprint>, Vec<&Fingerprint>) =
        cas.keys().partition(|fingerprint| cas[fingerprint].quirks().contains(&Quirk::SerialNotMinimal));
    let mut answers: String = together.chunks(400).map(call).collect();
    answers.extend(alone.into_iter().map(|name| call(&[name])));
    for line in answers.lines() {
        if let Some(fingerprint) = line.strip_suffix(": OK").and_then(|name| name.parse().ok()) {
            linked.insert(fingerprint);
        }
    }
    linked
}

/// Where webpki's answer on a real EK certificate differs from ours: the file's beginning, what webpki says, and why.
const WEBPKI_DIVERGES: [(&str, &str, &str); 7] = [
    ("goog-gcp-pca-", "accepted", "it asks for no keyUsage, so an attestation key's certificate passes"),
    (
        "goog-gcp-uca-ecc-sign",
        "accepted",
        "an attestation key's certificate with the usage of EK certificates",
    ),
    ("intc-", "UnsupportedCriticalExtension", "Intel's CAs have critical certificatePolicies"),
    ("ntc-npct6xx-rsa-oaep-2010-nv", "BadDer", "padding of the NV index follows the certificate"),
    (
        "ntc-npct6xx-rsa-oaep-2010.",
        "UnsupportedSignatureAlgorithmContext",
        "SHA-1, which the test allows here",
    ),
    ("stm-st33htph-rsa-int05-nv", "BadDer", "padding of the NV index follows the certificate"),
    (
        "stm-st33htph-",
        "UnsupportedCriticalExtension",
        "STMicroelectronics' CAs have critical certificatePolicies",
    ),
];

#[test]
fn webpki_agrees_on_real_ek_certificates_but_for_reasons() {
    let place = Place::new();
    let Some(folder) = shared("real/ek") else { return };
    let (Some(mut cas), Some(others)) = (real_cas(&place), shared("real/other-cas")) else { return };
    for path in ekstore::file::list(&others).expect("readable") {
        for found in container::read(&std::fs::read(&path).expect("readable")).expect("certificates") {
            cas.insert(found.certificate.fingerprint(), found.certificate);
        }
    }
    let verifier = verifier(&cas);
    let at: ekstore::time::Time = "2026-11-01".parse().expect("a time");
    let mut met: BTreeSet<&str> = BTreeSet::new();
    for path in ekstore::file::list(&folder).expect("readable") {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        if name == "expected.tsv" {
            continue;
        }
        let bytes = std::fs::read(&path).expect("readable");
        let found = container::read(&bytes).expect("a certificate");
        let ours = verifier.verify(&found[0].certificate, &[], Moment::At(at), None).failures.is_empty();
        let theirs = webpki_says(&bytes, &cas, at);
        if ours == (theirs == "accepted") {
            continue;
        }
        let known = WEBPKI_DIVERGES.iter().find(|(start, _, _)| name.starts_with(start));
        let Some((start, says, _)) = known else {
            panic!("{name}: ours {ours}, webpki {theirs}, and no reason is known")
        };
        assert_eq!(theirs, *says, "{name}");
        met.insert(start);
    }
    let expected: BTreeSet<&str> = WEBPKI_DIVERGES.iter().map(|(start, _, _)| *start).collect();
    assert_eq!(met, expected, "a divergence that is gone is news too");
}

/// `accepted`, or the name of webpki's error.
fn webpki_says(bytes: &[u8], cas: &BTreeMap<Fingerprint, Certificate>, at: ekstore::time::Time) -> String {
    use rustls_pki_types::{CertificateDer, UnixTime};
    let leaf = CertificateDer::from(bytes);
    let Ok(leaf) = webpki::EndEntityCert::try_from(&leaf) else { return "BadDer".to_owned() };
    let ders: Vec<CertificateDer<'_>> = cas.values().map(|ca| CertificateDer::from(ca.der())).collect();
    let anchors: Vec<_> = cas
        .values()
        .zip(&ders)
        .filter(|(certificate, _)| is_self_signed(certificate))
        .filter_map(|(_, der)| webpki::anchor_from_trusted_cert(der).ok())
        .collect();
    // Only the issuers that matter: webpki's budget is for chains, not for stores of thousands.
    let issuer = webpki_candidates(bytes, cas);
    let intermediates: Vec<CertificateDer<'_>> =
        issuer.iter().map(|ca| CertificateDer::from(ca.der())).collect();
    let seconds = u64::try_from(at.unix()).expect("after 1970");
    let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let usage = webpki::KeyUsage::required_if_present(&[0x67, 0x81, 0x05, 0x08, 0x01]);
    let result = leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &anchors,
        &intermediates,
        time,
        usage,
        None,
        None,
    );
    result.map_or_else(
        |error| format!("{error:?}").split(['(', ' ']).next().unwrap_or_default().to_owned(),
        |_| "accepted".to_owned(),
    )
}

/// The CAs above a leaf by name, three levels up.
fn webpki_candidates<'a>(bytes: &[u8], cas: &'a BTreeMap<Fingerprint, Certificate>) -> Vec<&'a Certificate> {
    let leaf = container::read(bytes).expect("a certificate")[0].certificate.clone();
    let mut names = vec![leaf.issuer().clone()];
    let mut found: Vec<&Certificate> = Vec::new();
    for _ in 0..3 {
        let above: Vec<&Certificate> =
            cas.values().filter(|ca| names.contains(ca.subject()) && !is_self_signed(ca)).collect();
        names = above.iter().map(|ca| ca.issuer().clone()).collect();
        found.extend(above);
    }
    found
}
