//! LDIF (RFC 2849) as `ldifde` writes it: records of attributes, folded lines, base64 values, UTF-8 or UTF-16.

use std::collections::BTreeMap;

/// One record: its values by attribute, attribute names in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    values: BTreeMap<String, Vec<String>>,
}

/// Why octets are not LDIF.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LdifError {
    /// It is text in no encoding that is known here.
    #[error("neither UTF-8 nor UTF-16")]
    Encoding,
    /// A line is neither an attribute nor the continuation of one.
    #[error("line {0} is not an attribute")]
    Line(usize),
    /// A value after `::` is not base64.
    #[error("line {0}: the value is not base64")]
    Base64(usize),
    /// There is no record at all.
    #[error("it has no record")]
    Empty,
}

impl Record {
    /// The values of an attribute, in order.
    pub fn values(&self, attribute: &str) -> &[String] {
        self.values.get(&attribute.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// The first value of an attribute.
    pub fn value(&self, attribute: &str) -> Option<&str> {
        self.values(attribute).first().map(String::as_str)
    }
}

/// Reads all records.
///
/// # Errors
///
/// [`LdifError`] names the first line at fault.
pub fn read(bytes: &[u8]) -> Result<Vec<Record>, LdifError> {
    let text = text(bytes).ok_or(LdifError::Encoding)?;
    let mut records: Vec<Record> = Vec::new();
    let mut current = Record::default();
    // Lines with their continuations, which start with one blank.
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix(' '), lines.last_mut()) {
            (Some(more), Some((_, last))) if !last.is_empty() => last.push_str(more),
            _ => lines.push((number + 1, line.trim_end_matches('\r').to_owned())),
        }
    }
    for (number, line) in lines {
        if line.trim().is_empty() {
            if !current.values.is_empty() {
                records.push(std::mem::take(&mut current));
            }
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let (attribute, value) = line.split_once(':').ok_or(LdifError::Line(number))?;
        let value = match value.strip_prefix(':') {
            Some(base64) => {
                let octets = data_encoding::BASE64.decode(base64.trim().as_bytes());
                let octets = octets.map_err(|_| LdifError::Base64(number))?;
                String::from_utf8_lossy(&octets).into_owned()
            }
            None => value.trim().to_owned(),
        };
        // `attribute;option` is the same attribute.
        let attribute = attribute.split(';').next().unwrap_or(attribute).trim().to_ascii_lowercase();
        current.values.entry(attribute).or_default().push(value);
    }
    if !current.values.is_empty() {
        records.push(current);
    }
    if records.is_empty() { Err(LdifError::Empty) } else { Ok(records) }
}

fn text(bytes: &[u8]) -> Option<String> {
    let wide = |rest: &[u8], read: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.chunks_exact(2).map(|pair| read([pair[0], pair[1]])).collect();
        String::from_utf16(&units).ok()
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(bytes.to_vec()).ok().filter(|text| !text.contains('\0')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_lines_base64_and_utf16_are_read() {
        let plain = "dn: CN=A\r\nchangetype: add\r\npKIDefaultCSPs: 1,Micro\r\n soft\r\ncn:: QQ==\r\n\r\n# x\r\ndn: CN=B\r\n";
        let wide: Vec<u8> =
            [0xff, 0xfe].into_iter().chain(plain.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        for bytes in [plain.as_bytes(), &wide] {
            let records = read(bytes).expect("LDIF");
            assert_eq!(records.len(), 2);
            assert_eq!(
                (records[0].value("PKIDEFAULTCSPS"), records[0].value("cn")),
                (Some("1,Microsoft"), Some("A"))
            );
        }
        assert_eq!(read(b"dn: x\nno colon here"), Err(LdifError::Line(2)));
        assert_eq!(read(b"cn:: ?"), Err(LdifError::Base64(1)));
        assert_eq!(read(b"\n\n"), Err(LdifError::Empty));
        assert_eq!(read(&[0xff, 0x00, 0x41]), Err(LdifError::Encoding));
    }
}
