//! What the file names of Microsoft's AIK CAs tell: each names the EK CA whose TPMs it stands for.
//!
//! `EUS-ifx-keyid-` and 40 digits: the EK CA's subjectKeyIdentifier, or where it has none the SHA-1 of its
//! subjectPublicKey (RFC 5280 §4.2.1.2, method 1). `nameid-`: the SHA-1 of its DER subject. So the names say which EK CAs
//! Microsoft knows, published or not.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::cert::Certificate;
use crate::fingerprint::Thumbprint;

/// How an EK CA is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EkCaId {
    /// Its key identifier.
    Key([u8; 20]),
    /// The SHA-1 of its subject.
    Name([u8; 20]),
}

impl EkCaId {
    /// Reads the file name of an AIK CA. Returns the id with the manufacturer's letters before it.
    pub fn of_file(name: &str) -> Option<(Self, String)> {
        let lower = name.to_ascii_lowercase();
        let (at, marker, is_key) = [("keyid-", true), ("nameid-", false)]
            .into_iter()
            .find_map(|(marker, is_key)| lower.find(marker).map(|at| (at, marker, is_key)))?;
        let rest = &lower[at + marker.len()..];
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        let octets: [u8; 20] =
            data_encoding::HEXLOWER.decode(&rest.as_bytes()[..digits]).ok()?.try_into().ok()?;
        let before = lower[..at].trim_end_matches('-').rsplit('-').next().unwrap_or_default();
        let id = if is_key { EkCaId::Key(octets) } else { EkCaId::Name(octets) };
        Some((id, before.to_ascii_uppercase()))
    }

    /// The ids that a CA certificate has.
    pub fn of_certificate(certificate: &Certificate) -> Vec<Self> {
        let key = match certificate.subject_key_id() {
            Some(id) => id.try_into().ok(),
            None => Some(*Thumbprint::of(certificate.key().bits).as_bytes()),
        };
        let name = *Thumbprint::of(certificate.subject().der()).as_bytes();
        key.map(EkCaId::Key).into_iter().chain([EkCaId::Name(name)]).collect()
    }
}

impl fmt::Display for EkCaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (EkCaId::Key(octets) | EkCaId::Name(octets)) = self;
        f.pad(&data_encoding::HEXLOWER.encode(octets))
    }
}

impl Serialize for EkCaId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_from_all_forms_of_names() {
        let key = EkCaId::Key([0xab; 20]);
        for name in [
            &format!("ifx-keyid-{}.cer", "ab".repeat(20)),
            &format!("EUS-IFX-KEYID-{}_new.cer", "AB".repeat(20)),
            &format!("NCU-ifx-KeyId-{}", "ab".repeat(20)),
        ] {
            assert_eq!(EkCaId::of_file(name), Some((key, "IFX".to_owned())), "{name}");
        }
        let name = format!("ntc-nameid-{}.cer", "01".repeat(20));
        assert_eq!(EkCaId::of_file(&name), Some((EkCaId::Name([1; 20]), "NTC".to_owned())));
        assert_eq!(EkCaId::of_file(&format!("NTZ-keyid-{}c.cer", "ab".repeat(20))), None);
        assert_eq!(EkCaId::of_file("OptigaEccMfrCA064.crt"), None);
    }
}
