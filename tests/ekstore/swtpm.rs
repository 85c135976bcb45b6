//! A software TPM: its EK certificates, read from NV by the ordinary tools, under its own CA.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{Place, Run, peer, text};

/// A TPM made by `swtpm_setup` with a local CA of its own, and its emulator while it runs.
struct Tpm {
    folder: PathBuf,
    emulator: Child,
    port: u16,
}

/// Two free ports, one after the other: tpm2-tools expect the control port there.
fn free_ports() -> u16 {
    for _ in 0..100 {
        let first = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("loopback");
        let port = first.local_addr().expect("bound").port();
        if port < u16::MAX && std::net::TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
    panic!("no two free ports");
}

impl Tpm {
    fn make(folder: &Path) -> Self {
        let at = |name: &str| folder.join(name);
        for name in ["ca", "state"] {
            std::fs::create_dir_all(at(name)).expect("writable");
        }
        let ca = at("ca").display().to_string();
        let config = format!(
            "statedir = {ca}\nsigningkey = {ca}/signkey.pem\nissuercert = {ca}/issuercert.pem\ncertserial = {ca}/certserial\n"
        );
        std::fs::write(at("localca.conf"), config).expect("writable");
        let options = "--platform-manufacturer Test\n--platform-version 1\n--platform-model Test\n";
        std::fs::write(at("localca.options"), options).expect("writable");
        let setup = format!(
            "create_certs_tool = swtpm_localca\ncreate_certs_tool_config = {0}/localca.conf\n\
             create_certs_tool_options = {0}/localca.options\n",
            folder.display()
        );
        std::fs::write(at("setup.conf"), setup).expect("writable");
        let made = Command::new("swtpm_setup")
            .args(["--tpm2", "--create-ek-cert", "--overwrite", "--tpmstate"])
            .arg(at("state"))
            .arg("--config")
            .arg(at("setup.conf"))
            .output()
            .expect("swtpm_setup starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let port = free_ports();
        let emulator = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--tpmstate"])
            .arg(format!("dir={}", at("state").display()))
            .arg("--server")
            .arg(format!("type=tcp,port={port}"))
            .arg("--ctrl")
            .arg(format!("type=tcp,port={}", port + 1))
            .stdout(Stdio::null())
            .spawn()
            .expect("swtpm starts");
        let tpm = Self { folder: folder.to_owned(), emulator, port };
        for _ in 0..100 {
            if std::net::TcpStream::connect(("127.0.0.1", port + 1)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        tpm
    }

    /// Runs one of tpm2-tools against it.
    fn tool(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.folder);
        let output = command.env("TPM2TOOLS_TCTI", format!("swtpm:port={}", self.port)).output();
        let output = output.expect("tpm2-tools start");
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
    }
}

fn verify(place: &Place, file: &Path, ekpub: Option<&Path>) -> (i32, String) {
    let mut command = place.command();
    command.args(["verify", "--format", "json"]).arg(file);
    if let Some(ekpub) = ekpub {
        command.arg("--ekpub").arg(ekpub);
    }
    let run: Run = command.output().expect("the program starts").into();
    (run.code, text(&run.row(), "reason").to_owned())
}

#[test]
fn a_software_tpm_is_refused_before_and_trusted_after_its_ca_is_approved() {
    if ["swtpm", "swtpm_setup", "swtpm_localca", "tpm2_nvread", "tpm2_createek"]
        .iter()
        .any(|name| !peer(name))
    {
        return;
    }
    let place = Place::new();
    let tpm = Tpm::make(&place.path("tpm"));
    let other = Tpm::make(&place.path("other"));
    // RSA-2048 in the low range, P-384 in the high range.
    for (index, name) in [("0x01c00002", "rsa.nv"), ("0x01c00016", "ecc.nv")] {
        tpm.tool("tpm2_nvread", &[index, "-C", "o", "-o", name]);
    }
    tpm.tool("tpm2_createek", &["-G", "rsa", "-u", "rsa.pub", "-c", "rsa.ctx"]);
    tpm.tool("tpm2_createek", &["-G", "rsa", "-u", "rsa.pem", "-f", "pem", "-c", "rsa2.ctx"]);
    other.tool("tpm2_createek", &["-G", "rsa", "-u", "rsa.pub", "-c", "rsa.ctx"]);
    let (rsa, ecc) = (tpm.file("rsa.nv"), tpm.file("ecc.nv"));

    for file in [&rsa, &ecc] {
        assert_eq!(verify(&place, file, None), (1, "unknown-issuer".to_owned()));
    }
    let mut add = place.command();
    add.args(["add", "--format", "json"]);
    add.arg(tpm.file("ca/issuercert.pem")).arg(tpm.file("ca/swtpm-localca-rootca-cert.pem"));
    let rows = Run::from(add.output().expect("starts")).expect(0).rows();
    assert_eq!(verify(&place, &rsa, None), (1, "issuer-not-trusted".to_owned()));
    for row in &rows {
        place.run(["approve", text(row, "fingerprint"), "--reason", "our own simulator"]).expect(0);
    }
    for file in [&rsa, &ecc] {
        assert_eq!(verify(&place, file, None), (0, String::new()));
    }
    for ekpub in ["rsa.pub", "rsa.pem"] {
        assert_eq!(verify(&place, &rsa, Some(&tpm.file(ekpub))), (0, String::new()), "{ekpub}");
    }
    assert_eq!(verify(&place, &rsa, Some(&other.file("rsa.pub"))), (1, "ekpub-mismatch".to_owned()));
    assert_eq!(verify(&place, &ecc, Some(&tpm.file("rsa.pub"))), (1, "ekpub-mismatch".to_owned()));
}
