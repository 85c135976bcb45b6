//! What an EK certificate says about its TPM (TCG EK Credential Profile for TPM Family 2.0, §3.2).

use der::{Tag, TagNumber};

use crate::cert::Certificate;
use crate::cert::name::Name;
use crate::cert::tlv::{self, Cursor, TlvError};
use crate::oid;
use crate::vendor::{self, RegistryEntry};

/// The TPM attributes of the subject alternative name, as they stand; each is `None` if absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TpmAttributes {
    /// tpmManufacturer, `id:` and eight hexadecimal digits.
    pub manufacturer: Option<String>,
    /// tpmModel, free text.
    pub model: Option<String>,
    /// tpmVersion, `id:` and the firmware version in hexadecimal.
    pub version: Option<String>,
}

impl TpmAttributes {
    /// Reads them from the directoryName in subjectAltName, or from the subject where a certificate has them there
    /// (TPM 1.2). They may stand in one relative distinguished name (Nuvoton) or in three, in any string type.
    pub fn of(certificate: &Certificate) -> Self {
        let mut found = Self::default();
        if let Some(name) = directory_name(certificate) {
            found.take(&name);
        }
        if found.manufacturer.is_none() || found.model.is_none() || found.version.is_none() {
            found.take(certificate.subject());
        }
        found
    }

    /// Takes those attributes from `name` that are not found yet.
    fn take(&mut self, name: &Name) {
        for (_, attribute) in name.attributes() {
            let field = match attribute.oid {
                oid if oid == oid::TPM_MANUFACTURER.as_bytes() => &mut self.manufacturer,
                oid if oid == oid::TPM_MODEL.as_bytes() => &mut self.model,
                oid if oid == oid::TPM_VERSION.as_bytes() => &mut self.version,
                _ => continue,
            };
            if field.is_none() {
                *field = attribute.text();
            }
        }
    }

    /// The manufacturer by the TCG registry, if the attribute is well-formed and registered.
    pub fn registered(&self) -> Option<&'static RegistryEntry> {
        vendor::from_san_attribute(self.manufacturer.as_deref()?)
    }

    /// Whether none of the three is present.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The first directoryName in subjectAltName, if any.
fn directory_name(certificate: &Certificate) -> Option<Name> {
    let extension = certificate.extension(&oid::SUBJECT_ALT_NAME)?;
    let mut names = Cursor::new(extension.value).expect(Tag::Sequence, "subjectAltName").ok()?.inside();
    while let Ok(name) = names.any("subjectAltName") {
        if name.tag == (Tag::ContextSpecific { constructed: true, number: TagNumber(4) }) {
            return Name::from_der(name.content).ok();
        }
    }
    None
}

/// tpmSpecification (TCG EK Credential Profile §3.2, subjectDirectoryAttributes).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TpmSpecification {
    /// The family, such as `2.0`. AMD writes `id:322E3000`, the hexadecimal of "2.0" and NUL; it is read as that.
    pub family: String,
    /// The level.
    pub level: u32,
    /// The revision, such as 138. AMD writes 137 as one octet, which is -119; it is read as written without a sign.
    pub revision: u32,
    /// Whether it is written as the profile has it.
    #[serde(skip)]
    pub regular: bool,
}

/// Where and how the EK came to be (TCG EK Credential Profile, EKGenerationType).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EkGeneration {
    /// Made inside the TPM.
    Internal,
    /// Made outside and put in; STMicroelectronics and Infineon state this.
    Injected,
    /// Made inside, revocable.
    InternalRevocable,
    /// Put in, revocable.
    InjectedRevocable,
}

/// tPMSecurityAssertions, in any of the three dialects that manufacturers write: with or without the version, tags
/// explicit (STMicroelectronics, Infineon) or implicit (AMD), iso9000Certified tagged or not.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct SecurityAssertions {
    /// Whether the firmware can be upgraded.
    pub field_upgradable: bool,
    /// How the EK came to be.
    pub ek_generation: Option<EkGeneration>,
    /// The FIPS 140 version that is claimed, such as `140-2`.
    pub fips: Option<String>,
    /// Whether ISO 9000 certification is claimed.
    pub iso9000: bool,
}

/// The subject directory attributes of an EK certificate: the specification and the assertions, each absent, read, or
/// malformed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DirectoryAttributes {
    /// tpmSpecification.
    pub specification: Option<Result<TpmSpecification, TlvError>>,
    /// tPMSecurityAssertions.
    pub assertions: Option<Result<SecurityAssertions, TlvError>>,
}

