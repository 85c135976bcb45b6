//! TPM manufacturers by their id in the TCG TPM Vendor ID Registry.

use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// One row of the TCG TPM Vendor ID Registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryEntry {
    /// The id without its padding, such as `IFX`.
    pub id: VendorId,
    /// The four octets of the id, padded with NUL or blanks as registered.
    pub octets: [u8; 4],
    /// The manufacturer's name.
    pub name: String,
}

/// A manufacturer's id, such as `IFX` or `STM`: one to four letters or digits, upper case, without padding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VendorId(String);

/// Why a text is not a manufacturer's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a manufacturer's id of one to four letters or digits, such as IFX")]
pub struct ParseVendorIdError(String);

impl VendorId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The row of the registry for this id, if it has one.
    pub fn registered(&self) -> Option<&'static RegistryEntry> {
        registry().iter().find(|entry| entry.id == *self)
    }
}

impl TryFrom<String> for VendorId {
    type Error = ParseVendorIdError;

    fn try_from(text: String) -> Result<Self, ParseVendorIdError> {
        text.parse()
    }
}

impl From<VendorId> for String {
    fn from(id: VendorId) -> String {
        id.0
    }
}

impl std::str::FromStr for VendorId {
    type Err = ParseVendorIdError;

    /// Reads an id in any letter case.
    fn from_str(text: &str) -> Result<Self, ParseVendorIdError> {
        let sound = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        sound
            .then(|| Self(text.to_ascii_uppercase()))
            .ok_or_else(|| ParseVendorIdError(text.chars().take(40).collect()))
    }
}

impl fmt::Display for VendorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// All rows of the registry (`data/tcg-vendor-ids.tsv`), in the order of the file.
pub fn registry() -> &'static [RegistryEntry] {
    static REGISTRY: LazyLock<Vec<RegistryEntry>> = LazyLock::new(|| {
        include_str!("../data/tcg-vendor-ids.tsv")
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| parse_row(line).expect("a test reads every row of the embedded registry"))
            .collect()
    });
    &REGISTRY
}

fn parse_row(line: &str) -> Option<RegistryEntry> {
    let mut columns = line.split('\t');
    let id = columns.next()?.parse().ok()?;
    let octets = data_encoding::HEXUPPER.decode(columns.next()?.as_bytes()).ok()?.try_into().ok()?;
    Some(RegistryEntry { id, octets, name: columns.next()?.to_owned() })
}

/// Resolves the tpmManufacturer attribute of an EK certificate, `id:` and eight hexadecimal digits in any case, to
/// the registered manufacturer; NUL and blank padding are the same. `None` for another form or an unknown id.
pub fn from_san_attribute(text: &str) -> Option<&'static RegistryEntry> {
    let hex = text.strip_prefix("id:").or_else(|| text.strip_prefix("ID:"))?;
    let octets = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?;
    let octets: [u8; 4] = octets.try_into().ok()?;
    let unpadded = |octets: [u8; 4]| octets.map(|octet| if octet == b' ' { 0 } else { octet });
    registry().iter().find(|entry| unpadded(entry.octets) == unpadded(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_its_own_id_padded() {
        assert!(registry().len() >= 29);
        for entry in registry() {
            let text = String::from_utf8(entry.octets.to_vec()).expect("ids are ASCII");
            assert_eq!(text.trim_end_matches(['\0', ' ']), entry.id.as_str());
        }
    }

    #[test]
    fn the_attribute_is_read_in_any_case_and_padding() {
        let id = |text| from_san_attribute(text).map(|entry| entry.id.as_str());
        assert_eq!(id("id:49465800"), Some("IFX"));
        assert_eq!(id("id:53544d20"), Some("STM"));
        assert_eq!(id("id:53544D00"), Some("STM"));
        assert_eq!(id("id:00001014"), None);
        assert_eq!(id("IFX"), None);
    }
}
