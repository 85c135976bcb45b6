//! A signed package from file to committed stores, beside cabextract and `openssl verify` over the same certificates in
//! the same run.
//!
//! `cargo bench --bench package` prints a table; it needs the real data beside the checkout, cabextract and openssl.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ekstore::cert::container;
use ekstore::cert::pem;

/// The best of five runs, as other processes only ever add.
fn best(mut work: impl FnMut()) -> Duration {
    let timed = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..5).map(timed).min().expect("five runs")
}

fn run(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("the program starts").success()
}

/// Takes the package into a new store.
fn take(folder: &Path, package: &Path, roots: &[PathBuf]) {
    let store = folder.join("store");
    let _ = std::fs::remove_dir_all(&store);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ekstore"));
    command.arg("--store").arg(&store).args(["sync", "--package"]).arg(package);
    for root in roots {
        command.arg("--package-root").arg(root);
    }
    assert!(run(&mut command), "the package is taken");
}

/// Unpacks the package; the certificate files.
fn unpack(folder: &Path, package: &Path) -> Vec<PathBuf> {
    let target = folder.join("cab");
    let _ = std::fs::remove_dir_all(&target);
    assert!(run(Command::new("cabextract").arg("-q").arg("-d").arg(&target).arg(package)));
    let mut files = ekstore::file::list(&target).expect("readable");
    files.retain(|path| path.to_string_lossy().contains("CA/") && !path.ends_with("readme.txt"));
    files
}

/// Writes the anchors and the others as PEM, for OpenSSL; returns the files without those it cannot load.
fn prepare(folder: &Path, files: &[PathBuf]) -> Vec<PathBuf> {
    let (mut anchors, mut others) = (String::new(), String::new());
    let mut loadable = Vec::new();
    for path in files {
        let found = container::read(&std::fs::read(path).expect("readable")).expect("a certificate");
        let certificate = &found[0].certificate;
        if certificate.quirks().iter().any(|quirk| quirk.code() == "serial-not-minimal") {
            continue;
        }
        let list = if certificate.is_self_issued() { &mut anchors } else { &mut others };
        list.push_str(&pem::write(certificate.der()));
        loadable.push(path.clone());
    }
    std::fs::write(folder.join("anchors.pem"), anchors).expect("writable");
    std::fs::write(folder.join("others.pem"), others).expect("writable");
    loadable
}

fn verify(folder: &Path, files: &[PathBuf]) {
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(["verify", "-auth_level", "0", "-no_check_time"]);
    command.args(["-trusted", "anchors.pem", "-untrusted", "others.pem"]).args(files);
    // It cannot link all of them; its status says so.
    run(&mut command);
}

fn main() {
    let out = &mut std::io::stdout();
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/real/trustedtpm");
    let package = shared.join("TrustedTpm-12242024.cab");
    let roots = ["MicRooCerAut_2010-06-23.crt", "MicrosoftRootCertificateAuthority2011.cer"];
    let roots = roots.map(|name| shared.join(name));
    if !package.is_file() {
        writeln!(out, "skipped: {} is not there", package.display()).expect("a terminal or a pipe");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let ours = best(|| take(folder.path(), &package, &roots));
    let unpacking = best(|| {
        unpack(folder.path(), &package);
    });
    let files = unpack(folder.path(), &package);
    let loadable = prepare(folder.path(), &files);
    let linking = best(|| verify(folder.path(), &loadable));
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    writeln!(out, "| what | time |\n|---|---|").expect("a terminal or a pipe");
    for (what, time) in [
        ("ekstore sync --package: signature, content, links, log and index on disk", seconds(ours)),
        ("cabextract, without any check", seconds(unpacking)),
        ("openssl verify over the same files, anchors sorted out before", seconds(linking)),
        ("both", seconds(unpacking + linking)),
    ] {
        writeln!(out, "| {what} | {time} |").expect("a terminal or a pipe");
    }
}
