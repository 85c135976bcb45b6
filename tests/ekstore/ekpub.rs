//! The Endorsement Key list: hashes, verdicts, and the folder that a CA reads.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::{Place, Run, openssl, peer, shared, text};

const VECTOR: &str = "4abb0594d303ef7077138834ab315e941e963093e05b4b14af5dcb527712c00a";

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect()
}

fn export(place: &Place, folder: &Path, more: &[&str]) -> Run {
    let mut command = place.command();
    command.args(["ekpub", "export", "--format", "json", "--dir"]).arg(folder).args(more);
    command.output().expect("the program starts").into()
}

#[test]
fn a_key_has_one_hash_in_whatever_form_it_comes() {
    let place = Place::new();
    let hash = |path: &Path| {
        let run = place.run([
            "ekpub".as_ref(),
            "hash".as_ref(),
            "--format".as_ref(),
            "json".as_ref(),
            path.as_os_str(),
        ]);
        text(&run.expect(0).row(), "ekpub_sha256").to_owned()
    };
    let Some(root) = shared("real/trustedtpm/MicrosoftRootCertificateAuthority2011.cer") else { return };
    assert_eq!(hash(&root), VECTOR);
    if !peer("openssl") {
        return;
    }
    let public = place.path("public.pem");
    let pem = openssl(&[
        "x509".as_ref(),
        "-inform".as_ref(),
        "DER".as_ref(),
        "-in".as_ref(),
        root.as_os_str(),
        "-pubkey".as_ref(),
        "-noout".as_ref(),
    ]);
    std::fs::write(&public, pem).expect("written");
    assert_eq!(hash(&public), VECTOR);
    // SubjectPublicKeyInfo in DER; a bare RSAPublicKey, as Windows shows it, in DER and PEM.
    for more in [&["-outform", "DER"][..], &["-RSAPublicKey_out", "-outform", "DER"], &["-RSAPublicKey_out"]]
    {
        let out = place.path("key");
        let mut words: Vec<&std::ffi::OsStr> =
            vec!["rsa".as_ref(), "-pubin".as_ref(), "-in".as_ref(), public.as_os_str()];
        words.extend(more.iter().map(std::ffi::OsStr::new));
        words.extend(["-out".as_ref(), out.as_os_str()]);
        openssl(&words);
        assert_eq!(hash(&out), VECTOR, "{more:?}");
    }
    // The same TPM: the certificate alone, and as NV contents with header and padding.
    let Some(folder) = shared("real/ek") else { return };
    for (one, other) in [
        ("ifx-slb9635-rsa-oaep-int08.der", "ifx-slb9635-rsa-oaep-int08-nv-header-00padded.der"),
        ("stm-st33htph-rsa-int05-clean.der", "stm-st33htph-rsa-int05-nv-ffpadded.der"),
    ] {
        assert_eq!(hash(&folder.join(one)), hash(&folder.join(other)));
    }
    let ecc = folder.join("ifx-slb9670-ecc-ca035.der");
    let run = place.run(["ekpub".as_ref(), "hash".as_ref(), ecc.as_os_str()]).expect(0);
    assert!(run.stderr.contains("not confirmed"), "{}", run.stderr);
}

#[test]
fn keys_are_listed_with_verdict_and_reason_and_leave_again() {
    let Some(place) = Place::synced() else { return };
    let Some(folder) = shared("real/ek") else { return };
    let add = |files: &[&str], more: &[&str]| -> Run {
        let mut command = place.command();
        command.args(["ekpub", "add", "--format", "json", "--at", "2026-11-01"]);
        for file in files {
            command.arg(if file.contains('.') { folder.join(file).into_os_string() } else { file.into() });
        }
        command.args(more).output().expect("the program starts").into()
    };
    let good = "ifx-slb9670-rsa-ca035.der";
    let bad = "swtpm-rsa-localca.der";
    let reason = ["--reason", "bought in 2026"];
    assert_eq!(add(&[good], &["--reason", " "]).code, 2);
    let run = add(&[good, bad], &[&reason[..], &["--require", "trusted"]].concat()).expect(1);
    assert_eq!(run.rows().len(), 1, "one is refused, and nothing is added");
    assert!(place.say("ekpub list --format json").expect(0).rows().is_empty());
    let row =
        add(&[good], &[&reason[..], &["--require", "trusted", "--label", "L-1", "--owner", "IT"]].concat());
    assert_eq!(text(&row.expect(0).row(), "verdict"), "trusted");
    add(&[bad, VECTOR], &reason).expect(0);
    let log = std::fs::read(place.log()).expect("a log");
    add(&[good], &[&reason[..], &["--label", "L-1", "--owner", "IT"]].concat()).expect(0);
    assert_eq!(std::fs::read(place.log()).expect("a log"), log, "listed already");
    let rows = place.say("ekpub list --format json").expect(0).rows();
    let of = |field: &str| rows.iter().map(|row| text(row, field)).collect::<BTreeSet<_>>();
    assert_eq!(of("verdict"), BTreeSet::from(["", "trusted", "untrusted"]));
    assert_eq!(of("reason"), BTreeSet::from(["bought in 2026"]));
    assert_eq!(place.say("ekpub list --matching it --format json").expect(0).rows().len(), 1);
    // A table; a row that is no hash takes nothing in.
    let table =
        place.write("t.csv", format!("label,ekpub\nL-2,{}\nL-3,nonsense\n", "ab".repeat(32)).as_bytes());
    let table = table.to_str().expect("UTF-8");
    let run = place.run(["ekpub", "add", table, "--reason", "x"]).expect(3);
    assert!(run.stderr.contains("row 3"), "{}", run.stderr);
    std::fs::write(table, format!("label,ekpub\nL-2,{}\n", "AB".repeat(32))).expect("written");
    place.run(["ekpub", "add", table, "--reason", "x"]).expect(0);
    assert_eq!(place.say("ekpub list --format json").expect(0).rows().len(), 4);
    // The stores do not change by it; the log holds it all.
    assert_eq!(place.say("status --format json").expect(0).row()["generation"], 1);
    place.run(["ekpub", "remove", VECTOR, "--reason", "sold"]).expect(0);
    place.run(["ekpub", "remove", VECTOR, "--reason", "sold"]).expect(1);
    assert_eq!(place.say("ekpub list --format json").expect(0).rows().len(), 3);
    place.say("log verify").expect(0);
    let shown = place.say("log show").expect(0).stdout;
    assert!(shown.contains("unlisted 1 endorsement keys: sold"), "{shown}");
}

