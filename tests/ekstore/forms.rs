//! Every form of export, read by those it is for: Wine's crypt32, OpenSSL, cabextract, gcab, keylime, and the grammar of
//! PowerShell; and certificates whose names are made to break out of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use ekstore::export::{element, reg, sst};
use ekstore::fingerprint::{Fingerprint, Thumbprint};
use ekstore::package::cabinet::Limits;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair};
use serde_json::Value;

use crate::support::{Place, Run, openssl, peer, shared, skip, text};

fn export(place: &Place, form: &str, name: &str, more: &[&str]) -> PathBuf {
    let out = place.path(name);
    let mut command = place.command();
    command.args(["export", form, "--out"]).arg(&out).args(more);
    Run::from(command.output().expect("the program starts")).expect(0);
    out
}

/// A place with the vendor sites and everything of the December 2024 package.
fn everything() -> Option<Place> {
    let place = Place::synced()?;
    let mut command = place.command();
    command.args(["sync", "--package"]).arg(shared("real/trustedtpm/TrustedTpm-12242024.cab")?);
    for root in ["MicRooCerAut_2010-06-23.crt", "MicrosoftRootCertificateAuthority2011.cer"] {
        command.arg("--package-root").arg(shared(&format!("real/trustedtpm/{root}"))?);
    }
    Run::from(command.output().expect("the program starts")).expect(0);
    Some(place)
}

/// What `list` says is in a store for this purpose, by fingerprint. AIK CAs are where their issuers put them.
fn selected(folder: &Path, store: &str) -> BTreeSet<String> {
    let manifest = std::fs::read(folder.join("manifest.json")).expect("written");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    let all = manifest["certificates"].as_array().expect("a list").iter();
    all.filter(|entry| text(entry, "store") == store)
        .map(|entry| text(entry, "fingerprint").to_owned())
        .collect()
}

/// Wine with a home of its own, and the program that lists stores.
struct Wine {
    folder: tempfile::TempDir,
}

