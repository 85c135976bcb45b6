//! Distinguished names: kept as they stand, compared by RFC 5280 §7.1, shown by RFC 4514.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use der::Tag;
use stringprep::tables;
use unicode_normalization::UnicodeNormalization;

use crate::cert::tlv::{self, Cursor, TlvError};
use crate::oid;

/// A distinguished name: its exact DER, compared with others by [RFC 5280 §7.1] (letter case, runs of blanks and
/// string types do not matter).
///
/// Real chains need this: AMD's and STMicroelectronics' CAs name the same issuer as PrintableString here and
/// UTF8String there, Intel's "GLK_EPID_PROD pid:7" has one blank in one place and two in another.
///
/// [RFC 5280 §7.1]: https://www.rfc-editor.org/rfc/rfc5280#section-7.1
#[derive(Clone)]
pub struct Name {
    der: Box<[u8]>,
    canonical: OnceLock<Box<[u8]>>,
}

/// One attribute of a name, as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// The content octets of the type's OBJECT IDENTIFIER.
    pub oid: &'a [u8],
    /// The value's tag.
    pub tag: Tag,
    /// The value's content octets.
    pub value: &'a [u8],
}

impl Attribute<'_> {
    /// The value as text, for the string types that names use; `None` for others and for malformed text.
    pub fn text(&self) -> Option<String> {
        match self.tag {
            Tag::Utf8String
            | Tag::PrintableString
            | Tag::Ia5String
            | Tag::VisibleString
            | Tag::NumericString => std::str::from_utf8(self.value).ok().map(str::to_owned),
            // T.61 in certificates is Latin-1 in practice.
            Tag::TeletexString => Some(self.value.iter().map(|octet| char::from(*octet)).collect()),
            Tag::BmpString => {
                let units = self.value.chunks(2).map(|pair| match pair {
                    [high, low] => Some(u16::from_be_bytes([*high, *low])),
                    _ => None,
                });
                String::from_utf16(&units.collect::<Option<Vec<_>>>()?).ok()
            }
            _ => None,
        }
    }
}

impl Name {
    /// Takes the DER of a `Name` (tag and length included) and checks its structure.
    ///
    /// # Errors
    ///
    /// [`TlvError`] if it is not a SEQUENCE OF SET OF type and value.
    pub fn from_der(der: &[u8]) -> Result<Self, TlvError> {
        walk(der, |_, _| ())?;
        Ok(Self { der: der.into(), canonical: OnceLock::new() })
    }

    /// The exact DER, tag and length included.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether the name has no attribute at all, as the subject of most EK certificates.
    pub fn is_empty(&self) -> bool {
        self.der.len() <= 2
    }

    /// All attributes in order, with the index of the relative distinguished name that each stands in.
    pub fn attributes(&self) -> Vec<(usize, Attribute<'_>)> {
        let mut attributes = Vec::new();
        let walked = walk(&self.der, |index, attribute| attributes.push((index, attribute)));
        debug_assert!(walked.is_ok(), "checked when the name was made");
        attributes
    }

    /// The text of the first attribute of this type, if any.
    pub fn attribute_text(&self, oid: &der::asn1::ObjectIdentifier) -> Option<String> {
        self.attributes().iter().find(|(_, attribute)| attribute.oid == oid.as_bytes())?.1.text()
    }

    /// This name with one more relative distinguished name, given as the content of its SET (RFC 5280 §4.2.1.13:
    /// nameRelativeToCRLIssuer).
    ///
    /// # Errors
    ///
    /// [`TlvError`] if that content is malformed.
    pub fn with_relative(&self, set_content: &[u8]) -> Result<Self, TlvError> {
        let rdns = Cursor::new(&self.der).expect(Tag::Sequence, "name")?.content;
        let content = [rdns, &tlv::element(0x31, set_content)].concat();
        Self::from_der(&tlv::element(0x30, &content))
    }

    /// Whether this name is `base` or stands below it in the directory (RFC 5280 §4.2.1.10). Each relative
    /// distinguished name is a length and its octets in the canonical form, so a prefix is a subtree.
    pub fn is_within(&self, base: &Name) -> bool {
        self.canonical().starts_with(base.canonical())
    }