#[test]
fn the_folder_becomes_equal_to_the_list_and_nothing_else_is_touched() {
    let place = Place::new();
    let hashes: Vec<String> = (0..100).map(|n| format!("{n:064x}")).collect();
    let table = hashes.join("\n");
    let table = place.write("t.csv", table.as_bytes());
    let folder = place.path("list");
    // An existing folder: one hash in capitals, one that is stale, files that are none, a folder with a hash's name.
    let upper = format!("{:064X}", 0xabc_u32);
    place.write("t2.csv", format!("{}\n", upper.to_lowercase()).as_bytes());
    for name in [&upper, &"f".repeat(64), "readme.txt", &format!("{}.bak", "e".repeat(64))] {
        place.write(&format!("list/{name}"), b"kept");
    }
    std::fs::create_dir(folder.join("d".repeat(64))).expect("made");
    let import = place.run([
        "ekpub".as_ref(),
        "import".as_ref(),
        folder.as_os_str(),
        "--reason".as_ref(),
        "old".as_ref(),
    ]);
    assert!(import.expect(0).stdout.starts_with("2 added"));
    place.run(["ekpub", "remove", &"f".repeat(64), "--reason", "stale"]).expect(0);
    place
        .run(["ekpub".as_ref(), "add".as_ref(), table.as_os_str(), "--reason".as_ref(), "x".as_ref()])
        .expect(0);

    let row = export(&place, &folder, &[]).expect(0).row();
    assert_eq!(
        (&row["added"], &row["kept"], &row["stale"], &row["removed"]),
        (&100.into(), &1.into(), &1.into(), &0.into())
    );
    assert_eq!(names(&folder).len(), 100 + 5);
    let row = export(&place, &folder, &["--prune"]).expect(0).row();
    assert_eq!((&row["added"], &row["removed"]), (&0.into(), &1.into()));
    let left = names(&folder);
    assert!(left.contains(&upper) && left.contains("readme.txt") && left.contains(&"d".repeat(64)));
    assert!(!left.contains(&"f".repeat(64)) && left.len() == 104);
    assert_eq!(std::fs::read(folder.join(&hashes[7])).expect("there"), b"");
    assert_eq!(std::fs::read(folder.join("readme.txt")).expect("there"), b"kept");
    assert!(row["register"].to_string().contains("EndorsementKeyListDirectories"));
    export(&place, &folder, &["--check"]).expect(0);
    // Unchanged: no event. An empty list prunes nothing by mistake.
    let log = std::fs::read(place.log()).expect("a log");
    export(&place, &folder, &["--prune"]).expect(0);
    assert_eq!(std::fs::read(place.log()).expect("a log"), log);
    let empty = Place::new();
    export(&empty, &folder, &["--prune"]).expect(1);
    assert_eq!(names(&folder), left);
}

#[test]
fn killed_in_between_the_next_export_goes_on() {
    let place = Place::new();
    let table = (0..30_000).map(|n| format!("{n:064x}")).collect::<Vec<_>>().join("\n");
    let table = place.write("t.csv", table.as_bytes());
    place
        .run(["ekpub".as_ref(), "add".as_ref(), table.as_os_str(), "--reason".as_ref(), "x".as_ref()])
        .expect(0);
    let folder = place.path("list");
    place.write("list/notes.txt", b"mine");
    let mut killed = 0;
    for wait in [30, 60, 90, 120, 200] {
        let mut command = place.command();
        command.args(["ekpub", "export", "--dir"]).arg(&folder);
        let mut child = command.stdout(std::process::Stdio::null()).spawn().expect("the program starts");
        std::thread::sleep(std::time::Duration::from_millis(wait));
        killed += usize::from(child.try_wait().expect("asked").is_none());
        let _ = child.kill();
        child.wait().expect("ended");
    }
    assert!(killed > 0, "at least one was killed at work");
    assert_eq!(place.say("ekpub list --format json").expect(0).rows().len(), 30_000);
    export(&place, &folder, &[]).expect(0);
    assert_eq!(names(&folder).len(), 30_001);
    assert_eq!(std::fs::read(folder.join("notes.txt")).expect("there"), b"mine");
}