impl Wine {
    fn new() -> Option<Self> {
        if !peer("wine") || !peer("x86_64-w64-mingw32-gcc") {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/crypt32.c");
        let mut build = Command::new("x86_64-w64-mingw32-gcc");
        build
            .args(["-O1", "-municode", "-o"])
            .arg(folder.path().join("crypt32.exe"))
            .arg(source)
            .arg("-lcrypt32");
        assert!(build.status().expect("the compiler starts").success());
        Some(Self { folder })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).env("WINEPREFIX", self.folder.path().join("home"));
        command.env("WINEDEBUG", "-all").env_remove("DISPLAY").stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command("wine").args(arguments).output().expect("wine starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The fingerprints of the certificates that crypt32 sees.
    fn list(&self, kind: &str, what: &str) -> BTreeSet<String> {
        let lines = self.run(&["crypt32.exe", kind, what]);
        let der = |line: &str| data_encoding::HEXLOWER.decode(line.trim().as_bytes()).expect("hexadecimal");
        lines.lines().map(|line| Fingerprint::of(&der(line)).to_string()).collect()
    }

    /// A file under a name that Wine's programs can read.
    fn bring(&self, file: &Path, name: &str) {
        std::fs::copy(file, self.folder.path().join(name)).expect("copied");
    }

    fn forget(&self, store: &str) {
        let key = format!("HKLM\\SOFTWARE\\Microsoft\\SystemCertificates\\{store}");
        self.run(&["reg", "delete", &key, "/f"]);
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        let _ = self.command("wineserver").args(["-k"]).status();
    }
}

#[test]
fn wine_reads_each_store_exactly_as_it_was_selected() {
    let (Some(sites), Some(all), Some(wine)) = (Place::synced(), everything(), Wine::new()) else { return };
    for (place, name, more, counts) in [
        (&sites, "sites", &[][..], [24, 145]),
        (&all, "all", &[][..], [43, 366]),
        (&all, "aik", &["--purpose", "aik"][..], [43, 366 + 1822]),
    ] {
        let folder = export(place, "adcs", name, more);
        wine.bring(&folder.join("ekstores.reg"), "ekstores.reg");
        wine.run(&["regedit", "/S", "ekstores.reg"]);
        for (store, count) in ["EKROOT", "EKCA"].into_iter().zip(counts) {
            let expected = selected(&folder, store);
            assert_eq!(expected.len(), count, "{name} {store}");
            wine.bring(&folder.join(format!("{store}.sst")), "store.sst");
            assert_eq!(wine.list("file", "store.sst"), expected, "{name} {store}.sst");
            assert_eq!(wine.list("store", store), expected, "{name} {store} of the registry");
            wine.forget(store);
            assert!(wine.list("store", store).is_empty(), "forgotten");
        }
    }
    // A changed octet is noticed: inside a certificate of the file, and inside a blob of the registry.
    let folder = sites.path("sites");
    let mut bytes = std::fs::read(folder.join("EKROOT.sst")).expect("written");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    wine.bring(&sites.write("bad.sst", &bytes), "bad.sst");
    assert_ne!(wine.list("file", "bad.sst"), selected(&folder, "EKROOT"));
    let registry = std::fs::read(folder.join("ekstores.reg")).expect("written");
    let units: Vec<u16> =
        registry[2..].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let text = String::from_utf16(&units).expect("UTF-16").replacen(",30,82,", ",30,83,", 1);
    let wide: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    wine.bring(&sites.write("bad.reg", &wide), "bad.reg");
    wine.run(&["regedit", "/S", "bad.reg"]);
    let both: BTreeSet<String> =
        wine.list("store", "EKROOT").union(&wine.list("store", "EKCA")).cloned().collect();
    assert_ne!(both, selected(&folder, "EKROOT").union(&selected(&folder, "EKCA")).cloned().collect());
}

#[test]
fn openssl_reads_p7b_and_pem_and_cab_tools_read_the_cabinet() {
    let Some(all) = everything() else { return };
    if !peer("openssl") || !peer("cabextract") || !peer("gcab") {
        return;
    }
    let p7b = export(&all, "p7b", "x.p7b", &[]);
    let split = export(&all, "pem", "split", &["--split"]);
    let printed = openssl(&[
        "pkcs7".as_ref(),
        "-inform".as_ref(),
        "DER".as_ref(),
        "-in".as_ref(),
        p7b.as_os_str(),
        "-print_certs".as_ref(),
    ]);
    // All but the six whose serial numbers OpenSSL cannot load.
    assert_eq!(printed.matches("-----BEGIN CERTIFICATE-----").count(), 43 + 366 - 6);
    for (file, count) in [("ekroot.pem", 43), ("ekca.pem", 366 - 6)] {
        let as_p7b = all.path("again.p7b");
        let path = split.join(file);
        let arguments: [&std::ffi::OsStr; 6] = [
            "crl2pkcs7".as_ref(),
            "-nocrl".as_ref(),
            "-certfile".as_ref(),
            path.as_os_str(),
            "-out".as_ref(),
            as_p7b.as_os_str(),
        ];
        openssl(&arguments);
        let printed =
            openssl(&["pkcs7".as_ref(), "-in".as_ref(), as_p7b.as_os_str(), "-print_certs".as_ref()]);
        assert_eq!(printed.matches("-----BEGIN CERTIFICATE-----").count(), count, "{file}");
    }
    let cab = export(&all, "cab", "x.cab", &[]);
    let unpacked = all.path("unpacked");
    assert!(
        Command::new("cabextract")
            .arg("-q")
            .arg("-d")
            .arg(&unpacked)
            .arg(&cab)
            .status()
            .expect("starts")
            .success()
    );
    let files = ekstore::file::list(&unpacked).expect("readable");
    let root = files.iter().filter(|path| path.to_string_lossy().contains("/RootCA/")).count();
    let between = files.iter().filter(|path| path.to_string_lossy().contains("/IntermediateCA/")).count();
    assert_eq!((root, between, files.len()), (43, 366, 43 + 366 + 1));
    let listed = Command::new("gcab").arg("-t").arg(&cab).output().expect("gcab starts");
    assert_eq!(String::from_utf8_lossy(&listed.stdout).lines().count(), 43 + 366 + 1);
    // Our own reader takes it as well, and finds the edition.
    let contents =
        ekstore::package::Contents::read(&std::fs::read(&cab).expect("written"), &Limits::default());
    assert_eq!(contents.expect("a package").certificates.len(), 43 + 366);
    // The same bytes each time, for every form.
    for (form, more) in
        [("p7b", &[][..]), ("cab", &[]), ("reg", &[]), ("json", &[]), ("sst", &["--in", "ekca"])]
    {
        let (one, two) = (export(&all, form, "one", more), export(&all, form, "two", more));
        assert_eq!(std::fs::read(&one).expect("written"), std::fs::read(&two).expect("written"), "{form}");
        std::fs::remove_file(one).expect("a file");
        std::fs::remove_file(two).expect("a file");
    }
    let json: Value =
        serde_json::from_slice(&std::fs::read(export(&all, "json", "x.json", &[])).expect("written"))
            .expect("JSON");
    let first = &json["certificates"][0];
    let der = data_encoding::BASE64.decode(text(first, "der").as_bytes()).expect("base64");
    assert_eq!(text(first, "fingerprint"), Fingerprint::of(&der).to_string());
}

/// Python with keylime and the grammar of PowerShell, in a virtual environment that `.ci/peers` makes. Where everything is
/// required it is made when it is first asked for; elsewhere nothing is fetched unasked.
fn python() -> Option<PathBuf> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = PYTHON.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let named = std::env::var_os("EKSTORE_PEER_PYTHON").map(PathBuf::from);
        let known = named.unwrap_or_else(|| root.join("target/peers/bin/python"));
        if known.exists() {
            return Some(known);
        }
        let required = std::env::var_os("EKSTORE_REQUIRE_ALL").is_some_and(|value| value == "1");
        let output = required.then(|| Command::new(root.join(".ci/peers")).output().ok())??;
        output.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
    });
    if found.is_none() {
        skip("there is no Python with keylime and tree-sitter-powershell (.ci/peers makes one)");
    }
    found.clone()
}

