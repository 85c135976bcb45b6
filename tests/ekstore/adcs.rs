//! The CA's side: templates, its chain, what it issued, what its stores hold, and what its errors mean.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Place, Run, copy_folder, openssl, peer, text};

/// A template as `ldifde` writes it, with these values in place of the sound ones.
fn template(name: &str, flag: i64, changes: &[(&str, &str)]) -> String {
    let mut lines = vec![
        format!(
            "dn: CN={name},CN=Certificate Templates,CN=Public Key Services,CN=Services,CN=Configuration,DC=x"
        ),
        "changetype: add".to_owned(),
        "objectClass: top".to_owned(),
        "objectClass: pKICertificateTemplate".to_owned(),
        format!("cn: {name}"),
        format!("displayName: {name}"),
        format!("msPKI-Private-Key-Flag: {flag}"),
    ];
    let sound = [
        ("pKIDefaultCSPs", "1,Microsoft Platform Crypto Provider"),
        ("msPKI-Template-Schema-Version", "4"),
        (
            "msPKI-RA-Application-Policies",
            "msPKI-Asymmetric-Algorithm`PZPWSTR`RSA`msPKI-Hash-Algorithm`PZPWSTR`SHA256`msPKI-Key-Usage`DWORD`16777215`",
        ),
    ];
    for (attribute, value) in sound {
        let value =
            changes.iter().find(|(changed, _)| *changed == attribute).map_or(value, |(_, value)| *value);
        for value in value.split('|').filter(|value| !value.is_empty()) {
            lines.push(format!("{attribute}: {value}"));
        }
    }
    format!("{}\r\n\r\n", lines.join("\r\n"))
}

/// What is found, the flag, and the other attributes that are not sound.
type Case<'a> = (&'a str, i64, &'a [(&'a str, &'a str)]);

fn check_template(place: &Place, ldif: &[u8], more: &[&str]) -> Run {
    let file = place.write("template.ldf", ldif);
    let mut command = place.command();
    command.args(["adcs", "check-template", "--format", "json"]).arg(file).args(more);
    command.output().expect("the program starts").into()
}

fn rules(row: &Value) -> Vec<String> {
    let findings = row["findings"].as_array().expect("a list").iter();
    findings.map(|finding| format!("{} {}", text(finding, "severity"), text(finding, "rule"))).collect()
}

