//! What the log speaks of: certificates that were seen, decisions, sources, exports.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::catalogue::Role;
use crate::cert::quirk::Quirk;
use crate::fingerprint::{Digest, Fingerprint, KeyFingerprint};
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
    /// In a file that a person brought.
    File {
        /// The file's name as given.
        file: String,
        /// The manufacturer, if the person said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vendor: Option<VendorId>,
    },
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

impl Event {
    /// Whether the event can change the stores, and so advances the generation (T6).
    pub fn changes_stores(&self) -> bool {
        match self {
            Event::Seen { .. }
            | Event::Approved { .. }
            | Event::Rejected { .. }
            | Event::Distrusted { .. }
            | Event::Reinstated { .. } => true,
            Event::Drifted { .. }
            | Event::FetchFailed { .. }
            | Event::Recovered { .. }
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
