//! PEM to DER. This file alone names rustls-pemfile, which is no longer maintained (RUSTSEC-2025-0134; see
//! `deny.toml`): a thin layer over rustls-pki-types that takes any line length and CRLF.

use rustls_pemfile::Item;

/// Certificates from PEM text, in order, with whether OpenSSL's TRUSTED form or a long line was met.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    /// The octets of each certificate block. TRUSTED blocks carry OpenSSL's settings after the certificate.
    pub certificates: Vec<Vec<u8>>,
    /// For each of them, whether the block was OpenSSL's TRUSTED CERTIFICATE.
    pub trusted_form: Vec<bool>,
    /// Whether a line is longer than the 64 characters (76 in older tools) of RFC 7468 §2.
    pub long_line: bool,
    /// Labels of blocks that are no certificates and were passed over.
    pub others: usize,
}

/// Why PEM text cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed PEM: {0}")]
pub struct PemError(String);

/// Whether `bytes` look like PEM: the encapsulation boundary of RFC 7468 §2 occurs.
pub fn looks_like(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|window| window == b"-----BEGIN ")
}

/// Reads all certificate blocks of PEM text; text around them is allowed.
///
/// # Errors
///
/// [`PemError`] if a block does not end, or its base64 is malformed.
pub fn read(bytes: &[u8]) -> Result<Blocks, PemError> {
    let (plain, trusted_form) = with_plain_labels(bytes);
    let mut blocks = Blocks {
        trusted_form,
        long_line: bytes.split(|byte| *byte == b'\n').any(|line| line.len() > 77 && is_base64(line)),
        ..Blocks::default()
    };
    let mut rest: &[u8] = &plain;
    loop {
        match rustls_pemfile::read_one_from_slice(rest) {
            Ok(Some((Item::X509Certificate(der), after))) => {
                blocks.certificates.push(der.as_ref().to_vec());
                rest = after;
            }
            Ok(Some((_, after))) => {
                blocks.others += 1;
                rest = after;
            }
            Ok(None) => return Ok(blocks),
            Err(error) => return Err(PemError(describe(&error))),
        }
    }
}

/// Reads all CRL blocks of PEM text.
///
/// # Errors
///
/// As [`read`].
pub fn read_crls(bytes: &[u8]) -> Result<Vec<Vec<u8>>, PemError> {
    let mut rest = bytes;
    let mut found = Vec::new();
    loop {
        match rustls_pemfile::read_one_from_slice(rest) {
            Ok(Some((item, after))) => {
                if let Item::Crl(der) = item {
                    found.push(der.as_ref().to_vec());
                }
                rest = after;
            }
            Ok(None) => return Ok(found),
            Err(error) => return Err(PemError(describe(&error))),
        }
    }
}

/// Reads the first public key block of PEM text, as a DER SubjectPublicKeyInfo.
pub fn read_public_key(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut rest = bytes;
    while let Ok(Some((item, after))) = rustls_pemfile::read_one_from_slice(rest) {
        if let Item::SubjectPublicKeyInfo(info) = item {
            return Some(info.as_ref().to_vec());
        }
        rest = after;
    }
    None
}

fn describe(error: &rustls_pemfile::Error) -> String {
    match error {
        rustls_pemfile::Error::MissingSectionEnd { .. } => "a BEGIN line has no END line".to_owned(),
        rustls_pemfile::Error::IllegalSectionStart { .. } => "a BEGIN line is malformed".to_owned(),
        rustls_pemfile::Error::Base64Decode(why) => format!("base64: {why}"),
    }
}

fn is_base64(line: &[u8]) -> bool {
    line.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\r'))
}

/// Gives `TRUSTED CERTIFICATE` and `X509 CERTIFICATE` blocks, both OpenSSL's, the ordinary label. Tells for each
/// certificate block in order whether it was a TRUSTED one.
fn with_plain_labels(bytes: &[u8]) -> (Vec<u8>, Vec<bool>) {
    let mut out = Vec::with_capacity(bytes.len());
    let mut trusted = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let boundary = [&b"-----BEGIN "[..], b"-----END "].into_iter().find_map(|start| {
            let label = line.strip_prefix(start)?;
            let openssl = label.strip_prefix(b"TRUSTED ");
            let plain = openssl.or_else(|| label.strip_prefix(b"X509 ")).unwrap_or(label);
            plain.starts_with(b"CERTIFICATE-----").then_some((start, plain, openssl.is_some()))
        });
        match boundary {
            Some((start, label, is_trusted)) => {
                if start == b"-----BEGIN " {
                    trusted.push(is_trusted);
                }
                out.extend_from_slice(start);
                out.extend_from_slice(label);
            }
            None => out.extend_from_slice(line),
        }
    }
    (out, trusted)
}

/// The content of the first block with one of these labels; `None` if there is none, or it is not base64. For labels that
/// rustls-pemfile does not know.
pub fn decode_block(bytes: &[u8], labels: &[&str]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?;
    labels.iter().find_map(|label| {
        let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
        let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
        let body: String = body.split_whitespace().collect();
        data_encoding::BASE64.decode(body.as_bytes()).ok()
    })
}

/// Writes one certificate as PEM: 64 characters a line, LF (RFC 7468 §2, §5.1).
pub fn write(der: &[u8]) -> String {
    let base64 = data_encoding::BASE64.encode(der);
    let mut out = String::with_capacity(base64.len() + base64.len() / 64 + 56);
    out.push_str("-----BEGIN CERTIFICATE-----\n");
    for line in base64.as_bytes().chunks(64) {
        out.extend(line.iter().map(|byte| char::from(*byte)));
        out.push('\n');
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_length_line_end_and_label_do_not_matter() {
        let der: Vec<u8> = (0..=255).collect();
        let plain = write(&der);
        let crlf = plain.replace('\n', "\r\n");
        let trusted = plain.replace(" CERTIFICATE", " TRUSTED CERTIFICATE");
        let body: String = plain.lines().filter(|line| !line.starts_with('-')).collect();
        let one_line = format!("note\n-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----");
        for text in [&plain, &crlf, &trusted, &one_line] {
            assert_eq!(
                read(text.as_bytes()).map(|blocks| blocks.certificates),
                Ok(vec![der.clone()]),
                "{text}"
            );
        }
        assert!(read(trusted.as_bytes()).is_ok_and(|blocks| blocks.trusted_form == [true]));
        let mixed = format!("{plain}{trusted}{plain}");
        assert!(read(mixed.as_bytes()).is_ok_and(|blocks| blocks.trusted_form == [false, true, false]));
        assert!(read(one_line.as_bytes()).is_ok_and(|blocks| blocks.long_line));
        assert!(
            read(plain.as_bytes()).is_ok_and(|blocks| !blocks.long_line && blocks.trusted_form == [false])
        );
    }

    #[test]
    fn a_block_without_end_is_an_error() {
        let text = write(&[1, 2, 3]);
        assert!(read(&text.as_bytes()[..text.len() - 10]).is_err());
    }
}
