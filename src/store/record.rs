//! One certificate of the log: where it was seen, what was decided, and where that puts it.

use serde::{Deserialize, Serialize};

use crate::catalogue::Role;
use crate::cert::Certificate;
use crate::cert::quirk::Quirk;
use crate::fingerprint::{Fingerprint, KeyFingerprint};
use crate::log::{Origin, PackageRoot, Require, SourceName, Withdrawal};
use crate::oid;
use crate::store::placement::Placement;
use crate::store::{StoreName, has_authority};
use crate::time::Time;
use crate::vendor::VendorId;

/// Everything the log says about one certificate.
#[derive(Debug, Clone)]
pub struct Record {
    /// The certificate.
    pub certificate: Certificate,
    /// Where it was seen, each place once, in the order it was last said.
    pub sightings: Vec<Sighting>,
    /// What reviewers decided, in order.
    pub decisions: Vec<Decision>,
    /// Where that puts it.
    pub placement: Placement,
    pub(crate) key: KeyFingerprint,
}

/// One place a certificate was seen at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// The place.
    pub origin: Origin,
    /// Quirks of the bytes around it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quirks: Vec<Quirk>,
    /// When it was recorded.
    pub time: Time,
    /// Who recorded it.
    pub actor: String,
}

impl Sighting {
    /// Whether both are about the same source or file.
    pub fn same_place(&self, other: &Sighting) -> bool {
        match (&self.origin, &other.origin) {
            (Origin::Source { source: one, .. }, Origin::Source { source: other, .. }) => {
                one.url == other.url
            }
            (Origin::File { file: one, .. }, Origin::File { file: other, .. }) => one == other,
            (Origin::Aia { url: one, .. }, Origin::Aia { url: other, .. }) => one == other,
            (
                Origin::Package { source: one, root, .. },
                Origin::Package { source: other, root: other_root, .. },
            ) => one.url == other.url && root == other_root,
            _ => false,
        }
    }

    /// The source of the catalogue, if it was one.
    pub fn source(&self) -> Option<&SourceName> {
        match &self.origin {
            Origin::Source { source, .. } => Some(source),
            Origin::Package { .. } | Origin::File { .. } | Origin::Aia { .. } => None,
        }
    }

    /// The place in a few words: the source, the package with its edition, the file.
    pub fn place(&self) -> String {
        match &self.origin {
            Origin::Source { source, .. } => source.to_string(),
            Origin::Package { source, edition, .. } => format!("{source} of {edition}"),
            Origin::Aia { url, .. } => url.to_string(),
            Origin::File { file, .. } => format!("file {file:?}"),
        }
    }

    /// The package's edition that has the certificate no more, if it came from one and is missing from the next.
    pub fn withdrawal(&self) -> Option<&Withdrawal> {
        match &self.origin {
            Origin::Package { withdrawn, .. } => withdrawn.as_ref(),
            Origin::Source { .. } | Origin::File { .. } | Origin::Aia { .. } => None,
        }
    }

    /// How this place vouches for the certificate, if it does.
    pub fn voucher(&self) -> Option<Voucher> {
        match &self.origin {
            Origin::Source { .. } if has_authority(&self.origin) => Some(Voucher::Pin),
            Origin::Package { root: PackageRoot::Pinned, .. } => Some(Voucher::Package),
            _ => None,
        }
    }
}

/// What vouches for a certificate without a reviewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Voucher {
    /// A source of the catalogue, by its pin.
    Pin,
    /// A package, by the signature of a root that the catalogue pins.
    Package,
}

impl std::fmt::Display for Voucher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Voucher::Pin => "catalogue pin",
            Voucher::Package => "package signature",
        })
    }
}

/// One decision of a reviewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What was decided.
    pub verb: Verb,
    /// Why.
    pub reason: String,
    /// Who decided.
    pub actor: String,
    /// When.
    pub time: Time,
    /// The number of the event.
    pub event: u64,
}

/// What a reviewer can decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Approved.
    Approve,
    /// Approved, and trust may start in it.
    ApproveAsAnchor,
    /// Rejected.
    Reject,
    /// Its public key distrusted.
    DistrustKey,
    /// This certificate alone distrusted.
    DistrustCertificate,
    /// Rejection and distrust taken back.
    Reinstate,
}

impl std::fmt::Display for Verb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Verb::Approve => "approved",
            Verb::ApproveAsAnchor => "approved as anchor",
            Verb::Reject => "rejected",
            Verb::DistrustKey => "key distrusted",
            Verb::DistrustCertificate => "certificate distrusted",
            Verb::Reinstate => "reinstated",
        })
    }
}

/// Where a certificate stands with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Seen, not decided.
    Candidate,
    /// Approved, by a reviewer or on the catalogue's authority.
    Approved,
    /// Rejected by a reviewer.
    Rejected,
    /// Distrusted, itself or its key.
    Distrusted,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            State::Candidate => "candidate",
            State::Approved => "approved",
            State::Rejected => "rejected",
            State::Distrusted => "distrusted",
        })
    }
}

/// What a CA certificate is for (T19).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// EK certificates.
    Ek,
    /// Attestation identity key certificates only.
    Aik,
    /// It issues CAs of both kinds.
    Both,
    /// Package signatures only, ever.
    PackageSigner,
}

impl Purpose {
    /// Whether the stores for EK trust take it.
    pub fn is_for_ek(self) -> bool {
        matches!(self, Purpose::Ek | Purpose::Both)
    }
}

