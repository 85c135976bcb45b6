//! What the tests share: the program, a folder of their own, the real data, and the peers.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A test that needs `../shared` or a peer program skips with a reason where that is missing;
/// `EKSTORE_REQUIRE_ALL=1`, as in CI, turns the skip into a failure.
pub fn skip(reason: &str) {
    let required = std::env::var_os("EKSTORE_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!required, "required, but {reason}");
    // Not println!: the test runner keeps that to itself when a test passes.
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}

/// A file or folder of the real data, which lies beside the checkout.
pub fn shared(path: &str) -> Option<PathBuf> {
    let base = std::env::var_os("EKSTORE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = base.join(path);
    if path.exists() {
        return Some(path);
    }
    skip(&format!("{} is not there", path.display()));
    None
}

/// Whether a peer program is installed.
pub fn peer(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    if !found {
        skip(&format!("{program} is not installed"));
    }
    found
}

/// A store in a folder of the test's own.
pub struct Place {
    folder: tempfile::TempDir,
    catalogue: Option<PathBuf>,
}

/// What a run of the program gave.
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("the program writes UTF-8"),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Run {
    /// Checks the exit status.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// The JSON objects on stdout, one a line.
    #[track_caller]
    pub fn rows(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// The only JSON object on stdout.
    #[track_caller]
    pub fn row(&self) -> Value {
        let mut rows = self.rows();
        assert_eq!(rows.len(), 1, "{}", self.stdout);
        rows.remove(0)
    }
}

/// A field of a row as text; empty if it is null.
pub fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_default()
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder for the test"), catalogue: None }
    }

    /// A place that uses a catalogue of its own, with this one file.
    pub fn with_catalogue(toml: &str) -> Self {
        let mut place = Self::new();
        place.write("catalogue/made.toml", toml.as_bytes());
        place.catalogue = Some(place.path("catalogue"));
        place
    }

    /// A place whose store has synced the real vendor sites.
    pub fn synced() -> Option<Self> {
        let mirror = shared("real/vendor-sites")?;
        let place = Self::new();
        place.run(["sync".as_ref(), "--mirror".as_ref(), mirror.as_os_str()]).expect(0);
        Some(place)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn store(&self) -> PathBuf {
        self.path("store")
    }

    pub fn log(&self) -> PathBuf {
        self.store().join("log.ndjson")
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("inside the folder")).expect("writable");
        std::fs::write(&path, bytes).expect("writable");
        path
    }

    /// The program with this place's store, ready for arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ekstore"));
        command.arg("--store").arg(self.store()).env_clear().env("HOME", self.folder.path());
        command.env("EKSTORE_ACTOR", "tester").stdin(Stdio::null());
        if let Some(catalogue) = &self.catalogue {
            command.arg("--catalogue").arg(catalogue);
        }
        command
    }

    /// Runs the program.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Run {
        self.command().args(arguments).output().expect("the program starts").into()
    }

    /// Runs the program with words split at blanks.
    pub fn say(&self, words: &str) -> Run {
        self.run(words.split(' '))
    }

    /// Syncs from a mirror; a row for each source, and the summary.
    pub fn sync(&self, mirror: &Path) -> Run {
        self.run([
            "sync".as_ref(),
            "--format".as_ref(),
            "json".as_ref(),
            "--mirror".as_ref(),
            mirror.as_os_str(),
        ])
    }

    /// What `list` prints, by fingerprint.
    #[track_caller]
    pub fn list(&self) -> Vec<Value> {
        self.say("list --format json").expect(0).rows()
    }

    /// The store and the state of a certificate; empty text for no store.
    #[track_caller]
    pub fn standing(&self, fingerprint: &str) -> (String, String) {
        let rows = self.list();
        let row = rows.iter().find(|row| text(row, "fingerprint") == fingerprint).expect("listed");
        (text(row, "store").to_owned(), text(row, "state").to_owned())
    }
}

/// Runs OpenSSL; it must succeed.
#[track_caller]
pub fn openssl(arguments: &[&OsStr]) -> String {
    let output =
        Command::new("openssl").args(arguments).stdin(Stdio::null()).output().expect("openssl starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Copies a folder.
pub fn copy_folder(from: &Path, to: &Path) {
    for file in ekstore::file::list(from).expect("readable") {
        let target = to.join(file.strip_prefix(from).expect("below it"));
        std::fs::create_dir_all(target.parent().expect("inside")).expect("writable");
        std::fs::write(&target, std::fs::read(&file).expect("readable")).expect("writable");
    }
}
