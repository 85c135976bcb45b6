//! Signature algorithms by object identifier, and the check of one signature.
//!
//! webpki's algorithm table is used for SHA-2; it is chosen by our own reading of the identifiers because real
//! CAs name ECDSA with NULL parameters (two of Intel's), which webpki's identifiers do not match. SHA-1, which
//! webpki leaves out, goes through aws-lc-rs itself: stores must link TPM 1.2 chains, and policy decides in verdicts.

use std::sync::OnceLock;

use aws_lc_rs::signature::{self, ParsedPublicKey, UnparsedPublicKey, VerificationAlgorithm};
use der::Tag;
use rustls_pki_types::SignatureVerificationAlgorithm;
use webpki::aws_lc_rs as webpki_algorithms;

use crate::cert::quirk::Quirk;
use crate::cert::tlv::Cursor;
use crate::cert::{Certificate, PublicKey};
use crate::oid;

/// A hash inside a signature algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hash {
    /// SHA-1: counts for placement, and in a verdict only where policy and catalogue allow it (T18, T22).
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A signature algorithm that can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2).
    RsaPkcs1(Hash),
    /// RSASSA-PSS with MGF1 and salt of the hash's own size (RFC 4055 §3.1).
    RsaPss(Hash),
    /// ECDSA (RFC 5758 §3.2).
    Ecdsa(Hash),
    /// Ed25519 (RFC 8410).
    Ed25519,
}

impl SignatureAlgorithm {
    /// Reads a DER AlgorithmIdentifier. For ECDSA the parameters may be absent or NULL, for RSA NULL or absent
    /// (both are quirks of the certificate). `None` for algorithms that are not supported.
    pub fn from_der(identifier: &[u8]) -> Option<Self> {
        let mut fields = Cursor::new(identifier).expect(Tag::Sequence, "algorithm").ok()?.inside();
        let algorithm = fields.expect(Tag::ObjectIdentifier, "algorithm").ok()?.content;
        let parameters = fields.rest();
        let plain = [
            (oid::SHA1_WITH_RSA, Self::RsaPkcs1(Hash::Sha1)),
            (oid::SHA256_WITH_RSA, Self::RsaPkcs1(Hash::Sha256)),
            (oid::SHA384_WITH_RSA, Self::RsaPkcs1(Hash::Sha384)),
            (oid::SHA512_WITH_RSA, Self::RsaPkcs1(Hash::Sha512)),
            (oid::ECDSA_WITH_SHA1, Self::Ecdsa(Hash::Sha1)),
            (oid::ECDSA_WITH_SHA256, Self::Ecdsa(Hash::Sha256)),
            (oid::ECDSA_WITH_SHA384, Self::Ecdsa(Hash::Sha384)),
            (oid::ECDSA_WITH_SHA512, Self::Ecdsa(Hash::Sha512)),
            (oid::ED25519, Self::Ed25519),
        ];
        if algorithm == oid::RSASSA_PSS.as_bytes() {
            return pss_hash(parameters).map(Self::RsaPss);
        }
        let (_, found) = plain.into_iter().find(|(oid, _)| oid.as_bytes() == algorithm)?;
        matches!(parameters, [] | [0x05, 0x00]).then_some(found)
    }

    /// The hash, if the algorithm has one of its own choice.
    pub fn hash(self) -> Option<Hash> {
        match self {
            Self::RsaPkcs1(hash) | Self::RsaPss(hash) | Self::Ecdsa(hash) => Some(hash),
            Self::Ed25519 => None,
        }
    }
}

/// Reads RSASSA-PSS-params: only the combinations of one hash, MGF1 with the same, and a salt of its size.
fn pss_hash(parameters: &[u8]) -> Option<Hash> {
    let known = [
        (webpki_algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY, Hash::Sha256),
        (webpki_algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY, Hash::Sha384),
        (webpki_algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY, Hash::Sha512),
    ];
    // webpki's identifiers are the content of the SEQUENCE: the OID element, then the parameters.
    let matches = |algorithm: &dyn SignatureVerificationAlgorithm| {
        let identifier = algorithm.signature_alg_id();
        let mut content = Cursor::new(identifier.as_ref());
        content.expect(Tag::ObjectIdentifier, "algorithm").is_ok() && content.rest() == parameters
    };
    known.into_iter().find(|(algorithm, _)| matches(*algorithm)).map(|(_, hash)| hash)
}

/// A public key, parsed for the algorithm it was first used with. A CA signs with one algorithm as a rule, and parsing
/// costs as much as a good part of checking a signature.
#[derive(Debug, Default)]
pub struct PreparedKey(OnceLock<Option<(SignatureAlgorithm, ParsedPublicKey)>>);

