//! What `verify` says, and what it says it with.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use ekstore::cert::decode;
use ekstore::cert::quirk::Quirk;
use ekstore::demo::authority::{Authority, Ek, KeyKind};
use ekstore::demo::server::{Reply, Server};
use ekstore::fingerprint::Fingerprint;
use ekstore::verify::profile::RULES;
use ekstore::verify::verdict::{Reason, Warning};
use serde_json::Value;

use crate::support::{Place, Run, shared, text};

fn ek(serial: u64) -> Ek {
    Ek {
        serial,
        years: (2024, 2048),
        manufacturer: "id:49465800".to_owned(),
        model: "TEST".to_owned(),
        crl: None,
        aia: None,
    }
}

/// A place whose stores hold these CAs.
fn trusting(authorities: &[&Authority]) -> Place {
    let place = Place::new();
    trust(&place, authorities);
    place
}

fn trust(place: &Place, authorities: &[&Authority]) {
    for (number, authority) in authorities.iter().enumerate() {
        let file = place.write(&format!("ca{number}.cer"), authority.der());
        place.run(["add".as_ref(), file.as_os_str()]).expect(0);
        let fingerprint = Fingerprint::of(authority.der()).to_string();
        place.run(["approve", &fingerprint, "--reason", "for the test"]).expect(0);
    }
}

fn verify(place: &Place, file: &Path, options: &[&str]) -> (i32, Value) {
    verify_at("2026-11-01", place, file, options)
}

fn verify_at(at: &str, place: &Place, file: &Path, options: &[&str]) -> (i32, Value) {
    let mut command = place.command();
    command.args(["verify", "--format", "json", "--at", at]).args(options).arg(file);
    let run: Run = command.output().expect("the program starts").into();
    (run.code, run.row())
}

fn reason(place: &Place, file: &Path, options: &[&str]) -> String {
    text(&verify(place, file, options).1, "reason").to_owned()
}

fn line() -> (Authority, Authority) {
    let root = Authority::root("Root", KeyKind::P256, 1).expect("made");
    let ca = root.intermediate("CA", KeyKind::P256, 2).expect("made");
    (root, ca)
}

#[test]
fn the_page_on_verdicts_and_the_program_are_in_step() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verdicts.md"));
    let page = page.expect("part of the repository");
    let section = |from: &str, to: &str| -> Vec<String> {
        let start = page.find(from).expect(from);
        let end = page[start..].find(to).map_or(page.len(), |end| start + end);
        let rows = page[start..end].lines().filter_map(|line| line.strip_prefix("| "));
        let cells =
            rows.filter_map(|row| row.split(" | ").next()).map(|cell| cell.trim_matches('`').to_owned());
        cells.skip(1).filter(|cell| !cell.starts_with("---")).collect()
    };
    let reasons: Vec<String> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(section("## Reasons", "## Warnings"), reasons);
    let warnings: Vec<String> = Warning::ALL.iter().map(|warning| warning.code()).collect();
    assert_eq!(section("## Warnings", "## The EK profile"), warnings);
    let rules: Vec<String> = RULES.iter().map(|rule| rule.id.to_owned()).collect();
    assert_eq!(section("## The EK profile", "## Configuration"), rules);
    for rule in RULES {
        assert!(page.contains(&format!("| {} | {} |", rule.id, rule.asks)), "{}", rule.id);
    }
    let quirks = section("## Quirks", "## End");
    assert!(quirks.contains(&Quirk::SerialNotMinimal.code()) && quirks.len() > 20, "{quirks:?}");
}

#[test]
fn a_counterfeit_with_the_same_names_is_refused_and_the_report_says_so() {
    let (root, ca) = line();
    let (_, other) = line();
    let place = trusting(&[&root, &ca]);
    let file = place.write("counterfeit.der", &other.ek(KeyKind::P256, &ek(3)).expect("made"));
    let (code, row) = verify(&place, &file, &[]);
    assert_eq!((code, text(&row, "reason")), (1, "signature-invalid"));
    assert!(text(&row, "detail").contains("the names match CN=CA"), "{row}");
    // With its own chain beside it: the names match, the anchor does not.
    let chain = place.write("chain.der", other.der());
    let (code, row) = verify(&place, &file, &["--chain", chain.to_str().expect("UTF-8")]);
    assert_eq!(code, 1);
    assert!(["signature-invalid", "unknown-issuer"].contains(&text(&row, "reason")), "{row}");
}

