//! A cursor over DER elements that borrows everything and re-encodes nothing.
//!
//! The `der` crate reads tags and lengths (minimal lengths, no indefinite form); the content stays a slice of the
//! input. x509-cert's own decoder is not used for whole certificates: it refuses six CA certificates of
//! STMicroelectronics (serial numbers with leading zeros) and anything with a trailing byte.

use der::{Decode, Header, Reader, SliceReader, Tag};

/// Why octets are not the DER element that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlvError {
    /// No element is left, or its tag or length is malformed, or its content is cut short.
    #[error("{what}: no well-formed DER element")]
    Malformed {
        /// The field that was being read.
        what: &'static str,
    },
    /// The element has another tag.
    #[error("{what}: expected {expected}, found {actual}")]
    Tag {
        /// The field that was being read.
        what: &'static str,
        /// The tag that its ASN.1 demands.
        expected: Tag,
        /// The tag that was found.
        actual: Tag,
    },
    /// Something follows where the structure should end.
    #[error("{what}: {count} bytes follow where it should end")]
    Trailing {
        /// The field that was being read.
        what: &'static str,
        /// How many bytes.
        count: usize,
    },
    /// The content is not what the type allows.
    #[error("{what}: {why}")]
    Content {
        /// The field that was being read.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// One DER element: its tag, its content, and both together as they stand in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// The tag.
    pub tag: Tag,
    /// The content octets.
    pub content: &'a [u8],
    /// Tag, length and content.
    pub whole: &'a [u8],
}

impl<'a> Tlv<'a> {
    /// A cursor over the elements inside this one.
    pub fn inside(&self) -> Cursor<'a> {
        Cursor { rest: self.content }
    }
}

