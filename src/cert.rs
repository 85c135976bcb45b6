//! An X.509 certificate as it stands: its exact DER, what the DER says, and its quirks.

pub mod container;
pub mod decode;
pub mod ekpub;
pub mod extension;
pub mod general_name;
pub mod name;
pub mod pem;
pub mod quirk;
pub mod tlv;
pub mod tpm;
pub mod tpm_public;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use der::asn1::ObjectIdentifier;

use crate::cert::name::Name;
use crate::cert::quirk::Quirk;
use crate::fingerprint::{Fingerprint, KeyFingerprint, Thumbprint};
use crate::oid;
use crate::time::Time;

/// A decoded certificate. Cheap to clone: the parts are shared.
///
/// Two certificates are equal if their exact DER is. Nothing is ever re-encoded: [`Certificate::tbs`] and the names
/// are slices of the original.
#[derive(Clone)]
pub struct Certificate(Arc<Parts>);

/// What [`decode`] found. Ranges are into `der`.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) der: Box<[u8]>,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) tbs: Range<usize>,
    pub(crate) version: u32,
    pub(crate) serial: Range<usize>,
    pub(crate) signature_algorithm: Range<usize>,
    pub(crate) signature: Range<usize>,
    pub(crate) issuer: Name,
    pub(crate) validity: Validity,
    pub(crate) subject: Name,
    pub(crate) key: KeyParts,
    pub(crate) extensions: Vec<ExtensionParts>,
    pub(crate) known: KnownExtensions,
    pub(crate) quirks: Vec<Quirk>,
}

#[derive(Debug)]
pub(crate) struct KeyParts {
    pub(crate) info: Range<usize>,
    pub(crate) algorithm: Range<usize>,
    pub(crate) parameters: Range<usize>,
    pub(crate) bits: Range<usize>,
}

#[derive(Debug)]
pub(crate) struct ExtensionParts {
    pub(crate) oid: Range<usize>,
    pub(crate) critical: bool,
    pub(crate) value: Range<usize>,
}

/// The extensions that every path needs, decoded once.
#[derive(Debug, Default)]
pub(crate) struct KnownExtensions {
    pub(crate) basic_constraints: Option<BasicConstraints>,
    pub(crate) key_usage: Option<KeyUsage>,
    pub(crate) extended_key_usage: Option<Vec<Range<usize>>>,
    pub(crate) subject_key_id: Option<Range<usize>>,
    pub(crate) authority_key_id: Option<Range<usize>>,
}

/// The period in which a certificate is valid; both ends are inside it (RFC 5280 §4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before: Time,
    /// The last second.
    pub not_after: Time,
}

impl Validity {
    /// Whether `at` is inside the period.
    pub fn contains(&self, at: Time) -> bool {
        self.not_before <= at && at <= self.not_after
    }
}

/// basicConstraints (RFC 5280 §4.2.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BasicConstraints {
    /// Whether the key may verify certificate signatures.
    pub ca: bool,
    /// How many intermediates that are not self-issued may follow; `None` is no limit.
    pub path_len: Option<u32>,
}

/// keyUsage (RFC 5280 §4.2.1.3): bit 0 is the highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUsage(pub(crate) u16);

impl KeyUsage {
    const NAMES: [&'static str; 9] = [
        "digitalSignature",
        "nonRepudiation",
        "keyEncipherment",
        "dataEncipherment",
        "keyAgreement",
        "keyCertSign",
        "cRLSign",
        "encipherOnly",
        "decipherOnly",
    ];

    fn bit(self, number: u16) -> bool {
        self.0 & (0x8000 >> number) != 0
    }

    /// digitalSignature.
    pub fn digital_signature(self) -> bool {
        self.bit(0)
    }

    /// keyEncipherment.
    pub fn key_encipherment(self) -> bool {
        self.bit(2)
    }

    /// keyAgreement.
    pub fn key_agreement(self) -> bool {
        self.bit(4)
    }

    /// keyCertSign.
    pub fn key_cert_sign(self) -> bool {
        self.bit(5)
    }

    /// cRLSign.
    pub fn crl_sign(self) -> bool {
        self.bit(6)
    }

    /// The names of the bits that are set, as in RFC 5280.
    pub fn names(self) -> Vec<&'static str> {
        (0u16..).zip(Self::NAMES).filter(|(number, _)| self.bit(*number)).map(|(_, name)| name).collect()
    }
}

/// A public key as its SubjectPublicKeyInfo states it.
#[derive(Debug, Clone, Copy)]
pub struct PublicKey<'a> {
    /// The exact DER of the SubjectPublicKeyInfo.
    pub info: &'a [u8],
    /// The content octets of the algorithm's OBJECT IDENTIFIER.
    pub algorithm: &'a [u8],
    /// The DER of the algorithm's parameters, empty if absent.
    pub parameters: &'a [u8],
    /// The content of the BIT STRING without its unused-bits octet: an RSAPublicKey or an EC point.
    pub bits: &'a [u8],
}

impl<'a> PublicKey<'a> {
    /// The named curve, if the algorithm is id-ecPublicKey with one.
    pub fn curve(&self) -> Option<ObjectIdentifier> {
        let parameters = tlv::Cursor::new(self.parameters).any("curve").ok()?;
        (self.algorithm == oid::EC_PUBLIC_KEY.as_bytes() && parameters.tag == der::Tag::ObjectIdentifier)
            .then(|| ObjectIdentifier::from_bytes(parameters.content).ok())
            .flatten()
    }

