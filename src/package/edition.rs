//! version.txt of TrustedTpm.cab: the edition, and what its entries claim to have changed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// The edition of a package: the date at the top of its version.txt. Written as there, `21-November-2024`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Edition {
    year: u16,
    month: u8,
    day: u8,
}

/// Why a text is not an edition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an edition such as 21-November-2024")]
pub struct ParseEditionError(String);

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl FromStr for Edition {
    type Err = ParseEditionError;

    /// Reads day, English month and year with hyphens between them, in any letter case.
    fn from_str(text: &str) -> Result<Self, ParseEditionError> {
        let parse = || {
            let mut parts = text.trim().split('-');
            let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
            let digits = |text: &str, most: usize| {
                (1..=most).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit())
            };
            let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))?;
            if parts.next().is_some() || !digits(day, 2) || year.len() != 4 || !digits(year, 4) {
                return None;
            }
            let month = u8::try_from(month + 1).ok()?;
            let (year, day): (u16, u8) = (year.parse().ok()?, day.parse().ok()?);
            // A date that exists.
            let date = (i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
            jiff::civil::Date::new(date.0, date.1, date.2).ok()?;
            Some(Self { year, month, day })
        };
        parse().ok_or_else(|| ParseEditionError(text.chars().take(40).collect()))
    }
}

impl Edition {
    /// The edition of this day, UTC.
    pub fn of(time: Time) -> Self {
        let (year, month, day) = time.date();
        Self { year, month, day }
    }
}

impl TryFrom<String> for Edition {
    type Error = ParseEditionError;

    fn try_from(text: String) -> Result<Self, ParseEditionError> {
        text.parse()
    }
}

impl From<Edition> for String {
    fn from(edition: Edition) -> String {
        edition.to_string()
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{}-{}", self.day, MONTHS[usize::from(self.month) - 1], self.year))
    }
}

/// What a heading of version.txt says happened to the certificates below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// "Added ...", also "Renewed", "Recreated", "Replaced": there is a new certificate.
    Added,
    /// "Removed ...".
    Removed,
    /// "Renamed ...": the lower names after a line "to".
    Renamed,
}

/// One heading of version.txt and the names below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The date above it.
    pub edition: Edition,
    /// What it says happened.
    pub verb: Verb,
    /// The heading, as it stands.
    pub heading: String,
    /// The file names below it, as they stand.
    pub names: Vec<String>,
}

/// A version.txt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The date at its top.
    pub edition: Edition,
    /// What it claims, newest first.
    pub claims: Vec<Claim>,
}

impl History {
    /// Reads a version.txt. Lines that are neither a date, a heading nor a name are passed over.
    ///
    /// # Errors
    ///
    /// [`ParseEditionError`] if no line is a date.
    pub fn read(text: &[u8]) -> Result<Self, ParseEditionError> {
        let text = String::from_utf8_lossy(text);
        let mut edition = None;
        let mut date = None;
        let mut claims: Vec<Claim> = Vec::new();
        // A date closes what was listed above it.
        let mut open = false;
        for line in text.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty()) {
            if let Ok(found) = line.parse::<Edition>() {
                edition = edition.or(Some(found));
                date = Some(found);
                open = false;
            } else if let Some((verb, date)) = verb(line).zip(date) {
                claims.push(Claim { edition: date, verb, heading: line.to_owned(), names: Vec::new() });
                open = true;
            } else if let (Some(name), Some(claim), true) = (file_name(line), claims.last_mut(), open) {
                claim.names.push(name.to_owned());
            }
        }
        let edition = edition.ok_or_else(|| ParseEditionError(text.chars().take(40).collect()))?;
        Ok(Self { edition, claims })
    }

    /// The claims above the entry of an `earlier` edition: by their place, as some entries carry a wrong year; by their
    /// date if it has no such entry.
    pub fn since(&self, earlier: Edition) -> &[Claim] {
        let end = self
            .claims
            .iter()
            .position(|claim| claim.edition == earlier)
            .or_else(|| self.claims.iter().position(|claim| claim.edition < earlier));
        &self.claims[..end.unwrap_or(self.claims.len())]
    }
}

/// The verb of a heading.
fn verb(line: &str) -> Option<Verb> {
    if file_name(line).is_some() {
        return None;
    }
    let first = line.split(' ').next()?.to_ascii_lowercase();
    Some(match first.as_str() {
        "added" | "adding" | "renewed" | "recreated" | "replaced" => Verb::Added,
        "removed" | "removing" => Verb::Removed,
        "renamed" | "renaming" => Verb::Renamed,
        _ => return None,
    })
}

/// The name in a line that is one: it ends in the extension of a certificate file (a remark in parentheses may
/// follow), or is the name of an AIK CA without one.
fn file_name(line: &str) -> Option<&str> {
    let lower = line.to_ascii_lowercase();
    for extension in [".cer", ".crt", ".der", ".pem"] {
        if let Some(at) = lower.find(extension) {
            let end = at + extension.len();
            let rest = line[end..].trim();
            if rest.is_empty() || rest.starts_with('(') {
                return Some(&line[..end]);
            }
        }
    }
    let is_word = !line.contains(' ');
    (is_word && (lower.contains("keyid-") || lower.contains("nameid-"))).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editions_are_ordered_by_date_and_written_as_there() {
        let edition = |text: &str| text.parse::<Edition>();
        assert!(edition("13-March-2024").expect("sound") < edition("21-november-2024").expect("sound"));
        assert_eq!(edition("06-June-2024").expect("sound").to_string(), "6-June-2024");
        for bad in ["", "31-April-2024", "1-Foo-2024", "1-May-24", "1-May-2024-x", "+1-May-2024"] {
            assert!(edition(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn claims_are_read_with_all_their_irregularities() {
        let text = b"The certificates were last updated on:\r\n2-May-2024\r\n\tRemoved the following EK Certificates\r\r\n   \
            a b.cer (a remark)\r\n  Added the following AIK Certificates:\n ntc-nameid-00\n1-May-2024\n stray.cer\n \
            Renamed the following\n x.crt\n to\n y.crt\n";
        let history = History::read(text).expect("it has a date");
        assert_eq!(history.edition.to_string(), "2-May-2024");
        let claims: Vec<(Verb, Vec<&str>)> = history
            .claims
            .iter()
            .map(|claim| (claim.verb, claim.names.iter().map(String::as_str).collect()))
            .collect();
        assert_eq!(
            claims,
            [
                (Verb::Removed, vec!["a b.cer"]),
                (Verb::Added, vec!["ntc-nameid-00"]),
                (Verb::Renamed, vec!["x.crt", "y.crt"]),
            ]
        );
        assert_eq!(history.since("1-May-2024".parse().expect("a date")).len(), 2);
        assert!(History::read(b"no date").is_err());
    }
}