#[test]
fn a_modulus_with_the_fingerprint_of_roca_is_caught() {
    let (root, ca) = line();
    let place = trusting(&[&root, &ca]);
    // A power of 65537 of 2048 bits: no usable key, but with the fingerprint of a weak one.
    let mut digits: Vec<u32> = vec![1];
    while digits.len() < 64 {
        let mut carry = 0u64;
        for digit in &mut digits {
            let product = u64::from(*digit) * 65_537 + carry;
            *digit = u32::try_from(product & 0xffff_ffff).expect("masked");
            carry = product >> 32;
        }
        if carry > 0 {
            digits.push(u32::try_from(carry).expect("below 2^32"));
        }
    }
    let modulus: Vec<u8> = digits.iter().rev().flat_map(|digit| digit.to_be_bytes()).collect();
    let key = RsaKey(rsa_public_key(&modulus));
    let der = ca.ek_for(&key, KeyKind::Rsa, &ek(3)).expect("made");
    let file = place.write("roca.der", &der);
    assert_eq!(reason(&place, &file, &[]), "weak-key");
    // It can be weighed otherwise, and then it is told.
    let (code, row) = verify(&place, &file, &["--severity", "EK-24=warning"]);
    assert_eq!(code, 0);
    assert!(row["warnings"].as_array().expect("a list").contains(&"roca".into()), "{row}");
}

/// A public key without a private one.
struct RsaKey(Vec<u8>);

impl rcgen::PublicKeyData for RsaKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

/// The DER RSAPublicKey of a modulus of 256 octets, with 65537.
fn rsa_public_key(modulus: &[u8]) -> Vec<u8> {
    let element = |tag: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).expect("short").to_be_bytes();
        let header =
            if content.len() < 128 { vec![tag, length[1]] } else { vec![tag, 0x82, length[0], length[1]] };
        [header, content.to_vec()].concat()
    };
    let zero: &[u8] = if modulus[0] >= 0x80 { &[0] } else { &[] };
    element(0x30, &[element(2, &[zero, modulus].concat()), element(2, &[1, 0, 1])].concat())
}

#[test]
fn t23_a_chain_from_the_device_is_untrusted_material_and_may_straddle_files() {
    let root = Authority::root("Root", KeyKind::P384, 1).expect("made");
    let upper = root.upper_intermediate("On-die upper", KeyKind::P384, 2).expect("made");
    let die = upper.intermediate("On-die CA", KeyKind::P384, 3).expect("made");
    let place = trusting(&[&root]);
    let file = place.write("ek.der", &die.ek(KeyKind::P256, &ek(4)).expect("made"));
    assert_eq!(reason(&place, &file, &[]), "unknown-issuer");
    let joined = [die.der(), upper.der()].concat();
    let cut = die.der().len() + 100;
    let one = place.write("nv1", &joined[..cut]);
    let other = place.write("nv2", &joined[cut..]);
    let chain = ["--chain", one.to_str().expect("UTF-8"), "--chain", other.to_str().expect("UTF-8")];
    let padded = [place.write("pad1", &[die.der(), &[0xff; 50]].concat()), place.write("pad2", upper.der())];
    let padding: Vec<&str> =
        padded.iter().flat_map(|path| ["--chain", path.to_str().expect("UTF-8")]).collect();
    assert_eq!(verify(&place, &file, &padding).0, 0, "each index padded");
    let (code, row) = verify(&place, &file, &chain);
    assert_eq!((code, text(&row, "verdict")), (0, "trusted"), "{row}");
    assert_eq!(row["warnings"], serde_json::json!(["issuer-not-in-ekca"]));
    let stores: Vec<&str> =
        row["chain"].as_array().expect("a list").iter().map(|link| text(link, "store")).collect();
    assert_eq!(stores, ["leaf", "extra", "extra", "EKROOT"]);
    // The same, all in one file with the EK.
    let bundle = place.write("bundle.der", &[&std::fs::read(&file).expect("there"), &joined[..]].concat());
    assert_eq!(verify(&place, &bundle, &[]).0, 0);
}

