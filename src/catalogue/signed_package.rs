//! Sources that serve a signed package: many certificates, believed by the package's signature.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::fingerprint::Fingerprint;
use crate::package::Edition;
use crate::vendor::VendorId;

/// A source whose pin is who signs it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SignedPackage {
    /// The name, unique within the manufacturer.
    pub name: String,
    /// The link it is published under.
    pub url: Url,
    /// The exact host names that the link may lead to.
    pub hosts: Vec<String>,
    /// Where the link led when it was last looked at; a mirror may have it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub led_to: Option<Url>,
    /// The signer pin: the roots that signature and time stamp must lead to. Each is a `package-signer` of the
    /// catalogue.
    pub roots: Vec<Fingerprint>,
    /// The common names that the signer may have. A leaf lives about a year and is not pinned, but under these roots much
    /// else is signed, third parties' drivers too. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signers: Vec<String>,
    /// The newest edition known when the catalogue was written.
    pub edition: Edition,
    /// A first package older than this is refused (T27).
    pub oldest_edition: Edition,
    /// The manufacturer that each top folder of the package is for (T20).
    pub folders: BTreeMap<String, VendorId>,
    /// As in [`crate::catalogue::Source::evidence`].
    pub evidence: String,
    /// As in [`crate::catalogue::Source::notes`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

impl SignedPackage {
    /// The manufacturer that a folder is for.
    pub fn vendor_of(&self, folder: &str) -> Option<&VendorId> {
        self.folders.iter().find(|(name, _)| name.eq_ignore_ascii_case(folder)).map(|(_, vendor)| vendor)
    }
}
