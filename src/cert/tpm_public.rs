//! A TPM's public area (TPM 2.0 Library, Part 2: TPM2B_PUBLIC, TPMT_PUBLIC), or the same key in another form.

use der::asn1::ObjectIdentifier;

use crate::cert::tlv::{self, Cursor};
use crate::cert::{PublicKey, container, pem};
use crate::oid;

/// A public key, as far as it can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EkPublic {
    /// RSA, both big-endian without leading zeros.
    Rsa {
        /// The modulus.
        modulus: Vec<u8>,
        /// The public exponent.
        exponent: Vec<u8>,
    },
    /// A point on a named curve, both coordinates big-endian without leading zeros.
    Ec {
        /// The curve.
        curve: ObjectIdentifier,
        /// The x coordinate.
        x: Vec<u8>,
        /// The y coordinate.
        y: Vec<u8>,
    },
}

/// Why octets are not a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EkPublicError {
    /// It is none of the forms that are read.
    #[error(
        "not a public key: neither TPM2B_PUBLIC, TPMT_PUBLIC, SubjectPublicKeyInfo or RSAPublicKey in DER or PEM, nor a certificate"
    )]
    Unknown,
    /// It is a public area, but of a kind that EKs are not.
    #[error("the public area holds neither an RSA key nor a P-256, P-384 or P-521 key")]
    Unsupported,
}

const TPM_ALG_RSA: u16 = 0x0001;
const TPM_ALG_NULL: u16 = 0x0010;
const TPM_ALG_ECC: u16 = 0x0023;

impl EkPublic {
    /// Reads TPM2B_PUBLIC, TPMT_PUBLIC, a SubjectPublicKeyInfo or a bare RSAPublicKey in DER or PEM, or the key of a
    /// certificate.
    ///
    /// # Errors
    ///
    /// [`EkPublicError`] if it is none of them.
    pub fn read(bytes: &[u8]) -> Result<Self, EkPublicError> {
        if let Ok(found) = container::read(bytes)
            && let Some(key) = found.first().and_then(|found| Self::of(&found.certificate.key()))
        {
            return Ok(key);
        }
        if let Some(info) = pem::read_public_key(bytes) {
            return Self::from_info(&info).ok_or(EkPublicError::Unknown);
        }
        // What Windows' Get-TpmEndorsementKeyInfo shows as PublicKey, and `openssl rsa -RSAPublicKey_out`.
        if let Some(key) = pem::decode_block(bytes, &["RSA PUBLIC KEY"]) {
            return Self::from_rsa(&key).ok_or(EkPublicError::Unknown);
        }
        if bytes.first() == Some(&0x30)
            && let Some(key) = Self::from_info(bytes).or_else(|| Self::from_rsa(bytes))
        {
            return Ok(key);
        }
        let sized = bytes
            .split_at_checked(2)
            .filter(|(size, rest)| usize::from(u16::from_be_bytes([size[0], size[1]])) == rest.len());
        Self::from_area(sized.map_or(bytes, |(_, area)| area))
    }

    /// The key of a certificate, if it is of a kind that EKs are.
    pub fn of(key: &PublicKey<'_>) -> Option<Self> {
        if let Some((modulus, exponent)) = key.rsa() {
            return Some(Self::Rsa { modulus: modulus.to_vec(), exponent: exponent.to_vec() });
        }
        let curve = key.curve()?;
        let [0x04, point @ ..] = key.bits else { return None };
        let (x, y) = point.split_at_checked(point.len() / 2).filter(|(x, y)| x.len() == y.len())?;
        Some(Self::Ec { curve, x: significant(x), y: significant(y) })
    }

    /// The algorithm and size in the usual short form, such as `RSA-2048` or `P-256`.
    pub fn describe(&self) -> String {
        match self {
            Self::Rsa { modulus, .. } => {
                let unused = modulus.first().map_or(0, |octet| octet.leading_zeros() as usize);
                format!("RSA-{}", modulus.len() * 8 - unused)
            }
            Self::Ec { curve: oid::P256, .. } => "P-256".to_owned(),
            Self::Ec { curve: oid::P384, .. } => "P-384".to_owned(),
            Self::Ec { curve: oid::P521, .. } => "P-521".to_owned(),
            Self::Ec { curve, .. } => format!("EC {curve}"),
        }
    }

    /// The content of the BIT STRING that a certificate for this key has: a DER RSAPublicKey (RFC 8017 A.1.1), or an
    /// uncompressed point (RFC 5480 §2.2). What the EKPub hash is over.
    pub fn bits(&self) -> Vec<u8> {
        match self {
            Self::Rsa { modulus, exponent } => {
                let integer = |number: &[u8]| {
                    let sign = number.first().is_none_or(|octet| *octet >= 0x80);
                    tlv::element(0x02, &[if sign { &[0][..] } else { &[] }, number].concat())
                };
                tlv::element(0x30, &[integer(modulus), integer(exponent)].concat())
            }
            Self::Ec { curve, x, y } => {
                let size = match *curve {
                    oid::P256 => 32,
                    oid::P384 => 48,
                    oid::P521 => 66,
                    _ => x.len().max(y.len()),
                };
                let padded =
                    |number: &[u8]| [vec![0; size.saturating_sub(number.len())], number.to_vec()].concat();
                [vec![0x04], padded(x), padded(y)].concat()
            }
        }
    }