#[test]
fn revocation_soft_and_required_and_revoked() {
    let (root, ca) = line();
    let place = trusting(&[&root, &ca]);
    let named = Ek { crl: Some("http://pki.example/ca.crl".to_owned()), ..ek(3) };
    let good = place.write("good.der", &ca.ek(KeyKind::P256, &named).expect("made"));
    let bad = place.write("bad.der", &ca.ek(KeyKind::P256, &Ek { serial: 4, ..named }).expect("made"));
    let silent = place.write("silent.der", &ca.ek(KeyKind::P256, &ek(5)).expect("made"));
    let crl = place.write("ca.crl", &ca.crl(&[4]).expect("made"));
    let crl = crl.to_str().expect("UTF-8");
    let (_, other) = line();
    let forged = place.write("forged.crl", &other.crl(&[]).expect("made"));

    let (code, row) = verify(&place, &good, &[]);
    assert_eq!((code, &row["warnings"]), (0, &serde_json::json!(["revocation-unknown"])));
    assert_eq!(reason(&place, &good, &["--revocation", "require"]), "revocation-unknown");
    assert_eq!(verify(&place, &good, &["--revocation", "require"]).0, 3, "undetermined");
    assert_eq!(verify(&place, &good, &["--revocation", "require", "--crl", crl]).0, 0);
    assert_eq!(reason(&place, &bad, &["--crl", crl]), "revoked");
    assert_eq!(verify(&place, &bad, &["--crl", crl, "--revocation", "off"]).0, 0);
    // When the CRL's time is over (2049), it no longer tells who is good, but who was revoked still is.
    let long = |serial| Ek { years: (2021, 2049), serial, ..ek(serial) };
    let late = |serial| {
        let file = place.write("long.der", &ca.ek(KeyKind::P256, &long(serial)).expect("made"));
        verify_at("2049-06-01", &place, &file, &["--crl", crl])
    };
    assert_eq!(text(&late(4).1, "reason"), "revoked");
    let (code, row) = late(6);
    assert_eq!((code, &row["revocation"][0]["status"]), (0, &serde_json::json!("unknown")));
    // A CRL under the CA's name that the CA did not sign says nothing.
    let forged = forged.to_str().expect("UTF-8");
    assert_eq!(reason(&place, &good, &["--revocation", "require", "--crl", forged]), "revocation-unknown");
    // One without revocation information is its own result, and no fault.
    let (code, row) = verify(&place, &silent, &["--revocation", "require"]);
    assert_eq!(code, 0);
    assert_eq!(row["revocation"][0]["status"], "no-information");
    assert_eq!(verify(&place, &silent, &["--revocation", "require-all"]).0, 3);
    // No CRL at all.
    let run = place.run(["verify".as_ref(), "--crl".as_ref(), good.as_os_str(), good.as_os_str()]);
    assert!(run.expect(3).stderr.contains("not a CRL"));
}

#[test]
fn validity_is_judged_at_now_at_a_time_or_at_issuance() {
    let (root, ca) = line();
    let place = trusting(&[&root, &ca]);
    let old = Ek { years: (2021, 2022), ..ek(3) };
    let file = place.write("old.der", &ca.ek(KeyKind::P256, &old).expect("made"));
    let at = |at: &str| {
        let (_, row) = verify_at(at, &place, &file, &[]);
        (text(&row, "reason").to_owned(), text(&row, "at").to_owned())
    };
    assert_eq!(at("2026-11-01").0, "expired");
    assert_eq!(at("2020-06-01").0, "not-yet-valid");
    assert_eq!(at("issuance"), (String::new(), "2021-01-01T00:00:00Z".to_owned()));
    assert_eq!(at("now").0, "expired");
    place.run(["verify", "--at", "yesterday", "x"]).expect(2);
}

#[test]
fn policy_comes_from_the_file_and_from_flags() {
    let (root, ca) = line();
    let place = trusting(&[&root, &ca]);
    let file = place.write("ek.der", &ca.ek(KeyKind::P256, &ek(3)).expect("made"));
    assert_eq!(reason(&place, &file, &["--manufacturer", "STM"]), "manufacturer-not-accepted");
    assert_eq!(verify(&place, &file, &["--manufacturer", "STM", "--manufacturer", "IFX"]).0, 0);
    assert_eq!(reason(&place, &file, &["--severity", "EK-19=error"]), "profile");
    let config = place.write(
        "config.toml",
        b"[verify]\nmanufacturers = [\"STM\"]\n[verify.severity]\n\"EK-19\" = \"error\"\n",
    );
    let config = config.to_str().expect("UTF-8");
    assert_eq!(reason(&place, &file, &["--config", config]), "profile");
    let wrong = place.write("wrong.toml", b"[verify]\ntrust-everything = true\n");
    let run = place.run(["--config".as_ref(), wrong.as_os_str(), "list".as_ref()]).expect(2);
    assert!(run.stderr.contains("trust-everything"), "{}", run.stderr);
    place.run(["verify".as_ref(), "--severity".as_ref(), "EK-99=error".as_ref(), file.as_os_str()]).expect(2);
}

