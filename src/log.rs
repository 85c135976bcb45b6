//! The log: an append-only, hash-chained list of everything seen and decided (T1, T6, T7). `docs/log.md` describes
//! the format.
//!
//! A line is one JSON object. `previous` holds the SHA-256 of the exact bytes of the line before it, without the
//! newline; `sum`, always the last member, holds the SHA-256 of the line's own bytes before `,"sum"`. So a change is
//! found in the very line it was made in, also in the last one.

pub mod event;

use serde::{Deserialize, Serialize};

pub use crate::log::event::{
    EkpubEntry, Event, Origin, PackageRoot, Packaged, Require, Seen, SourceName, Standing, TakenPackage,
    Withdrawal, Withdrawn,
};

use crate::fingerprint::{Digest, Fingerprint};
use crate::time::Time;

/// The version of the line format.
pub const FORMAT: u32 = 1;

/// What `previous` holds in the first line.
pub const GENESIS: Digest = Digest::from_bytes([0; 32]);

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The line's number, from 1.
    pub n: u64,
    /// When it was written.
    pub time: Time,
    /// The line format, [`FORMAT`].
    pub format: u32,
    /// The version of the program that wrote it.
    pub version: String,
    /// The digest of the catalogue that was in force.
    pub catalogue: Digest,
    /// Who acted.
    pub actor: String,
    /// SHA-256 of the line before; [`GENESIS`] in the first.
    pub previous: Digest,
    /// What happened.
    pub event: Event,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It does not end in its own digest.
    #[error("it does not end in its checksum")]
    NoSum,
    /// Its bytes are not those that were written.
    #[error("its bytes are not those that were written")]
    Sum,
    /// It was written by a newer program.
    #[error("it was written by version {0}, which is newer than this program")]
    Newer(String),
    /// It is not an event.
    #[error("it is not an event: {0}")]
    Unreadable(String),
    /// Its number is not the next one.
    #[error("its number is {actual}, expected {expected}")]
    Number {
        /// The next number.
        expected: u64,
        /// What it has.
        actual: u64,
    },
    /// It does not follow the line before it.
    #[error("it does not follow the line before it")]
    Chain,
    /// A certificate in it is not the one that its fingerprint names.
    #[error("the certificate {0} in it is another one")]
    Certificate(Fingerprint),
    /// An event refers to a certificate that no line before it holds.
    #[error("it speaks of the certificate {0}, which no line before it holds")]
    UnknownCertificate(Fingerprint),
}

/// Where and how the log is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} (byte {offset}): {fault}")]
pub struct Damage {
    /// The line, from 1.
    pub line: u64,
    /// The offset of its first byte in the file.
    pub offset: u64,
    /// What is wrong.
    pub fault: Fault,
}

/// A line that was read, checked for itself and against the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it says.
    pub entry: Entry,
    /// SHA-256 of its bytes without the newline.
    pub digest: Digest,
    /// The offset of its first byte.
    pub start: u64,
    /// The offset of the first byte after its newline.
    pub end: u64,
}

/// What the bytes of a log hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// Its lines.
    pub lines: Vec<Line>,
    /// How many bytes after the last whole line were never acknowledged: an append that was cut short.
    pub torn: u64,
}

impl Log {
    /// The digest of the last line, or [`GENESIS`].
    pub fn head(&self) -> Digest {
        self.lines.last().map_or(GENESIS, |line| line.digest)
    }

    /// The length of the whole lines in bytes.
    pub fn length(&self) -> u64 {
        self.lines.last().map_or(0, |line| line.end)
    }
}

const SUM: &[u8] = b",\"sum\":\"";
/// `,"sum":"`, 64 digits, `"}`.
const SUM_LENGTH: usize = SUM.len() + 64 + 2;

/// Writes one line without its newline.
pub fn write(entry: &Entry) -> String {
    let mut line = serde_json::to_string(entry).expect("an entry has string keys and no failing serializer");
    let closing = line.pop();
    debug_assert_eq!(closing, Some('}'));
    let sum = Digest::of(line.as_bytes());
    line.push_str(std::str::from_utf8(SUM).expect("ASCII"));
    line.push_str(&sum.to_string());
    line.push_str("\"}");
    line
}

