//! What files, downloads and NV indices hold: one or several certificates, in DER or PEM, with bytes around them.
//!
//! The identity of a certificate is its outer SEQUENCE and no byte more. What was cut is a [`Quirk`] of the place
//! the certificate was found in, beside the quirks of the certificate itself.

use der::Tag;

use crate::cert::quirk::Quirk;
use crate::cert::tlv::Cursor;
use crate::cert::{Certificate, decode, pem};

/// A certificate as it was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The certificate.
    pub certificate: Certificate,
    /// The quirks of the bytes around it, sorted.
    pub around: Vec<Quirk>,
    /// How many bytes follow it that belong to nothing.
    pub trailing: usize,
}

impl Found {
    /// The quirks of the place and of the certificate, sorted.
    pub fn quirks(&self) -> Vec<Quirk> {
        let mut quirks = [&self.around[..], self.certificate.quirks()].concat();
        quirks.sort_unstable();
        quirks.dedup();
        quirks
    }
}

/// Why no certificate was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// There are no bytes.
    #[error("not a certificate: empty")]
    Empty,
    /// It is a web page, as bot walls and error pages are.
    #[error("not a certificate: an HTML page")]
    Html,
    /// It is PEM text, but malformed.
    #[error("not a certificate: {0}")]
    Pem(#[from] pem::PemError),
    /// It is PEM text without a certificate block.
    #[error("not a certificate: PEM without a CERTIFICATE block")]
    NoBlock,
    /// A block of the PEM text is not a certificate.
    #[error("block {number}: {source}")]
    Block {
        /// Which certificate block, from 1.
        number: usize,
        /// What is wrong with it.
        source: decode::DecodeError,
    },
    /// It starts like DER, but is not a certificate.
    #[error(transparent)]
    Decode(#[from] decode::DecodeError),
    /// Nothing in it looks like a certificate.
    #[error("not a certificate: neither DER nor PEM")]
    Unknown,
}

/// How far from the start a certificate is looked for behind bytes that are not known.
const LEADING: usize = 64;

/// Finds all certificates in `bytes`: DER (several one after the other, as in NV 0x01c00100 and on), PEM, or an NV
/// index with header and padding. Never empty.
///
/// # Errors
///
/// [`ContainerError`] if there is none, or if one of several PEM blocks is not a certificate.
pub fn read(bytes: &[u8]) -> Result<Vec<Found>, ContainerError> {
    match bytes {
        [] => Err(ContainerError::Empty),
        [0x30, ..] => Ok(concatenated(bytes, &[])?),
        // TCG_PCCLIENT_STORED_CERT: tag 1001, type 0 (full), length, tag 1002 TCG_FULL_CERT; then DER.
        [0x10, 0x01, 0x00, _, _, 0x10, 0x02, rest @ ..] => Ok(concatenated(rest, &[Quirk::TcgNvHeader])?),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0xef, 0xbb, 0xbf, ..] => {
            let plain = plain_text(bytes).ok_or(ContainerError::Unknown)?;
            Ok(with_quirk(read(&plain)?, Quirk::TextEncoding))
        }
        _ if pem::looks_like(bytes) => from_pem(bytes),
        _ if looks_like_html(bytes) => Err(ContainerError::Html),
        _ if let Some(der) = bare_base64(bytes) => {
            Ok(with_quirk(concatenated(&der, &[])?, Quirk::BareBase64))
        }
        _ => (1..bytes.len().min(LEADING))
            .filter(|start| bytes[*start] == 0x30)
            .find_map(|start| concatenated(&bytes[start..], &[Quirk::LeadingBytes]).ok())
            .ok_or(ContainerError::Unknown),
    }
}

fn with_quirk(mut found: Vec<Found>, quirk: Quirk) -> Vec<Found> {
    for found in &mut found {
        found.around.push(quirk);
        found.around.sort_unstable();
    }
    found
}

/// Text with a byte order mark as plain bytes; `None` for UTF-16 that is not ASCII, as PEM and base64 are.
fn plain_text(bytes: &[u8]) -> Option<Vec<u8>> {
    let unit = |read: fn([u8; 2]) -> u16| {
        let units = bytes[2..].chunks_exact(2).map(move |pair| read([pair[0], pair[1]]));
        units.map(|unit| u8::try_from(unit).ok().filter(u8::is_ascii)).collect::<Option<Vec<u8>>>()
    };
    let plain = match bytes {
        [0xff, 0xfe, ..] => unit(u16::from_le_bytes)?,
        [0xfe, 0xff, ..] => unit(u16::from_be_bytes)?,
        [0xef, 0xbb, 0xbf, rest @ ..] => rest.to_vec(),
        _ => return None,
    };
    // A second mark would make this call itself again and again.
    plain.first().is_some_and(u8::is_ascii).then_some(plain)
}