/// Reads DER elements one after the other.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads the next element, whatever its tag.
    ///
    /// # Errors
    ///
    /// [`TlvError::Malformed`] if there is none.
    pub fn any(&mut self, what: &'static str) -> Result<Tlv<'a>, TlvError> {
        let read = || {
            let mut reader = SliceReader::new(self.rest).ok()?;
            let header = Header::decode(&mut reader).ok()?;
            let content = reader.read_slice(header.length()).ok()?;
            let length = usize::try_from(reader.position()).ok()?;
            let (whole, rest) = self.rest.split_at_checked(length)?;
            Some((Tlv { tag: header.tag(), content, whole }, rest))
        };
        let (tlv, rest) = read().ok_or(TlvError::Malformed { what })?;
        self.rest = rest;
        Ok(tlv)
    }

    /// Reads the next element, which must have `tag`.
    ///
    /// # Errors
    ///
    /// [`TlvError::Malformed`] if there is none, [`TlvError::Tag`] if it is another.
    pub fn expect(&mut self, tag: Tag, what: &'static str) -> Result<Tlv<'a>, TlvError> {
        let tlv = self.any(what)?;
        if tlv.tag == tag { Ok(tlv) } else { Err(TlvError::Tag { what, expected: tag, actual: tlv.tag }) }
    }

    /// Reads the next element if it has `tag`; otherwise reads nothing.
    ///
    /// # Errors
    ///
    /// [`TlvError::Malformed`] if something is left that is no element.
    pub fn optional(&mut self, tag: Tag, what: &'static str) -> Result<Option<Tlv<'a>>, TlvError> {
        if self.is_empty() {
            return Ok(None);
        }
        let mut ahead = self.clone();
        let tlv = ahead.any(what)?;
        if tlv.tag != tag {
            return Ok(None);
        }
        *self = ahead;
        Ok(Some(tlv))
    }

    /// Checks that everything was read.
    ///
    /// # Errors
    ///
    /// [`TlvError::Trailing`] if not.
    pub fn finish(&self, what: &'static str) -> Result<(), TlvError> {
        if self.is_empty() { Ok(()) } else { Err(TlvError::Trailing { what, count: self.rest.len() }) }
    }
}

/// Whether a BOOLEAN's content is TRUE, and whether it is written as DER demands (one octet, 00 or FF).
///
/// # Errors
///
/// [`TlvError::Content`] if it is not one octet long.
pub fn boolean(tlv: &Tlv<'_>, what: &'static str) -> Result<(bool, Canonical), TlvError> {
    match tlv.content {
        [0x00] => Ok((false, Canonical::Yes)),
        [0xff] => Ok((true, Canonical::Yes)),
        [_] => Ok((true, Canonical::No)),
        _ => Err(TlvError::Content { what, why: "a BOOLEAN of other than one octet" }),
    }
}

/// Whether a value is in the one form that DER allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canonical {
    /// As DER demands.
    Yes,
    /// Readable, but in a form that only BER allows.
    No,
}

/// The bits of a BIT STRING whose last octet is whole (keys and signatures).
///
/// # Errors
///
/// [`TlvError::Content`] if it is empty or has unused bits.
pub fn whole_octets<'a>(tlv: &Tlv<'a>, what: &'static str) -> Result<&'a [u8], TlvError> {
    match tlv.content {
        [0, octets @ ..] => Ok(octets),
        _ => Err(TlvError::Content { what, why: "a BIT STRING without octets or with unused bits" }),
    }
}

/// A small non-negative INTEGER, such as pathLenConstraint; larger ones are cut to `u32::MAX`.
///
/// # Errors
///
/// [`TlvError::Content`] if it is empty or negative.
pub fn unsigned(content: &[u8], what: &'static str) -> Result<u32, TlvError> {
    match content {
        [] => Err(TlvError::Content { what, why: "an INTEGER without octets" }),
        [first, ..] if *first >= 0x80 => Err(TlvError::Content { what, why: "a negative INTEGER" }),
        octets => {
            let value = octets.iter().skip_while(|octet| **octet == 0);
            Ok(value
                .fold(0u64, |value, octet| ((value << 8) | u64::from(*octet)).min(u64::from(u32::MAX)))
                .try_into()
                .unwrap_or(u32::MAX))
        }
    }
}

/// Makes one DER element with this tag octet.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let octets = length.to_be_bytes();
    let significant = octets.iter().position(|octet| *octet != 0).unwrap_or(octets.len() - 1);
    let mut out = vec![tag];
    if length < 0x80 {
        out.push(octets[octets.len() - 1]);
    } else {
        out.push(0x80 | u8::try_from(octets.len() - significant).unwrap_or(8));
        out.extend_from_slice(&octets[significant..]);
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_in_order_and_stops_at_the_end() {
        let mut cursor = Cursor::new(&[0x02, 0x01, 0x05, 0x04, 0x00]);
        assert_eq!(cursor.expect(Tag::Integer, "n").map(|tlv| tlv.content), Ok(&[5][..]));
        assert_eq!(cursor.optional(Tag::Null, "x"), Ok(None));
        assert_eq!(cursor.any("s").map(|tlv| tlv.whole), Ok(&[4, 0][..]));
        assert_eq!(cursor.any("s"), Err(TlvError::Malformed { what: "s" }));
    }

    #[test]
    fn refuses_lengths_that_der_does_not_allow() {
        for bytes in [
            &[0x04, 0x80, 0, 0][..],
            &[0x04, 0x81, 0x01, 0],
            &[0x04, 0x05, 0],
            &[0x04, 0x84, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert!(Cursor::new(bytes).any("x").is_err(), "{bytes:02x?}");
        }
    }

    #[test]
    fn large_integers_are_cut_not_wrapped() {
        assert_eq!(unsigned(&[1, 0, 0, 0, 0], "n"), Ok(u32::MAX));
        assert_eq!(unsigned(&[0, 0, 0, 3], "n"), Ok(3));
        assert_eq!(
            unsigned(&[0xff; 9], "n"),
            Err(TlvError::Content { what: "n", why: "a negative INTEGER" })
        );
        assert_eq!(unsigned(&[0x7f; 40], "n"), Ok(u32::MAX));
    }
}