/// Reads a whole log and checks every line's checksum, number, place in the chain, and certificates.
///
/// Bytes after the last newline are an append that was cut short ([`Log::torn`]), unless they begin with a whole
/// line or lie within the first `acknowledged` bytes, which had been reported as written: then they are damage.
///
/// # Errors
///
/// [`Damage`] names the first line at fault.
pub fn read(bytes: &[u8], acknowledged: u64) -> Result<Log, Damage> {
    let mut log = Log::default();
    let mut offset = 0u64;
    let mut rest = bytes;
    while !rest.is_empty() {
        let line = log.lines.len() as u64 + 1;
        let damage = |fault| Damage { line, offset, fault };
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            let length = rest.len() as u64;
            if offset < acknowledged || begins_with_a_whole_line(rest) {
                return Err(damage(Fault::NoSum));
            }
            log.torn = length;
            break;
        };
        let (text, after) = (&rest[..end], &rest[end + 1..]);
        let entry = parse(text).map_err(damage)?;
        if entry.n != line {
            return Err(damage(Fault::Number { expected: line, actual: entry.n }));
        }
        if entry.previous != log.head() {
            return Err(damage(Fault::Chain));
        }
        check_certificates(&entry.event).map_err(damage)?;
        let start = offset;
        offset += end as u64 + 1;
        log.lines.push(Line { entry, digest: Digest::of(text), start, end: offset });
        rest = after;
    }
    Ok(log)
}

/// What says which program wrote a line; every version can read it.
#[derive(Deserialize)]
struct Written {
    format: u32,
    version: String,
}

fn parse(text: &[u8]) -> Result<Entry, Fault> {
    let body = text.len().checked_sub(SUM_LENGTH).ok_or(Fault::NoSum)?;
    let (signed, sum) = text.split_at(body);
    let sum = sum.strip_prefix(SUM).and_then(|sum| sum.strip_suffix(b"\"}")).ok_or(Fault::NoSum)?;
    if sum != Digest::of(signed).to_string().as_bytes() {
        return Err(Fault::Sum);
    }
    let unreadable = |error: serde_json::Error| Fault::Unreadable(error.to_string());
    let written: Written = serde_json::from_slice(text).map_err(unreadable)?;
    if written.format > FORMAT || is_newer(&written.version) {
        return Err(Fault::Newer(written.version));
    }
    serde_json::from_slice(text).map_err(unreadable)
}

/// Whether `version` (`major.minor.patch`) is newer than this program's.
fn is_newer(version: &str) -> bool {
    fn numbers(version: &str) -> Vec<u64> {
        let release = version.split(['-', '+']).next().unwrap_or_default();
        release.split('.').map(|number| number.parse().unwrap_or(u64::MAX)).collect()
    }
    numbers(version) > numbers(env!("CARGO_PKG_VERSION"))
}

/// A torn append is a prefix of a line; a whole line with other bytes after it was acknowledged and then changed.
fn begins_with_a_whole_line(rest: &[u8]) -> bool {
    let closing = rest.windows(2).enumerate().filter(|(_, pair)| *pair == b"\"}").map(|(at, _)| at + 2);
    closing.filter(|end| *end < rest.len()).any(|end| parse(&rest[..end]).is_ok())
}

fn check_certificates(event: &Event) -> Result<(), Fault> {
    let wrong = event.carried().into_iter().find(|(fingerprint, der)| Fingerprint::of(der) != *fingerprint);
    wrong.map_or(Ok(()), |(fingerprint, _)| Err(Fault::Certificate(fingerprint)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_lines() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut previous = GENESIS;
        for n in 1..=2 {
            let entry = Entry {
                n,
                time: Time::from_unix(0),
                format: FORMAT,
                version: "0.1.0".to_owned(),
                catalogue: GENESIS,
                actor: "alice".to_owned(),
                previous,
                event: Event::Rejected { certificates: vec![], reason: "because".to_owned() },
            };
            let line = write(&entry);
            previous = Digest::of(line.as_bytes());
            bytes.extend_from_slice(line.as_bytes());
            bytes.push(b'\n');
        }
        bytes
    }

    #[test]
    fn t1_any_changed_byte_is_found_in_its_line() {
        let bytes = two_lines();
        let first = bytes.iter().position(|byte| *byte == b'\n').expect("two lines");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x20;
            let damage = read(&changed, bytes.len() as u64).expect_err("every byte matters");
            assert_eq!(damage.line, if at <= first { 1 } else { 2 }, "byte {at}");
            assert!(read(&changed, 0).is_err(), "also without the index, byte {at}");
        }
    }

    #[test]
    fn t2_a_cut_append_is_torn_and_an_acknowledged_one_is_damage() {
        let bytes = two_lines();
        let first = bytes.iter().position(|byte| *byte == b'\n').expect("two lines") + 1;
        for end in first + 1..bytes.len() {
            let log = read(&bytes[..end], first as u64).expect("a torn tail is no damage");
            assert_eq!((log.lines.len(), log.torn), (1, (end - first) as u64));
            assert!(read(&bytes[..end], bytes.len() as u64).is_err());
        }
    }

    #[test]
    fn t7_a_newer_line_is_refused_by_name() {
        assert!(is_newer("99.0.0") && is_newer("0.1.1") && !is_newer("0.1.0") && !is_newer("0.0.9"));
    }
}
