//! Exports: the same bytes each time, and peers that read them.

use std::collections::BTreeMap;
use std::path::Path;

use ekstore::fingerprint::{Digest, Thumbprint};
use serde_json::Value;

use crate::support::{Place, openssl, peer, shared, text};

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = ekstore::file::list(folder).expect("readable");
    let name = |path: &Path| path.strip_prefix(folder).expect("below it").to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), std::fs::read(path).expect("readable"))).collect()
}

#[test]
fn t28_twice_the_same_bytes() {
    let Some(place) = Place::synced() else { return };
    place.say("list").expect(0);
    let export = |form: &str, name: &str| {
        let out = place.path(name);
        let run = place.run([
            "export".as_ref(),
            form.as_ref(),
            "--format".as_ref(),
            "json".as_ref(),
            "--out".as_ref(),
            out.as_os_str(),
        ]);
        run.expect(0).row()
    };
    let first = export("adcs", "one");
    let second = export("adcs", "two");
    assert_eq!(first["manifest_sha256"], second["manifest_sha256"]);
    assert_eq!(contents(&place.path("one")), contents(&place.path("two")));
    export("adcs", "one");
    assert_eq!(contents(&place.path("one")), contents(&place.path("two")), "over an earlier export");
    export("pem", "one.pem");
    export("pem", "two.pem");
    let read = |name| std::fs::read(place.path(name)).expect("written");
    assert_eq!(read("one.pem"), read("two.pem"));
}

#[test]
fn t29_the_manifest_names_every_file_and_certificate() {
    let Some(place) = Place::synced() else { return };
    let out = place.path("import");
    let run = place.run([
        "export".as_ref(),
        "adcs".as_ref(),
        "--format".as_ref(),
        "json".as_ref(),
        "--out".as_ref(),
        out.as_os_str(),
    ]);
    let row = run.expect(0).row();
    let files = contents(&out);
    assert_eq!(text(&row, "manifest_sha256"), Digest::of(&files["manifest.json"]).to_string());
    let manifest: Value = serde_json::from_slice(&files["manifest.json"]).expect("JSON");
    let listed = manifest["files"].as_array().expect("a list");
    assert_eq!(listed.len() + 1, files.len(), "all but the manifest itself");
    for file in listed {
        assert_eq!(text(file, "sha256"), Digest::of(&files[text(file, "path")]).to_string());
    }
    let certificates = manifest["certificates"].as_array().expect("a list");
    assert_eq!(certificates.len(), 169);
    for certificate in certificates {
        let bytes = &files[text(certificate, "file")];
        assert_eq!(text(certificate, "fingerprint"), Digest::of(bytes).to_string());
        let name = format!("{}/{}.cer", text(certificate, "store"), Thumbprint::of(bytes).to_upper_hex());
        assert_eq!(text(certificate, "file"), name);
    }
    let script = String::from_utf8(files["Import-EkStores.ps1"].clone()).expect("text");
    assert!(script.is_ascii() && script.contains("\r\n") && !script.replace("\r\n", "").contains('\n'));
}

#[test]
fn t30_what_was_in_the_stores_and_is_no_longer_is_listed_as_removed() {
    let Some(place) = Place::synced() else { return };
    let export = |name: &str, more: &[&str]| {
        let out = place.path(name);
        let mut command = place.command();
        let run: crate::support::Run =
            command.args(["export", "adcs", "--out"]).arg(&out).args(more).output().expect("starts").into();
        run.expect(0);
        contents(&out)
    };
    let before = export("before", &[]);
    let list = place.list();
    let of = |name: &str| {
        let row = list.iter().find(|row| text(row, "subject").starts_with(name)).expect(name);
        text(row, "fingerprint").to_owned()
    };
    let root = of("CN=NSING TPM ECC ROOT CA 001");
    let ca = of("CN=NSING TPM RSA EK CA 001");
    place.run(["distrust", &root, "--reason", "for the test"]).expect(0);
    place.run(["reject", &ca, "--reason", "for the test"]).expect(0);
    let after = export("after", &[]);
    let manifest: Value = serde_json::from_slice(&after["manifest.json"]).expect("JSON");
    let removed: BTreeMap<&str, &str> = manifest["removed"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| (text(entry, "fingerprint"), text(entry, "why")))
        .collect();
    // The root, its five intermediates, and the rejected one.
    assert_eq!(removed.len(), 7);
    assert_eq!((removed[root.as_str()], removed[ca.as_str()]), ("distrusted", "no-longer-trusted"));
    // T28: an earlier generation comes out as it did.
    assert_eq!(export("again", &["--generation", "1"]), before);
    place.say("export pem --out x.pem --generation 99").expect(1);
    let diff = place.say("log diff 1 --format json").expect(0).rows();
    assert_eq!(diff.len(), 7, "the same seven left");
    assert!(diff.iter().all(|row| row["to"].is_null() && !row["from"].is_null()));
    let forth = place.say("log diff 0 1 --format json").expect(0).rows();
    assert_eq!(forth.len(), 169);
    place.say("log diff 1 99").expect(1);
}

