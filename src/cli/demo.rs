//! `demo`: the whole way on one machine, without a network.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::cert::decode;
use crate::cli::error::{Error, Kind, Outcome};
use crate::cli::ui::{Tone, Ui};
use crate::demo::authority::{Authority, Ek, KeyKind};
use crate::demo::server::{Reply, Server};
use crate::file;
use crate::fingerprint::Fingerprint;

/// Go the whole way on this machine, without a network
///
/// Makes a TPM manufacturer, serves its certificates over HTTPS on loopback, and runs the real commands on them: sync,
/// verify, review, distrust, export. Leaves the folder to explore.
#[derive(clap::Args, Debug)]
pub struct DemoArgs {
    /// The folder to work in; one that an earlier demo made is replaced
    #[arg(long, value_name = "DIR", default_value = "ekstore-demo")]
    dir: PathBuf,
}

/// The host that the manufacturer publishes on.
const HOST: &str = "pki.demo-tpm.example";

/// Marks a folder as made by this command; nobody else's folder has a file of this name.
const MARKER: &str = ".ekstore-demo";

const README: &str = "\
This folder was made by `ekstore demo`. The manufacturer in it exists nowhere else.

store/       the store: log.ndjson is the record, index/ is computed from it
catalogue/   the catalogue with the manufacturer's sources and pins
ek/          EK certificates: good ones, an expired one, a revoked one, a counterfeit
*.crl        the list that revokes one of them
import/      what the administrator of an AD CS issuing CA imports
ekstores.pem both stores as one PEM file

Look around:
  export EKSTORE_STORE=store EKSTORE_CATALOGUE=catalogue
  ekstore list
  ekstore log show
  ekstore verify ek
";

/// What the server publishes, by path.
type Published = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// The manufacturer and what it made.
struct Manufacturer {
    rsa_root: Authority,
    rsa_ca: Authority,
    files: Vec<(&'static str, Vec<u8>)>,
    eks: Vec<(&'static str, Vec<u8>)>,
    newcomer: Vec<u8>,
    crl: Vec<u8>,
}

impl DemoArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] if the folder cannot be written, the server not be started, or a step does not end as it should.
    pub fn run(&self, ui: &Ui) -> Result<Outcome, Error> {
        let made = Manufacturer::make()
            .map_err(|error| Error::new(Kind::Unknown, format!("cannot make certificates: {error}")))?;
        let mut files =
            vec![(MARKER.to_owned(), Vec::new()), ("README.txt".to_owned(), README.as_bytes().to_vec())];
        files.push(("catalogue/demo.toml".to_owned(), made.catalogue()?.into_bytes()));
        files.extend(made.eks.iter().map(|(name, der)| (format!("ek/{name}"), der.clone())));
        files.push(("new-ca.cer".to_owned(), made.newcomer.clone()));
        files.push(("DemoRsaCA1.crl".to_owned(), made.crl.clone()));

        let published: Published = Arc::default();
        for (path, bytes) in &made.files {
            publish(&published, path, bytes.clone());
        }
        let content = Arc::clone(&published);
        let server = Server::start(
            &[HOST.to_owned()],
            Arc::new(move |_, path| {
                let published = content.lock().unwrap_or_else(PoisonError::into_inner);
                published.get(path).cloned().map(Reply::body)
            }),
        )
        .map_err(|error| Error::new(Kind::Unknown, format!("cannot serve on loopback: {error}")))?;
        files.push(("tls-root.pem".to_owned(), server.root_pem().as_bytes().to_vec()));
        file::write_folder(&self.dir, |folder| folder.join(MARKER).is_file(), &files)?;

        let steps = Steps { dir: &self.dir, ui };
        steps.go(&made, &published, &server)?;
        ui.line(format!(
            "\nThe folder {} is yours to explore; README.txt in it says how.",
            self.dir.display()
        ));
        Ok(Outcome::Done)
    }
}

fn publish(published: &Published, path: &str, bytes: Vec<u8>) {
    published.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), bytes);
}

