//! GeneralName (RFC 5280 §4.2.1.6), borrowed from the certificate that it stands in.

use der::{Tag, TagNumber};

use crate::cert::name::Name;
use crate::cert::tlv::{Cursor, Tlv, TlvError};

/// One GeneralName.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GeneralName<'a> {
    /// rfc822Name: a mailbox.
    Email(&'a str),
    /// dNSName.
    Dns(&'a str),
    /// directoryName.
    Directory(Name),
    /// uniformResourceIdentifier.
    Uri(&'a str),
    /// iPAddress: 4 or 16 octets in a name, 8 or 32 in a constraint.
    Ip(&'a [u8]),
    /// Another form, by its tag's number.
    Other(u32),
}

impl<'a> GeneralName<'a> {
    /// Reads one element.
    ///
    /// # Errors
    ///
    /// [`TlvError`] if its content is not what its tag promises.
    pub fn from_tlv(tlv: &Tlv<'a>) -> Result<Self, TlvError> {
        const WHAT: &str = "GeneralName";
        let Tag::ContextSpecific { number: TagNumber(number), .. } = tlv.tag else {
            return Err(TlvError::Content { what: WHAT, why: "not context-specific" });
        };
        let text = || {
            let text = std::str::from_utf8(tlv.content).ok().filter(|text| text.is_ascii());
            text.ok_or(TlvError::Content { what: WHAT, why: "an IA5String with other characters" })
        };
        Ok(match number {
            1 => Self::Email(text()?),
            2 => Self::Dns(text()?),
            4 => Self::Directory(Name::from_der(tlv.content)?),
            6 => Self::Uri(text()?),
            7 => Self::Ip(tlv.content),
            other => Self::Other(other),
        })
    }
}

/// Reads the content of GeneralNames, without its own tag and length.
///
/// # Errors
///
/// [`TlvError`] about the first name that is malformed.
pub fn list(mut names: Cursor<'_>) -> Result<Vec<GeneralName<'_>>, TlvError> {
    let mut found = Vec::new();
    while !names.is_empty() {
        found.push(GeneralName::from_tlv(&names.any("GeneralName")?)?);
    }
    Ok(found)
}

/// Reads a SEQUENCE OF GeneralName, such as subjectAltName.
///
/// # Errors
///
/// As [`list`].
pub fn sequence(value: &[u8]) -> Result<Vec<GeneralName<'_>>, TlvError> {
    let mut outer = Cursor::new(value);
    let names = outer.expect(Tag::Sequence, "GeneralNames")?.inside();
    outer.finish("GeneralNames")?;
    list(names)
}