    /// The octets that are equal for two names exactly if the names are the same by RFC 5280 §7.1.
    pub fn canonical(&self) -> &[u8] {
        self.canonical.get_or_init(|| {
            let mut relative: Vec<Vec<Vec<u8>>> = Vec::new();
            for (index, attribute) in self.attributes() {
                relative.resize_with(index + 1, Vec::new);
                relative[index].push(canonical_attribute(&attribute));
            }
            let mut out = Vec::new();
            for mut attributes in relative {
                attributes.sort();
                put(&mut out, &attributes.concat());
            }
            out.into()
        })
    }
}

fn put(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(part);
}

fn canonical_attribute(attribute: &Attribute<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, attribute.oid);
    match attribute.text() {
        Some(text) => put(&mut out, prepared(&text).as_bytes()),
        // Not text: only the same octets of the same type are equal. NUL cannot start a prepared text.
        None => {
            let mut raw = vec![0];
            raw.extend_from_slice(attribute.tag.to_string().as_bytes());
            raw.push(0);
            raw.extend_from_slice(attribute.value);
            put(&mut out, &raw);
        }
    }
    out
}

/// Prepares text for comparison: RFC 4518 §2.2 (map), §2.3 (NFKC), case folding, §2.6.1 (insignificant blanks).
fn prepared(text: &str) -> String {
    let folded: String = if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        let mapped = text.chars().filter(|c| !tables::commonly_mapped_to_nothing(*c));
        mapped.flat_map(tables::case_fold_for_nfkc).nfkc().collect()
    };
    let mut out = String::with_capacity(folded.len());
    for word in folded.split(is_blank).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().filter(|c| !c.is_control()));
    }
    out
}

/// Whether two names written by RFC 4514 are the same by RFC 5280 §7.1.
pub fn same_text(one: &str, other: &str) -> bool {
    prepared(one) == prepared(other)
}

fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\x0b' | '\x0c' | '\r' | '\u{85}')
        || c == ' '
        || tables::non_ascii_space_character(c)
}

/// Calls `each` for every attribute, with the index of its relative distinguished name.
fn walk<'a>(der: &'a [u8], mut each: impl FnMut(usize, Attribute<'a>)) -> Result<(), TlvError> {
    const WHAT: &str = "name";
    let mut outer = Cursor::new(der);
    let mut rdns = outer.expect(Tag::Sequence, WHAT)?.inside();
    outer.finish(WHAT)?;
    let mut index = 0;
    while !rdns.is_empty() {
        let mut set = rdns.expect(Tag::Set, WHAT)?.inside();
        if set.is_empty() {
            return Err(TlvError::Content {
                what: WHAT,
                why: "a relative distinguished name without attributes",
            });
        }
        while !set.is_empty() {
            let mut pair = set.expect(Tag::Sequence, WHAT)?.inside();
            let oid = pair.expect(Tag::ObjectIdentifier, WHAT)?.content;
            let value = pair.any(WHAT)?;
            pair.finish(WHAT)?;
            each(index, Attribute { oid, tag: value.tag, value: value.content });
        }
        index += 1;
    }
    Ok(())
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der || self.canonical() == other.canonical()
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.canonical().hash(state);
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

/// Shows the name by RFC 4514: the last relative distinguished name first, special characters escaped. Control
/// characters and those that change the writing direction are escaped too, so a hostile name cannot deceive a
/// reader or a terminal.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributes = self.attributes();
        let last = attributes.last().map_or(0, |(index, _)| *index);
        let mut out = String::new();
        for index in (0..=last).rev() {
            for (position, (_, attribute)) in attributes.iter().filter(|(at, _)| *at == index).enumerate() {
                if !out.is_empty() {
                    out.push(if position == 0 { ',' } else { '+' });
                }
                out.push_str(&label(attribute.oid));
                out.push('=');
                push_value(&mut out, attribute);
            }
        }
        f.pad(&out)
    }
}