impl Manufacturer {
    fn make() -> Result<Self, rcgen::Error> {
        let crl = || Some(format!("https://{HOST}/DemoRsaCA1.crl"));
        let ek = |serial, years, crl| Ek {
            serial,
            years,
            manufacturer: "id:44454D4F".to_owned(),
            model: "DEMO-1".to_owned(),
            crl,
            aia: None,
        };
        let rsa_root = Authority::root("Demo RSA Root", KeyKind::Rsa, 1)?;
        let ecc_root = Authority::root("Demo ECC Root", KeyKind::P384, 1)?;
        let rsa_ca = rsa_root.intermediate("Demo RSA CA 1", KeyKind::Rsa, 2)?;
        let ecc_ca = ecc_root.intermediate("Demo ECC CA 1", KeyKind::P256, 2)?;
        let newcomer = ecc_root.intermediate("Demo ECC CA 2", KeyKind::P256, 3)?;
        // Same names as the real ones, other keys.
        let counterfeit = Authority::root("Demo RSA Root", KeyKind::P256, 1)?.intermediate(
            "Demo RSA CA 1",
            KeyKind::P256,
            2,
        )?;
        let now = (2024, 2048);
        Ok(Self {
            eks: vec![
                ("good-ecc.der", ecc_ca.ek(KeyKind::P256, &ek(10, now, None))?),
                ("good-rsa.der", rsa_ca.ek(KeyKind::Rsa, &ek(11, now, crl()))?),
                ("expired.der", ecc_ca.ek(KeyKind::P256, &ek(12, (2020, 2021), None))?),
                ("revoked.der", rsa_ca.ek(KeyKind::P256, &ek(13, now, crl()))?),
                ("counterfeit.der", counterfeit.ek(KeyKind::P256, &ek(14, now, None))?),
                ("new-ca.der", newcomer.ek(KeyKind::P256, &ek(15, now, None))?),
            ],
            files: vec![
                ("/DemoRsaRoot.crt", rsa_root.der().to_vec()),
                ("/DemoEccRoot.crt", ecc_root.der().to_vec()),
                ("/DemoRsaCA1.crt", rsa_ca.der().to_vec()),
                ("/DemoEccCA1.crt", ecc_ca.der().to_vec()),
            ],
            newcomer: newcomer.der().to_vec(),
            crl: rsa_ca.crl(&[13])?,
            rsa_root,
            rsa_ca,
        })
    }

    fn catalogue(&self) -> Result<String, Error> {
        let mut text = format!(
            "id = \"DEMO\"\nregistry = \"44454D4F\"\nname = \"Demo TPM Works\"\nhosts = [\"{HOST}\"]\n\
             notes = \"Made by `ekstore demo`; not in the TCG registry.\"\n"
        );
        for (path, der) in &self.files {
            let certificate = decode::certificate(der)
                .map_err(|error| Error::new(Kind::Unknown, format!("{path}: {error}")))?;
            let role = if certificate.is_self_issued() { "anchor" } else { "intermediate" };
            text.push_str(&format!(
                "\n[[source]]\nname = {:?}\nurl = \"https://{HOST}{path}\"\nrole = \"{role}\"\nsubject = {:?}\n\
                 sha256 = \"{}\"\nspki_sha256 = \"{}\"\nevidence = \"made on this machine\"\n",
                path.trim_matches('/').trim_end_matches(".crt"),
                certificate.subject().to_string(),
                certificate.fingerprint(),
                certificate.key().fingerprint(),
            ));
        }
        Ok(text)
    }
}

/// Runs commands as a person would type them.
struct Steps<'a> {
    dir: &'a Path,
    ui: &'a Ui,
}

