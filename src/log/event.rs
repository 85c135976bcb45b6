//! What the log speaks of: certificates that were seen, decisions, sources, exports.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::catalogue::Role;
use crate::cert::quirk::Quirk;
use crate::fingerprint::{Digest, EkPubHash, Fingerprint, KeyFingerprint};
use crate::package::Edition;
use crate::time::Time;
use crate::vendor::VendorId;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Event {
    /// Certificates were seen. A bulk import is one event.
    Seen {
        /// Each certificate and where it was seen.
        certificates: Vec<Seen>,
    },
    /// A signed package was taken: its signature was checked first (T26). One event for all that is in it.
    PackageTaken {
        /// What it was, and who signed it.
        package: Box<TakenPackage>,
        /// What is in it.
        certificates: Vec<Packaged>,
        /// What the edition before it had, and it has no more.
        withdrawn: Vec<Withdrawn>,
    },
    /// A source served a package that cannot be believed; nothing in it was read or taken.
    PackageRefused {
        /// The source.
        source: SourceName,
        /// SHA-256 of what was served.
        sha256: Digest,
        /// The kind of refusal, a kebab-case code.
        refusal: String,
        /// What is wrong, in words.
        detail: String,
    },
    /// What suffices for a certificate to be approved without a reviewer changed.
    TrustPolicy {
        /// From here on.
        require: Require,
    },
    /// A reviewer approved certificates.
    Approved {
        /// The certificates.
        certificates: Vec<Fingerprint>,
        /// Whether trust may start in them although they are not self-signed (T16).
        anchor: bool,
        /// Why.
        reason: String,
    },
    /// A reviewer rejected certificates.
    Rejected {
        /// The certificates.
        certificates: Vec<Fingerprint>,
        /// Why.
        reason: String,
    },
    /// A reviewer distrusted public keys, or single certificates (T15).
    Distrusted {
        /// The keys: every certificate with one of them leaves, known or yet to come.
        keys: Vec<KeyFingerprint>,
        /// The certificates that were named; with empty `keys` only these leave.
        certificates: Vec<Fingerprint>,
        /// Why.
        reason: String,
    },
    /// A reviewer took rejections and distrust back (T14).
    Reinstated {
        /// The keys that are no longer distrusted.
        keys: Vec<KeyFingerprint>,
        /// The certificates that were named.
        certificates: Vec<Fingerprint>,
        /// Why.
        reason: String,
    },
    /// A source served something that its pin does not allow; it was dropped (T10).
    Drifted {
        /// The source.
        source: SourceName,
        /// The pin.
        pinned: Fingerprint,
        /// SHA-256 of what was served.
        actual: Digest,
        /// What it was.
        what: String,
    },
    /// A source could not be fetched (T11); once per kind until it succeeds.
    FetchFailed {
        /// The source.
        source: SourceName,
        /// The kind of failure, a kebab-case code.
        failure: String,
        /// What happened, in words.
        detail: String,
    },
    /// A source that had drifted or failed serves what its pin allows again.
    Recovered {
        /// The source.
        source: SourceName,
    },
    /// Keys were put on the Endorsement Key list.
    EkpubAdded {
        /// The keys.
        keys: Vec<EkpubEntry>,
        /// Why.
        reason: String,
    },
    /// Keys were taken off the Endorsement Key list.
    EkpubRemoved {
        /// The keys.
        keys: Vec<EkPubHash>,
        /// Why.
        reason: String,
    },
    /// A generation was handed out.
    Exported {
        /// The form.
        form: String,
        /// The generation.
        generation: u64,
        /// What was selected, in words.
        options: String,
        /// How many certificates.
        count: usize,
        /// SHA-256 of the manifest, or of the file where the form has none.
        manifest: Digest,
    },
    /// Lost events were accepted (T3).
    TruncationAccepted {
        /// How many events the index had seen.
        expected_events: u64,
        /// SHA-256 of the last line that the index had seen.
        expected_head: Digest,
        /// Why.
        reason: String,
    },
}

/// One certificate, seen in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// SHA-256 of the exact DER.
    pub fingerprint: Fingerprint,
    /// The exact DER; only the first time it is seen.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "base64")]
    pub der: Option<Vec<u8>>,
    /// Where it was seen.
    pub origin: Origin,
    /// Quirks of the bytes around it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quirks: Vec<Quirk>,
}

/// A signed package as it was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenPackage {
    /// The source.
    pub source: SourceName,
    /// SHA-256 of the whole file.
    pub sha256: Digest,
    /// How it came, and what authenticated the transport; of a file its name.
    pub transport: String,
    /// Its edition.
    pub edition: Edition,
    /// When it was signed, by its time stamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Time>,
    /// The subject of the certificate that signed it, by RFC 4514.
    pub signer: String,
    /// From the signer's certificate to the package root.
    pub chain: Vec<Fingerprint>,
    /// From the time-stamping authority's certificate to the package root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timestamp_chain: Vec<Fingerprint>,
    /// Why the root is believed, if the catalogue does not pin it (T26). Then nothing is approved by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_by_hand: Option<String>,
    /// Why an edition was taken that is older than the catalogue allows (T27).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_edition: Option<String>,
}

/// One certificate of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packaged {
    /// SHA-256 of the exact DER.
    pub fingerprint: Fingerprint,
    /// The exact DER; only the first time it is seen.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "base64")]
    pub der: Option<Vec<u8>>,
    /// The members it is in: paths with `\\` between their parts.
    pub members: Vec<String>,
    /// The manufacturer: the catalogue first, then the package's folder (T20).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<VendorId>,
    /// What the catalogue says it is for, if it speaks of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Quirks of the bytes around it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quirks: Vec<Quirk>,
}

