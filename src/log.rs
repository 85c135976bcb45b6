//! The log: an append-only, hash-chained list of everything seen and decided (T1, T6, T7). `docs/log.md` describes
//! the format.
//!
//! A line is one JSON object. `previous` holds the SHA-256 of the exact bytes of the line before it, without the
//! newline; `sum`, always the last member, holds the SHA-256 of the line's own bytes before `,"sum"`. So a change is
//! found in the very line it was made in, also in the last one.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::catalogue::Role;
use crate::cert::quirk::Quirk;
use crate::fingerprint::{Digest, Fingerprint, KeyFingerprint};
use crate::time::Time;
use crate::vendor::VendorId;

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

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Event {
    /// Certificates were seen. A bulk import is one event.
    Seen {
        /// Each certificate and where it was seen.
        certificates: Vec<Seen>,
    },
    /// A reviewer approved certificates.
    Approved {
        /// The certificates.
        certificates: Vec<Fingerprint>,
        /// Whether trust may start in them although they are not self-signed (T16).
        anchor: bool,
        /// Why.
        reason: String,
    },
    /// A reviewer rejected certificates.
    Rejected {
        /// The certificates.
        certificates: Vec<Fingerprint>,
        /// Why.
        reason: String,
    },
    /// A reviewer distrusted public keys, or single certificates (T15).
    Distrusted {
        /// The keys: every certificate with one of them leaves, known or yet to come.
        keys: Vec<KeyFingerprint>,
        /// The certificates that were named; with empty `keys` only these leave.
        certificates: Vec<Fingerprint>,
        /// Why.
        reason: String,
    },
    /// A reviewer took rejections and distrust back (T14).
    Reinstated {
        /// The keys that are no longer distrusted.
        keys: Vec<KeyFingerprint>,
        /// The certificates that were named.
        certificates: Vec<Fingerprint>,
        /// Why.
        reason: String,
    },
    /// A source served something that its pin does not allow; it was dropped (T10).
    Drifted {
        /// The source.
        source: SourceName,
        /// The pin.
        pinned: Fingerprint,
        /// SHA-256 of what was served.
        actual: Digest,
        /// What it was.
        what: String,
    },
    /// A source could not be fetched (T11); once per kind until it succeeds.
    FetchFailed {
        /// The source.
        source: SourceName,
        /// The kind of failure, a kebab-case code.
        failure: String,
        /// What happened, in words.
        detail: String,
    },
    /// A source that had drifted or failed serves what its pin allows again.
    Recovered {
        /// The source.
        source: SourceName,
    },
    /// A generation was handed out.
    Exported {
        /// The form.
        form: String,
        /// The generation.
        generation: u64,
        /// What was selected, in words.
        options: String,
        /// How many certificates.
        count: usize,
        /// SHA-256 of the manifest, or of the file where the form has none.
        manifest: Digest,
    },
    /// Lost events were accepted (T3).
    TruncationAccepted {
        /// How many events the index had seen.
        expected_events: u64,
        /// SHA-256 of the last line that the index had seen.
        expected_head: Digest,
        /// Why.
        reason: String,
    },
}

/// One certificate, seen in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// SHA-256 of the exact DER.
    pub fingerprint: Fingerprint,
    /// The exact DER; only the first time it is seen.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "base64")]
    pub der: Option<Vec<u8>>,
    /// Where it was seen.
    pub origin: Origin,
    /// Quirks of the bytes around it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quirks: Vec<Quirk>,
}

/// Where a certificate was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum Origin {
    /// At a source of the catalogue.
    Source {
        /// The source.
        #[serde(flatten)]
        source: SourceName,
        /// What the catalogue says it is for.
        role: Role,
        /// How it relates to the pin.
        standing: Standing,
        /// How it came, and what authenticated the transport.
        transport: String,
    },
    /// At the URL that a certificate below it names (authorityInfoAccess), found while verifying (T24).
    Aia {
        /// The URL.
        url: Url,
        /// How it came, and what authenticated the transport.
        transport: String,
        /// The manufacturer that publishes on this host.
        vendor: VendorId,
    },
    /// In a file that a person brought.
    File {
        /// The file's name as given.
        file: String,
        /// The manufacturer, if the person said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vendor: Option<VendorId>,
    },
}

/// How a download relates to its source's pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It is what the pin says: approved on the catalogue's authority (T8).
    Pinned,
    /// It matches a pin recorded as earlier: approved, and reported (T8).
    EarlierCertificate,
    /// Same key and subject, and its signature verifies: a candidate (T9).
    ReIssuedSameKey,
}

/// A source by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceName {
    /// The manufacturer.
    pub vendor: VendorId,
    /// The source's name within it.
    pub name: String,
    /// Its URL.
    pub url: Url,
}

impl std::fmt::Display for SourceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.vendor, self.name)
    }
}

impl Event {
    /// Whether the event can change the stores, and so advances the generation (T6).
    pub fn changes_stores(&self) -> bool {
        match self {
            Event::Seen { .. }
            | Event::Approved { .. }
            | Event::Rejected { .. }
            | Event::Distrusted { .. }
            | Event::Reinstated { .. } => true,
            Event::Drifted { .. }
            | Event::FetchFailed { .. }
            | Event::Recovered { .. }
            | Event::Exported { .. }
            | Event::TruncationAccepted { .. } => false,
        }
    }
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
    let Event::Seen { certificates } = event else { return Ok(()) };
    let wrong = certificates
        .iter()
        .find(|seen| seen.der.as_ref().is_some_and(|der| Fingerprint::of(der) != seen.fingerprint));
    wrong.map_or(Ok(()), |seen| Err(Fault::Certificate(seen.fingerprint)))
}

/// DER as base64 text.
mod base64 {
    use std::borrow::Cow;

    use data_encoding::BASE64;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(der: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        match der {
            Some(der) => serializer.serialize_str(&BASE64.encode(der)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<Cow<'de, str>>::deserialize(deserializer)?;
        text.map(|text| BASE64.decode(text.as_bytes()).map_err(serde::de::Error::custom)).transpose()
    }
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