    /// The modulus and public exponent of an RSA key, also of one named RSAES-OAEP, without leading zeros.
    pub fn rsa(&self) -> Option<(&'a [u8], &'a [u8])> {
        if self.algorithm != oid::RSA_ENCRYPTION.as_bytes() && self.algorithm != oid::RSAES_OAEP.as_bytes() {
            return None;
        }
        let mut inside =
            tlv::Cursor::new(self.bits).expect(der::Tag::Sequence, "RSAPublicKey").ok()?.inside();
        let mut number = || {
            let content = inside.expect(der::Tag::Integer, "RSAPublicKey").ok()?.content;
            let zeros = content.iter().take_while(|octet| **octet == 0).count();
            content.get(zeros..)
        };
        Some((number()?, number()?))
    }

    /// The algorithm and size in the usual short form, such as `RSA-2048` or `P-256`.
    pub fn describe(&self) -> String {
        if let Some((modulus, _)) = self.rsa() {
            let oaep = if self.algorithm == oid::RSAES_OAEP.as_bytes() { " (RSAES-OAEP)" } else { "" };
            let unused = modulus.first().map_or(0, |octet| octet.leading_zeros() as usize);
            return format!("RSA-{}{oaep}", modulus.len() * 8 - unused);
        }
        match self.curve() {
            Some(oid::P256) => "P-256".to_owned(),
            Some(oid::P384) => "P-384".to_owned(),
            Some(oid::P521) => "P-521".to_owned(),
            Some(curve) => format!("EC {curve}"),
            None => oid::dotted(self.algorithm),
        }
    }

    /// The key's identity: SHA-256 of its SubjectPublicKeyInfo.
    pub fn fingerprint(&self) -> KeyFingerprint {
        KeyFingerprint::of(self.info)
    }
}

/// One extension as it stands.
#[derive(Debug, Clone, Copy)]
pub struct Extension<'a> {
    /// The content octets of its OBJECT IDENTIFIER.
    pub oid: &'a [u8],
    /// Whether a validator that does not know it must refuse the certificate.
    pub critical: bool,
    /// The content of its OCTET STRING.
    pub value: &'a [u8],
}

impl Certificate {
    pub(crate) fn from_parts(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        &self.0.der[range.clone()]
    }

    /// The exact DER.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// SHA-256 of the exact DER.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// SHA-1 of the exact DER, for Windows.
    pub fn thumbprint(&self) -> Thumbprint {
        Thumbprint::of(&self.0.der)
    }

    /// The octets that the signature is over.
    pub fn tbs(&self) -> &[u8] {
        self.slice(&self.0.tbs)
    }

    /// The version as people count it: 1, 2 or 3.
    pub fn version(&self) -> u32 {
        self.0.version
    }

    /// The content octets of serialNumber as they stand.
    pub fn serial(&self) -> &[u8] {
        self.slice(&self.0.serial)
    }

    /// The DER of the outer signatureAlgorithm, an AlgorithmIdentifier.
    pub fn signature_algorithm(&self) -> &[u8] {
        self.slice(&self.0.signature_algorithm)
    }

    /// The signature's octets.
    pub fn signature(&self) -> &[u8] {
        self.slice(&self.0.signature)
    }

    /// Who issued it.
    pub fn issuer(&self) -> &Name {
        &self.0.issuer
    }

    /// Whom it is about; empty for most EK certificates.
    pub fn subject(&self) -> &Name {
        &self.0.subject
    }

    /// When it is valid.
    pub fn validity(&self) -> Validity {
        self.0.validity
    }

    /// The certified key.
    pub fn key(&self) -> PublicKey<'_> {
        let key = &self.0.key;
        PublicKey {
            info: self.slice(&key.info),
            algorithm: self.slice(&key.algorithm),
            parameters: self.slice(&key.parameters),
            bits: self.slice(&key.bits),
        }
    }

    /// All extensions in order.
    pub fn extensions(&self) -> impl Iterator<Item = Extension<'_>> {
        self.0.extensions.iter().map(|parts| Extension {
            oid: self.slice(&parts.oid),
            critical: parts.critical,
            value: self.slice(&parts.value),
        })
    }

    /// The first extension with this object identifier.
    pub fn extension(&self, oid: &ObjectIdentifier) -> Option<Extension<'_>> {
        self.extensions().find(|extension| extension.oid == oid.as_bytes())
    }

    /// basicConstraints, if present.
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.0.known.basic_constraints
    }

    /// Whether basicConstraints say that this is a CA.
    pub fn is_ca(&self) -> bool {
        self.basic_constraints().is_some_and(|constraints| constraints.ca)
    }

    /// keyUsage, if present.
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.0.known.key_usage
    }

    /// The content octets of the object identifiers in extKeyUsage, if present.
    pub fn extended_key_usage(&self) -> Option<impl Iterator<Item = &[u8]>> {
        self.0.known.extended_key_usage.as_ref().map(|ranges| ranges.iter().map(|range| self.slice(range)))
    }

    /// Whether extKeyUsage is present and names `purpose`.
    pub fn has_extended_key_usage(&self, purpose: &ObjectIdentifier) -> bool {
        self.extended_key_usage().is_some_and(|mut usages| usages.any(|usage| usage == purpose.as_bytes()))
    }

    /// subjectKeyIdentifier, if present.
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.0.known.subject_key_id.as_ref().map(|range| self.slice(range))
    }

    /// The keyIdentifier of authorityKeyIdentifier, if present.
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.0.known.authority_key_id.as_ref().map(|range| self.slice(range))
    }

    /// Whether subject and issuer are the same name (RFC 5280 §3.2). Says nothing about the signature.
    pub fn is_self_issued(&self) -> bool {
        self.0.subject == self.0.issuer
    }

    /// The quirks of the certificate itself, sorted, each once.
    pub fn quirks(&self) -> &[Quirk] {
        &self.0.quirks
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, {})", self.0.subject, self.0.fingerprint)
    }
}