impl PreparedKey {
    /// As [`signed_by`], with the key of `issuer`, for which this is kept.
    ///
    /// # Errors
    ///
    /// As [`signed_by`].
    pub fn signed_by(&self, certificate: &Certificate, issuer: &Certificate) -> Result<(), SignatureError> {
        let algorithm = algorithm_of(certificate)?;
        let prepared = self.0.get_or_init(|| {
            let key = issuer.key();
            let parsed = ParsedPublicKey::new(aws_lc_algorithm(algorithm, &key)?, key.bits).ok()?;
            Some((algorithm, parsed))
        });
        match prepared {
            Some((prepared_for, key)) if *prepared_for == algorithm => key
                .verify_sig(certificate.tbs(), certificate.signature())
                .map_err(|_| SignatureError::Invalid),
            _ => verify(algorithm, &issuer.key(), certificate.tbs(), certificate.signature()),
        }
    }
}

/// aws-lc-rs' own algorithm for a prepared key; webpki's interface takes keys as bytes each time.
fn aws_lc_algorithm(
    algorithm: SignatureAlgorithm,
    key: &PublicKey<'_>,
) -> Option<&'static dyn VerificationAlgorithm> {
    // What the table of webpki does not take is not taken here either.
    checker(algorithm, key)?;
    Some(match (algorithm, key.curve()) {
        (SignatureAlgorithm::RsaPkcs1(Hash::Sha1), _) => {
            &signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY
        }
        (SignatureAlgorithm::RsaPkcs1(Hash::Sha256), _) => &signature::RSA_PKCS1_2048_8192_SHA256,
        (SignatureAlgorithm::RsaPkcs1(Hash::Sha384), _) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (SignatureAlgorithm::RsaPkcs1(Hash::Sha512), _) => &signature::RSA_PKCS1_2048_8192_SHA512,
        (SignatureAlgorithm::Ecdsa(Hash::Sha256), Some(oid::P256)) => &signature::ECDSA_P256_SHA256_ASN1,
        (SignatureAlgorithm::Ecdsa(Hash::Sha384), Some(oid::P256)) => &signature::ECDSA_P256_SHA384_ASN1,
        (SignatureAlgorithm::Ecdsa(Hash::Sha256), Some(oid::P384)) => &signature::ECDSA_P384_SHA256_ASN1,
        (SignatureAlgorithm::Ecdsa(Hash::Sha384), Some(oid::P384)) => &signature::ECDSA_P384_SHA384_ASN1,
        (SignatureAlgorithm::Ecdsa(Hash::Sha512), Some(oid::P521)) => &signature::ECDSA_P521_SHA512_ASN1,
        // Rare combinations are not worth a prepared key.
        _ => return None,
    })
}

/// Why a signature does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The algorithm is not one that can be checked.
    #[error("the signature algorithm is not supported")]
    UnsupportedAlgorithm,
    /// The issuer's key is of a kind or size that cannot have made this kind of signature.
    #[error("the issuer's key does not fit the signature algorithm")]
    KeyMismatch,
    /// The signature was not made with this key over these octets.
    #[error("the signature does not verify")]
    Invalid,
}

/// Checks that `certificate` was signed with `key`, over the original octets. Says nothing about names or policy.
///
/// # Errors
///
/// [`SignatureError`] says whether the algorithm, the key or the signature is at fault.
pub fn signed_by(certificate: &Certificate, key: &PublicKey<'_>) -> Result<(), SignatureError> {
    let algorithm = algorithm_of(certificate)?;
    verify(algorithm, key, certificate.tbs(), certificate.signature())
}

/// The algorithm that a certificate names, if its signature can be one at all.
fn algorithm_of(certificate: &Certificate) -> Result<SignatureAlgorithm, SignatureError> {
    if certificate.quirks().contains(&Quirk::SignatureNotOctets) {
        return Err(SignatureError::Invalid);
    }
    SignatureAlgorithm::from_der(certificate.signature_algorithm())
        .ok_or(SignatureError::UnsupportedAlgorithm)
}

/// Checks one signature over `message`.
///
/// # Errors
///
/// As [`signed_by`].
pub fn verify(
    algorithm: SignatureAlgorithm,
    key: &PublicKey<'_>,
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    match checker(algorithm, key).ok_or(SignatureError::KeyMismatch)? {
        Checker::Webpki(algorithm) => {
            algorithm.verify_signature(key.bits, message, signature).map_err(|_| SignatureError::Invalid)
        }
        Checker::AwsLc(algorithm) => UnparsedPublicKey::new(algorithm, key.bits)
            .verify(message, signature)
            .map_err(|_| SignatureError::Invalid),
    }
}

