//! A point in time as X.509 knows it: whole seconds, UTC, up to the end of the year 9999.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text or a DER value is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a time like 2026-11-01T00:00:00Z")]
pub struct ParseTimeError {
    /// What was given, cut to 80 characters.
    pub text: String,
}

/// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// `jiff::Timestamp` ends a day before 9999-12-31T23:59:59Z, the date that certificates without an end carry
/// (RFC 5280 §4.1.2.5), so civil time is used for the conversions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Time(i64);

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

impl Time {
    /// The date that stands for "no end" in a certificate: 9999-12-31T23:59:59Z (RFC 5280 §4.1.2.5).
    pub const NO_END: Time = Time(253_402_300_799);

    /// The time `seconds` after 1970-01-01T00:00:00Z.
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// The civil UTC year, 1 to 9999, or the nearest bound.
    pub fn year(self) -> i16 {
        self.civil().year()
    }

    /// The civil UTC date: year, month from 1, day from 1. Years before 0 are 0.
    pub fn date(self) -> (u16, u8, u8) {
        let civil = self.civil();
        let unsigned = |number: i8| u8::try_from(number).unwrap_or(1);
        (u16::try_from(civil.year()).unwrap_or(0), unsigned(civil.month()), unsigned(civil.day()))
    }

    fn civil(self) -> DateTime {
        EPOCH.saturating_add(jiff::SignedDuration::from_secs(self.0))
    }

    fn from_civil(civil: DateTime) -> Self {
        Self(civil.duration_since(EPOCH).as_secs())
    }

    /// Reads the content of a DER UTCTime, `YYMMDDHHMMSSZ` (RFC 5280 §4.1.2.5.1): 50 to 99 mean 1950 to 1999.
    ///
    /// # Errors
    ///
    /// [`ParseTimeError`] if the octets have another form or name no real date.
    pub fn from_utc_time(content: &[u8]) -> Result<Self, ParseTimeError> {
        let year = digits(content, 0, 2).map(|year| if year >= 50 { 1900 + year } else { 2000 + year });
        Self::from_fields(content, year, 2)
    }

    /// Reads the content of a DER GeneralizedTime, `YYYYMMDDHHMMSSZ` (RFC 5280 §4.1.2.5.2).
    ///
    /// # Errors
    ///
    /// [`ParseTimeError`] if the octets have another form (fractions, offsets) or name no real date.
    pub fn from_generalized_time(content: &[u8]) -> Result<Self, ParseTimeError> {
        Self::from_fields(content, digits(content, 0, 4), 4)
    }

    fn from_fields(content: &[u8], year: Option<i16>, start: usize) -> Result<Self, ParseTimeError> {
        let two =
            |index: usize| digits(content, start + index * 2, 2).and_then(|number| i8::try_from(number).ok());
        (|| {
            if content.len() != start + 11 || content.last() != Some(&b'Z') {
                return None;
            }
            DateTime::new(year?, two(0)?, two(1)?, two(2)?, two(3)?, two(4)?, 0).ok()
        })()
        .map(Self::from_civil)
        .ok_or_else(|| ParseTimeError { text: String::from_utf8_lossy(content).chars().take(80).collect() })
    }
}

fn digits(content: &[u8], at: usize, count: usize) -> Option<i16> {
    let slice = content.get(at..at + count)?;
    slice
        .iter()
        .all(u8::is_ascii_digit)
        .then(|| slice.iter().fold(0, |number, digit| number * 10 + i16::from(digit - b'0')))
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let civil = self.civil();
        f.pad(&format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            civil.year(),
            civil.month(),
            civil.day(),
            civil.hour(),
            civil.minute(),
            civil.second()
        ))
    }
}

impl FromStr for Time {
    type Err = ParseTimeError;

    /// Reads RFC 3339 (`2026-11-01T00:00:00Z`, offsets allowed) or a bare date, which means its first second in UTC.
    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        if let Some(civil) = text.strip_suffix(['Z', 'z']).and_then(|civil| civil.parse::<DateTime>().ok()) {
            return Ok(Self::from_civil(civil));
        }
        if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
            return Ok(Self(timestamp.as_second()));
        }
        text.parse::<jiff::civil::Date>()
            .map(|date| Self::from_civil(date.at(0, 0, 0, 0)))
            .map_err(|_| ParseTimeError { text: text.chars().take(80).collect() })
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms_and_the_last_second() {
        assert_eq!(Time::from_utc_time(b"700101000000Z"), Ok(Time(0)));
        assert_eq!(
            Time::from_utc_time(b"491231235959Z").map(|t| t.to_string()),
            Ok("2049-12-31T23:59:59Z".into())
        );
        assert_eq!(Time::from_utc_time(b"500101000000Z").map(Time::year), Ok(1950));
        assert_eq!(Time::from_generalized_time(b"99991231235959Z"), Ok(Time::NO_END));
        assert_eq!("9999-12-31T23:59:59Z".parse(), Ok(Time::NO_END));
        assert_eq!(Time::NO_END.to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn reads_what_people_type() {
        assert_eq!("1970-01-02".parse(), Ok(Time(86_400)));
        assert_eq!("1970-01-01T01:00:00+01:00".parse(), Ok(Time(0)));
        assert!("yesterday".parse::<Time>().is_err());
    }

    #[test]
    fn refuses_malformed_der_times() {
        for content in [&b"7001010000Z"[..], b"700101000000+0000", b"701301000000Z", b"7x0101000000Z", b""] {
            assert!(Time::from_utc_time(content).is_err(), "{content:?}");
        }
        assert!(Time::from_generalized_time(b"20230229000000Z").is_err());
    }
}