    /// A bare RSAPublicKey (RFC 8017 A.1.1).
    fn from_rsa(key: &[u8]) -> Option<Self> {
        let mut outer = Cursor::new(key);
        let whole = outer.expect(der::Tag::Sequence, "RSAPublicKey").ok()?;
        let bits = whole.whole;
        Self::of(&PublicKey { info: bits, algorithm: oid::RSA_ENCRYPTION.as_bytes(), parameters: &[], bits })
    }

    fn from_info(info: &[u8]) -> Option<Self> {
        let mut outer = Cursor::new(info);
        let whole = outer.expect(der::Tag::Sequence, "subjectPublicKeyInfo").ok()?;
        let mut fields = whole.inside();
        let mut algorithm = fields.expect(der::Tag::Sequence, "algorithm").ok()?.inside();
        let bits = fields.expect(der::Tag::BitString, "subjectPublicKey").ok()?;
        let oid = algorithm.expect(der::Tag::ObjectIdentifier, "algorithm").ok()?.content;
        Self::of(&PublicKey {
            info: whole.whole,
            algorithm: oid,
            parameters: algorithm.rest(),
            bits: tlv::whole_octets(&bits, "subjectPublicKey").ok()?,
        })
    }

    /// Reads TPMT_PUBLIC (Part 2 §12.2.4).
    fn from_area(bytes: &[u8]) -> Result<Self, EkPublicError> {
        let mut fields = Fields(bytes);
        Self::area(&mut fields).unwrap_or(Err(EkPublicError::Unknown))
    }

    fn area(fields: &mut Fields<'_>) -> Option<Result<Self, EkPublicError>> {
        let kind = fields.u16()?;
        let _name_algorithm = fields.u16()?;
        let _attributes = fields.take(4)?;
        let _policy = fields.sized()?;
        if kind != TPM_ALG_RSA && kind != TPM_ALG_ECC {
            return Some(Err(EkPublicError::Unsupported));
        }
        // TPMT_SYM_DEF_OBJECT: algorithm, key bits, mode.
        if fields.u16()? != TPM_ALG_NULL {
            fields.take(4)?;
        }
        // TPMT_RSA_SCHEME or TPMT_ECC_SCHEME: the scheme and its hash. RSAES has no hash, but EKs have no scheme.
        if fields.u16()? != TPM_ALG_NULL {
            fields.u16()?;
        }
        if kind == TPM_ALG_RSA {
            let _bits = fields.u16()?;
            let exponent = match fields.take(4)? {
                [0, 0, 0, 0] => vec![1, 0, 1],
                exponent => significant(exponent),
            };
            let modulus = significant(fields.sized()?);
            return fields.is_at_end().then_some(Ok(Self::Rsa { modulus, exponent }));
        }
        let curve = match fields.u16()? {
            0x0003 => oid::P256,
            0x0004 => oid::P384,
            0x0005 => oid::P521,
            _ => return Some(Err(EkPublicError::Unsupported)),
        };
        if fields.u16()? != TPM_ALG_NULL {
            fields.u16()?;
        }
        let x = significant(fields.sized()?);
        let y = significant(fields.sized()?);
        fields.is_at_end().then_some(Ok(Self::Ec { curve, x, y }))
    }
}

fn significant(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|octet| *octet == 0).collect()
}

/// Big-endian fields one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        let octets = self.take(2)?;
        Some(u16::from_be_bytes([octets[0], octets[1]]))
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let size = self.u16()?;
        self.take(size.into())
    }

    fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rsa_area(exponent: [u8; 4]) -> Vec<u8> {
        let mut area = vec![0, 1, 0, 0x0b, 0, 3, 0, 0xb2, 0, 2, 0xaa, 0xbb];
        area.extend([0, 6, 0, 0x80, 0, 0x43, 0, 0x10, 8, 0]);
        area.extend(exponent);
        area.extend([0, 4, 0xc0, 1, 2, 3]);
        area
    }

    #[test]
    fn public_areas_are_read_with_and_without_their_size() {
        let expected = EkPublic::Rsa { modulus: vec![0xc0, 1, 2, 3], exponent: vec![1, 0, 1] };
        let area = rsa_area([0; 4]);
        let sized = [&u16::try_from(area.len()).expect("short").to_be_bytes()[..], &area].concat();
        assert_eq!(EkPublic::read(&area), Ok(expected.clone()));
        assert_eq!(EkPublic::read(&sized), Ok(expected.clone()));
        assert_ne!(EkPublic::read(&rsa_area([0, 0, 0, 3])), Ok(expected));
    }

    #[test]
    fn what_is_cut_short_or_goes_on_is_refused() {
        let area = rsa_area([0; 4]);
        for end in 0..area.len() {
            assert!(EkPublic::read(&area[..end]).is_err());
        }
        assert!(EkPublic::read(&[&area[..], &[0]].concat()).is_err());
    }
}
