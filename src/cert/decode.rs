//! From DER to [`Certificate`]: exact where meaning is at stake, tolerant where real certificates need it.
//!
//! Whatever departs from DER or RFC 5280 and can be understood in one way only becomes a [`Quirk`]. What cannot be
//! understood is an error. An extension with malformed content is carried (a store may have to name and distrust
//! the certificate), but no path through it is valid.

use std::ops::Range;

use der::Tag;

use crate::cert::extension::context;
use crate::cert::name::Name;
use crate::cert::quirk::Quirk;
use crate::cert::tlv::{self, Canonical, Cursor, Tlv, TlvError};
use crate::cert::{
    BasicConstraints, Certificate, ExtensionParts, KeyParts, KeyUsage, KnownExtensions, Parts, Validity,
};
use crate::fingerprint::Fingerprint;
use crate::oid;
use crate::time::{ParseTimeError, Time};

/// Why octets are not a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The structure is not that of a certificate (RFC 5280 §4.1).
    #[error("not a certificate: {0}")]
    Structure(#[from] TlvError),
    /// A date is not in the form of RFC 5280 §4.1.2.5.
    #[error("not a certificate: validity: {0}")]
    Time(#[from] ParseTimeError),
    /// The version is not 1, 2 or 3 (RFC 5280 §4.1.2.1).
    #[error("not a certificate: version {0} does not exist")]
    Version(u32),
    /// There are more extensions than any real certificate has.
    #[error("not a certificate: more than {MAX_EXTENSIONS} extensions")]
    TooManyExtensions,
}

/// More extensions than this are refused; real CA and EK certificates have at most 13.
pub const MAX_EXTENSIONS: usize = 128;

/// Decodes exactly one certificate; nothing may follow it. See [`crate::cert::container`] for what files hold.
///
/// # Errors
///
/// [`DecodeError`] names the field that is not as RFC 5280 §4.1 has it.
pub fn certificate(der: &[u8]) -> Result<Certificate, DecodeError> {
    let mut file = Cursor::new(der);
    let outer = file.expect(Tag::Sequence, "certificate")?;
    file.finish("certificate")?;
    Decoder { der, quirks: Vec::new() }.certificate(outer)
}

struct Decoder<'a> {
    der: &'a [u8],
    quirks: Vec<Quirk>,
}

impl<'a> Decoder<'a> {
    fn quirk(&mut self, quirk: Quirk) {
        if let Err(at) = self.quirks.binary_search(&quirk) {
            self.quirks.insert(at, quirk);
        }
    }

    /// Where `part`, a slice of the input, stands in it.
    fn range(&self, part: &'a [u8]) -> Range<usize> {
        let start = (part.as_ptr() as usize).saturating_sub(self.der.as_ptr() as usize);
        debug_assert!(self.der.get(start..start + part.len()).is_some_and(|there| there == part));
        start..start + part.len()
    }

    fn certificate(mut self, outer: Tlv<'a>) -> Result<Certificate, DecodeError> {
        let mut fields = outer.inside();
        let tbs = fields.expect(Tag::Sequence, "tbsCertificate")?;
        let outer_algorithm = fields.expect(Tag::Sequence, "signatureAlgorithm")?;
        let signature = self.signature(&fields.expect(Tag::BitString, "signatureValue")?)?;
        fields.finish("certificate")?;

        let mut fields = tbs.inside();
        let version = self.version(&mut fields)?;
        let serial = fields.expect(Tag::Integer, "serialNumber")?.content;
        self.serial(serial)?;
        let inner_algorithm = fields.expect(Tag::Sequence, "signature")?;
        self.algorithms(&inner_algorithm, &outer_algorithm)?;
        let issuer = self.name(fields.expect(Tag::Sequence, "issuer")?)?;
        let validity = self.validity(fields.expect(Tag::Sequence, "validity")?)?;
        let subject = self.name(fields.expect(Tag::Sequence, "subject")?)?;
        let key = self.key(fields.expect(Tag::Sequence, "subjectPublicKeyInfo")?)?;
        fields.optional(context(1, false), "issuerUniqueID")?;
        fields.optional(context(2, false), "subjectUniqueID")?;
        let (extensions, known) =
            self.extensions(fields.optional(context(3, true), "extensions")?, version)?;
        fields.finish("tbsCertificate")?;

        Ok(Certificate::from_parts(Parts {
            fingerprint: Fingerprint::of(self.der),
            tbs: self.range(tbs.whole),
            version,
            serial: self.range(serial),
            signature_algorithm: self.range(outer_algorithm.whole),
            signature: self.range(signature),
            issuer,
            validity,
            subject,
            key,
            extensions,
            known,
            der: self.der.into(),
            quirks: self.quirks,
        }))
    }

