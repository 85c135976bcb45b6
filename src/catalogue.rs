//! The catalogue: each manufacturer's sources, their pins, and the evidence for each (`vendors/*.toml`).

pub mod lint;
pub mod proposal;
pub mod signed_package;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;

pub use crate::catalogue::signed_package::SignedPackage;

use crate::cert::Certificate;
use crate::cert::name;
use crate::fingerprint::{Digest, Fingerprint, KeyFingerprint};
use crate::vendor::VendorId;

/// The catalogue that is embedded in the program: file name and text.
const EMBEDDED: &[(&str, &str)] = &[
    ("amd.toml", include_str!("../vendors/amd.toml")),
    ("atml.toml", include_str!("../vendors/atml.toml")),
    ("goog.toml", include_str!("../vendors/goog.toml")),
    ("ifx.toml", include_str!("../vendors/ifx.toml")),
    ("intc.toml", include_str!("../vendors/intc.toml")),
    ("msft.toml", include_str!("../vendors/msft.toml")),
    ("nsg.toml", include_str!("../vendors/nsg.toml")),
    ("ntc.toml", include_str!("../vendors/ntc.toml")),
    ("ntz.toml", include_str!("../vendors/ntz.toml")),
    ("qcom.toml", include_str!("../vendors/qcom.toml")),
    ("stm.toml", include_str!("../vendors/stm.toml")),
];

/// All manufacturers, by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    digest: Digest,
    vendors: Vec<Vendor>,
}

/// One manufacturer: the content of one file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Vendor {
    /// The id in the TCG TPM Vendor ID Registry.
    pub id: VendorId,
    /// The same in hexadecimal, as registered and padded: eight upper-case digits.
    pub registry: String,
    /// The manufacturer's name.
    pub name: String,
    /// Other names it is known by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_known_as: Vec<String>,
    /// The exact host names it may publish on; redirects may not leave them.
    pub hosts: Vec<String>,
    /// What a reviewer should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// Where its certificates are published.
    #[serde(default, rename = "source", skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// The signed packages that it publishes.
    #[serde(default, rename = "signed-package", skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<SignedPackage>,
    /// Certificates known by fingerprint that no URL is known for. Statements about them hold; none of them is
    /// approved by being here.
    #[serde(default, rename = "certificate", skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<KnownCertificate>,
}

/// What a certificate of the catalogue is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Trust starts here, self-signed or not (T16).
    Anchor,
    /// Trusted if it verifies under something trusted (T17).
    Intermediate,
    /// Signs packages, and is trusted for nothing else (T19).
    PackageSigner,
}

/// A URL that one certificate is published at, and what it must be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The name, unique within the manufacturer.
    pub name: String,
    /// Where the certificate is published.
    pub url: Url,
    /// What it is for.
    pub role: Role,
    /// The subject by RFC 4514.
    pub subject: String,
    /// SHA-256 of the certificate's exact DER: the pin.
    pub sha256: Fingerprint,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki_sha256: KeyFingerprint,
    /// Fingerprints of certificates that this URL served earlier and that stay acceptable (T8).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Fingerprint>,
    /// Whether SHA-1 signatures may count under this anchor where policy allows them (T22).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sha1: bool,
    /// The manufacturers whose EK certificates may end in this anchor; not stated means not checked (T20).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manufacturers: Option<Vec<VendorId>>,
    /// Hashes that the manufacturer published itself, such as `sha1:` and 40 digits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<String>,
    /// Where it is documented that this certificate is the manufacturer's.
    pub evidence: String,
    /// What a reviewer should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// A certificate known by fingerprint only.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KnownCertificate {
    /// The name, unique within the manufacturer.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The subject by RFC 4514.
    pub subject: String,
    /// SHA-256 of its exact DER.
    pub sha256: Fingerprint,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki_sha256: KeyFingerprint,
    /// As in [`Source::sha1`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sha1: bool,
    /// As in [`Source::manufacturers`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manufacturers: Option<Vec<VendorId>>,
    /// As in [`Source::evidence`].
    pub evidence: String,
    /// As in [`Source::notes`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// Why a catalogue cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file is not TOML of the catalogue's form; unknown keys are refused.
    #[error("{file}: {source}")]
    Toml {
        /// The file's name.
        file: String,
        /// What is wrong with it.
        source: Box<toml::de::Error>,
    },
    /// Two files speak about the same manufacturer.
    #[error("{file}: {vendor} has a file already")]
    Twice {
        /// The second file's name.
        file: String,
        /// The manufacturer.
        vendor: VendorId,
    },
    /// There is no file at all.
    #[error("the catalogue has no *.toml file")]
    Empty,
}