fn label(content: &[u8]) -> String {
    let known = [
        (oid::COMMON_NAME, "CN"),
        (oid::COUNTRY, "C"),
        (oid::LOCALITY, "L"),
        (oid::STATE, "ST"),
        (oid::ORGANIZATION, "O"),
        (oid::ORGANIZATIONAL_UNIT, "OU"),
        (oid::DOMAIN_COMPONENT, "DC"),
        (oid::SERIAL_NUMBER, "serialNumber"),
        (oid::EMAIL_ADDRESS, "emailAddress"),
        (oid::TPM_MANUFACTURER, "tpmManufacturer"),
        (oid::TPM_MODEL, "tpmModel"),
        (oid::TPM_VERSION, "tpmVersion"),
    ];
    known
        .iter()
        .find(|(oid, _)| oid.as_bytes() == content)
        .map_or_else(|| oid::dotted(content), |(_, label)| (*label).to_owned())
}

fn push_value(out: &mut String, attribute: &Attribute<'_>) {
    use fmt::Write as _;
    let Some(text) = attribute.text() else {
        out.push('#');
        out.push_str(&data_encoding::HEXLOWER.encode(attribute.value));
        return;
    };
    let last = text.chars().count().saturating_sub(1);
    for (position, c) in text.chars().enumerate() {
        if is_deceptive(c) {
            let mut buffer = [0; 4];
            for octet in c.encode_utf8(&mut buffer).bytes() {
                let _ = write!(out, "\\{octet:02X}");
            }
            continue;
        }
        let escape = matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '\\')
            || (position == 0 && matches!(c, ' ' | '#'))
            || (position == last && c == ' ');
        if escape {
            out.push('\\');
        }
        out.push(c);
    }
}

/// Control characters, and those that reorder or hide what stands beside them.
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![tag, u8::try_from(content.len()).expect("short")];
        out.extend_from_slice(content);
        out
    }

    fn name(parts: &[(u8, &str)]) -> Name {
        let rdns: Vec<u8> = parts
            .iter()
            .flat_map(|(tag, text)| {
                let pair = [vec![6, 3, 0x55, 4, 3], tlv(*tag, text.as_bytes())].concat();
                tlv(0x31, &tlv(0x30, &pair))
            })
            .collect();
        Name::from_der(&tlv(0x30, &rdns)).expect("well-formed")
    }

    #[test]
    fn case_blanks_and_string_type_do_not_matter() {
        assert_eq!(name(&[(0x13, "GLK_EPID_PROD pid:7")]), name(&[(0x0c, " glk_epid_prod  PID:7 ")]));
        assert_eq!(name(&[(0x0c, "Straße")]), name(&[(0x0c, "STRASSE")]));
        assert_eq!(name(&[(0x0c, "ﬁn")]), name(&[(0x13, "FIN")]));
        assert_ne!(name(&[(0x0c, "ab")]), name(&[(0x0c, "a b")]));
        assert_ne!(name(&[(0x0c, "a"), (0x0c, "b")]), name(&[(0x0c, "b"), (0x0c, "a")]));
        assert_ne!(name(&[(0x0c, "a")]), name(&[(0x0c, "a"), (0x0c, "a")]));
    }

    #[test]
    fn what_is_not_text_is_compared_octet_by_octet() {
        assert_eq!(name(&[(0x04, "A")]), name(&[(0x04, "A")]));
        assert_ne!(name(&[(0x04, "A")]), name(&[(0x04, "a")]));
        assert_ne!(name(&[(0x04, "A")]), name(&[(0x0c, "A")]));
    }

    #[test]
    fn hostile_text_is_shown_escaped() {
        assert_eq!(name(&[(0x0c, "a\n\u{202e}b,c")]).to_string(), "CN=a\\0A\\E2\\80\\AEb\\,c");
        assert_eq!(name(&[(0x0c, "root"), (0x0c, " leaf ")]).to_string(), "CN=\\ leaf\\ ,CN=root");
    }

    #[test]
    fn malformed_names_are_refused() {
        for der in [&[0x30, 0x02, 0x31, 0x00][..], &[0x31, 0x00], &[0x30, 0x00, 0x00], &[]] {
            assert!(Name::from_der(der).is_err(), "{der:02x?}");
        }
    }
}