/// The DER behind text that is nothing but base64 of something that starts as a SEQUENCE.
fn bare_base64(bytes: &[u8]) -> Option<Vec<u8>> {
    // `M` is what the first six bits of a SEQUENCE's tag are in base64.
    let start = bytes.iter().find(|byte| !byte.is_ascii_whitespace())?;
    if *start != b'M' {
        return None;
    }
    let text: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    data_encoding::BASE64.decode(&text).ok().filter(|der| der.first() == Some(&0x30))
}

fn looks_like_html(bytes: &[u8]) -> bool {
    let start: Vec<u8> = bytes.iter().copied().skip_while(u8::is_ascii_whitespace).take(512).collect();
    let start = start.strip_prefix(&[0xef, 0xbb, 0xbf][..]).unwrap_or(&start).to_ascii_lowercase();
    start.starts_with(b"<!doctype html") || start.windows(5).any(|window| window == b"<html")
}

fn from_pem(bytes: &[u8]) -> Result<Vec<Found>, ContainerError> {
    let blocks = pem::read(bytes)?;
    let mut around = Vec::new();
    if blocks.long_line {
        around.push(Quirk::PemLongLine);
    }
    let mut found = Vec::new();
    for (index, block) in blocks.certificates.iter().enumerate() {
        let at = |source| ContainerError::Block { number: index + 1, source };
        let mut inside = concatenated(block, &around).map_err(at)?;
        if blocks.trusted_form.get(index) == Some(&true) {
            for found in &mut inside {
                // The trust settings that follow are what the form is for, not padding.
                found.around.retain(|quirk| *quirk != Quirk::TrailingBytes);
                found.around.push(Quirk::PemTrusted);
                found.around.sort_unstable();
            }
        }
        found.extend(inside);
    }
    if found.is_empty() { Err(ContainerError::NoBlock) } else { Ok(found) }
}

/// Reads certificates one after the other; the first must be one, whatever follows the last is padding.
fn concatenated(bytes: &[u8], around: &[Quirk]) -> Result<Vec<Found>, decode::DecodeError> {
    let mut cursor = Cursor::new(bytes);
    let mut found: Vec<Found> = Vec::new();
    loop {
        let before = cursor.rest();
        let next = cursor
            .expect(Tag::Sequence, "certificate")
            .map_err(decode::DecodeError::from)
            .and_then(|outer| decode::certificate(outer.whole));
        match next {
            Ok(certificate) => {
                found.push(Found { certificate, around: around.to_vec(), trailing: 0 });
            }
            Err(error) => {
                let Some(last) = found.last_mut() else { return Err(error) };
                last.trailing = before.len();
                if last.trailing > 0 {
                    last.around.push(Quirk::TrailingBytes);
                    last.around.sort_unstable();
                }
                return Ok(found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8]) -> String {
        read(bytes).expect_err("no certificate in it").to_string()
    }

    #[test]
    fn text_of_windows_and_bare_base64_are_read_and_named() {
        let der = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()])
            .expect("made")
            .cert
            .der()
            .to_vec();
        let pem = pem::write(&der);
        let wide = |mark: [u8; 2], write: fn(u16) -> [u8; 2]| {
            let units = pem.bytes().flat_map(|byte| write(u16::from(byte)));
            mark.into_iter().chain(units).collect::<Vec<u8>>()
        };
        let bare = data_encoding::BASE64.encode(&der).into_bytes();
        for (bytes, quirk) in [
            (wide([0xff, 0xfe], u16::to_le_bytes), Quirk::TextEncoding),
            (wide([0xfe, 0xff], u16::to_be_bytes), Quirk::TextEncoding),
            ([&[0xef, 0xbb, 0xbf], pem.as_bytes()].concat(), Quirk::TextEncoding),
            (bare, Quirk::BareBase64),
        ] {
            let found = read(&bytes).expect("a certificate");
            assert_eq!((found[0].certificate.der(), &found[0].around[..]), (&der[..], &[quirk][..]));
        }
        assert!(read(&[0xff, 0xfe, 0xff]).is_err());
        assert!(read(&[0xef, 0xbb, 0xbf, 0xef, 0xbb, 0xbf]).is_err());
    }

    #[test]
    fn what_is_no_certificate_is_named() {
        assert_eq!(message(b""), "not a certificate: empty");
        assert_eq!(
            message(b"\n <!DOCTYPE html><title>Please wait</title>"),
            "not a certificate: an HTML page"
        );
        assert_eq!(message(b"hello"), "not a certificate: neither DER nor PEM");
        assert_eq!(
            message(b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"),
            "block 1: not a certificate: tbsCertificate: no well-formed DER element"
        );
        assert_eq!(
            message(b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"),
            "not a certificate: PEM without a CERTIFICATE block"
        );
    }
}
