//! All output. Data goes to stdout, everything else to stderr; nothing else in the program prints.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::cert::name::is_deceptive;
use crate::log::SourceName;
use crate::sync::Progress;

/// The form of what goes to stdout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// For programs: one JSON object a line.
    Json,
}

/// How much goes to stderr.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// Warnings and what was done.
    #[default]
    Normal,
    /// Also what stayed as it was.
    Verbose,
}

/// Where everything that a command says goes.
pub struct Ui {
    format: Format,
    verbosity: Verbosity,
    colour: bool,
    out: Mutex<io::BufWriter<io::Stdout>>,
    closed: AtomicBool,
}

/// How a word is set off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Sound.
    Good,
    /// Wrong.
    Bad,
    /// To be looked at.
    Caution,
    /// Less important.
    Dim,
}

impl Ui {
    /// Output in this form; colour only on a terminal without `NO_COLOR`.
    pub fn new(format: Format, verbosity: Verbosity) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            format,
            verbosity,
            colour: wanted && format == Format::Human && io::stdout().is_terminal(),
            out: Mutex::new(io::BufWriter::new(io::stdout())),
            closed: AtomicBool::new(false),
        }
    }

    /// Whether stdout is for programs.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Puts one line on stdout; what could deceive a terminal or its reader is replaced.
    pub fn line(&self, text: impl AsRef<str>) {
        self.write(self.safe(text.as_ref()).as_bytes());
        self.write(b"\n");
    }

    /// The text with our own colours, and nothing else that a terminal would obey.
    fn safe(&self, text: &str) -> String {
        let mut rest = text;
        let mut out = String::with_capacity(text.len());
        while let Some(c) = rest.chars().next() {
            let ours = COLOURS.iter().find(|code| self.colour && rest.starts_with(**code));
            let length = ours.map_or(c.len_utf8(), |code| code.len());
            match ours {
                Some(code) => out.push_str(code),
                None => out.push(printable_char(c)),
            }
            rest = &rest[length..];
        }
        out
    }

    /// Puts one JSON object on stdout, on one line.
    pub fn json(&self, value: &impl Serialize) {
        self.line(
            serde_json::to_string(value).expect("what is printed has string keys and no failing serializer"),
        );
    }

    /// Puts text on stdout as it is.
    pub fn raw(&self, text: &[u8]) {
        self.write(text);
    }

    fn write(&self, bytes: &[u8]) {
        let mut out = self.out.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A reader that went away (`| head`) wants no more; there is nobody to tell.
        if !self.closed.load(Ordering::Relaxed) && out.write_all(bytes).is_err() {
            self.closed.store(true, Ordering::Relaxed);
        }
    }

    /// Sends what is waiting to stdout. Says whether all of it got there or its reader went away; a full disk is a
    /// failure.
    ///
    /// # Errors
    ///
    /// What the system says about writing to stdout.
    pub fn finish(&self) -> io::Result<()> {
        let mut out = self.out.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match out.flush() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// Sets a word off in the tone, where there is colour.
    pub fn tone(&self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let [good, bad, caution, dim, plain] = COLOURS;
        let code = match tone {
            Tone::Good => good,
            Tone::Bad => bad,
            Tone::Caution => caution,
            Tone::Dim => dim,
        };
        format!("{code}{text}{plain}")
    }

    /// Says on stderr what was done.
    pub fn note(&self, text: impl AsRef<str>) {
        if self.verbosity >= Verbosity::Normal {
            self.stderr("", text.as_ref());
        }
    }

    /// Says on stderr what stayed as it was, if that is asked for.
    pub fn detail(&self, text: impl AsRef<str>) {
        if self.verbosity >= Verbosity::Verbose {
            self.stderr("", text.as_ref());
        }
    }

    /// Says on stderr what a person should look at.
    pub fn warning(&self, text: impl AsRef<str>) {
        if self.verbosity >= Verbosity::Normal {
            self.stderr("warning: ", text.as_ref());
        }
    }

    /// Says on stderr what went wrong, and what to do about it.
    pub fn error(&self, text: impl AsRef<str>, hint: Option<&str>) {
        self.stderr("error: ", text.as_ref());
        if let Some(hint) = hint {
            self.stderr("hint: ", hint);
        }
    }

    /// Says on stderr what to do next.
    pub fn hint(&self, text: impl AsRef<str>) {
        if self.verbosity >= Verbosity::Normal {
            self.stderr("hint: ", text.as_ref());
        }
    }

    fn stderr(&self, label: &str, text: &str) {
        let _ = self.finish();
        let _ = writeln!(io::stderr().lock(), "{label}{}", printable(text));
    }

    /// Whether the reader of stdout went away.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// A progress display for `total` certificates, or for a stream of unknown length.
    pub fn count(&self, total: Option<u64>) -> Bar {
        let bar = self.progress();
        // Short work needs no bar.
        if total.is_some_and(|total| total < 100) {
            bar.0.set_draw_target(ProgressDrawTarget::hidden());
        }
        match total {
            Some(total) => bar.start_counting(total, "{bar:32} {pos}/{len} {per_sec} {eta}"),
            None => bar.start_counting(0, "{spinner} {pos} {per_sec}"),
        }
        bar
    }

    /// A progress display on stderr: a bar on a terminal, nothing elsewhere.
    pub fn progress(&self) -> Bar {
        let visible = self.verbosity >= Verbosity::Normal && io::stderr().is_terminal();
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Bar(ProgressBar::with_draw_target(Some(0), target))
    }
}

/// Green, red, yellow, dim, and back to plain.
const COLOURS: [&str; 5] = ["\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[0m"];

/// Replaces characters that could deceive a terminal or its reader: an error may quote what an attacker wrote.
fn printable(text: &str) -> String {
    text.chars().map(printable_char).collect()
}

fn printable_char(c: char) -> char {
    if c != '\n' && c != '\t' && is_deceptive(c) { char::REPLACEMENT_CHARACTER } else { c }
}

/// A progress bar.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    fn start_counting(&self, total: u64, template: &str) {
        self.0.set_style(ProgressStyle::with_template(template).expect("the templates are constants"));
        self.0.set_length(total);
        self.0.enable_steady_tick(Duration::from_millis(200));
    }

    /// So many are done.
    pub fn set(&self, done: u64) {
        self.0.set_position(done);
    }
}

impl Progress for Bar {
    fn start(&self, sources: usize) {
        self.start_counting(sources as u64, "{bar:32} {pos}/{len} {wide_msg}");
    }

    fn done(&self, source: &SourceName) {
        self.0.set_message(source.to_string());
        self.0.inc(1);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
