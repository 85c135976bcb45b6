//! What is missing: orphaned intermediates, EK CAs that Microsoft knows and nobody publishes, manufacturers without a
//! source, sources that are silent.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use url::Url;

use crate::catalogue::Catalogue;
use crate::fingerprint::Fingerprint;
use crate::log::Origin;
use crate::package::aik_name::EkCaId;
use crate::store::Stores;
use crate::store::placement::Flag;
use crate::store::record::{Purpose, Record, State};
use crate::time::Time;
use crate::vendor::{self, VendorId};

/// Everything that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gaps {
    /// Approved CAs for EK certificates that nothing in the stores issued, by manufacturer and subject.
    pub orphans: Vec<Orphan>,
    /// EK CAs that the names of Microsoft's AIK CAs speak of, and that no source has.
    pub known_to_microsoft_only: Vec<UnpublishedCa>,
    /// Manufacturers of the TCG registry that the catalogue has no source for.
    pub manufacturers_without_source: Vec<Manufacturer>,
    /// Sources without a sound answer for long, or ever.
    pub silent_sources: Vec<SilentSource>,
}

/// A CA without an issuer in the stores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Orphan {
    /// The CA.
    pub fingerprint: Fingerprint,
    /// Its manufacturer.
    pub manufacturer: Option<VendorId>,
    /// Its subject.
    pub subject: String,
    /// The subject of what is missing.
    pub missing_issuer: String,
    /// The key identifier of what is missing, hexadecimal.
    pub authority_key_id: Option<String>,
    /// Where its issuer is published, as it says itself.
    pub published_at: Vec<String>,
    /// A certificate of the log that issued it but is in no store, and its state.
    pub known_issuer: Option<(Fingerprint, State)>,
}

/// An EK CA that is known by the names of AIK CAs only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnpublishedCa {
    /// Its key identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<EkCaId>,
    /// The SHA-1 of its subject, if that is what the name has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_id: Option<EkCaId>,
    /// The manufacturer's letters in the name.
    pub manufacturer: String,
    /// How many AIK CAs stand for it.
    pub aik_cas: usize,
}

/// A manufacturer of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manufacturer {
    /// Its id.
    pub id: VendorId,
    /// Its name.
    pub name: String,
}

/// A source that gave no sound answer for long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SilentSource {
    /// The manufacturer.
    pub vendor: VendorId,
    /// The source's name.
    pub name: String,
    /// Its URL.
    pub url: Url,
    /// Its last sound answer; none if there never was one.
    pub last_sound: Option<Time>,
}

/// Looks for what is missing. `answers` has the last sound answer of each source by URL, as far as that is remembered; what
/// the log recorded counts too. A source is silent if its last sound answer is before `silent_since`.
pub fn find(
    stores: &Stores,
    catalogue: &Catalogue,
    answers: &BTreeMap<String, Time>,
    silent_since: Time,
) -> Gaps {
    Gaps {
        orphans: orphans(stores),
        known_to_microsoft_only: unpublished(stores),
        manufacturers_without_source: without_source(catalogue),
        silent_sources: silent(stores, catalogue, answers, silent_since),
    }
}

/// Whether a record is an approved CA for EK certificates that nothing in the stores issued.
pub fn is_orphan(record: &Record) -> bool {
    record.placement.purpose.is_for_ek() && record.placement.flags.contains(&Flag::NoIssuer)
}

fn orphans(stores: &Stores) -> Vec<Orphan> {
    let mut orphans: Vec<Orphan> = stores
        .records()
        .filter(|record| is_orphan(record))
        .map(|record| {
            let certificate = &record.certificate;
            let known = stores.verifying_issuers(certificate, |issuer| {
                issuer.fingerprint() != record.fingerprint() && stores.state(issuer) != State::Approved
            });
            Orphan {
                fingerprint: record.fingerprint(),
                manufacturer: stores.manufacturer(record).cloned(),
                subject: certificate.subject().to_string(),
                missing_issuer: certificate.issuer().to_string(),
                authority_key_id: certificate.authority_key_id().map(|id| data_encoding::HEXLOWER.encode(id)),
                published_at: certificate.authority_info().unwrap_or_default().ca_issuers,
                known_issuer: known.map(|issuer| (issuer.fingerprint(), stores.state(issuer))),
            }
        })
        .collect();
    orphans.sort_by_key(|orphan| (orphan.manufacturer.clone(), orphan.subject.clone(), orphan.fingerprint));
    orphans
}

