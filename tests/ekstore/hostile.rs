//! Bad input: a clear error, the right exit status, and nothing lost.

#[cfg(unix)]
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::support::{Place, Run, peer, text};

#[test]
fn what_is_no_certificate_is_named() {
    let place = Place::new();
    let garbage = place.write("garbage", &[0xa5; 5000]);
    let empty = place.write("empty", b"");
    let truncated = place.write("truncated", &[0x30, 0x82, 0x05, 0x00, 0x30]);
    let large = place.path("large");
    std::fs::File::create(&large).expect("writable").set_len(100 << 20).expect("sparse");
    let folder = place.path("folder");
    std::fs::create_dir(&folder).expect("writable");
    let missing = place.path("missing");
    for (path, message) in [
        (&garbage, "not a certificate: neither DER nor PEM"),
        (&empty, "not a certificate: empty"),
        (&truncated, "not a certificate: certificate: no well-formed DER element"),
        (&large, "is larger than 16777216 bytes"),
        (&folder, "is a folder"),
        (&missing, "No such file or directory"),
    ] {
        for command in ["inspect", "add"] {
            let run = place.run([command.as_ref(), path.as_os_str()]).expect(3);
            assert!(run.stderr.contains(message), "{command}: {}", run.stderr);
            assert!(run.stderr.starts_with("error: "), "{command}: {}", run.stderr);
        }
    }
    assert!(!place.log().exists(), "nothing was added");

    // T21: an unreadable file still prints its object, and 3 outranks 1.
    let run =
        place.run(["verify".as_ref(), "--format".as_ref(), "json".as_ref(), garbage.as_os_str()]).expect(3);
    let row = run.row();
    assert_eq!((text(&row, "verdict"), text(&row, "reason")), ("undetermined", "unreadable"));
}

#[test]
fn one_bad_file_among_several_adds_nothing() {
    let Some(good) = crate::support::shared("real/other-cas/tpm_ek_root_1.cer") else { return };
    let place = Place::new();
    let garbage = place.write("garbage", b"x");
    place.run(["add".as_ref(), good.as_os_str(), garbage.as_os_str()]).expect(3);
    assert_eq!(place.list().len(), 0);
    // inspect shows what it can.
    let run = place.run([
        "inspect".as_ref(),
        garbage.as_os_str(),
        good.as_os_str(),
        "--format".as_ref(),
        "json".as_ref(),
    ]);
    assert_eq!(run.expect(3).rows().len(), 1);
}

/// Runs the program under a file size limit, which stands for a full disk.
fn limited(place: &Place, bytes: u64, arguments: &[&std::ffi::OsStr]) -> Run {
    let inner = place.command();
    let mut command = Command::new("prlimit");
    command.arg(format!("--fsize={bytes}")).arg(inner.get_program()).args(inner.get_args()).args(arguments);
    command.env_clear().env("EKSTORE_ACTOR", "tester").env("HOME", place.path(""));
    command.output().expect("prlimit starts").into()
}

#[test]
fn a_full_disk_is_an_error_and_loses_nothing() {
    let Some(mirror) = crate::support::shared("real/vendor-sites") else { return };
    if !peer("prlimit") {
        return;
    }
    let place = Place::new();
    let sync = ["sync".as_ref(), "--mirror".as_ref(), mirror.as_os_str()];
    for bytes in [0, 1000, 100_000, 290_000] {
        let run = limited(&place, bytes, &sync).expect(3);
        assert!(run.stderr.contains("File too large"), "{bytes}: {}", run.stderr);
        assert_eq!(place.list().len(), 0);
        place.say("log verify").expect(0);
    }
    // Room for the log, but not for the index: the index is left out, and computed when there is room.
    let run = limited(&place, 310_000, &sync).expect(0);
    assert!(run.stdout.contains("EKROOT 24, EKCA 145"), "{}", run.stdout);
    assert_eq!(place.list().len(), 169);

    let before = std::fs::read(place.log()).expect("a log");
    let certificate = text(&place.list()[0], "fingerprint").to_owned();
    let arguments = ["reject", certificate.as_str(), "--reason", "x"].map(std::ffi::OsStr::new);
    limited(&place, before.len() as u64 + 10, &arguments).expect(3);
    assert_eq!(std::fs::read(place.log()).expect("a log"), before);
    assert_eq!(place.standing(&certificate).1, "approved");

    let out = place.path("out");
    let export = ["export".as_ref(), "adcs".as_ref(), "--out".as_ref(), out.as_os_str()];
    limited(&place, 3000, &export).expect(3);
    assert!(!out.exists());
    let left = std::fs::read_dir(place.path("")).expect("readable");
    let staged = left.filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().contains(".ekstore-"))
    });
    assert_eq!(staged.count(), 0, "nothing half-written is left");
}