impl Steps<'_> {
    fn go(&self, made: &Manufacturer, published: &Published, server: &Server) -> Result<(), Error> {
        let path = |name: &str| self.dir.join(name).to_string_lossy().into_owned();
        let fingerprint = |der: &[u8]| Fingerprint::of(der).to_string()[..16].to_owned();
        let sync = format!(
            "sync --resolve {HOST}:443:127.0.0.1:{} --cacert {}",
            server.port(),
            path("tls-root.pem")
        );
        self.say("A manufacturer publishes its CA certificates; the catalogue pins each of them.");
        self.ui.line(format!(
            "$ export EKSTORE_STORE={} EKSTORE_CATALOGUE={}",
            path("store"),
            path("catalogue")
        ));
        self.run("vendors list", 0)?;
        self.run(&sync, 0)?;
        self.run("list", 0)?;

        self.say("Which of these EK certificates are from a genuine TPM of that manufacturer?");
        for (name, options, code) in [
            ("good-ecc", "", 0),
            ("good-rsa", "", 0),
            ("expired", "", 1),
            ("counterfeit", "", 1),
            ("revoked", "--crl LIST ", 1),
            ("new-ca", "", 1),
        ] {
            let options = options.replace("LIST", &path("DemoRsaCA1.crl"));
            self.run(&format!("verify {options}{}", path(&format!("ek/{name}.der"))), code)?;
        }

        self.say("The last one is from a new CA. Someone brings its certificate; a reviewer approves it.");
        self.run(&format!("add {}", path("new-ca.cer")), 0)?;
        self.run("review", 0)?;
        let newcomer = fingerprint(&made.newcomer);
        self.run(&format!("approve {newcomer} --reason \"fingerprint compared by telephone\""), 0)?;
        self.run(&format!("verify {}", path("ek/new-ca.der")), 0)?;

        self.say("The manufacturer re-issues a CA with the same key: a candidate, no alarm.");
        let reissued = made
            .rsa_root
            .reissue(&made.rsa_ca, 9)
            .map_err(|error| Error::new(Kind::Unknown, format!("cannot make certificates: {error}")))?;
        publish(published, "/DemoRsaCA1.crt", reissued.der().to_vec());
        self.run(&sync, 0)?;

        self.say("Then someone else's certificate stands in its place: drift. It is dropped, and sync exits with 1.");
        let other = Authority::root("Demo RSA CA 1", KeyKind::P256, 2)
            .map_err(|error| Error::new(Kind::Unknown, format!("cannot make certificates: {error}")))?;
        publish(published, "/DemoRsaCA1.crt", other.der().to_vec());
        self.run(&sync, 1)?;

        self.say("A CA's key leaks: every certificate with that key leaves the stores.");
        self.run(&format!("distrust {newcomer} --reason \"key leaked\""), 0)?;
        self.run(&format!("verify {}", path("ek/new-ca.der")), 1)?;

        self.say("What is trusted goes to the issuing CA.");
        self.run(&format!("export adcs --out {}", path("import")), 0)?;
        self.run(&format!("adcs check-stores {}", path("import")), 0)?;
        self.run(&format!("export pem --out {}", path("ekstores.pem")), 0)?;

        self.say("And all of it is on record.");
        self.run("log show", 0)?;
        self.run("log verify", 0)?;
        self.run("status", 0)
    }

    fn say(&self, text: &str) {
        self.ui.line(format!("\n{}", self.ui.tone(Tone::Dim, &format!("# {text}"))));
    }

    /// Prints and runs one command; it must end with `code`.
    fn run(&self, command: &str, code: u8) -> Result<(), Error> {
        self.ui.line(format!("$ ekstore {command}"));
        self.ui.finish().map_err(|error| {
            Error::new(Kind::Unknown, format!("cannot write to standard output: {error}"))
        })?;
        let mut arguments: Vec<OsString> = vec!["ekstore".into()];
        for (option, name) in [("--store", "store"), ("--catalogue", "catalogue")] {
            arguments.push(option.into());
            arguments.push(self.dir.join(name).into());
        }
        arguments.extend(words(command).into_iter().map(OsString::from));
        let ended = super::run(arguments);
        if ended == code {
            Ok(())
        } else {
            Err(Error::new(Kind::Unknown, format!("`ekstore {command}` ended with {ended}, not with {code}")))
        }
    }
}

/// Splits a command line at blanks outside double quotes.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (position, part) in command.split('"').enumerate() {
        if position % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}
