//! `docs/cli.md` is what `--help` says. `EKSTORE_UPDATE=1 cargo test` rewrites it.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Command, CommandFactory};

fn describe(command: &mut Command, path: &str, out: &mut String) {
    let help = command.clone().term_width(100).render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = write!(out, "\n## `{path}`\n\n```text\n{}\n```\n", help.join("\n"));
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names.iter().filter(|name| *name != "help") {
        let sub = command.find_subcommand_mut(name).expect("just listed");
        describe(sub, &format!("{path} {name}"), out);
    }
}

#[test]
fn the_command_reference_is_what_help_says() {
    let mut out =
        "# The command line\n\nWhat `--help` says, command by command; a test keeps it so.\n".to_owned();
    let mut command = ekstore::cli::Cli::command();
    command.build();
    describe(&mut command, "ekstore", &mut out);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    if std::env::var_os("EKSTORE_UPDATE").is_some() {
        std::fs::write(&path, &out).expect("docs/ is writable");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == out, "docs/cli.md is not what --help says; EKSTORE_UPDATE=1 cargo test rewrites it");
}
