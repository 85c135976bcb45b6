//! A million endorsement keys: from a table into the log, from the log to a folder, and again unchanged; beside `xargs
//! touch` making the same files in the same run.
//!
//! `cargo bench --bench ekpub` prints a table.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use ekstore::fingerprint::Digest;

const KEYS: u32 = 1_000_000;

fn timed(mut work: impl FnMut() -> bool) -> String {
    let start = Instant::now();
    assert!(work(), "the command succeeds");
    format!("{:.1} s", start.elapsed().as_secs_f64())
}

fn ekstore(folder: &Path, arguments: &[&str]) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ekstore"));
    command.current_dir(folder).args(["--store", "store", "ekpub"]).args(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (mut table, mut names) = (String::new(), String::new());
    for number in 0..KEYS {
        let hash = Digest::of(&number.to_be_bytes());
        let _ = writeln!(table, "{hash},LAPTOP-{number},IT");
        let _ = writeln!(names, "{hash}");
    }
    std::fs::write(folder.join("table.csv"), table).expect("writable");
    std::fs::write(folder.join("names"), names).expect("writable");
    let rows = [
        ("`ekpub add` of the table", timed(|| ekstore(folder, &["add", "table.csv", "--reason", "bench"]))),
        ("`ekpub export`, new folder", timed(|| ekstore(folder, &["export", "--dir", "list"]))),
        ("`ekpub export`, unchanged", timed(|| ekstore(folder, &["export", "--dir", "list"]))),
        (
            "`xargs touch`, new folder",
            timed(|| {
                std::fs::create_dir(folder.join("touched")).expect("writable");
                let names = std::fs::File::open(folder.join("names")).expect("readable");
                let mut command = Command::new("xargs");
                command.current_dir(folder.join("touched")).arg("touch").stdin(names);
                command.status().is_ok_and(|status| status.success())
            }),
        ),
    ];
    let out = &mut std::io::stdout();
    writeln!(out, "| {KEYS} keys | time |\n|---|---|").expect("a terminal or a pipe");
    for (what, time) in rows {
        writeln!(out, "| {what} | {time} |").expect("a terminal or a pipe");
    }
}