#[test]
fn a_batch_of_lines_comes_out_in_order_with_the_callers_ids() {
    let (root, ca) = line();
    let place = trusting(&[&root, &ca]);
    let good = data_encoding::BASE64.encode(&ca.ek(KeyKind::P256, &ek(3)).expect("made"));
    let mut input = String::new();
    for number in 0..2_000 {
        match number % 5 {
            3 => writeln!(input, "{{\"id\":{number},\"der\":\"AAAA\"}}"),
            4 => writeln!(input, "\n{{\"id\":\"n{number}\",\"der\":\"{good}\"}}"),
            _ => writeln!(input, "{{\"id\":{number},\"der\":\"{good}\"}}"),
        }
        .expect("a string");
    }
    input.push_str("nonsense\n");
    let mut command = place.command();
    command.args(["verify", "--format", "json", "--at", "2026-11-01", "--jobs", "4", "--summary", "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("piped");
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let run: Run = child.wait_with_output().expect("ends").into();
    writer.join().expect("no panic").expect("all was read");
    let rows = run.expect(3);
    assert!(
        rows.stderr.contains("2001 certificates: 1600 trusted, 0 untrusted, 401 undetermined"),
        "{}",
        rows.stderr
    );
    let rows = rows.rows();
    assert_eq!(rows.len(), 2_001);
    for (number, row) in rows.iter().take(2_000).enumerate() {
        let id = if number % 5 == 4 { Value::from(format!("n{number}")) } else { Value::from(number) };
        assert_eq!(row["id"], id);
        assert_eq!(text(row, "verdict"), if number % 5 == 3 { "undetermined" } else { "trusted" });
    }
    assert_eq!(text(&rows[2_000], "reason"), "unreadable");
}

#[test]
fn folders_and_lists_of_files_are_read() {
    let (root, ca) = line();
    let place = trusting(&[&root, &ca]);
    let mut list = String::new();
    for serial in 3..6 {
        let file =
            place.write(&format!("eks/{serial}.der"), &ca.ek(KeyKind::P256, &ek(serial)).expect("made"));
        writeln!(list, "{}", file.display()).expect("a string");
    }
    let list = place.write("list", list.as_bytes());
    let folder = place.path("eks");
    let run = place.run(["verify".as_ref(), "--format".as_ref(), "json".as_ref(), folder.as_os_str()]);
    assert_eq!(run.expect(0).rows().len(), 3);
    let run = place.run([
        "verify".as_ref(),
        "--format".as_ref(),
        "json".as_ref(),
        "--files-from".as_ref(),
        list.as_os_str(),
    ]);
    assert_eq!(run.expect(0).rows().len(), 3);
}

/// A catalogue whose only manufacturer publishes on this host, with a source of its own.
fn catalogue(host: &str, root: &Authority) -> String {
    let certificate = decode::certificate(root.der()).expect("made");
    format!(
        "id = \"IFX\"\nregistry = \"49465800\"\nname = \"x\"\nhosts = [\"{host}\"]\n[[source]]\nname = \"root\"\n\
         url = \"https://{host}/root\"\nrole = \"anchor\"\nsubject = {:?}\nsha256 = \"{}\"\nspki_sha256 = \"{}\"\nevidence = \"made\"\n",
        certificate.subject().to_string(),
        certificate.fingerprint(),
        certificate.key().fingerprint(),
    )
}

#[test]
fn t24_missing_issuers_are_fetched_from_the_catalogues_hosts_only_and_become_candidates() {
    let host = "pki.made.example";
    let (root, ca) = line();
    let place = Place::with_catalogue(&catalogue(host, &root));
    trust(&place, &[&root]);
    let published = ca.der().to_vec();
    let server = Server::start(
        &[host.to_owned(), "elsewhere.example".to_owned()],
        Arc::new(move |_, path| (path == "/ca%20one.crt").then(|| Reply::body(published.clone()))),
    )
    .expect("loopback");
    let tls = place.write("tls.pem", server.root_pem().as_bytes());
    let with = |aia: &str, serial: u64| {
        let ek = Ek { aia: Some(aia.to_owned()), ..ek(serial) };
        place.write(&format!("{serial}.der"), &ca.ek(KeyKind::P256, &ek).expect("made"))
    };
    let fetch = |file: &PathBuf| {
        let mut command = place.command();
        command
            .args(["verify", "--format", "json", "--at", "2026-11-01", "--fetch-chain", "--cacert"])
            .arg(&tls);
        for host in [host, "elsewhere.example"] {
            command.arg("--resolve").arg(format!("{host}:443:127.0.0.1:{}", server.port()));
        }
        Run::from(command.arg(file).output().expect("starts"))
    };
    // Another host: not asked, whatever it would answer.
    let run = fetch(&with("https://elsewhere.example/ca%20one.crt", 3)).expect(1);
    assert_eq!(text(&run.row(), "reason"), "unknown-issuer");
    assert!(run.stdout.contains("is not on a host of the catalogue"), "{}", run.stdout);
    assert_eq!(place.list().len(), 1);
    // The manufacturer's own, by http and with a blank as Nuvoton writes it: https is tried first.
    let run = fetch(&with("http://pki.made.example/ca one.crt", 4)).expect(0);
    assert_eq!(run.row()["warnings"], serde_json::json!(["issuer-not-in-ekca"]));
    let fingerprint = Fingerprint::of(ca.der()).to_string();
    assert_eq!(place.standing(&fingerprint), (String::new(), "candidate".to_owned()));
    // A circle of names in what is given ends, too.
    let (a, b) = (line().0, Authority::root("B", KeyKind::P256, 1).expect("made"));
    let (a_by_b, b_by_a) = (b.reissue(&a, 5).expect("made"), a.reissue(&b, 6).expect("made"));
    let circle = [&a_by_b.ek(KeyKind::P256, &ek(9)).expect("made")[..], a_by_b.der(), b_by_a.der()].concat();
    let stranger = Place::with_catalogue(&catalogue(host, &b));
    let file = stranger.write("circle.der", &circle);
    let run = stranger.run([
        "verify".as_ref(),
        "--fetch-chain".as_ref(),
        "--format".as_ref(),
        "json".as_ref(),
        file.as_os_str(),
    ]);
    assert_eq!(text(&run.expect(1).row(), "verdict"), "untrusted");
    // T24: a writer is not waited for.
    let lock = std::fs::File::options().write(true).open(place.store().join("lock")).expect("there");
    lock.lock().expect("free");
    let run = fetch(&with("http://pki.made.example/ca one.crt", 5)).expect(0);
    assert!(!run.stdout.is_empty());
}

#[test]
fn sync_crls_keeps_the_last_good_one() {
    let host = "pki.made.example";
    let root = Authority::root("Root", KeyKind::P256, 1).expect("made");
    let place = Place::with_catalogue(&catalogue(host, &root));
    // A CA that names its root's CRL.
    let named = root.intermediate_naming_crl("CA", KeyKind::P256, 2, "http://pki.made.example/root.crl");
    let ca = named.expect("made");
    place.write("mirror/pki.made.example/root", root.der());
    let mirror = place.path("mirror");
    let sync = || {
        place.run([
            "sync".as_ref(),
            "--crls".as_ref(),
            "--format".as_ref(),
            "json".as_ref(),
            "--mirror".as_ref(),
            mirror.as_os_str(),
        ])
    };
    sync().expect(0);
    trust(&place, &[&ca]);
    let file = place.write("ek.der", &ca.ek(KeyKind::P256, &ek(3)).expect("made"));
    assert_eq!(reason(&place, &file, &["--revocation", "require"]), "revocation-unknown");
    place.write("mirror/pki.made.example/root.crl", &root.crl(&[]).expect("made"));
    sync().expect(0);
    assert_eq!(verify(&place, &file, &["--revocation", "require"]).0, 0);
    // A forged one does not take its place.
    let other = Authority::root("Root", KeyKind::P256, 1).expect("made");
    place.write("mirror/pki.made.example/root.crl", &other.crl(&[2]).expect("made"));
    let run = sync().expect(0);
    assert!(run.stdout.contains("no CA in the stores signed this CRL"), "{}", run.stdout);
    assert_eq!(verify(&place, &file, &["--revocation", "require"]).0, 0);
    // Nor does a sound one of another CA of the stores.
    place.write("mirror/pki.made.example/root.crl", &ca.crl(&[]).expect("made"));
    assert!(sync().expect(0).stdout.contains("of whom none is expected here"));
    assert_eq!(verify(&place, &file, &["--revocation", "require"]).0, 0);
    // The CA revoked.
    place.write("mirror/pki.made.example/root.crl", &root.crl(&[2]).expect("made"));
    sync().expect(0);
    assert_eq!(reason(&place, &file, &[]), "revoked");
}

#[test]
fn a_pluton_chip_is_told_to_bring_its_chain() {
    let Some(file) = shared("real/ek/msft-pluton-rsa-dfid00b20f40-a.der") else { return };
    let Some(place) = Place::synced() else { return };
    let (code, row) = verify(&place, &file, &[]);
    assert_eq!((code, text(&row, "reason")), (1, "unknown-issuer"));
    assert!(text(&row, "hint").contains("--chain"), "{row}");
}
