//! RFC 3161 time-stamp tokens: when a signature was there already, by the word of a time-stamping authority (TSA).

use der::Tag;

use crate::cert::Certificate;
use crate::cert::extension::context;
use crate::cert::tlv::{Cursor, Tlv, TlvError};
use crate::cms::{self, CmsError, SignedData, SignerError, SignerInfo};
use crate::fingerprint::{Fingerprint, Thumbprint};
use crate::oid;
use crate::time::Time;
use crate::verify::algorithms::Hash;

/// A time stamp whose own signature holds. Whether its authority is trusted is for the caller to ask.
#[derive(Debug, Clone)]
pub struct Timestamp {
    /// genTime, whole seconds.
    pub time: Time,
    /// The authority's certificate.
    pub authority: Certificate,
    /// The certificates that came with it.
    pub certificates: Vec<Certificate>,
}

/// Why a time stamp does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimestampError {
    /// It is not a SignedData.
    #[error(transparent)]
    Cms(#[from] CmsError),
    /// Its content is not a TSTInfo, or malformed.
    #[error("not a TSTInfo: {0}")]
    Info(#[from] TlvError),
    /// Its content is of another type.
    #[error("it holds no TSTInfo")]
    ContentType,
    /// It has none or several signers.
    #[error("it has {0} signers where one is needed")]
    Signers(usize),
    /// Its genTime is malformed.
    #[error("its time is malformed")]
    Time,
    /// Its own signature does not hold.
    #[error("its own signature: {0}")]
    Signer(#[from] SignerError),
    /// It does not say which certificate signed it, or says another (RFC 3161 §2.4.1).
    #[error("its signing-certificate attribute does not name the authority's certificate")]
    SigningCertificate,
    /// It is about something else.
    #[error("it was made for another signature")]
    OtherSignature,
}

impl Timestamp {
    /// Reads a token and checks that it was made over `signature`, and that its own signature holds.
    ///
    /// # Errors
    ///
    /// [`TimestampError`] says what does not hold.
    pub fn read(token: &[u8], signature: &[u8]) -> Result<Self, TimestampError> {
        let (signed, _) = SignedData::read(token)?;
        if signed.content_type != oid::TST_INFO.as_bytes() {
            return Err(TimestampError::ContentType);
        }
        let content = signed.content.filter(|content| content.tag == Tag::OctetString);
        let content = content.ok_or(TimestampError::ContentType)?.content;
        let (hash, imprint, time) = read_info(content)?;
        if imprint != cms::hash_of(hash, signature) {
            return Err(TimestampError::OtherSignature);
        }
        let [signer] = &signed.signers[..] else { return Err(TimestampError::Signers(signed.signers.len())) };
        let certificates = signed.decoded_certificates();
        let authority = signer.certificate(&certificates)?.clone();
        signed.verify(signer, &authority, content)?;
        if !names(signer, &authority) {
            return Err(TimestampError::SigningCertificate);
        }
        Ok(Self { time, authority, certificates })
    }
}

/// TSTInfo (RFC 3161 §2.4.2): the hash, what was hashed, and when.
fn read_info(content: &[u8]) -> Result<(Hash, &[u8], Time), TimestampError> {
    let mut outer = Cursor::new(content);
    let mut fields = outer.expect(Tag::Sequence, "TSTInfo")?.inside();
    outer.finish("TSTInfo")?;
    fields.expect(Tag::Integer, "version")?;
    fields.expect(Tag::ObjectIdentifier, "policy")?;
    let mut imprint = fields.expect(Tag::Sequence, "messageImprint")?.inside();
    let hash = cms::digest_algorithm(imprint.expect(Tag::Sequence, "hashAlgorithm")?.whole)?;
    let hashed = imprint.expect(Tag::OctetString, "hashedMessage")?.content;
    fields.expect(Tag::Integer, "serialNumber")?;
    let time = general_time(&fields.expect(Tag::GeneralizedTime, "genTime")?)?;
    // Accuracy, ordering, nonce, tsa and extensions follow; none of them changes what was stamped. An extension that
    // is critical would.
    while !fields.is_empty() {
        let field = fields.any("TSTInfo")?;
        if field.tag == context(1, true) && has_critical(&field) {
            return Err(TimestampError::ContentType);
        }
    }
    Ok((hash, hashed, time))
}

fn has_critical(extensions: &Tlv<'_>) -> bool {
    let mut list = extensions.inside();
    while let Ok(extension) = list.any("extension") {
        let mut fields = extension.inside();
        let _ = fields.any("extnID");
        if matches!(fields.optional(Tag::Boolean, "critical"), Ok(Some(critical)) if critical.content != [0])
        {
            return true;
        }
    }
    false
}

/// genTime may have a fraction of a second, without trailing zeros (RFC 3161 §2.4.2).
fn general_time(element: &Tlv<'_>) -> Result<Time, TimestampError> {
    let mut content = element.content.to_vec();
    if let Some(dot) = content.iter().position(|octet| *octet == b'.') {
        let fraction = content.get(dot + 1..content.len().saturating_sub(1)).unwrap_or_default();
        if fraction.is_empty() || !fraction.iter().all(u8::is_ascii_digit) {
            return Err(TimestampError::Time);
        }
        content.drain(dot..content.len() - 1);
    }
    Time::from_generalized_time(&content).map_err(|_| TimestampError::Time)
}

/// Whether the signing-certificate attribute, which must be there, names `authority` first (RFC 5035 §3, §5).
fn names(signer: &SignerInfo<'_>, authority: &Certificate) -> bool {
    let first = |attribute: &Tlv<'_>| -> Result<(Hash, Vec<u8>), TlvError> {
        let certificates = attribute.inside().expect(Tag::Sequence, "certs")?;
        let mut id = certificates.inside().expect(Tag::Sequence, "ESSCertID")?.inside();
        // hashAlgorithm is there in version 2 only, and only if it is not SHA-256.
        let hash = match id.optional(Tag::Sequence, "hashAlgorithm")? {
            None => Hash::Sha256,
            Some(algorithm) => cms::digest_algorithm(algorithm.whole)
                .map_err(|_| TlvError::Content { what: "hashAlgorithm", why: "not accepted" })?,
        };
        Ok((hash, id.expect(Tag::OctetString, "certHash")?.content.to_vec()))
    };
    if let Some(attribute) = signer.signed_attribute(&oid::SIGNING_CERTIFICATE_V2) {
        return first(&attribute).is_ok_and(|(hash, named)| named == cms::hash_of(hash, authority.der()));
    }
    // Version 1 names the certificate by SHA-1; what is believed is the signature, this only ties the two together.
    signer.signed_attribute(&oid::SIGNING_CERTIFICATE).is_some_and(|attribute| {
        first(&attribute).is_ok_and(|(_, named)| named == Thumbprint::of(authority.der()).as_bytes())
    })
}

/// The fingerprints of a chain.
pub(super) fn fingerprints(chain: &[Certificate]) -> Vec<Fingerprint> {
    chain.iter().map(Certificate::fingerprint).collect()
}