impl std::fmt::Display for Purpose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Purpose::Ek => "ek",
            Purpose::Aik => "aik",
            Purpose::Both => "both",
            Purpose::PackageSigner => "package-signer",
        })
    }
}

impl Record {
    pub(crate) fn new(certificate: Certificate, sighting: Sighting) -> Self {
        let key = certificate.key().fingerprint();
        Self {
            certificate,
            sightings: vec![sighting],
            decisions: Vec::new(),
            placement: Placement::default(),
            key,
        }
    }

    /// The certificate's identity.
    pub fn fingerprint(&self) -> Fingerprint {
        self.certificate.fingerprint()
    }

    /// Its public key's identity.
    pub fn key_fingerprint(&self) -> KeyFingerprint {
        self.key
    }

    /// The store it is in for EK trust, if any.
    pub fn store(&self) -> Option<StoreName> {
        self.placement.store.filter(|_| self.placement.purpose.is_for_ek())
    }

    /// The state by its own decisions, distrust of its key aside: the last rejection or distrust that was not taken
    /// back outranks every approval (T14).
    pub(crate) fn own_state(&self, require: Require) -> State {
        let mut refused = None;
        let mut approved = self.has_authority(require);
        for decision in &self.decisions {
            match decision.verb {
                Verb::Approve | Verb::ApproveAsAnchor => approved = true,
                Verb::Reject => refused = refused.max(Some(State::Rejected)),
                Verb::DistrustCertificate => refused = Some(State::Distrusted),
                Verb::DistrustKey => {}
                Verb::Reinstate => refused = None,
            }
        }
        refused.unwrap_or(if approved { State::Approved } else { State::Candidate })
    }

    /// Whether its sources suffice for approval without a reviewer. One that withdrew it still counts until a reviewer
    /// has decided: nothing leaves silently.
    fn has_authority(&self, require: Require) -> bool {
        let by = |wanted| self.sightings.iter().any(|sighting| sighting.voucher() == Some(wanted));
        match require {
            Require::Any => by(Voucher::Pin) || by(Voucher::Package),
            Require::Pin => by(Voucher::Pin),
            Require::Package => by(Voucher::Package),
            Require::TwoSources => by(Voucher::Pin) && by(Voucher::Package),
        }
    }

    /// The places that vouch for it today: pins it matches, and packages that have it.
    pub fn vouchers(&self) -> impl Iterator<Item = (&Sighting, Voucher)> {
        let standing = self.sightings.iter().filter(|sighting| sighting.withdrawal().is_none());
        standing.filter_map(|sighting| Some((sighting, sighting.voucher()?)))
    }

    /// The withdrawal that no reviewer has decided on since: a question.
    pub fn open_withdrawal(&self) -> Option<&Withdrawal> {
        let last_decision = self.decisions.last().map_or(0, |decision| decision.event);
        let open = |withdrawal: &&Withdrawal| withdrawal.event > last_decision;
        self.sightings.iter().filter_map(Sighting::withdrawal).find(open)
    }

    /// Whether trust may start in it although it is not self-signed: by the catalogue or by a reviewer (T16).
    pub(crate) fn may_anchor(&self) -> bool {
        self.roles().any(|role| role == Role::Anchor)
            || self.decisions.iter().any(|decision| decision.verb == Verb::ApproveAsAnchor)
    }

    /// Whether the catalogue knows it as a signer of packages.
    pub(crate) fn is_package_signer(&self) -> bool {
        self.roles().any(|role| role == Role::PackageSigner)
    }

    /// Whether it is for attestation identity keys only, by its own extKeyUsage (T19).
    pub(crate) fn is_aik_only(&self) -> bool {
        self.certificate.has_extended_key_usage(&oid::AIK_CERTIFICATE)
            && !self.certificate.has_extended_key_usage(&oid::EK_CERTIFICATE)
    }

    fn roles(&self) -> impl Iterator<Item = Role> {
        self.sightings.iter().filter_map(|sighting| match &sighting.origin {
            Origin::Source { role, .. } => Some(*role),
            Origin::Package { role, .. } | Origin::File { role, .. } => *role,
            Origin::Aia { .. } => None,
        })
    }

    /// The manufacturer as its sources state it: the catalogue first, then a package (T20).
    pub fn vendor(&self) -> Option<&VendorId> {
        let from_source =
            self.sightings.iter().find_map(|sighting| sighting.source()).map(|source| &source.vendor);
        let from_package = || {
            self.sightings.iter().find_map(|sighting| match &sighting.origin {
                Origin::Package { vendor_of, .. } => vendor_of.as_ref(),
                _ => None,
            })
        };
        from_source.or_else(from_package).or_else(|| {
            self.sightings.iter().find_map(|sighting| match &sighting.origin {
                Origin::File { vendor, .. } => vendor.as_ref(),
                Origin::Aia { vendor, .. } => Some(vendor),
                Origin::Source { .. } | Origin::Package { .. } => None,
            })
        })
    }

    /// The quirks of the certificate and of every place it was seen at, sorted.
    pub fn quirks(&self) -> Vec<Quirk> {
        let around = self.sightings.iter().flat_map(|sighting| sighting.quirks.iter());
        let mut quirks: Vec<Quirk> = around.chain(self.certificate.quirks()).copied().collect();
        quirks.sort_unstable();
        quirks.dedup();
        quirks
    }
}