#[test]
fn keylime_verifies_a_real_ek_certificate_against_the_folder() {
    let (Some(python), Some(ek), Some(place)) =
        (python(), shared("real/ek/ifx-slb9670-rsa-ca035.der"), Place::synced())
    else {
        return;
    };
    let folder = export(&place, "keylime", "tpm_cert_store", &[]);
    let program = "import sys\nfrom keylime import cert_utils\n\
                   print(cert_utils.verify_ek(open(sys.argv[1], 'rb').read(), sys.argv[2]))";
    let verify = || {
        let output = Command::new(&python)
            .args(["-c", program])
            .arg(&ek)
            .arg(&folder)
            .output()
            .expect("Python starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text.trim().to_owned()
    };
    assert_eq!(verify(), "True");
    let list = place.list();
    let issuer = list
        .iter()
        .find(|row| text(row, "subject").starts_with("CN=Infineon OPTIGA(TM) RSA Manufacturing CA 035,"));
    let issuer = text(issuer.expect("listed"), "fingerprint").to_owned();
    std::fs::remove_file(folder.join(format!("{issuer}.pem"))).expect("it was exported");
    assert_eq!(verify(), "False");
}

#[test]
fn the_scripts_parse_under_the_grammar_of_powershell() {
    let Some(python) = python() else { return };
    let program = "import sys\nimport tree_sitter, tree_sitter_powershell as p\n\
                   parser = tree_sitter.Parser(tree_sitter.Language(p.language()))\n\
                   print([parser.parse(open(f, 'rb').read()).root_node.has_error for f in sys.argv[1:]])";
    let place = Place::new();
    let bad = place.write("bad.ps1", b"function { if (");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let output = Command::new(python)
        .args(["-c", program])
        .args([data.join("Import-EkStores.ps1"), data.join("Test-EkStores.ps1"), bad])
        .output()
        .expect("Python starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text.trim(), "[False, False, True]", "{}", String::from_utf8_lossy(&output.stderr));
}

/// Names made to break out of scripts, comments, XML, JSON, registry files and terminals.
fn hostile_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "'; Remove-Item C:\\ -Recurse; '",
        "\"; $(Stop-Computer) `\"",
        "$(calc)",
        "\r\n-----BEGIN CERTIFICATE-----\r\nMAA=\r\n-----END CERTIFICATE-----\r\n# ",
        "]]>\"/><Registry name=\"x\"/><!--",
        "\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Evil]\r\n\"x\"=\"y\"\r\n",
        "\u{202e}gnp.exe\u{2066}\u{200f}",
        "%COMSPEC% & del /q * | more > nul",
        "\u{1b}[2J\u{1b}]0;title\u{7}",
        "..\\..\\Windows\\System32\\x",
        "{\"store\":\"EKROOT\"}\u{0}tail",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push("A".repeat(10_000));
    names
}

#[test]
fn hostile_names_are_data_in_every_form() {
    let place = Place::new();
    let mut files = Vec::new();
    for (number, name) in hostile_names().into_iter().enumerate() {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, name.as_str());
        params.distinguished_name.push(DnType::CommonName, name.as_str());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let certificate = params.self_signed(&key).expect("made");
        files.push(place.write(&format!("{number}.cer"), certificate.der()));
    }
    let mut add = place.command();
    let added: Run = add.args(["add", "--format", "json"]).args(&files).output().expect("starts").into();
    let rows = added.expect(0).rows();
    let mut approve = place.command();
    approve.args(["approve", "--reason", "\"'; $(x)\r\n<&>"]);
    approve.args(rows.iter().map(|row| text(row, "fingerprint")));
    Run::from(approve.output().expect("starts")).expect(0);
    let count = files.len();
    assert_eq!(place.say("list --in ekroot --format json").expect(0).rows().len(), count);
    let shown = place.say("list").expect(0).stdout;
    assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{7}', '\0']), "a terminal gets no control characters");

    let folder = export(&place, "adcs", "import", &[]);
    let read = |name: &str| std::fs::read(folder.join(name)).expect(name);
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    for (name, source) in [
        ("Import-EkStores.ps1", "Import-EkStores.ps1"),
        ("Import-EkStores.cmd", "Import-EkStores.cmd"),
        ("Test-EkStores.ps1", "Test-EkStores.ps1"),
        ("README.txt", "README-adcs.txt"),
    ] {
        let own = std::fs::read_to_string(data.join(source)).expect("readable").replace('\n', "\r\n");
        assert_eq!(read(name), own.into_bytes(), "{name} has no value of a certificate");
    }
    let manifest: Value = serde_json::from_slice(&read("manifest.json")).expect("JSON");
    assert_eq!(manifest["certificates"].as_array().map(Vec::len), Some(count));
    let xml = String::from_utf8(read("ekstores-gpp.xml")).expect("UTF-8");
    assert_eq!((xml.matches("<Registry ").count(), xml.matches("<Properties ").count()), (count, count));
    assert!(xml.is_ascii() && !xml.contains("<!--"));
    for item in xml.split("<Properties ").skip(1) {
        let field = |name: &str| {
            let (_, rest) = item.split_once(&format!("{name}=\"")).expect(name);
            rest.split_once('"').expect("a value").0
        };
        let blob = data_encoding::HEXUPPER.decode(field("value").as_bytes()).expect("hexadecimal");
        let certificates = element::read(&blob).expect("elements");
        assert!(field("key").ends_with(&Thumbprint::of(certificates[0]).to_upper_hex()));
    }
    let registry = reg::read(&read("ekstores.reg")).expect("a registry file");
    assert_eq!(registry.keys().map(String::as_str).collect::<Vec<_>>(), ["EKCA", "EKROOT"]);
    assert_eq!(registry["EKROOT"].iter().filter(|found| found.der.is_ok()).count(), count);
    assert_eq!(sst::read(&read("EKROOT.sst")).map(|found| found.len()), Ok(count));
    let run = place.run(["adcs".as_ref(), "check-stores".as_ref(), folder.as_os_str()]);
    run.expect(0);

    let pem = std::fs::read_to_string(export(&place, "pem", "x.pem", &[])).expect("UTF-8");
    let begins = pem.lines().filter(|line| line.starts_with("-----BEGIN")).count();
    assert_eq!(begins, count, "no name starts a block of its own");
    let plain = |line: &str| {
        line.is_empty()
            || line.starts_with("# ")
            || line.starts_with("-----")
            || line.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"+/=".contains(&octet))
    };
    assert!(pem.split(['\n', '\r']).all(plain));
    for (form, name) in
        [("p7b", "x.p7b"), ("cab", "x.cab"), ("json", "x.json"), ("keylime", "keylime"), ("sst", "sst")]
    {
        export(&place, form, name, &[]);
    }
    assert_eq!(ekstore::file::list(&place.path("keylime")).expect("readable").len(), count + 1);
    if peer("openssl") {
        let p7b = place.path("x.p7b");
        // It prints names as they are, so what it prints cannot be counted.
        openssl(&[
            "pkcs7".as_ref(),
            "-inform".as_ref(),
            "DER".as_ref(),
            "-in".as_ref(),
            p7b.as_os_str(),
            "-noout".as_ref(),
        ]);
        let bytes = std::fs::read(&p7b).expect("written");
        assert_eq!(ekstore::export::p7b::read(&bytes).map(|found| found.len()), Ok(count));
    }
}