fn unpublished(stores: &Stores) -> Vec<UnpublishedCa> {
    let is_ek_ca = |record: &&Record| record.placement.purpose != Purpose::Aik;
    let known: BTreeSet<EkCaId> = stores
        .records()
        .filter(is_ek_ca)
        .flat_map(|record| EkCaId::of_certificate(&record.certificate))
        .collect();
    let mut named: BTreeMap<EkCaId, (String, BTreeSet<Fingerprint>)> = BTreeMap::new();
    for record in stores.records().filter(|record| record.placement.purpose == Purpose::Aik) {
        let members = record.sightings.iter().flat_map(|sighting| match &sighting.origin {
            Origin::Package { members, withdrawn: None, .. } => members.as_slice(),
            _ => &[],
        });
        for member in members {
            let file = member.rsplit('\\').next().unwrap_or(member);
            if let Some((id, manufacturer)) = EkCaId::of_file(file) {
                let entry = named.entry(id).or_insert_with(|| (manufacturer, BTreeSet::new()));
                entry.1.insert(record.fingerprint());
            }
        }
    }
    let missing = named.into_iter().filter(|(id, _)| !known.contains(id));
    missing
        .map(|(id, (manufacturer, aik_cas))| UnpublishedCa {
            key_id: matches!(id, EkCaId::Key(_)).then_some(id),
            name_id: matches!(id, EkCaId::Name(_)).then_some(id),
            manufacturer,
            aik_cas: aik_cas.len(),
        })
        .collect()
}

fn without_source(catalogue: &Catalogue) -> Vec<Manufacturer> {
    let in_package: BTreeSet<&VendorId> =
        catalogue.packages().flat_map(|(_, package)| package.folders.values()).collect();
    let has_source = |id: &VendorId| {
        in_package.contains(id) || catalogue.vendor(id).is_some_and(|vendor| !vendor.sources.is_empty())
    };
    let mut missing: Vec<Manufacturer> = vendor::registry()
        .iter()
        .filter(|entry| !has_source(&entry.id))
        .map(|entry| Manufacturer { id: entry.id.clone(), name: entry.name.clone() })
        .collect();
    missing.sort_by(|one, other| one.id.cmp(&other.id));
    missing
}

fn silent(
    stores: &Stores,
    catalogue: &Catalogue,
    answers: &BTreeMap<String, Time>,
    silent_since: Time,
) -> Vec<SilentSource> {
    let mut recorded: BTreeMap<&str, Time> = BTreeMap::new();
    for sighting in stores.records().flat_map(|record| &record.sightings) {
        if let Origin::Source { source, .. } | Origin::Package { source, .. } = &sighting.origin {
            let last = recorded.entry(source.url.as_str()).or_insert(sighting.time);
            *last = (*last).max(sighting.time);
        }
    }
    let all = catalogue.vendors().iter().flat_map(|vendor| {
        let sources = vendor.sources.iter().map(|source| (&source.name, &source.url));
        let packages = vendor.packages.iter().map(|package| (&package.name, &package.url));
        sources.chain(packages).map(move |(name, url)| (&vendor.id, name, url))
    });
    all.map(|(vendor, name, url)| SilentSource {
        vendor: vendor.clone(),
        name: name.clone(),
        url: url.clone(),
        last_sound: answers.get(url.as_str()).copied().max(recorded.get(url.as_str()).copied()),
    })
    .filter(|source| source.last_sound.is_none_or(|last| last < silent_since))
    .collect()
}
