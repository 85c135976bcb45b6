//! SignedData of the Cryptographic Message Syntax (RFC 5652 §5) as it stands: what was signed, by whom, and the check of
//! one signature.
//!
//! Read with our own cursor and not with the `cms` crate: the signed attributes and the certificates must stay the
//! octets that were signed, and that crate decodes every certificate strictly, which real ones do not survive.

use aws_lc_rs::digest;
use der::Tag;
use der::asn1::ObjectIdentifier;

use crate::cert::extension::context;
use crate::cert::name::Name;
use crate::cert::tlv::{self, Cursor, Tlv, TlvError};
use crate::cert::{Certificate, PublicKey, decode};
use crate::oid;
use crate::verify::algorithms::{self, Hash, SignatureAlgorithm, SignatureError};

/// How many certificates, and how many signers, a message may carry; real ones have a handful.
const MOST: usize = 10_000;

/// Why octets are not a SignedData that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CmsError {
    /// The structure is not that of a SignedData.
    #[error("not a PKCS#7 SignedData: {0}")]
    Structure(#[from] TlvError),
    /// The content is of another type.
    #[error("the PKCS#7 content type is {0}, not SignedData")]
    NotSignedData(String),
    /// It carries more certificates or signers than any real message.
    #[error("the PKCS#7 message has more than {MOST} certificates or signers")]
    TooMany,
}

/// Why a signature in a message does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignerError {
    /// The certificate that the signer names is not in the message.
    #[error("the signer's certificate is not in it")]
    NoCertificate,
    /// The hash is not one of SHA-256, SHA-384 and SHA-512.
    #[error("the digest algorithm {0} is not accepted")]
    DigestAlgorithm(String),
    /// A signed attribute that must be there once is missing, there twice, or malformed.
    #[error("the signed attribute {0} is missing or malformed")]
    Attribute(&'static str),
    /// The signed attributes are about another type of content.
    #[error("the signed attributes speak of another type of content")]
    ContentType,
    /// The digest in the signed attributes is not that of the content.
    #[error("the content is not what was signed")]
    MessageDigest,
    /// The signature itself does not verify.
    #[error("{0}")]
    Signature(#[from] SignatureError),
}

/// One SignedData, borrowed from its octets.
#[derive(Debug, Clone)]
pub struct SignedData<'a> {
    /// The eContentType, its content octets.
    pub content_type: &'a [u8],
    /// The eContent: the element inside the explicit tag, if there is one.
    pub content: Option<Tlv<'a>>,
    /// The certificates, each as it stands; other choices of CertificateChoices are left out.
    pub certificates: Vec<&'a [u8]>,
    /// The signers.
    pub signers: Vec<SignerInfo<'a>>,
}

/// One signer of a SignedData.
#[derive(Debug, Clone)]
pub struct SignerInfo<'a> {
    signer: SignerId<'a>,
    digest_algorithm: &'a [u8],
    /// The content octets of the signed attributes, and the octets that were signed: the same as a SET OF.
    signed_attributes: Option<(&'a [u8], Vec<u8>)>,
    signature_algorithm: &'a [u8],
    /// The signature value.
    pub signature: &'a [u8],
    unsigned_attributes: &'a [u8],
}