#[test]
fn sound_templates_of_each_method_have_no_finding() {
    let place = Place::new();
    for (flag, methods) in [
        // Required; 2012 R2 and 8.1: user, endorsement certificate, endorsement key, and all three.
        (0x0505_2200, vec!["user"]),
        (84_222_976, vec!["certificate"]),
        (0x0505_2800, vec!["key"]),
        (0x0505_2e00, vec!["user", "certificate", "key"]),
        // A real one: required, endorsement key, CA 2016, client 10.
        (101_066_752, vec!["key"]),
    ] {
        let row = check_template(&place, template("T", flag, &[]).as_bytes(), &[]).expect(0).row();
        assert_eq!(row["findings"], serde_json::json!([]), "{flag:#x}");
        assert_eq!(row["methods"], serde_json::json!(methods));
        assert_eq!((&row["required"], &row["with_policy"]), (&true.into(), &true.into()));
    }
    // The same in UTF-16, as `ldifde -u` writes it, and as a negative number.
    let wide: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain(template("T", 84_222_976, &[]).encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    check_template(&place, &wide, &["--method", "certificate"]).expect(0);
    let row = check_template(&place, template("T", -1, &[]).as_bytes(), &[]).expect(1).row();
    assert_eq!(text(&row, "private_key_flag"), "0xFFFFFFFF");
}

#[test]
fn each_single_fault_of_a_template_is_found_with_its_place_in_the_console() {
    let place = Place::new();
    let good = 0x0505_2400;
    let rsa = "msPKI-RA-Application-Policies";
    let cases: [Case<'_>; 14] = [
        ("error attestation-off", good & !0x3000, &[]),
        ("warning attestation-preferred", good ^ 0x3000, &[]),
        ("error no-method", good & !0x0e00, &[]),
        ("error ca-compatibility", good & !0x000f_0000, &[]),
        ("error client-compatibility", good & !0x0f00_0000, &[]),
        ("error key-archival", good | 0x1, &[]),
        ("error key-exportable", good | 0x10, &[]),
        ("error legacy-provider", good | 0x100, &[]),
        ("error same-key-renewal", good | 0x80, &[]),
        ("error schema-version", good, &[("msPKI-Template-Schema-Version", "2")]),
        ("error provider", good, &[("pKIDefaultCSPs", "1,Microsoft Software Key Storage Provider")]),
        (
            "error provider",
            good,
            &[(
                "pKIDefaultCSPs",
                "1,Microsoft Platform Crypto Provider|2,Microsoft Software Key Storage Provider",
            )],
        ),
        ("error algorithm", good, &[(rsa, "msPKI-Asymmetric-Algorithm`PZPWSTR`ECDSA_P256`")]),
        ("warning without-policy", good | 0x4000, &[]),
    ];
    for (expected, flag, changes) in cases {
        let run = check_template(&place, template("T", flag, changes).as_bytes(), &[]);
        let row = run.row();
        assert_eq!(rules(&row), [expected], "{row}");
        assert_eq!(run.code, i32::from(expected.starts_with("error")), "{expected}");
        let finding = &row["findings"][0];
        assert!(
            ["is", "should_be", "console"].iter().all(|field| !text(finding, field).is_empty()),
            "{finding}"
        );
    }
    // A method that it should grant; templates that never attest among one that does; no template at all.
    let run = check_template(&place, template("T", good, &[]).as_bytes(), &["--method", "key"]).expect(1);
    assert_eq!(rules(&run.row()), ["error method-missing"]);
    let many = format!(
        "{}{}",
        template("User", 16, &[("msPKI-Template-Schema-Version", "1")]),
        template("T", good, &[])
    );
    assert_eq!(check_template(&place, many.as_bytes(), &[]).expect(0).rows().len(), 2);
    check_template(&place, b"dn: CN=x\ncn: x\n", &[]).expect(3);
    check_template(&place, b"\0\x01\x02", &[]).expect(3);
}

/// A CA made with OpenSSL: `extensions` are `-addext` values.
struct Ca {
    certificate: PathBuf,
    key: PathBuf,
}

fn make(place: &Place, name: &str, issuer: Option<&Ca>, extensions: &[&str]) -> Ca {
    let (certificate, key) = (place.path(&format!("{name}.pem")), place.path(&format!("{name}.key")));
    let subject = format!("/CN={name}");
    let mut arguments: Vec<&OsStr> =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
            .map(OsStr::new)
            .to_vec();
    arguments.extend(["-days", "3650", "-subj"].map(OsStr::new));
    arguments.push(subject.as_ref());
    arguments.extend([OsStr::new("-keyout"), key.as_os_str(), OsStr::new("-out"), certificate.as_os_str()]);
    if let Some(issuer) = issuer {
        arguments.extend([OsStr::new("-CA"), issuer.certificate.as_os_str()]);
        arguments.extend([OsStr::new("-CAkey"), issuer.key.as_os_str()]);
    }
    // OpenSSL's own configuration adds basicConstraints; ours must not come twice.
    let config = place.write("openssl.cnf", b"[req]\ndistinguished_name=dn\n[dn]\n");
    arguments.extend([OsStr::new("-config"), config.as_os_str()]);
    for extension in extensions {
        arguments.extend([OsStr::new("-addext"), OsStr::new(*extension)]);
    }
    openssl(&arguments);
    Ca { certificate, key }
}

const CA: &str = "basicConstraints=critical,CA:TRUE";
const SIGN: &str = "keyUsage=critical,keyCertSign,cRLSign";
const ALL: &str = "certificatePolicies=2.5.29.32.0";
const ATTESTED: &str = "certificatePolicies=1.3.6.1.4.1.311.21.31,1.3.6.1.4.1.311.21.30";

fn check_chain(place: &Place, files: &[&Path], more: &[&str]) -> Run {
    let mut command = place.command();
    command.args(["adcs", "check-chain", "--format", "json"]).args(files).args(more);
    command.output().expect("the program starts").into()
}

#[test]
fn a_subordinate_ca_without_policies_is_found_whatever_its_root_has() {
    if !peer("openssl") {
        return;
    }
    let place = Place::new();
    let root = make(&place, "root", None, &[CA, SIGN, ALL]);
    let sound =
        make(&place, "sound", Some(&root), &["basicConstraints=critical,CA:TRUE,pathlen:0", SIGN, ALL]);
    let row = check_chain(&place, &[&root.certificate, &sound.certificate], &[]).expect(0).row();
    assert_eq!(row["allowed"], serde_json::json!(["user", "certificate", "key"]));
    // The root has AllIssuancePolicy, the subordinate asked for it, and was issued without.
    let bare = make(&place, "bare", Some(&root), &[CA, SIGN]);
    let row = check_chain(&place, &[&bare.certificate, &root.certificate], &[]).expect(1).row();
    assert_eq!(rules(&row), ["error no-policies"]);
    assert!(text(&row, "capolicy_inf").contains("OID=2.5.29.32.0\r\n"));
    assert_eq!(row["allowed"], serde_json::json!([]));
    // The used policies alone are enough for them; one between that lacks them is not.
    let some = make(&place, "some", Some(&root), &[CA, SIGN, "certificatePolicies=1.3.6.1.4.1.311.21.31"]);
    let files = [some.certificate.as_path(), root.certificate.as_path()];
    check_chain(&place, &files, &["--method", "certificate"]).expect(0);
    check_chain(&place, &files, &["--method", "key"]).expect(1);
    let row = check_chain(&place, &files, &[]).expect(0).row();
    assert_eq!(
        (rules(&row), &row["allowed"]),
        (vec!["warning no-policies".to_owned()], &serde_json::json!(["certificate"]))
    );
    let low = make(&place, "low", Some(&bare), &[CA, SIGN, ALL]);
    let files = [low.certificate.as_path(), bare.certificate.as_path(), root.certificate.as_path()];
    let row = check_chain(&place, &files, &[]).expect(1).row();
    assert_eq!(rules(&row), ["error no-policies"]);
    // What constraints above take away; a pathLen that is too small; a time outside; a chain without its root.
    let inhibiting = make(&place, "inhibiting", Some(&root), &[CA, SIGN, ALL, "inhibitAnyPolicy=critical,0"]);
    let below = make(&place, "below", Some(&inhibiting), &[CA, SIGN, ALL]);
    let files = [below.certificate.as_path(), inhibiting.certificate.as_path(), root.certificate.as_path()];
    assert_eq!(rules(&check_chain(&place, &files, &[]).expect(1).row()), ["error policies-blocked"]);
    let deep = make(&place, "deep", Some(&sound), &[CA, SIGN, ALL]);
    let files = [deep.certificate.as_path(), sound.certificate.as_path(), root.certificate.as_path()];
    assert_eq!(rules(&check_chain(&place, &files, &[]).expect(1).row()), ["error path-len"]);
    let files = [sound.certificate.as_path(), root.certificate.as_path()];
    let late = rules(&check_chain(&place, &files, &["--at", "2060-01-01"]).expect(1).row());
    assert_eq!(late, ["error not-valid", "error not-valid"]);
    let row = check_chain(&place, &[&sound.certificate], &[]).expect(1).row();
    assert_eq!(rules(&row), ["error incomplete"]);
    check_chain(&place, &[&sound.certificate, &bare.certificate, &root.certificate], &[]).expect(3);
}

#[test]
fn what_an_issued_certificate_says_is_believed_only_with_its_chains_policies() {
    if !peer("openssl") {
        return;
    }
    let place = Place::new();
    let root = make(&place, "root", None, &[CA, SIGN]);
    let sound = make(&place, "sound", Some(&root), &[CA, SIGN, ALL]);
    let bare = make(&place, "bare", Some(&root), &[CA, SIGN]);
    let leaf = |name: &str, issuer: &Ca, extensions: &[&str]| {
        make(&place, name, Some(issuer), extensions).certificate
    };
    let check = |certificate: &Path, chain: &[&Path]| -> Run {
        let mut command = place.command();
        command.args(["adcs", "check-issued", "--format", "json"]).arg(certificate);
        for file in chain {
            command.arg("--chain").arg(file);
        }
        command.output().expect("the program starts").into()
    };
    let believed = |row: &Value| -> Vec<(String, Option<bool>)> {
        let list = row["attestations"].as_array().expect("a list").iter();
        list.map(|row| (text(row, "assurance").to_owned(), row["believed"].as_bool())).collect()
    };
    let both = |value: Option<bool>| vec![("medium".to_owned(), value), ("high".to_owned(), value)];
    let good = leaf("good", &sound, &[ATTESTED]);
    let row = check(&good, &[&sound.certificate, &root.certificate]).expect(0).row();
    assert_eq!(believed(&row), both(Some(true)));
    assert_eq!(believed(&check(&good, &[]).expect(0).row()), both(None));
    let lost = leaf("lost", &bare, &[ATTESTED]);
    let row = check(&lost, &[&bare.certificate, &root.certificate]).expect(1).row();
    assert_eq!(believed(&row), both(Some(false)));
    assert!(text(&row["attestations"][0], "why").contains("check-chain"), "{row}");
    let none = leaf("none", &sound, &["certificatePolicies=1.2.3.4"]);
    assert!(believed(&check(&none, &[]).expect(1).row()).is_empty());
    let row = check(&good, &[&root.certificate]).expect(1).row();
    assert!(text(&row["attestations"][0], "why").contains("incomplete"), "{row}");
    // OpenSSL's policy check is of the same opinion.
    for (certificate, issuer, expected) in [(&good, &sound, true), (&lost, &bare, false)] {
        let output = std::process::Command::new("openssl")
            .args([
                "verify",
                "-policy_check",
                "-explicit_policy",
                "-policy",
                "1.3.6.1.4.1.311.21.31",
                "-CAfile",
            ])
            .arg(&root.certificate)
            .arg("-untrusted")
            .arg(&issuer.certificate)
            .arg(certificate)
            .output();
        assert_eq!(output.expect("openssl starts").status.success(), expected);
    }
}

fn check_stores(place: &Place, arguments: &[&OsStr]) -> Run {
    let mut command = place.command();
    command.args(["adcs", "check-stores", "--format", "json"]).args(arguments);
    command.output().expect("the program starts").into()
}

/// The differences as store, kind and what is known.
fn differences(run: &Run) -> Vec<(String, String, String)> {
    let rows = run.rows();
    rows.iter()
        .filter(|row| row["difference"].is_string())
        .map(|row| {
            let more =
                if row["belongs_in"].is_string() { text(row, "belongs_in") } else { text(row, "standing") };
            (text(row, "store").to_owned(), text(row, "difference").to_owned(), more.to_owned())
        })
        .collect()
}

#[test]
fn a_round_trip_has_no_difference_and_each_change_is_found() {
    let Some(place) = Place::synced() else { return };
    let export = |form: &str, name: &str, more: &[&str]| -> PathBuf {
        let out = place.path(name);
        let mut command = place.command();
        command.args(["export", form, "--out"]).arg(&out).args(more);
        Run::from(command.output().expect("the program starts")).expect(0);
        out
    };
    let folder = export("adcs", "import", &[]);
    let run = check_stores(&place, &[folder.as_os_str()]).expect(0);
    let summary = run.rows().pop().expect("a summary");
    assert_eq!(summary["forms"].as_array().map(Vec::len), Some(6), "three forms of each store");
    // One file each, told by name; and by hand, whatever the names.
    export("sst", "EKROOT.sst", &["--in", "ekroot"]);
    export("p7b", "EKCA-of-the-ca.p7b", &["--in", "ekca", "--with-malformed"]);
    let files = [place.path("EKROOT.sst"), place.path("EKCA-of-the-ca.p7b")];
    check_stores(&place, &files.each_ref().map(|file| file.as_os_str())).expect(0);
    let (x, y) = (place.path("x.sst"), place.path("y.reg"));
    std::fs::rename(&files[0], &x).expect("renamed");
    export("reg", "y.reg", &["--in", "ekca"]);
    let by_hand = [OsStr::new("--ekroot"), x.as_os_str(), OsStr::new("--ekca"), y.as_os_str()];
    check_stores(&place, &by_hand).expect(0);
    assert!(check_stores(&place, &[x.as_os_str()]).expect(2).stderr.contains("--ekroot"));
    check_stores(&place, &[OsStr::new("--ekroot"), x.as_os_str()]).expect(0);

    // What a CA gives back: one removed, one moved, one added that was never seen, one that was distrusted.
    let held = place.path("held");
    for store in ["EKROOT", "EKCA"] {
        copy_folder(&folder.join(store), &held.join(store));
    }
    let list = place.list();
    let of = |name: &str| {
        let row = list.iter().find(|row| text(row, "subject").starts_with(name)).expect(name);
        (text(row, "fingerprint").to_owned(), format!("{}.cer", text(row, "thumbprint").to_uppercase()))
    };
    let (gone, moved, distrusted) = (
        of("CN=NSING TPM RSA EK CA 001"),
        of("CN=NSING TPM RSA EK CA 002"),
        of("CN=NSING TPM RSA EK CA 003"),
    );
    std::fs::remove_file(held.join("EKCA").join(&gone.1)).expect("it was there");
    let diff = |expected: &[(&str, &str, &str)]| {
        let run = check_stores(&place, &[held.as_os_str()]).expect(i32::from(!expected.is_empty()));
        let found = differences(&run);
        let found: Vec<(&str, &str, &str)> =
            found.iter().map(|(store, kind, more)| (store.as_str(), kind.as_str(), more.as_str())).collect();
        assert_eq!(found, expected);
    };
    diff(&[("EKCA", "missing", "")]);
    std::fs::rename(held.join("EKCA").join(&moved.1), held.join("EKROOT").join(&moved.1)).expect("moved");
    diff(&[("EKCA", "missing", ""), ("EKCA", "missing", ""), ("EKROOT", "wrong-store", "EKCA")]);
    std::fs::rename(held.join("EKROOT").join(&moved.1), held.join("EKCA").join(&moved.1)).expect("moved");
    std::fs::copy(folder.join("EKCA").join(&gone.1), held.join("EKCA").join(&gone.1)).expect("back");
    let stranger =
        ekstore::demo::authority::Authority::root("Stranger", ekstore::demo::authority::KeyKind::P256, 1);
    std::fs::write(held.join("EKROOT/stranger.cer"), stranger.expect("made").der()).expect("written");
    place.run(["distrust", &distrusted.0, "--reason", "for the test"]).expect(0);
    diff(&[("EKCA", "extra", "distrusted"), ("EKROOT", "extra", "never-seen")]);
    // Of the generation before, only the stranger is too much. A store that is not there at all is told.
    let before =
        check_stores(&place, &[held.as_os_str(), OsStr::new("--generation"), OsStr::new("1")]).expect(1);
    assert_eq!(differences(&before).len(), 1);
    std::fs::remove_dir_all(held.join("EKROOT")).expect("removed");
    std::fs::remove_file(held.join("EKCA").join(&distrusted.1)).expect("removed");
    diff(&[("EKROOT", "not-given", "")]);
}

#[test]
fn what_windows_would_pass_over_in_a_registry_file_is_damaged() {
    let Some(place) = Place::synced() else { return };
    let out = place.path("ekstores.reg");
    place.run(["export".as_ref(), "reg".as_ref(), "--out".as_ref(), out.as_os_str()]).expect(0);
    let bytes = std::fs::read(&out).expect("written");
    let units: Vec<u16> =
        bytes[2..].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let text = String::from_utf16(&units).expect("UTF-16");
    let check = |text: &str| -> Vec<String> {
        let wide: Vec<u8> =
            [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let file = place.write("changed.reg", &wide);
        let run = check_stores(&place, &[file.as_os_str()]);
        differences(&run).into_iter().map(|(_, kind, _)| kind).collect()
    };
    assert!(check(&text).is_empty());
    // A key whose name is not the certificate's SHA-1; a blob with a changed octet; no registry file at all.
    let at = text.find("\\Certificates\\").expect("a key") + "\\Certificates\\".len();
    let named = format!("{}{}{}", &text[..at], "0".repeat(40), &text[at + 40..]);
    assert_eq!(check(&named), ["missing", "damaged"]);
    let blob = text.find("hex:").expect("a blob") + 4 + 3 * 60;
    let octet = text[blob..].find(",3").expect("an octet") + blob + 1;
    let changed = format!("{}7{}", &text[..octet], &text[octet + 1..]);
    assert_eq!(check(&changed), ["missing", "damaged"]);
    assert_eq!(check(&text.replace(",ff,", ",zz,"))[..2], ["missing", "missing"]);
    let file = place.write("EKROOT.reg", b"hello");
    assert!(
        differences(&check_stores(&place, &[file.as_os_str()]).expect(1))
            .iter()
            .any(|(_, kind, _)| kind == "damaged")
    );
}

#[test]
fn errors_are_explained_and_plans_have_the_stores_own_values() {
    let place = Place::new();
    let row = place.run(["adcs", "explain", "--format", "json", "Denied (-2146875369)"]).expect(0).row();
    assert_eq!(text(&row, "symbol"), "CERTSRV_E_INVALID_EK");
    place.say("adcs explain 0x8007000D").expect(1);
    let Some(place) = Place::synced() else { return };
    let out = place.path("import");
    place.run(["export".as_ref(), "adcs".as_ref(), "--out".as_ref(), out.as_os_str()]).expect(0);
    let digest =
        ekstore::fingerprint::Digest::of(&std::fs::read(out.join("manifest.json")).expect("written"));
    let plan = place.say("adcs plan --method certificate").expect(0).stdout;
    assert!(plan.contains(&format!("-ManifestSha256 {digest}")), "{plan}");
    assert!(plan.contains("EKROOT 24, EKCA 145"), "{plan}");
    for method in ["user", "key"] {
        let steps = place.say(&format!("adcs plan --method {method} --format json")).expect(0).rows();
        assert!(steps.len() >= 5, "{steps:?}");
    }
}