#[cfg(unix)]
#[test]
fn a_folder_without_permission_is_an_error() {
    let Some(place) = Place::synced() else { return };
    if !peer("setpriv") {
        return;
    }
    // Root may do anything, so the program runs as nobody; where the tests are not root they could not become it.
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
    };
    open(&place.path(""), 0o755);
    let program = place.path("ekstore");
    std::fs::copy(env!("CARGO_BIN_EXE_ekstore"), &program).expect("writable");
    let as_nobody = |words: &[&str]| -> Run {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
        command.arg("--store").arg(place.store()).args(words);
        command.env_clear().output().expect("setpriv starts").into()
    };
    let root = Command::new("id").arg("-u").output().expect("id starts").stdout == b"0\n";
    if !root {
        crate::support::skip("only root can become another user");
        return;
    }
    // A store of someone else's can be read where it is readable, but not written.
    let list = as_nobody(&["list", "--format", "json"]).expect(0);
    assert_eq!(list.rows().len(), 169);
    let certificate = text(&list.rows()[0], "fingerprint").to_owned();
    let run = as_nobody(&["reject", &certificate, "--reason", "x"]).expect(3);
    assert!(run.stderr.contains("Permission denied"), "{}", run.stderr);
    open(&place.store(), 0o700);
    let run = as_nobody(&["list"]).expect(3);
    assert!(run.stderr.contains("Permission denied"), "{}", run.stderr);
    assert_eq!(place.list().len(), 169);
}

#[test]
fn a_place_that_cannot_be_a_store_is_an_error() {
    let place = Place::new();
    let Some(good) = crate::support::shared("real/other-cas/tpm_ek_root_1.cer") else { return };
    std::fs::write(place.store(), "a file").expect("writable");
    let run = place.run(["add".as_ref(), good.as_os_str()]).expect(3);
    assert!(run.stderr.contains("store"), "{}", run.stderr);
    let run: Run = Command::new(env!("CARGO_BIN_EXE_ekstore"))
        .args(["--store", "postgres://db/ekstore", "list"])
        .output()
        .expect("starts")
        .into();
    assert!(run.expect(2).stderr.contains("only folders are supported"));
}

#[test]
fn hostile_names_reach_no_terminal_and_no_pem_unescaped() {
    let toml = "id = \"IFX\"\nregistry = \"49465800\"\nname = \"x\"\nhosts = [\"a.example\"]\n";
    let place = Place::with_catalogue(toml);
    let name = "\u{1b}[31m\u{202e}evil\n-----BEGIN CERTIFICATE-----\n$(reboot)`'\"";
    let root = ekstore::demo::authority::Authority::root(name, ekstore::demo::authority::KeyKind::P256, 1);
    let root = root.expect("made");
    let file = place.write("root.cer", root.der());
    let run = place.run(["add".as_ref(), "--format".as_ref(), "json".as_ref(), file.as_os_str()]).expect(0);
    let fingerprint = text(&run.row(), "fingerprint").to_owned();
    place.run(["approve", &fingerprint, "--reason", "a \u{1b}]0;title\u{7} reason"]).expect(0);
    for command in ["list", "log show", "review", "status"] {
        let run = place.say(command).expect(0);
        assert!(!run.stdout.contains(['\u{1b}', '\u{202e}', '\u{7}']), "{command}: {:?}", run.stdout);
    }
    let run = place.run(["show", &fingerprint]).expect(0);
    assert!(!run.stdout.contains(['\u{1b}', '\u{202e}', '\u{7}']), "{:?}", run.stdout);
    let out = place.path("out.pem");
    place.run(["export".as_ref(), "pem".as_ref(), "--out".as_ref(), out.as_os_str()]).expect(0);
    let pem = std::fs::read(&out).expect("written");
    let found = ekstore::cert::container::read(&pem).expect("PEM");
    assert_eq!((found.len(), found[0].certificate.der()), (1, root.der()));
}