/// What a fingerprint of the catalogue stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement<'a> {
    /// The manufacturer whose file says so.
    pub vendor: &'a Vendor,
    /// The name of the entry.
    pub name: &'a str,
    /// What it is for.
    pub role: Role,
    /// Whether SHA-1 may count under it.
    pub sha1: bool,
    /// The manufacturers whose EK certificates may end in it.
    pub manufacturers: Option<&'a [VendorId]>,
}

impl Catalogue {
    /// The catalogue that is embedded in the program.
    pub fn embedded() -> Self {
        let files = EMBEDDED.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned()));
        Self::from_files(files.collect()).expect("a test reads the embedded catalogue")
    }

    /// Reads a catalogue from its files: name and text.
    ///
    /// # Errors
    ///
    /// [`Error`] names the first file that cannot be read, and where.
    pub fn from_files(files: BTreeMap<String, String>) -> Result<Self, Error> {
        if files.is_empty() {
            return Err(Error::Empty);
        }
        let mut content = Vec::new();
        let mut vendors: Vec<Vendor> = Vec::new();
        for (file, text) in files {
            content.extend_from_slice(Digest::of(file.as_bytes()).as_bytes());
            content.extend_from_slice(Digest::of(text.as_bytes()).as_bytes());
            let vendor: Vendor = toml::from_str(&text)
                .map_err(|source| Error::Toml { file: file.clone(), source: Box::new(source) })?;
            if vendors.iter().any(|earlier| earlier.id == vendor.id) {
                return Err(Error::Twice { file, vendor: vendor.id });
            }
            vendors.push(vendor);
        }
        vendors.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(Self { digest: Digest::of(&content), vendors })
    }

    /// SHA-256 over the names and texts of all files: events name it.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// All manufacturers, by id.
    pub fn vendors(&self) -> &[Vendor] {
        &self.vendors
    }

    /// One manufacturer.
    pub fn vendor(&self, id: &VendorId) -> Option<&Vendor> {
        self.vendors.iter().find(|vendor| vendor.id == *id)
    }

    /// Whether a source pins this certificate, as current or earlier.
    pub fn pins(&self, fingerprint: Fingerprint) -> bool {
        self.vendors.iter().flat_map(|vendor| &vendor.sources).any(|source| source.pin(fingerprint).is_some())
    }

    /// All signed packages, each with the manufacturer that publishes it.
    pub fn packages(&self) -> impl Iterator<Item = (&Vendor, &SignedPackage)> {
        self.vendors.iter().flat_map(|vendor| vendor.packages.iter().map(move |package| (vendor, package)))
    }

    /// What the catalogue says about the certificate with this fingerprint, current or earlier.
    pub fn statement(&self, fingerprint: Fingerprint) -> Option<Statement<'_>> {
        self.vendors.iter().find_map(|vendor| {
            let source = vendor.sources.iter().find(|source| source.pin(fingerprint).is_some());
            let known = vendor.certificates.iter().find(|known| known.sha256 == fingerprint);
            source
                .map(|source| Statement {
                    vendor,
                    name: &source.name,
                    role: source.role,
                    sha1: source.sha1,
                    manufacturers: source.manufacturers.as_deref(),
                })
                .or_else(|| {
                    known.map(|known| Statement {
                        vendor,
                        name: &known.name,
                        role: known.role,
                        sha1: known.sha1,
                        manufacturers: known.manufacturers.as_deref(),
                    })
                })
        })
    }
}

/// Which pin a fingerprint matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin {
    /// The current one.
    Current,
    /// One recorded as earlier.
    Earlier,
}

impl Source {
    /// Which pin of this source `fingerprint` matches, if any (T8).
    pub fn pin(&self, fingerprint: Fingerprint) -> Option<Pin> {
        if fingerprint == self.sha256 {
            Some(Pin::Current)
        } else if self.earlier.contains(&fingerprint) {
            Some(Pin::Earlier)
        } else {
            None
        }
    }

    /// Whether `certificate` has the pinned key and subject, so that it may be a re-issue (T9). The names are
    /// compared as RFC 5280 §7.1 has it.
    pub fn same_key_and_subject(&self, certificate: &Certificate) -> bool {
        certificate.key().fingerprint() == self.spki_sha256
            && name::same_text(&certificate.subject().to_string(), &self.subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_catalogue_is_the_folder() {
        let mut names: Vec<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/vendors"))
            .expect("vendors/ is part of the repository")
            .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(names, EMBEDDED.iter().map(|(file, _)| *file).collect::<Vec<_>>());
        assert_eq!(Catalogue::embedded().vendors().len(), EMBEDDED.len());
    }

    #[test]
    fn unknown_keys_are_refused() {
        let text = "id = \"IFX\"\nregistry = \"49465800\"\nname = \"x\"\nhosts = []\ntrusted = true\n";
        let files = BTreeMap::from([("ifx.toml".to_owned(), text.to_owned())]);
        let error = Catalogue::from_files(files).expect_err("an unknown key");
        assert!(error.to_string().contains("trusted"), "{error}");
    }
}