    fn signature(&mut self, bits: &Tlv<'a>) -> Result<&'a [u8], DecodeError> {
        let [unused @ 0..=7, octets @ ..] = bits.content else {
            return Err(TlvError::Content { what: "signatureValue", why: "not a BIT STRING" }.into());
        };
        if *unused != 0 {
            self.quirk(Quirk::SignatureNotOctets);
        }
        Ok(octets)
    }

    fn version(&mut self, fields: &mut Cursor<'a>) -> Result<u32, DecodeError> {
        const WHAT: &str = "version";
        let Some(explicit) = fields.optional(context(0, true), WHAT)? else { return Ok(1) };
        let mut inside = explicit.inside();
        let number = tlv::unsigned(inside.expect(Tag::Integer, WHAT)?.content, WHAT)?;
        inside.finish(WHAT)?;
        match number {
            0 => {
                self.quirk(Quirk::DefaultEncoded);
                Ok(1)
            }
            1 | 2 => Ok(number + 1),
            _ => Err(DecodeError::Version(number.saturating_add(1))),
        }
    }

    fn serial(&mut self, content: &[u8]) -> Result<(), DecodeError> {
        let Some(first) = content.first() else {
            return Err(TlvError::Content { what: "serialNumber", why: "an INTEGER without octets" }.into());
        };
        if let [0, second, ..] = content
            && *second < 0x80
        {
            self.quirk(Quirk::SerialNotMinimal);
        }
        if let [0xff, second, ..] = content
            && *second >= 0x80
        {
            self.quirk(Quirk::SerialNotMinimal);
        }
        if *first >= 0x80 || content.iter().all(|octet| *octet == 0) {
            self.quirk(Quirk::SerialNotPositive);
        }
        let zeros = content.iter().take_while(|octet| **octet == 0).count();
        if content.len() - zeros > 20 {
            self.quirk(Quirk::SerialTooLong);
        }
        Ok(())
    }

    fn algorithms(&mut self, inner: &Tlv<'a>, outer: &Tlv<'a>) -> Result<(), DecodeError> {
        if inner.whole != outer.whole {
            self.quirk(Quirk::SignatureAlgorithmMismatch);
        }
        let mut fields = outer.inside();
        let algorithm = fields.expect(Tag::ObjectIdentifier, "signatureAlgorithm")?.content;
        let parameters = fields.rest();
        let ecdsa =
            [oid::ECDSA_WITH_SHA1, oid::ECDSA_WITH_SHA256, oid::ECDSA_WITH_SHA384, oid::ECDSA_WITH_SHA512];
        let rsa = [oid::SHA1_WITH_RSA, oid::SHA256_WITH_RSA, oid::SHA384_WITH_RSA, oid::SHA512_WITH_RSA];
        if ecdsa.iter().any(|oid| oid.as_bytes() == algorithm) && parameters == [0x05, 0x00] {
            self.quirk(Quirk::EcdsaParametersNull);
        }
        if rsa.iter().any(|oid| oid.as_bytes() == algorithm) && parameters.is_empty() {
            self.quirk(Quirk::RsaParametersAbsent);
        }
        Ok(())
    }

    fn name(&mut self, name: Tlv<'a>) -> Result<Name, DecodeError> {
        let checked = Name::from_der(name.whole)?;
        if !sets_are_sorted(name) {
            self.quirk(Quirk::SetOfUnsorted);
        }
        Ok(checked)
    }

    fn validity(&mut self, validity: Tlv<'a>) -> Result<Validity, DecodeError> {
        let mut fields = validity.inside();
        let not_before = self.time(fields.any("notBefore")?)?;
        let not_after = self.time(fields.any("notAfter")?)?;
        fields.finish("validity")?;
        if not_after == Time::NO_END {
            self.quirk(Quirk::NoEndDate);
        }
        Ok(Validity { not_before, not_after })
    }

    fn time(&mut self, tlv: Tlv<'a>) -> Result<Time, DecodeError> {
        match tlv.tag {
            Tag::UtcTime => Ok(Time::from_utc_time(tlv.content)?),
            Tag::GeneralizedTime => {
                let time = Time::from_generalized_time(tlv.content)?;
                if time.year() < 2050 {
                    self.quirk(Quirk::GeneralizedTimeBefore2050);
                }
                Ok(time)
            }
            actual => Err(TlvError::Tag { what: "validity", expected: Tag::UtcTime, actual }.into()),
        }
    }

    fn key(&mut self, info: Tlv<'a>) -> Result<KeyParts, DecodeError> {
        const WHAT: &str = "subjectPublicKeyInfo";
        let mut fields = info.inside();
        let mut algorithm = fields.expect(Tag::Sequence, WHAT)?.inside();
        let bits = tlv::whole_octets(&fields.expect(Tag::BitString, WHAT)?, WHAT)?;
        fields.finish(WHAT)?;
        let oid = algorithm.expect(Tag::ObjectIdentifier, WHAT)?.content;
        if oid == oid::RSAES_OAEP.as_bytes() {
            self.quirk(Quirk::RsaesOaepKey);
        }
        Ok(KeyParts {
            info: self.range(info.whole),
            algorithm: self.range(oid),
            parameters: self.range(algorithm.rest()),
            bits: self.range(bits),
        })
    }

    fn extensions(
        &mut self,
        explicit: Option<Tlv<'a>>,
        version: u32,
    ) -> Result<(Vec<ExtensionParts>, KnownExtensions), DecodeError> {
        const WHAT: &str = "extensions";
        let mut known = KnownExtensions::default();
        let mut parts: Vec<ExtensionParts> = Vec::new();
        let Some(explicit) = explicit else { return Ok((parts, known)) };
        if version != 3 {
            self.quirk(Quirk::ExtensionsBeforeV3);
        }
        let mut outer = explicit.inside();
        let mut list = outer.expect(Tag::Sequence, WHAT)?.inside();
        outer.finish(WHAT)?;
        while !list.is_empty() {
            if parts.len() == MAX_EXTENSIONS {
                return Err(DecodeError::TooManyExtensions);
            }
            let mut fields = list.expect(Tag::Sequence, WHAT)?.inside();
            let oid = fields.expect(Tag::ObjectIdentifier, WHAT)?.content;
            let critical = match fields.optional(Tag::Boolean, WHAT)? {
                None => false,
                Some(flag) => self.defaulted(&flag)?,
            };
            let value = fields.expect(Tag::OctetString, WHAT)?.content;
            fields.finish(WHAT)?;
            if parts.iter().any(|earlier| self.der[earlier.oid.clone()] == *oid) {
                self.quirk(Quirk::ExtensionDuplicate);
            } else if self.known(&mut known, oid, critical, value).is_err() {
                self.quirk(Quirk::ExtensionMalformed);
            }
            parts.push(ExtensionParts { oid: self.range(oid), critical, value: self.range(value) });
        }
        Ok((parts, known))
    }

    /// Reads a `BOOLEAN DEFAULT FALSE` that is present.
    fn defaulted(&mut self, flag: &Tlv<'a>) -> Result<bool, TlvError> {
        let (value, canonical) = tlv::boolean(flag, "BOOLEAN")?;
        if canonical == Canonical::No {
            self.quirk(Quirk::BooleanNotCanonical);
        }
        if !value {
            self.quirk(Quirk::DefaultEncoded);
        }
        Ok(value)
    }

    fn known(
        &mut self,
        known: &mut KnownExtensions,
        oid: &[u8],
        critical: bool,
        value: &'a [u8],
    ) -> Result<(), TlvError> {
        let mut cursor = Cursor::new(value);
        match oid {
            oid if oid == oid::BASIC_CONSTRAINTS.as_bytes() => {
                const WHAT: &str = "basicConstraints";
                let mut fields = cursor.expect(Tag::Sequence, WHAT)?.inside();
                let ca = match fields.optional(Tag::Boolean, WHAT)? {
                    None => false,
                    Some(flag) => self.defaulted(&flag)?,
                };
                let path_len = match fields.optional(Tag::Integer, WHAT)? {
                    None => None,
                    Some(number) => Some(tlv::unsigned(number.content, WHAT)?),
                };
                fields.finish(WHAT)?;
                if ca && !critical {
                    self.quirk(Quirk::BasicConstraintsNotCritical);
                }
                known.basic_constraints = Some(BasicConstraints { ca, path_len });
            }
            oid if oid == oid::KEY_USAGE.as_bytes() => {
                let bits = cursor.expect(Tag::BitString, "keyUsage")?;
                known.key_usage = Some(self.key_usage(bits.content)?);
            }
            oid if oid == oid::EXTENDED_KEY_USAGE.as_bytes() => {
                const WHAT: &str = "extKeyUsage";
                let mut list = cursor.expect(Tag::Sequence, WHAT)?.inside();
                let mut usages = Vec::new();
                while !list.is_empty() {
                    usages.push(self.range(list.expect(Tag::ObjectIdentifier, WHAT)?.content));
                }
                known.extended_key_usage = Some(usages);
            }
            oid if oid == oid::SUBJECT_KEY_IDENTIFIER.as_bytes() => {
                let id = cursor.expect(Tag::OctetString, "subjectKeyIdentifier")?.content;
                known.subject_key_id = Some(self.range(id));
            }
            oid if oid == oid::AUTHORITY_KEY_IDENTIFIER.as_bytes() => {
                const WHAT: &str = "authorityKeyIdentifier";
                let mut fields = cursor.expect(Tag::Sequence, WHAT)?.inside();
                known.authority_key_id =
                    fields.optional(context(0, false), WHAT)?.map(|id| self.range(id.content));
                fields.optional(context(1, true), WHAT)?;
                fields.optional(context(2, false), WHAT)?;
                fields.finish(WHAT)?;
            }
            oid if oid == oid::SUBJECT_ALT_NAME.as_bytes() => {
                let mut names = cursor.expect(Tag::Sequence, "subjectAltName")?.inside();
                while !names.is_empty() {
                    let name = names.any("subjectAltName")?;
                    if name.tag == context(4, true) {
                        let directory = name.inside().expect(Tag::Sequence, "subjectAltName")?;
                        Name::from_der(directory.whole)?;
                        if !sets_are_sorted(directory) {
                            self.quirk(Quirk::SetOfUnsorted);
                        }
                    }
                }
            }
            _ => return Ok(()),
        }
        cursor.finish("extension")
    }

    fn key_usage(&mut self, content: &[u8]) -> Result<KeyUsage, TlvError> {
        let malformed = TlvError::Content { what: "keyUsage", why: "not a BIT STRING of named bits" };
        let [unused @ 0..=7, octets @ ..] = content else { return Err(malformed) };
        let Some(last) = octets.last() else {
            return if *unused == 0 { Ok(KeyUsage(0)) } else { Err(malformed) };
        };
        if u32::from(*unused) != last.trailing_zeros().min(8) {
            self.quirk(Quirk::KeyUsageTrailingZeros);
        }
        let high = octets.first().copied().unwrap_or_default();
        let low = octets.get(1).copied().unwrap_or_default();
        Ok(KeyUsage(u16::from_be_bytes([high, low])))
    }
}

/// Whether the members of each SET in a name stand in DER's order (X.690 §11.6).
fn sets_are_sorted(name: Tlv<'_>) -> bool {
    let mut sets = name.inside();
    while let Ok(set) = sets.any("name") {
        let mut members = set.inside();
        let mut previous: &[u8] = &[];
        while let Ok(member) = members.any("name") {
            if member.whole < previous {
                return false;
            }
            previous = member.whole;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused_with_the_field() {
        assert!(certificate(&[]).is_err());
        assert!(certificate(b"-----BEGIN").is_err());
        assert_eq!(
            certificate(&[0x30, 0x02, 0x02, 0x00]).map_err(|error| error.to_string()),
            Err("not a certificate: tbsCertificate: expected SEQUENCE, found INTEGER".to_owned())
        );
    }
}