/// How a signer names its certificate (RFC 5652 §5.3).
#[derive(Debug, Clone)]
enum SignerId<'a> {
    IssuerAndSerial { issuer: Name, serial: &'a [u8] },
    SubjectKeyId(&'a [u8]),
}

impl<'a> SignedData<'a> {
    /// Reads a ContentInfo with a SignedData. Returns it with the octets that follow.
    ///
    /// # Errors
    ///
    /// [`CmsError`] says what is wrong with it.
    pub fn read(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), CmsError> {
        let mut outer = Cursor::new(bytes);
        let mut info = outer.expect(Tag::Sequence, "ContentInfo")?.inside();
        let kind = info.expect(Tag::ObjectIdentifier, "contentType")?.content;
        if kind != oid::SIGNED_DATA.as_bytes() {
            return Err(CmsError::NotSignedData(oid::dotted(kind)));
        }
        let wrapped = info.expect(context(0, true), "content")?;
        info.finish("ContentInfo")?;
        let mut inside = wrapped.inside();
        let mut fields = inside.expect(Tag::Sequence, "SignedData")?.inside();
        inside.finish("content")?;
        fields.expect(Tag::Integer, "version")?;
        fields.expect(Tag::Set, "digestAlgorithms")?;
        let mut encapsulated = fields.expect(Tag::Sequence, "encapContentInfo")?.inside();
        let content_type = encapsulated.expect(Tag::ObjectIdentifier, "eContentType")?.content;
        let content = match encapsulated.optional(context(0, true), "eContent")? {
            Some(explicit) => {
                let mut inside = explicit.inside();
                let content = inside.any("eContent")?;
                inside.finish("eContent")?;
                Some(content)
            }
            None => None,
        };
        encapsulated.finish("encapContentInfo")?;
        let mut certificates = Vec::new();
        if let Some(set) = fields.optional(context(0, true), "certificates")? {
            let mut set = set.inside();
            while !set.is_empty() {
                let choice = set.any("certificates")?;
                if choice.tag == Tag::Sequence {
                    certificates.push(choice.whole);
                }
                if certificates.len() > MOST {
                    return Err(CmsError::TooMany);
                }
            }
        }
        fields.optional(context(1, true), "crls")?;
        let mut set = fields.expect(Tag::Set, "signerInfos")?.inside();
        fields.finish("SignedData")?;
        let mut signers = Vec::new();
        while !set.is_empty() {
            signers.push(SignerInfo::read(&set.expect(Tag::Sequence, "SignerInfo")?)?);
            if signers.len() > MOST {
                return Err(CmsError::TooMany);
            }
        }
        Ok((Self { content_type, content, certificates, signers }, outer.rest()))
    }

    /// The certificates that decode, in their order. One that does not cannot be part of a path, and is no reason to
    /// refuse the others.
    pub fn decoded_certificates(&self) -> Vec<Certificate> {
        self.certificates.iter().filter_map(|der| decode::certificate(der).ok()).collect()
    }

    /// Checks the signature of `signer`, one of this message's, over `content`: the octets that its messageDigest is
    /// over. Signed attributes must be there, as they must for every content type but id-data (RFC 5652 §5.3).
    ///
    /// Says nothing about whether the certificate is trusted.
    ///
    /// # Errors
    ///
    /// [`SignerError`] says which part does not hold.
    pub fn verify(
        &self,
        signer: &SignerInfo<'_>,
        certificate: &Certificate,
        content: &[u8],
    ) -> Result<(), SignerError> {
        let hash = signer.digest_algorithm()?;
        let (attributes, signed) =
            signer.signed_attributes.as_ref().ok_or(SignerError::Attribute("contentType"))?;
        let value = |name, id| only_value(attributes, id).ok_or(SignerError::Attribute(name));
        let content_type = value("contentType", &oid::CONTENT_TYPE)?;
        if content_type.tag != Tag::ObjectIdentifier || content_type.content != self.content_type {
            return Err(SignerError::ContentType);
        }
        let digest = value("messageDigest", &oid::MESSAGE_DIGEST)?;
        if digest.tag != Tag::OctetString || digest.content != hash_of(hash, content) {
            return Err(SignerError::MessageDigest);
        }
        Ok(verify_with(signer.signature_algorithm, hash, &certificate.key(), signed, signer.signature)?)
    }
}

/// Checks a CMS signature. Its algorithm may name the key's kind alone, and then the digest algorithm completes it
/// (RFC 3370 §3.2), as in Microsoft's packages; otherwise both must agree.
fn verify_with(
    algorithm: &[u8],
    hash: Hash,
    key: &PublicKey<'_>,
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    let algorithm = if is_algorithm(algorithm, &oid::RSA_ENCRYPTION) {
        SignatureAlgorithm::RsaPkcs1(hash)
    } else if is_algorithm(algorithm, &oid::EC_PUBLIC_KEY) {
        SignatureAlgorithm::Ecdsa(hash)
    } else {
        SignatureAlgorithm::from_der(algorithm).ok_or(SignatureError::UnsupportedAlgorithm)?
    };
    if algorithm.hash().is_some_and(|own| own != hash) {
        return Err(SignatureError::UnsupportedAlgorithm);
    }
    algorithms::verify(algorithm, key, message, signature)
}

impl<'a> SignerInfo<'a> {
    fn read(element: &Tlv<'a>) -> Result<Self, CmsError> {
        let mut fields = element.inside();
        fields.expect(Tag::Integer, "version")?;
        let signer = match fields.optional(context(0, false), "sid")? {
            Some(id) => SignerId::SubjectKeyId(id.content),
            None => {
                let mut sid = fields.expect(Tag::Sequence, "sid")?.inside();
                let issuer = Name::from_der(sid.expect(Tag::Sequence, "issuer")?.whole)?;
                let serial = sid.expect(Tag::Integer, "serialNumber")?.content;
                sid.finish("sid")?;
                SignerId::IssuerAndSerial { issuer, serial }
            }
        };
        let digest_algorithm = fields.expect(Tag::Sequence, "digestAlgorithm")?.whole;
        let signed_attributes = fields
            .optional(context(0, true), "signedAttrs")?
            .map(|attributes| (attributes.content, tlv::element(0x31, attributes.content)));
        let signature_algorithm = fields.expect(Tag::Sequence, "signatureAlgorithm")?.whole;
        let signature = fields.expect(Tag::OctetString, "signature")?.content;
        let unsigned = fields.optional(context(1, true), "unsignedAttrs")?;
        fields.finish("SignerInfo")?;
        Ok(Self {
            signer,
            digest_algorithm,
            signed_attributes,
            signature_algorithm,
            signature,
            unsigned_attributes: unsigned.map_or(&[], |attributes| attributes.content),
        })
    }

    /// The hash it was made with.
    ///
    /// # Errors
    ///
    /// [`SignerError::DigestAlgorithm`] if it is another than SHA-256, SHA-384 and SHA-512.
    pub fn digest_algorithm(&self) -> Result<Hash, SignerError> {
        digest_algorithm(self.digest_algorithm)
    }

    /// Its certificate, if it is among `certificates`.
    ///
    /// # Errors
    ///
    /// [`SignerError::NoCertificate`] if it is not.
    pub fn certificate<'c>(&self, certificates: &'c [Certificate]) -> Result<&'c Certificate, SignerError> {
        let is_it = |certificate: &&Certificate| match &self.signer {
            SignerId::IssuerAndSerial { issuer, serial } => {
                certificate.issuer() == issuer && certificate.serial() == *serial
            }
            SignerId::SubjectKeyId(id) => certificate.subject_key_id() == Some(*id),
        };
        certificates.iter().find(is_it).ok_or(SignerError::NoCertificate)
    }

    /// The only value of a signed attribute; `None` if it is missing, there twice, or has another count of values.
    pub fn signed_attribute(&self, id: &ObjectIdentifier) -> Option<Tlv<'_>> {
        only_value(self.signed_attributes.as_ref()?.0, id)
    }

    /// The only value of an unsigned attribute. It was added after signing, so it is believed by what it says itself.
    pub fn unsigned_attribute(&self, id: &ObjectIdentifier) -> Option<Tlv<'a>> {
        only_value(self.unsigned_attributes, id)
    }
}