#[test]
fn filters_select() {
    let Some(place) = Place::synced() else { return };
    let count = |words: &str| {
        let out = place.path("x.pem");
        let mut command = place.command();
        let run: crate::support::Run = command
            .args(["export", "pem", "--format", "json", "--out"])
            .arg(out)
            .args(words.split_whitespace())
            .output()
            .expect("starts")
            .into();
        run.expect(0).row()["certificates"].as_u64().expect("a number")
    };
    assert_eq!(count("--vendor STM"), 27);
    assert_eq!(count("--vendor STM --vendor NTC"), 39);
    assert_eq!(count("--without-expired --at 2026-11-01"), 169);
    assert!(count("--without-expired --at 2100-01-01") < 40);
    place.say("export pem --out x --without-expired").expect(2);
}

#[test]
fn the_pem_works_as_openssl_cafile() {
    let Some(place) = Place::synced() else { return };
    let Some(folder) = shared("real/ek") else { return };
    if !peer("openssl") {
        return;
    }
    let out = place.path("ekstores.pem");
    place.run(["export".as_ref(), "pem".as_ref(), "--out".as_ref(), out.as_os_str()]).expect(0);
    let ek = place.path("ek.pem");
    for name in ["ifx-slb9670-rsa-ca035.der", "ifx-slb9670-ecc-ca035.der"] {
        let der = folder.join(name);
        openssl(&[
            "x509".as_ref(),
            "-inform".as_ref(),
            "DER".as_ref(),
            "-in".as_ref(),
            der.as_os_str(),
            "-out".as_ref(),
            ek.as_os_str(),
        ]);
        let text = openssl(&["verify".as_ref(), "-CAfile".as_ref(), out.as_os_str(), ek.as_os_str()]);
        assert!(text.contains("OK"), "{text}");
    }
}

#[test]
fn an_export_leaves_a_folder_that_is_not_its_own_alone() {
    let Some(place) = Place::synced() else { return };
    place.write("mine/thesis.txt", b"years");
    let out = place.path("mine");
    let refused = |out: &Path| {
        let run =
            place.run(["export".as_ref(), "adcs".as_ref(), "--out".as_ref(), out.as_os_str()]).expect(3);
        assert!(run.stderr.contains("holds what this program did not write there"), "{}", run.stderr);
    };
    // A manifest of someone else's, and an export that someone put a file of their own into.
    place.write("web/manifest.json", b"{\"name\":\"a web page\",\"files\":[],\"program\":\"other\"}");
    refused(&place.path("web"));
    let export = place.path("export");
    place.run(["export".as_ref(), "adcs".as_ref(), "--out".as_ref(), export.as_os_str()]).expect(0);
    place.write("export/EKCA/notes.txt", b"mine");
    refused(&export);
    let run = place.run(["export".as_ref(), "adcs".as_ref(), "--out".as_ref(), out.as_os_str()]).expect(3);
    assert!(run.stderr.contains("holds what this program did not write there"), "{}", run.stderr);
    assert_eq!(contents(&out), BTreeMap::from([("thesis.txt".to_owned(), b"years".to_vec())]));
}
