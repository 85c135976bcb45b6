//! The Authenticode signature of a cabinet: the digest, the signer, the time stamp, and whom they lead to.
//!
//! What the signature does not cover (the reserved fields of the header and the reserve that says where it lies) must
//! have the one value that a signed package has: cbCFHeader, for one, moves the table of folders without changing the
//! digest.

use der::Tag;

use crate::cert::Certificate;
use crate::cert::tlv::TlvError;
use crate::cms::{self, CmsError, SignedData, SignerError};
use crate::fingerprint::Fingerprint;
use crate::oid;
use crate::package::cabinet::{self, CabinetError};
use crate::package::timestamp::{self, Timestamp, TimestampError};
use crate::time::Time;
use crate::verify::path::Search;
use crate::verify::revocation::{CrlSet, Mode};
use crate::verify::trust::{Anchor, TrustStore};
use crate::verify::verdict::Reason;
use crate::verify::{Policy, Verifier};

/// Why a signature does not count. Nothing of the package was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// It is not a cabinet.
    #[error(transparent)]
    Cabinet(#[from] CabinetError),
    /// It carries no signature.
    #[error("the cabinet is not signed")]
    Unsigned,
    /// Fields that the signature does not cover were changed, or something was added.
    #[error("{0} is not as in a signed package, although the signature does not cover it")]
    Layout(&'static str),
    /// The signature is not PKCS#7.
    #[error("the signature is malformed: {0}")]
    Cms(#[from] CmsError),
    /// What is signed is not a digest of this kind of file.
    #[error("the signature is not an Authenticode signature")]
    NotAuthenticode,
    /// The digest in it is malformed.
    #[error("the signature is malformed: {0}")]
    Indirect(#[from] TlvError),
    /// The file is not the one that was signed.
    #[error("the package was altered: its digest is {actual}, signed was {signed}")]
    Altered {
        /// What was signed, hexadecimal.
        signed: String,
        /// What the file's digest is, hexadecimal.
        actual: String,
    },
    /// It has none or several signers.
    #[error("the signature has {0} signers where one is needed")]
    Signers(usize),
    /// The signature over the digest does not hold.
    #[error("the signature does not hold: {0}")]
    Signer(#[from] SignerError),
    /// The time stamp does not hold.
    #[error("the time stamp does not hold: {0}")]
    Timestamp(#[from] TimestampError),
    /// It has no time stamp, and the signer's certificate is not valid any more.
    #[error("the signature has no time stamp, and its signer's certificate is not valid at {now}: {detail}")]
    NoTimestamp {
        /// The time asked for.
        now: Time,
        /// What is wrong with it now.
        detail: String,
    },
    /// The time stamp is from the future.
    #[error("the time stamp is of {time}, which has not come yet")]
    FutureTimestamp {
        /// genTime.
        time: Time,
    },
    /// The signer's certificate does not lead to a package root, or a rule is broken on the way.
    #[error("the signer {subject} is not trusted: {detail}")]
    SignerNotTrusted {
        /// Its subject.
        subject: String,
        /// What is wrong.
        detail: String,
    },
    /// The certificate of the time-stamping authority does not lead to a package root.
    #[error("the time stamp's authority {subject} is not trusted: {detail}")]
    AuthorityNotTrusted {
        /// Its subject.
        subject: String,
        /// What is wrong.
        detail: String,
    },
    /// Microsoft signs much with these roots; the catalogue names who signs this package.
    #[error("the signer is {found:?}, but the catalogue names {expected}")]
    OtherSigner {
        /// The common name it has.
        found: String,
        /// The common names that the catalogue has.
        expected: String,
    },
}

impl SignatureError {
    /// The kind of refusal: a stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            SignatureError::Cabinet(_) => "not-a-cabinet",
            SignatureError::Unsigned => "not-signed",
            SignatureError::Layout(_) => "layout",
            SignatureError::Cms(_) | SignatureError::Indirect(_) => "signature-malformed",
            SignatureError::NotAuthenticode => "not-authenticode",
            SignatureError::Altered { .. } => "altered",
            SignatureError::Signers(_) | SignatureError::Signer(_) => "signature-invalid",
            SignatureError::Timestamp(_) => "timestamp-invalid",
            SignatureError::NoTimestamp { .. } => "no-timestamp",
            SignatureError::FutureTimestamp { .. } => "timestamp-in-future",
            SignatureError::SignerNotTrusted { .. } => "signer-not-trusted",
            SignatureError::AuthorityNotTrusted { .. } => "timestamp-not-trusted",
            SignatureError::OtherSigner { .. } => "other-signer",
        }
    }
}

/// A signature that holds over the file as it is. Whom it leads to is not said yet.
#[derive(Debug, Clone)]
pub struct Signature {
    /// The certificate of whoever signed.
    pub signer: Certificate,
    /// The time stamp, if there is one.
    pub timestamp: Option<Timestamp>,
    /// The certificates that came with it.
    certificates: Vec<Certificate>,
}

/// A signature that leads to a package root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    /// When it was made, by the time stamp.
    pub signed: Option<Time>,
    /// From the signer to the root.
    pub chain: Vec<Fingerprint>,
    /// From the time-stamping authority to the root; empty without a time stamp.
    pub timestamp_chain: Vec<Fingerprint>,
}

/// The size of the header's reserve in a signed cabinet.
const RESERVE: u16 = 20;
/// The header of a signed cabinet alone.
const SMALLEST: usize = 60;
/// What its first four octets are.
const RESERVE_START: u32 = 0x0010_0000;
/// The signature is padded with zeros to a multiple of this.
const PADDING: usize = 8;
/// How far a clock may be behind the time stamp's: five minutes.
const CLOCK_SKEW: i64 = 300;

/// Where the cabinet ends and the signature lies.
fn layout(bytes: &[u8]) -> Result<(usize, &[u8]), SignatureError> {
    let header = cabinet::header(bytes)?;
    let word = |at| cabinet::u32_at(bytes, at).unwrap_or_default();
    if header.flags & cabinet::RESERVE_PRESENT == 0 || header.reserve.0 < RESERVE || word(48) == 0 {
        return Err(SignatureError::Unsigned);
    }
    // Octets that are not hashed: 4 to 8, 34 to 56.
    for (sound, what) in [
        (word(4) == 0, "the first reserved field"),
        (header.number == 0, "the cabinet's number"),
        (header.reserve == (RESERVE, 0, 0), "the size of the reserve"),
        (word(40) == RESERVE_START, "the start of the reserve"),
        (word(52) == 0, "the end of the reserve"),
        (word(44) == header.size && header.size as usize >= SMALLEST, "the place of the signature"),
    ] {
        if !sound {
            return Err(SignatureError::Layout(what));
        }
    }
    let end = header.size as usize;
    if (word(48) as usize) != bytes.len() - end {
        return Err(SignatureError::Layout("what follows the signature"));
    }
    Ok((end, &bytes[end..]))
}

impl Signature {
    /// Checks that a cabinet is the one that was signed, that its signature holds under the key of the certificate it
    /// names, and that the time stamp, if there is one, holds and is about this signature.
    ///
    /// # Errors
    ///
    /// [`SignatureError`] says what does not hold.
    pub fn read(bytes: &[u8]) -> Result<Self, SignatureError> {
        let (end, signature) = layout(bytes)?;
        let (signed, padding) = SignedData::read(signature)?;
        if padding.len() >= PADDING || padding.iter().any(|octet| *octet != 0) {
            return Err(SignatureError::Layout("what follows the signature"));
        }
        if signed.content_type != oid::SPC_INDIRECT_DATA.as_bytes() {
            return Err(SignatureError::NotAuthenticode);
        }
        let content = signed.content.filter(|content| content.tag == Tag::Sequence);
        let content = content.ok_or(SignatureError::NotAuthenticode)?;
        // SpcIndirectDataContent: what kind of file, and its digest.
        let mut fields = content.inside();
        fields.expect(Tag::Sequence, "data")?;
        let mut info = fields.expect(Tag::Sequence, "messageDigest")?.inside();
        fields.finish("SpcIndirectDataContent")?;
        let hash = cms::digest_algorithm(info.expect(Tag::Sequence, "digestAlgorithm")?.whole)?;
        let digest = info.expect(Tag::OctetString, "digest")?.content;
        info.finish("messageDigest")?;
        let covered = [&bytes[..4], &bytes[8..34], &bytes[56..end]].concat();
        let actual = cms::hash_of(hash, &covered);
        if digest != actual {
            let hex = |octets: &[u8]| data_encoding::HEXLOWER.encode(octets);
            return Err(SignatureError::Altered { signed: hex(digest), actual: hex(&actual) });
        }
        let [signer] = &signed.signers[..] else { return Err(SignatureError::Signers(signed.signers.len())) };
        let certificates = signed.decoded_certificates();
        let certificate = signer.certificate(&certificates)?.clone();
        // messageDigest is over the content octets of SpcIndirectDataContent, tag and length left out.
        signed.verify(signer, &certificate, content.content)?;
        let token = signer.unsigned_attribute(&oid::RFC3161_COUNTERSIGNATURE);
        let timestamp = token.map(|token| Timestamp::read(token.whole, signer.signature)).transpose()?;
        Ok(Self { signer: certificate, timestamp, certificates })
    }

    /// The signer's common name.
    pub fn signer_name(&self) -> String {
        self.signer.subject().attribute_text(&oid::COMMON_NAME).unwrap_or_default()
    }

    /// Checks that signer and time stamp lead to one of `roots`, each valid when the time stamp says that it was
    /// signed; without a time stamp, `now`.
    ///
    /// # Errors
    ///
    /// [`SignatureError`] says which of the two does not, and why.
    pub fn trust(&self, roots: &[Certificate], now: Time) -> Result<Trusted, SignatureError> {
        let Some(stamp) = &self.timestamp else {
            // What only lacks a time stamp is told from what no time could mend.
            let earlier = self.signer.validity().not_before;
            let at = |time| chain(&self.signer, &self.certificates, roots, time, Usage::CodeSigning);
            let chain = at(now).map_err(|detail| match at(earlier) {
                Ok(_) => SignatureError::NoTimestamp { now, detail },
                Err(_) => self.signer_not_trusted(detail),
            })?;
            return Ok(Trusted {
                signed: None,
                chain: timestamp::fingerprints(&chain),
                timestamp_chain: Vec::new(),
            });
        };
        if stamp.time.unix() > now.unix().saturating_add(CLOCK_SKEW) {
            return Err(SignatureError::FutureTimestamp { time: stamp.time });
        }
        let authority = chain(&stamp.authority, &stamp.certificates, roots, stamp.time, Usage::TimeStamping)
            .map_err(|detail| SignatureError::AuthorityNotTrusted {
                subject: stamp.authority.subject().to_string(),
                detail,
            })?;
        let signer = chain(&self.signer, &self.certificates, roots, stamp.time, Usage::CodeSigning)
            .map_err(|detail| self.signer_not_trusted(detail))?;
        Ok(Trusted {
            signed: Some(stamp.time),
            chain: timestamp::fingerprints(&signer),
            timestamp_chain: timestamp::fingerprints(&authority),
        })
    }

    fn signer_not_trusted(&self, detail: String) -> SignatureError {
        SignatureError::SignerNotTrusted { subject: self.signer.subject().to_string(), detail }
    }
}

/// What a certificate of a signature is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usage {
    CodeSigning,
    TimeStamping,
}

/// Builds and validates a path from `leaf` to one of `roots` with the validator that EK certificates go through, and
/// checks that every certificate below the root is meant for `usage`.
fn chain(
    leaf: &Certificate,
    extra: &[Certificate],
    roots: &[Certificate],
    at: Time,
    usage: Usage,
) -> Result<Vec<Certificate>, String> {
    let mut trust = TrustStore::default();
    for root in roots {
        trust.add_anchor(Anchor { certificate: root.clone(), sha1: false, manufacturers: None });
    }
    let policy = Policy { revocation: Mode::Off, ..Policy::default() };
    let verifier = Verifier::new(trust, policy, CrlSet::default());
    let found = Search::new(&verifier, extra, at).run(leaf);
    if let Some(failure) = found.failures.first() {
        let no_root =
            matches!(failure.reason, Reason::UnknownIssuer | Reason::NoAnchor | Reason::IssuerNotTrusted);
        let top = found.chain.last().map_or(leaf, |link| &link.certificate);
        return Err(if no_root {
            format!("its chain leads to {}, which is none of the package roots", top.issuer())
        } else {
            format!("{} ({})", failure.detail, failure.reason)
        });
    }
    let chain: Vec<Certificate> = found.chain.into_iter().map(|link| link.certificate).collect();
    let (purpose, name) = match usage {
        Usage::CodeSigning => (&oid::CODE_SIGNING, "code signing"),
        Usage::TimeStamping => (&oid::TIME_STAMPING, "time stamping"),
    };
    if !leaf.has_extended_key_usage(purpose) {
        return Err(format!("its extKeyUsage lacks {name}"));
    }
    // RFC 3161 §2.3: critical, and the only one.
    let usages = leaf.extended_key_usage().map_or(0, Iterator::count);
    let critical = leaf.extension(&oid::EXTENDED_KEY_USAGE).is_some_and(|extension| extension.critical);
    if usage == Usage::TimeStamping && (usages != 1 || !critical) {
        return Err("its extKeyUsage is not time stamping alone and critical".to_owned());
    }
    if leaf.is_ca() || leaf.key_usage().is_some_and(|usage| !usage.digital_signature()) {
        return Err("it is a CA, or its keyUsage lacks digitalSignature".to_owned());
    }
    let between = chain.get(1..chain.len().saturating_sub(1)).unwrap_or_default();
    let other = between.iter().find(|ca| {
        ca.extended_key_usage().is_some()
            && !ca.has_extended_key_usage(purpose)
            && !ca.has_extended_key_usage(&oid::ANY_EXTENDED_KEY_USAGE)
    });
    match other {
        Some(ca) => Err(format!("the extKeyUsage of {} does not cover {name}", ca.subject())),
        None => Ok(chain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_that_lies_within_the_header_is_refused() {
        for end in [0_u32, 12, 40, 55, 59] {
            let mut bytes = vec![0; 100];
            bytes[..4].copy_from_slice(b"MSCF");
            bytes[8..12].copy_from_slice(&end.to_le_bytes());
            bytes[24..26].copy_from_slice(&[3, 1]);
            bytes[30] = 4;
            bytes[36] = 20;
            bytes[40..44].copy_from_slice(&RESERVE_START.to_le_bytes());
            bytes[44..48].copy_from_slice(&end.to_le_bytes());
            bytes[48..52].copy_from_slice(&(100 - end).to_le_bytes());
            let refused = layout(&bytes).map(|(end, _)| end);
            assert_eq!(refused, Err(SignatureError::Layout("the place of the signature")), "{end}");
        }
    }
}