/// A certificate that an edition has no more. It stays trusted until a reviewer decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// The certificate.
    pub fingerprint: Fingerprint,
    /// What version.txt says about it, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What suffices for a certificate to be approved without a reviewer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Require {
    /// A pin of the catalogue, or the signature of a package.
    #[default]
    Any,
    /// A pin of the catalogue, at the source itself.
    Pin,
    /// The signature of a package.
    Package,
    /// Both.
    TwoSources,
}

impl std::fmt::Display for Require {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Require::Any => "any",
            Require::Pin => "pin",
            Require::Package => "package",
            Require::TwoSources => "two-sources",
        })
    }
}

/// Where a certificate was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum Origin {
    /// At a source of the catalogue.
    Source {
        /// The source.
        #[serde(flatten)]
        source: SourceName,
        /// What the catalogue says it is for.
        role: Role,
        /// How it relates to the pin.
        standing: Standing,
        /// How it came, and what authenticated the transport.
        transport: String,
    },
    /// At the URL that a certificate below it names (authorityInfoAccess), found while verifying (T24).
    Aia {
        /// The URL.
        url: Url,
        /// How it came, and what authenticated the transport.
        transport: String,
        /// The manufacturer that publishes on this host.
        vendor: VendorId,
    },
    /// In a signed package.
    Package {
        /// The package's source.
        #[serde(flatten)]
        source: SourceName,
        /// The edition that had it last.
        edition: Edition,
        /// The members it is in.
        members: Vec<String>,
        /// The manufacturer: the catalogue first, then the package's folder (T20).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vendor_of: Option<VendorId>,
        /// What the catalogue says it is for, if it speaks of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<Role>,
        /// Whether the package's root is pinned by the catalogue, so that its signature vouches.
        root: PackageRoot,
        /// The edition that has it no more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        withdrawn: Option<Withdrawal>,
    },
    /// In a file that a person brought.
    File {
        /// The file's name as given.
        file: String,
        /// The manufacturer, if the person said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vendor: Option<VendorId>,
        /// What the catalogue says it is for, if it speaks of it: a `package-signer` is nothing else, whoever approves
        /// it (T19). It approves nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<Role>,
    },
}

/// One key of the Endorsement Key list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EkpubEntry {
    /// SHA-256 of the DER RSAPublicKey: what the CA looks for.
    pub ekpub: EkPubHash,
    /// The device, in the words of whoever added it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Where the key came from: a file, a table, a folder, or the command line.
    pub source: String,
    /// The verdict on its certificate, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
}

/// Why the root that a package's signature leads to is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackageRoot {
    /// The catalogue pins it.
    Pinned,
    /// A person gave it, with a reason.
    ByHand,
}

/// An edition that a certificate is missing from, although the one before had it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// The edition.
    pub edition: Edition,
    /// What version.txt says about it, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The number of the event.
    pub event: u64,
}

/// How a download relates to its source's pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It is what the pin says: approved on the catalogue's authority (T8).
    Pinned,
    /// It matches a pin recorded as earlier: approved, and reported (T8).
    EarlierCertificate,
    /// Same key and subject, and its signature verifies: a candidate (T9).
    ReIssuedSameKey,
}

/// A source by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceName {
    /// The manufacturer.
    pub vendor: VendorId,
    /// The source's name within it.
    pub name: String,
    /// Its URL.
    pub url: Url,
}

impl std::fmt::Display for SourceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.vendor, self.name)
    }
}

impl TakenPackage {
    /// The line of packages that it belongs to: those of one source whose root is pinned, or those whose root was given
    /// by hand. One never counts as the successor of the other.
    pub fn line(&self) -> String {
        line_of(&self.source.url, self.root_by_hand.is_some())
    }
}

/// As [`TakenPackage::line`].
pub fn line_of(url: &Url, by_hand: bool) -> String {
    if by_hand { format!("by hand: {url}") } else { url.to_string() }
}

impl Event {
    /// The certificates that the event carries, each with its fingerprint.
    pub fn carried(&self) -> Vec<(Fingerprint, &[u8])> {
        match self {
            Event::Seen { certificates } => certificates
                .iter()
                .filter_map(|seen| Some((seen.fingerprint, seen.der.as_deref()?)))
                .collect(),
            Event::PackageTaken { certificates, .. } => certificates
                .iter()
                .filter_map(|packaged| Some((packaged.fingerprint, packaged.der.as_deref()?)))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Whether the event can change the stores, and so advances the generation (T6).
    pub fn changes_stores(&self) -> bool {
        match self {
            Event::Seen { .. }
            | Event::PackageTaken { .. }
            | Event::TrustPolicy { .. }
            | Event::Approved { .. }
            | Event::Rejected { .. }
            | Event::Distrusted { .. }
            | Event::Reinstated { .. } => true,
            Event::Drifted { .. }
            | Event::PackageRefused { .. }
            | Event::FetchFailed { .. }
            | Event::Recovered { .. }
            | Event::EkpubAdded { .. }
            | Event::EkpubRemoved { .. }
            | Event::Exported { .. }
            | Event::TruncationAccepted { .. } => false,
        }
    }
}

/// DER as base64 text.
mod base64 {
    use std::borrow::Cow;

    use data_encoding::BASE64;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(der: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        match der {
            Some(der) => serializer.serialize_str(&BASE64.encode(der)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<Cow<'de, str>>::deserialize(deserializer)?;
        text.map(|text| BASE64.decode(text.as_bytes()).map_err(serde::de::Error::custom)).transpose()
    }
}
