//! Elements of a serialized certificate store: what `.sst` files and registry blobs are made of.
//!
//! `u32 property id | u32 1 | u32 length | value`, little-endian, without padding; the properties of a certificate
//! come before it, the certificate has the id 0x20 (MS-OSHARED §2.3.2.5, MS-GPEF §2.2.1.1.1.1).

/// CERT_SHA1_HASH_PROP_ID.
const SHA1_HASH: u32 = 3;
/// CERT_CERT_PROP_ID: the certificate itself.
const CERTIFICATE: u32 = 32;
/// CERT_CRL_PROP_ID, CERT_CTL_PROP_ID: other things that a store can hold.
const OTHERS: [u32; 2] = [33, 34];

/// Why octets are not elements.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ElementError {
    /// An element is cut short.
    #[error("an element is cut short at byte {0}")]
    Cut(usize),
    /// The second field is not 1.
    #[error("byte {0} is not the start of an element")]
    Encoding(usize),
    /// Its SHA-1 property is not that of the certificate that follows.
    #[error("the SHA-1 property at byte {0} is that of another certificate")]
    Hash(usize),
}

fn one(id: u32, value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).expect("a certificate is smaller than 4 GiB");
    let mut out = Vec::with_capacity(12 + value.len());
    for word in [id, 1, length] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(value);
    out
}

/// A certificate with its SHA-1 property, as the registry has it.
pub fn write_with_hash(der: &[u8]) -> Vec<u8> {
    let thumbprint = crate::fingerprint::Thumbprint::of(der);
    [one(SHA1_HASH, thumbprint.as_bytes()), one(CERTIFICATE, der)].concat()
}

/// A certificate alone. Properties are optional, and Wine's crypt32 cannot read those that come first in an `.sst` file.
pub fn write(der: &[u8]) -> Vec<u8> {
    one(CERTIFICATE, der)
}

/// Reads elements until the end, or an element with the id 0. Returns the certificates, in order.
///
/// # Errors
///
/// [`ElementError`] about the first element that is malformed.
pub fn read(bytes: &[u8]) -> Result<Vec<&[u8]>, ElementError> {
    let mut certificates = Vec::new();
    let mut hash: Option<(usize, &[u8])> = None;
    let mut at = 0;
    while at < bytes.len() {
        let word = |offset: usize| {
            let octets = bytes.get(at + offset..at + offset + 4).ok_or(ElementError::Cut(at))?;
            Ok(u32::from_le_bytes([octets[0], octets[1], octets[2], octets[3]]))
        };
        let (id, encoding, length) = (word(0)?, word(4)?, word(8)? as usize);
        if id == 0 {
            break;
        }
        if encoding != 1 {
            return Err(ElementError::Encoding(at));
        }
        let start = at + 12;
        let value =
            start.checked_add(length).and_then(|end| bytes.get(start..end)).ok_or(ElementError::Cut(at))?;
        if id == SHA1_HASH {
            hash = Some((at, value));
        } else if id == CERTIFICATE {
            if let Some((at, hash)) = hash.take()
                && hash != crate::fingerprint::Thumbprint::of(value).as_bytes()
            {
                return Err(ElementError::Hash(at));
            }
            certificates.push(value);
        } else if OTHERS.contains(&id) {
            hash = None;
        }
        at = start + length;
    }
    Ok(certificates)
}
