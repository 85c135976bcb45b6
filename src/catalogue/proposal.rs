//! Entries that the catalogue could gain: certificates tell where their issuer is published, and the stores have that
//! issuer, so its pins can be measured before anything is fetched.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use url::Url;

use crate::catalogue::{Catalogue, Role, Source};
use crate::cert::Certificate;
use crate::fingerprint::Fingerprint;
use crate::oid;
use crate::store::Stores;
use crate::store::record::{Purpose, Record};
use crate::vendor::VendorId;

/// A source that the catalogue could gain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// The manufacturer, by the sources of the certificate.
    pub vendor: Option<VendorId>,
    /// The entry as it would stand in the catalogue.
    pub source: Source,
    /// Whether the host is one that the manufacturer's entry lists. If not, a person must first find out whose it is.
    pub host_listed: bool,
}

/// What the certificates that name one URL say about it.
#[derive(Default)]
struct Named {
    issuers: BTreeSet<Fingerprint>,
    by: BTreeSet<Fingerprint>,
}

/// Proposes a source for each URL that a certificate of `stores`, or one of `leaves`, names as its issuer's (caIssuers), if
/// the stores have the issuer and the catalogue has neither the URL nor the issuer. AIK CAs are left aside.
pub fn propose(stores: &Stores, catalogue: &Catalogue, leaves: &[Certificate]) -> Vec<Proposal> {
    let mut urls: BTreeMap<Url, Named> = BTreeMap::new();
    let is_ek = |record: &&Record| record.placement.purpose.is_for_ek();
    let stored = stores.records().filter(is_ek).map(|record| &record.certificate);
    for certificate in stored.chain(leaves) {
        let uris = certificate.authority_info().unwrap_or_default().ca_issuers;
        let plain = |url: &Url| matches!(url.scheme(), "http" | "https") && url.port().is_none();
        for url in uris.iter().filter_map(|uri| uri.parse::<Url>().ok()).filter(plain) {
            let issuer =
                stores.verifying_issuers(certificate, |record| record.placement.purpose != Purpose::Aik);
            if let Some(issuer) = issuer {
                let named = urls.entry(url).or_default();
                named.issuers.insert(issuer.fingerprint());
                named.by.insert(certificate.fingerprint());
            }
        }
    }
    let known_urls: BTreeSet<String> = catalogue
        .vendors()
        .iter()
        .flat_map(|vendor| &vendor.sources)
        .map(|source| place(&source.url))
        .collect();
    // Certificates name http; where the catalogue fetches from the same host by https, that works.
    let by_https: BTreeSet<&str> = catalogue
        .vendors()
        .iter()
        .flat_map(|vendor| &vendor.sources)
        .filter(|source| source.url.scheme() == "https")
        .filter_map(|source| source.url.host_str())
        .collect();
    let mut proposals: Vec<Proposal> = urls
        .into_iter()
        .filter(|(url, _)| !known_urls.contains(&place(url)))
        .map(|(mut url, named)| {
            if url.host_str().is_some_and(|host| by_https.contains(host)) {
                let _ = url.set_scheme("https");
            }
            (url, named)
        })
        .filter_map(|(url, named)| one(stores, catalogue, url, &named))
        .collect();
    // One certificate under several URLs: the first is enough, https before http.
    proposals.sort_by_key(|proposal| {
        let source = &proposal.source;
        (
            proposal.vendor.clone(),
            !proposal.host_listed,
            source.role,
            source.name.clone(),
            source.url.scheme() == "http",
            source.url.clone(),
        )
    });
    let mut pins = BTreeSet::new();
    proposals.retain(|proposal| pins.insert(proposal.source.sha256));
    proposals
}

/// A URL as it is compared: whether it is asked for by http or https is the same place.
fn place(url: &Url) -> String {
    format!("{}{}", url.host_str().unwrap_or_default(), &url[url::Position::BeforePath..])
}

fn one(stores: &Stores, catalogue: &Catalogue, url: Url, named: &Named) -> Option<Proposal> {
    // The issuer, and its re-issues with the same key: which of them the URL serves is found out when it is fetched.
    let first = stores.record(*named.issuers.first()?)?;
    let mut same: Vec<&Record> = stores
        .records()
        .filter(|record| {
            record.key_fingerprint() == first.key_fingerprint()
                && record.certificate.subject() == first.certificate.subject()
        })
        .collect();
    let other_keys =
        named.issuers.iter().filter(|issuer| !same.iter().any(|record| record.fingerprint() == **issuer));
    if other_keys.count() > 0 || same.iter().any(|record| catalogue.pins(record.fingerprint())) {
        return None;
    }
    same.sort_by_key(|record| (record.certificate.validity().not_before, record.fingerprint()));
    let newest = same.pop()?;
    let vendor = stores.manufacturer(newest).cloned();
    let host_listed = vendor
        .as_ref()
        .and_then(|vendor| catalogue.vendor(vendor))
        .is_some_and(|vendor| vendor.hosts.iter().any(|host| Some(host.as_str()) == url.host_str()));
    let subject = newest.certificate.subject();
    let name = subject.attribute_text(&oid::COMMON_NAME).filter(|name| !name.trim().is_empty());
    let file =
        url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default().to_owned();
    let is_anchor = newest.certificate.is_self_issued();
    let packages: Vec<String> = stores
        .records()
        .filter(|record| record.fingerprint() == newest.fingerprint())
        .flat_map(|record| record.vouchers().map(|(sighting, _)| sighting.place()))
        .collect();
    let held = if packages.is_empty() { "the log".to_owned() } else { packages.join(" and ") };
    let count = match named.by.len() {
        1 => "a certificate".to_owned(),
        count => format!("{count} certificates"),
    };
    let by = named.by.first().map_or(String::new(), ToString::to_string);
    Some(Proposal {
        source: Source {
            // Intel's CAs share one common name; the file name tells them apart.
            name: name.filter(|name| !name.starts_with("www.")).unwrap_or(file),
            role: if is_anchor { Role::Anchor } else { Role::Intermediate },
            subject: subject.to_string(),
            sha256: newest.fingerprint(),
            spki_sha256: newest.key_fingerprint(),
            earlier: same.iter().map(|record| record.fingerprint()).collect(),
            sha1: false,
            manufacturers: is_anchor.then(|| vendor.clone().into_iter().collect()),
            published: Vec::new(),
            evidence: format!(
                "the URL stands in the authorityInfoAccess of {count} that this one verifies (SHA-256 {}...); pins measured from {held}",
                &by[..by.len().min(16)]
            ),
            notes: None,
            url,
        },
        vendor,
        host_listed,
    })
}
