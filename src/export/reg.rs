//! A registry file with both stores, in the form that the registry editor writes: UTF-16 with a mark, CRLF.
//!
//! `HKLM\SOFTWARE\Microsoft\SystemCertificates\<STORE>\Certificates\<SHA-1>`, value `Blob`: the elements of the
//! certificate. It only adds; what must go is removed by the import script.

use std::collections::BTreeMap;

use crate::export::element::{self, ElementError};
use crate::export::{Export, Options};
use crate::fingerprint::Thumbprint;
use crate::store::{StoreName, Stores};

/// Where the stores of the machine are.
pub const SYSTEM_CERTIFICATES: &str = r"SOFTWARE\Microsoft\SystemCertificates";

/// Hexadecimal octets on one line, as the registry editor breaks them.
const PER_LINE: usize = 25;

/// Writes both stores.
pub fn export(stores: &Stores, options: &Options) -> Export {
    let (bytes, count) = write(stores, options);
    Export::file(bytes, count)
}

pub(super) fn write(stores: &Stores, options: &Options) -> (Vec<u8>, usize) {
    let mut text = String::from("Windows Registry Editor Version 5.00\r\n");
    let mut count = 0;
    for store in options.stores() {
        let path = format!("HKEY_LOCAL_MACHINE\\{SYSTEM_CERTIFICATES}\\{store}");
        for part in ["", "\\Certificates", "\\CRLs", "\\CTLs"] {
            text.push_str(&format!("\r\n[{path}{part}]\r\n"));
        }
        for record in options.select(stores, store) {
            let thumbprint = record.certificate.thumbprint().to_upper_hex();
            text.push_str(&format!("\r\n[{path}\\Certificates\\{thumbprint}]\r\n\"Blob\"=hex:"));
            let blob = element::write_with_hash(record.certificate.der());
            let lines: Vec<String> = blob
                .chunks(PER_LINE)
                .map(|line| line.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(","))
                .collect();
            text.push_str(&lines.join(",\\\r\n  "));
            text.push_str("\r\n");
            count += 1;
        }
    }
    let units = text.encode_utf16().flat_map(u16::to_le_bytes);
    ([0xff, 0xfe].into_iter().chain(units).collect(), count)
}

/// A certificate as a registry file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryCertificate {
    /// The store's name as it stands in the key.
    pub store: String,
    /// The last part of the key.
    pub key: String,
    /// The DER, or what is wrong with the blob.
    pub der: Result<Vec<u8>, BlobError>,
}

/// Why a blob is no certificate that Windows would use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// It is not made of elements.
    #[error(transparent)]
    Element(#[from] ElementError),
    /// It is not hexadecimal.
    #[error("the blob is not hexadecimal")]
    Hex,
    /// It holds none or several certificates.
    #[error("the blob holds {0} certificates where one is expected")]
    Count(usize),
    /// The key's name is not the SHA-1 of the certificate, so Windows passes it over.
    #[error("the key's name is not the certificate's SHA-1, {0}")]
    Name(String),
}

/// Why a file is not one of the registry editor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a registry file: {0}")]
pub struct RegError(&'static str);

/// The first line in UTF-16, with its mark and its end: what follows may be in any code page.
const HEAD: usize = 2 + 2 * ("Windows Registry Editor Version 5.00".len() + 2);

/// Whether `bytes` begin as a registry file does.
pub fn looks_like(bytes: &[u8]) -> bool {
    text_of(&bytes[..bytes.len().min(HEAD)]).is_some_and(|text| is_headed(&text))
}

fn is_headed(text: &str) -> bool {
    let start = text.trim_start();
    start.starts_with("Windows Registry Editor Version 5.00") || start.starts_with("REGEDIT4")
}

/// UTF-16 with a mark, or UTF-8.
fn text_of(bytes: &[u8]) -> Option<String> {
    let units = |bytes: &[u8], read: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| read([pair[0], pair[1]])).collect();
        String::from_utf16(&units).ok()
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => units(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => units(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }
}

/// Reads what a registry file says about certificate stores, in order: the stores that are there, and their certificates.
///
/// # Errors
///
/// [`RegError`] if it is no registry file.
pub fn read(bytes: &[u8]) -> Result<BTreeMap<String, Vec<RegistryCertificate>>, RegError> {
    let text = text_of(bytes).ok_or(RegError("neither UTF-16 nor UTF-8"))?;
    if !is_headed(&text) {
        return Err(RegError("its first line is not that of the registry editor"));
    }
    // A line that ends in a backslash goes on in the next.
    let text = text.replace("\\\r\n", "").replace("\\\n", "");
    let mut stores: BTreeMap<String, Vec<RegistryCertificate>> = BTreeMap::new();
    let mut place: Option<(String, String)> = None;
    for line in text.lines().map(str::trim) {
        if let Some(key) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            place = None;
            let mut parts =
                key.split('\\').skip_while(|part| !part.eq_ignore_ascii_case("SystemCertificates"));
            parts.next();
            let Some(store) = parts.next() else { continue };
            stores.entry(store.to_owned()).or_default();
            let in_certificates = parts.next().is_some_and(|part| part.eq_ignore_ascii_case("Certificates"));
            if let (true, Some(name)) = (in_certificates, parts.next()) {
                place = Some((store.to_owned(), name.to_owned()));
            }
        } else if let (Some((store, key)), Some(hex)) = (&place, blob_of(line)) {
            let der = certificate(key, hex);
            let found = RegistryCertificate { store: store.clone(), key: key.clone(), der };
            stores.entry(store.clone()).or_default().push(found);
        }
    }
    Ok(stores)
}

fn blob_of(line: &str) -> Option<&str> {
    let (name, value) = line.split_once('=')?;
    let hex = value.trim_start().strip_prefix("hex:")?;
    name.trim().eq_ignore_ascii_case("\"Blob\"").then_some(hex)
}

fn certificate(key: &str, hex: &str) -> Result<Vec<u8>, BlobError> {
    let digits: String = hex.chars().filter(|c| !c.is_whitespace() && *c != ',').collect();
    let blob = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).map_err(|_| BlobError::Hex)?;
    let certificates = element::read(&blob)?;
    let [der] = certificates[..] else { return Err(BlobError::Count(certificates.len())) };
    let thumbprint = Thumbprint::of(der).to_upper_hex();
    if key.eq_ignore_ascii_case(&thumbprint) { Ok(der.to_vec()) } else { Err(BlobError::Name(thumbprint)) }
}

/// The store that a registry key names, if it is one of the two.
pub fn store_of(name: &str) -> Option<StoreName> {
    StoreName::ALL.into_iter().find(|store| store.as_str().eq_ignore_ascii_case(name))
}