impl DirectoryAttributes {
    /// Reads them; nothing if the extension is absent.
    ///
    /// # Errors
    ///
    /// [`TlvError`] if the extension itself is malformed.
    pub fn of(certificate: &Certificate) -> Result<Self, TlvError> {
        const WHAT: &str = "subjectDirectoryAttributes";
        let mut found = Self::default();
        let Some(extension) = certificate.extension(&oid::SUBJECT_DIRECTORY_ATTRIBUTES) else {
            return Ok(found);
        };
        let mut list = Cursor::new(extension.value).expect(Tag::Sequence, WHAT)?.inside();
        while !list.is_empty() {
            let mut fields = list.expect(Tag::Sequence, WHAT)?.inside();
            let kind = fields.expect(Tag::ObjectIdentifier, WHAT)?.content;
            let values = fields.expect(Tag::Set, WHAT)?.inside();
            if kind == oid::TPM_SPECIFICATION.as_bytes() {
                found.specification = Some(specification(values));
            } else if kind == oid::TPM_SECURITY_ASSERTIONS.as_bytes() {
                found.assertions = Some(assertions(values));
            }
        }
        Ok(found)
    }
}

fn specification(mut values: Cursor<'_>) -> Result<TpmSpecification, TlvError> {
    const WHAT: &str = "tPMSpecification";
    let mut fields = values.expect(Tag::Sequence, WHAT)?.inside();
    let family = fields.expect(Tag::Utf8String, WHAT)?.content;
    let family = std::str::from_utf8(family)
        .map_err(|_| TlvError::Content { what: WHAT, why: "the family is not UTF-8" })?;
    let decoded = family
        .strip_prefix("id:")
        .and_then(|hex| data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok())
        .and_then(|octets| String::from_utf8(octets).ok());
    let mut regular = decoded.is_none();
    let family = decoded.as_deref().unwrap_or(family).trim_end_matches('\0').to_owned();
    let mut number = || -> Result<u32, TlvError> {
        let content = fields.expect(Tag::Integer, WHAT)?.content;
        regular &= content.first().is_some_and(|octet| *octet < 0x80);
        tlv::unsigned(&[&[0], content].concat(), WHAT)
    };
    let (level, revision) = (number()?, number()?);
    Ok(TpmSpecification { family, level, revision, regular })
}

fn assertions(mut values: Cursor<'_>) -> Result<SecurityAssertions, TlvError> {
    const WHAT: &str = "tPMSecurityAssertions";
    let mut fields = values.expect(Tag::Sequence, WHAT)?.inside();
    let mut found = SecurityAssertions::default();
    fields.optional(Tag::Integer, WHAT)?;
    let mut booleans = 0;
    while !fields.is_empty() {
        let field = fields.any(WHAT)?;
        match field.tag {
            // The first is fieldUpgradable, a later one iso9000Certified without its tag.
            Tag::Boolean => {
                let (value, _) = tlv::boolean(&field, WHAT)?;
                if booleans == 0 {
                    found.field_upgradable = value;
                } else {
                    found.iso9000 = value;
                }
                booleans += 1;
            }
            Tag::ContextSpecific { number: TagNumber(0), .. } => {
                found.ek_generation = match enumerated(&field)? {
                    0 => Some(EkGeneration::Internal),
                    1 => Some(EkGeneration::Injected),
                    2 => Some(EkGeneration::InternalRevocable),
                    3 => Some(EkGeneration::InjectedRevocable),
                    _ => None,
                };
            }
            Tag::ContextSpecific { constructed: true, number: TagNumber(4) } => {
                found.fips = fips(&field);
            }
            Tag::ContextSpecific { number: TagNumber(5), .. } => {
                found.iso9000 = field.content.last() == Some(&0xff);
            }
            _ => {}
        }
    }
    Ok(found)
}

/// An ENUMERATED with an implicit or an explicit tag.
fn enumerated(field: &tlv::Tlv<'_>) -> Result<u32, TlvError> {
    const WHAT: &str = "tPMSecurityAssertions";
    let explicit = matches!(field.tag, Tag::ContextSpecific { constructed: true, .. });
    if explicit {
        return tlv::unsigned(field.inside().expect(Tag::Enumerated, WHAT)?.content, WHAT);
    }
    tlv::unsigned(field.content, WHAT)
}

/// The version in FIPSLevel, its tag implicit or explicit.
fn fips(field: &tlv::Tlv<'_>) -> Option<String> {
    let mut inside = field.inside();
    let first = inside.any("fipsLevel").ok()?;
    let version = if first.tag == Tag::Sequence { first.inside().any("fipsLevel").ok()? } else { first };
    std::str::from_utf8(version.content).ok().map(str::to_owned)
}
