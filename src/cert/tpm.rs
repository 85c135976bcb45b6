//! What an EK certificate says about its TPM (TCG EK Credential Profile for TPM Family 2.0, §3.2).

use der::{Tag, TagNumber};

use crate::cert::Certificate;
use crate::cert::name::Name;
use crate::cert::tlv::Cursor;
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
        let alternative = directory_name(certificate);
        let from = |oid| {
            let there = alternative.as_ref().and_then(|name| name.attribute_text(oid));
            there.or_else(|| certificate.subject().attribute_text(oid))
        };
        Self {
            manufacturer: from(&oid::TPM_MANUFACTURER),
            model: from(&oid::TPM_MODEL),
            version: from(&oid::TPM_VERSION),
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