enum Checker {
    Webpki(&'static dyn SignatureVerificationAlgorithm),
    AwsLc(&'static dyn VerificationAlgorithm),
}

fn checker(algorithm: SignatureAlgorithm, key: &PublicKey<'_>) -> Option<Checker> {
    let rsa = key.algorithm == oid::RSA_ENCRYPTION.as_bytes();
    Some(match (algorithm, key.curve()) {
        (SignatureAlgorithm::RsaPkcs1(hash), _) if rsa => match hash {
            Hash::Sha1 => Checker::AwsLc(&signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY),
            Hash::Sha256 => Checker::Webpki(webpki_algorithms::RSA_PKCS1_2048_8192_SHA256),
            Hash::Sha384 => Checker::Webpki(webpki_algorithms::RSA_PKCS1_2048_8192_SHA384),
            Hash::Sha512 => Checker::Webpki(webpki_algorithms::RSA_PKCS1_2048_8192_SHA512),
        },
        (SignatureAlgorithm::RsaPss(hash), _) if rsa => match hash {
            Hash::Sha1 => return None,
            Hash::Sha256 => Checker::Webpki(webpki_algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY),
            Hash::Sha384 => Checker::Webpki(webpki_algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY),
            Hash::Sha512 => Checker::Webpki(webpki_algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY),
        },
        (SignatureAlgorithm::Ecdsa(hash), Some(oid::P256)) => match hash {
            Hash::Sha1 => Checker::AwsLc(&signature::ECDSA_P256_SHA1_ASN1),
            Hash::Sha256 => Checker::Webpki(webpki_algorithms::ECDSA_P256_SHA256),
            Hash::Sha384 => Checker::Webpki(webpki_algorithms::ECDSA_P256_SHA384),
            Hash::Sha512 => Checker::Webpki(webpki_algorithms::ECDSA_P256_SHA512),
        },
        (SignatureAlgorithm::Ecdsa(hash), Some(oid::P384)) => match hash {
            Hash::Sha1 => return None,
            Hash::Sha256 => Checker::Webpki(webpki_algorithms::ECDSA_P384_SHA256),
            Hash::Sha384 => Checker::Webpki(webpki_algorithms::ECDSA_P384_SHA384),
            Hash::Sha512 => Checker::Webpki(webpki_algorithms::ECDSA_P384_SHA512),
        },
        (SignatureAlgorithm::Ecdsa(hash), Some(oid::P521)) => match hash {
            Hash::Sha1 => Checker::AwsLc(&signature::ECDSA_P521_SHA1_ASN1),
            Hash::Sha256 => Checker::Webpki(webpki_algorithms::ECDSA_P521_SHA256),
            Hash::Sha384 => Checker::Webpki(webpki_algorithms::ECDSA_P521_SHA384),
            Hash::Sha512 => Checker::Webpki(webpki_algorithms::ECDSA_P521_SHA512),
        },
        (SignatureAlgorithm::Ed25519, _) if key.algorithm == oid::ED25519.as_bytes() => {
            Checker::Webpki(webpki_algorithms::ED25519)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_read_with_absent_and_null_parameters() {
        let ecdsa = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
        let null = [&[0x30, 0x0c][..], &ecdsa[2..], &[0x05, 0x00]].concat();
        let odd = [&[0x30, 0x0d][..], &ecdsa[2..], &[0x04, 0x01, 0x00]].concat();
        let expected = Some(SignatureAlgorithm::Ecdsa(Hash::Sha384));
        assert_eq!(SignatureAlgorithm::from_der(&ecdsa), expected);
        assert_eq!(SignatureAlgorithm::from_der(&null), expected);
        assert_eq!(SignatureAlgorithm::from_der(&odd), None);
    }

    #[test]
    fn pss_is_read_with_matching_parameters_only() {
        let content = webpki_algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY.signature_alg_id();
        let mut identifier = vec![0x30, u8::try_from(content.as_ref().len()).expect("short")];
        identifier.extend_from_slice(content.as_ref());
        assert_eq!(SignatureAlgorithm::from_der(&identifier), Some(SignatureAlgorithm::RsaPss(Hash::Sha384)));
        let last = identifier.len() - 1;
        identifier[last] ^= 1;
        assert_eq!(SignatureAlgorithm::from_der(&identifier), None);
    }
}