/// The one value of the one attribute with this type among the content octets of a SET OF Attribute.
fn only_value<'a>(attributes: &'a [u8], id: &ObjectIdentifier) -> Option<Tlv<'a>> {
    let mut cursor = Cursor::new(attributes);
    let mut found = None;
    while !cursor.is_empty() {
        let mut attribute = cursor.expect(Tag::Sequence, "attribute").ok()?.inside();
        let kind = attribute.expect(Tag::ObjectIdentifier, "attrType").ok()?;
        if kind.content != id.as_bytes() {
            continue;
        }
        let mut values = attribute.expect(Tag::Set, "attrValues").ok()?.inside();
        let value = values.any("attrValue").ok()?;
        if found.is_some() || !values.is_empty() {
            return None;
        }
        found = Some(value);
    }
    found
}

fn is_algorithm(identifier: &[u8], id: &ObjectIdentifier) -> bool {
    let algorithm = || {
        let mut fields = Cursor::new(identifier).expect(Tag::Sequence, "algorithm").ok()?.inside();
        let algorithm = fields.expect(Tag::ObjectIdentifier, "algorithm").ok()?.content;
        matches!(fields.rest(), [] | [0x05, 0x00]).then_some(algorithm)
    };
    algorithm() == Some(id.as_bytes())
}

/// Reads a DER AlgorithmIdentifier of a hash (RFC 5754 §2).
///
/// # Errors
///
/// [`SignerError::DigestAlgorithm`] if it is another than SHA-256, SHA-384 and SHA-512: SHA-1 does not carry a
/// package.
pub fn digest_algorithm(identifier: &[u8]) -> Result<Hash, SignerError> {
    let known = [(oid::SHA256, Hash::Sha256), (oid::SHA384, Hash::Sha384), (oid::SHA512, Hash::Sha512)];
    let found = known.into_iter().find(|(id, _)| is_algorithm(identifier, id));
    found.map(|(_, hash)| hash).ok_or_else(|| {
        let named = Cursor::new(identifier)
            .expect(Tag::Sequence, "algorithm")
            .and_then(|outer| outer.inside().expect(Tag::ObjectIdentifier, "algorithm"));
        SignerError::DigestAlgorithm(
            named.map_or_else(|_| "(malformed)".to_owned(), |id| oid::dotted(id.content)),
        )
    })
}

/// Hashes `content`.
pub fn hash_of(hash: Hash, content: &[u8]) -> Vec<u8> {
    let algorithm = match hash {
        Hash::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => &digest::SHA256,
        Hash::Sha384 => &digest::SHA384,
        Hash::Sha512 => &digest::SHA512,
    };
    digest::digest(algorithm, content).as_ref().to_vec()
}
