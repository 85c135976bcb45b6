//! Real certificates: all CAs decode, and the verdicts on real EK certificates are the known ones.

use std::collections::BTreeMap;

use ekstore::cert::container;
use ekstore::cert::quirk::Quirk;

use crate::support::{Place, peer, shared, text};

/// Unpacks an edition of TrustedTpm.cab with cabextract.
pub fn unpacked(place: &Place, edition: &str) -> Option<Vec<std::path::PathBuf>> {
    let cab = shared(&format!("real/trustedtpm/{edition}"))?;
    if !peer("cabextract") {
        return None;
    }
    let folder = place.path("cab");
    let done = std::process::Command::new("cabextract").arg("-q").arg("-d").arg(&folder).arg(cab).output();
    assert!(done.expect("cabextract starts").status.success());
    let files = ekstore::file::list(&folder).expect("readable");
    let in_folder = |path: &std::path::PathBuf| path.to_string_lossy().contains("CA/");
    Some(files.into_iter().filter(in_folder).filter(|path| !path.ends_with("readme.txt")).collect())
}

#[test]
fn all_2231_real_ca_certificates_decode_each_departure_named() {
    let Some(sites) = shared("real/vendor-sites") else { return };
    let place = Place::new();
    let Some(mut files) = unpacked(&place, "TrustedTpm-12242024.cab") else { return };
    files.extend(ekstore::file::list(&sites).expect("readable"));
    files.retain(|path| !path.ends_with("sources.tsv"));
    let mut quirks: BTreeMap<Quirk, usize> = BTreeMap::new();
    let mut distinct = BTreeMap::new();
    for path in &files {
        let bytes = std::fs::read(path).expect("readable");
        let found = container::read(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(found.len(), 1, "{}", path.display());
        let met: &mut Vec<Quirk> = distinct.entry(found[0].certificate.fingerprint()).or_default();
        met.extend(found[0].quirks());
    }
    assert_eq!(distinct.len(), 2231);
    for met in distinct.values_mut() {
        met.sort_unstable();
        met.dedup();
        met.iter().for_each(|quirk| *quirks.entry(*quirk).or_default() += 1);
    }
    assert_eq!(quirks[&Quirk::SerialNotMinimal], 6, "STMicroelectronics");
    assert_eq!(quirks[&Quirk::PemLongLine], 6, "AMD");
    assert_eq!(quirks[&Quirk::EcdsaParametersNull], 2, "Intel");
    assert_eq!(quirks[&Quirk::SetOfUnsorted], 13, "Nuvoton");
    assert!(quirks[&Quirk::KeyUsageTrailingZeros] > 100, "Infineon");
    assert!(quirks[&Quirk::GeneralizedTimeBefore2050] > 10, "AMD");
    assert!(!quirks.contains_key(&Quirk::ExtensionMalformed));
}

#[test]
fn verdicts_on_real_ek_certificates_agree_where_the_issuer_is_on_a_vendor_site() {
    let Some(place) = Place::synced() else { return };
    let Some(folder) = shared("real/ek") else { return };
    check_expected(&place, &folder, |row, expected| {
        // These issuers are in the package or nowhere: unknown is then the right answer.
        expected == "untrusted" || text(row, "reason") != "unknown-issuer"
    });
}

#[test]
fn verdicts_on_real_ek_certificates_agree_with_everything_synced() {
    let Some(place) = Place::synced() else { return };
    let (Some(folder), Some(others)) = (shared("real/ek"), shared("real/other-cas")) else { return };
    let (Some(package), Some(root_2010), Some(root_2011)) = (
        shared("real/trustedtpm/TrustedTpm-12242024.cab"),
        shared("real/trustedtpm/MicRooCerAut_2010-06-23.crt"),
        shared("real/trustedtpm/MicrosoftRootCertificateAuthority2011.cer"),
    ) else {
        return;
    };
    let mut sync = place.command();
    sync.args(["sync", "--package"]).arg(package);
    sync.arg("--package-root").arg(root_2010).arg("--package-root").arg(root_2011);
    crate::support::Run::from(sync.output().expect("starts")).expect(0);
    // Google's five are on no site that is mirrored here.
    let files = ekstore::file::list(&others).expect("readable");
    let mut add = place.command();
    let added: crate::support::Run =
        add.args(["add", "--format", "json"]).args(&files).output().expect("starts").into();
    let rows = added.expect(0).rows();
    let mut approve = place.command();
    approve.args(["approve", "--quiet", "--reason", "Google's, for the test"]);
    approve.args(rows.iter().map(|row| text(row, "fingerprint")));
    crate::support::Run::from(approve.output().expect("starts")).expect(0);

    // The counts of the package and the vendor sites together (T17), and Google's five.
    let mut counts = BTreeMap::new();
    let list = place.list();
    for row in &list {
        let aside = text(row, "purpose") == "aik";
        *counts.entry((text(row, "store"), aside)).or_insert(0) += 1;
        assert_eq!(row["flags"], serde_json::json!([]), "{row}");
    }
    let expected = [(("EKROOT", false), 43 + 2), (("EKCA", false), 366 + 3), (("", true), 1822)];
    assert_eq!(counts, BTreeMap::from(expected));
    let both: Vec<&str> =
        list.iter().filter(|row| text(row, "purpose") == "both").map(|row| text(row, "subject")).collect();
    assert_eq!(both.len(), 1);
    assert!(both[0].contains("Microsoft TPM Root Certificate Authority 2014"), "{both:?}");

    check_expected(&place, &folder, |_, _| true);
    check_relaxed(&place, &folder);
    check_pem(&place);
}

/// The rows of `expected.tsv` by column name.
fn expectations(folder: &std::path::Path) -> Vec<BTreeMap<String, String>> {
    let table = std::fs::read_to_string(folder.join("expected.tsv")).expect("readable");
    let mut lines = table.lines().map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
    let header = lines.next().expect("a header");
    lines.map(|line| header.iter().cloned().zip(line).collect()).collect()
}

fn check_expected(
    place: &Place,
    folder: &std::path::Path,
    counts: impl Fn(&serde_json::Value, &str) -> bool,
) {
    let mut checked = 0;
    let mut hashes: BTreeMap<String, String> = BTreeMap::new();
    for expected in expectations(folder) {
        let file = folder.join(&expected["file"]);
        let run = place.run([
            "verify".as_ref(),
            "--format".as_ref(),
            "json".as_ref(),
            "--at".as_ref(),
            "2026-11-01T00:00:00Z".as_ref(),
            file.as_os_str(),
        ]);
        let row = run.row();
        let wanted = &expected["default_2026-11-01"];
        if counts(&row, wanted) {
            assert_eq!(text(&row, "verdict"), wanted, "{row}");
            assert_eq!(run.code, i32::from(wanted != "trusted"));
            checked += 1;
        }
        if expected["is"] == "AK" {
            assert_eq!(text(&row, "reason"), "not-an-ek");
        }
        hashes.insert(expected["file"].clone(), text(&row, "ekpub_sha256").to_owned());
    }
    assert!(checked >= 19, "{checked}");
    // The same device: raw NV contents, and Pluton, which signs anew on each read (T25).
    for (one, other) in [
        ("ifx-slb9635-rsa-oaep-int08.der", "ifx-slb9635-rsa-oaep-int08-nv-header-00padded.der"),
        ("ntc-npct6xx-rsa-oaep-2010.der", "ntc-npct6xx-rsa-oaep-2010-nv-0x11padded.der"),
        ("stm-st33htph-rsa-int05-clean.der", "stm-st33htph-rsa-int05-nv-ffpadded.der"),
        ("stm-st33zp24-rsa-oaep-int02-nuc2.der", "stm-st33zp24-rsa-oaep-nv-tcgheader.der"),
        ("msft-pluton-rsa-dfid00b20f40-a.der", "msft-pluton-rsa-dfid00b20f40-b.der"),
    ] {
        assert_eq!(hashes[one], hashes[other]);
    }
}

fn check_relaxed(place: &Place, folder: &std::path::Path) {
    let mut checked = 0;
    for expected in expectations(folder) {
        let Some(wanted) = expected.get("relaxed").filter(|wanted| !wanted.is_empty()) else { continue };
        let at = if expected["how"].contains("at 2020-01-01") { "2020-01-01" } else { "2026-11-01" };
        let file = folder.join(&expected["file"]);
        let arguments = ["verify", "--format", "json", "--allow", "sha1", "--at", at];
        let mut command = place.command();
        let run = crate::support::Run::from(command.args(arguments).arg(file).output().expect("starts"));
        assert_eq!(text(&run.row(), "verdict"), wanted, "{}", run.stdout);
        checked += 1;
    }
    assert_eq!(checked, 6);
}

#[test]
fn the_ekpub_hash_is_of_the_bit_string() {
    let Some(file) = shared("real/trustedtpm/MicrosoftRootCertificateAuthority2011.cer") else { return };
    let place = Place::new();
    let run = place.run(["inspect".as_ref(), "--format".as_ref(), "json".as_ref(), file.as_os_str()]);
    assert_eq!(
        text(&run.expect(0).row(), "ekpub_sha256"),
        "4abb0594d303ef7077138834ab315e941e963093e05b4b14af5dcb527712c00a"
    );
}

#[test]
fn a_pin_that_was_distrusted_stays_out_and_its_twin_too() {
    let Some(mirror) = shared("real/vendor-sites") else { return };
    let Some(place) = Place::synced() else { return };
    let list = place.list();
    let pinned = list
        .iter()
        .find(|row| text(row, "subject").contains("CN=STM TPM EK Intermediate CA 05,"))
        .expect("on the vendor site");
    let fingerprint = text(pinned, "fingerprint");
    place.run(["distrust", fingerprint, "--reason", "for the test"]).expect(0);
    assert_eq!(place.standing(fingerprint), (String::new(), "distrusted".to_owned()));
    place.run(["sync".as_ref(), "--mirror".as_ref(), mirror.as_os_str()]).expect(0);
    assert_eq!(place.standing(fingerprint), (String::new(), "distrusted".to_owned()));

    // The package holds a second certificate with the same key.
    let Some(files) = unpacked(&place, "TrustedTpm-12242024.cab") else { return };
    let twins: Vec<_> = files.iter().filter(|path| path.to_string_lossy().contains("STMicro")).collect();
    let mut add = place.command();
    let run = crate::support::Run::from(
        add.args(["add", "--format", "json"]).args(twins).output().expect("starts"),
    );
    let same_key: Vec<String> = place
        .list()
        .iter()
        .filter(|row| row["spki_sha256"] == pinned["spki_sha256"])
        .map(|row| text(row, "fingerprint").to_owned())
        .collect();
    assert_eq!(same_key.len(), 2, "{}", run.expect(0).stdout);
    let twin = same_key.iter().find(|other| *other != fingerprint).expect("another one");
    assert_eq!(place.standing(twin), (String::new(), "distrusted".to_owned()));
    let refused = place.run(["approve", twin, "--reason", "try"]).expect(1);
    assert!(refused.stderr.contains("stands until it is reinstated"), "{}", refused.stderr);
}

#[test]
fn all_three_dialects_of_security_assertions_are_read() {
    use ekstore::cert::tpm::{DirectoryAttributes, EkGeneration};
    let Some(folder) = shared("real/ek") else { return };
    let read = |name: &str| {
        let bytes = std::fs::read(folder.join(name)).expect("readable");
        let found = container::read(&bytes).expect("a certificate");
        let attributes = DirectoryAttributes::of(&found[0].certificate).expect("well-formed");
        let specification = attributes.specification.expect("present").expect("read");
        let assertions = attributes.assertions.expect("present").expect("read");
        let generation = assertions.ek_generation.expect("stated");
        ((specification.family, specification.revision), generation, assertions.fips, assertions.iso9000)
    };
    let of = |family: &str, revision| (family.to_owned(), revision);
    // Explicit tags and the version written; explicit tags without it, ISO 9000 untagged; implicit tags.
    assert_eq!(
        read("stm-st33htph-rsa-int05-clean.der"),
        (of("2.0", 116), EkGeneration::Injected, Some("140-2".to_owned()), false)
    );
    assert_eq!(read("ifx-slb9635-rsa-oaep-int08.der"), (of("1.2", 3), EkGeneration::Injected, None, true));
    assert_eq!(read("amd-ftpm-ecc-prg-ssp.der"), (of("2.0", 137), EkGeneration::Internal, None, true));
}

/// Six certificates that OpenSSL cannot load must not keep it from reading the others.
fn check_pem(place: &Place) {
    if !peer("openssl") {
        return;
    }
    let out = place.path("all.pem");
    let run = place.run(["export".as_ref(), "pem".as_ref(), "--out".as_ref(), out.as_os_str()]).expect(0);
    assert!(run.stderr.contains("6 certificates were left out"), "{}", run.stderr);
    let text = std::fs::read_to_string(&out).expect("written");
    assert_eq!(text.matches("-----BEGIN CERTIFICATE-----").count(), 45 + 369 - 6);
    let one = place.write("one.pem", &text.as_bytes()[text.find("-----BEGIN").expect("PEM")..]);
    let verified =
        crate::support::openssl(&["verify".as_ref(), "-CAfile".as_ref(), out.as_os_str(), one.as_os_str()]);
    assert!(verified.contains("OK"), "{verified}");
    let mut all = place.command();
    all.args(["export", "pem", "--with-malformed", "--format", "json", "--out"]).arg(&out);
    let row = crate::support::Run::from(all.output().expect("starts")).expect(0).row();
    assert_eq!(row["certificates"], 45 + 369);
}
