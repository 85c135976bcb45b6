//! Following authorityInfoAccess: the issuers that a manufacturer publishes but the stores lack (T24).

use url::Url;

use crate::catalogue::Catalogue;
use crate::cert::Certificate;
use crate::cert::container::{self, Found};
use crate::fetch::{self, Fetched, Fetcher, Request, Validators};
use crate::log::Origin;
use crate::vendor::VendorId;
use crate::verify::path::MAX_CHAIN;
use crate::verify::trust::TrustStore;

/// How many fetches one EK certificate is worth.
pub const MAX_FETCHES: usize = 4;

/// The exact hosts that may be asked: those of the catalogue, without storage that others share.
pub fn allowed(catalogue: &Catalogue, host: &str) -> Option<VendorId> {
    const SHARED: [&str; 4] = [".googleapis.com", ".amazonaws.com", ".windows.net", ".aliyuncs.com"];
    if SHARED.iter().any(|shared| host.ends_with(shared)) {
        return None;
    }
    let publishes = |hosts: &[String]| hosts.iter().any(|allowed| allowed == host);
    catalogue.vendors().iter().find(|vendor| publishes(&vendor.hosts)).map(|vendor| vendor.id.clone())
}

/// Fetches the issuers above `leaf` until one names an issuer in the stores. What comes back is untrusted.
pub async fn fetch_chain(
    fetcher: &Fetcher,
    catalogue: &Catalogue,
    trust: &TrustStore,
    leaf: &Certificate,
    given: &[Certificate],
) -> (Vec<(Origin, Found)>, Vec<String>) {
    let mut found: Vec<(Origin, Found)> = Vec::new();
    let mut notices = Vec::new();
    let mut fetches = 0;
    let mut top = leaf.clone();
    // No chain is longer; certificates given that name each other in a circle end here too.
    for _ in 0..MAX_CHAIN {
        if top.is_self_issued() || !trust.named(top.issuer()).is_empty() {
            break;
        }
        let at_hand = given.iter().chain(found.iter().map(|(_, found)| &found.certificate));
        if let Some(issuer) =
            at_hand.into_iter().find(|issuer| issuer.subject() == top.issuer() && **issuer != top)
        {
            if issuer.is_self_issued() {
                break;
            }
            top = issuer.clone();
            continue;
        }
        let before = found.len();
        for url in locations(&top) {
            let Some(vendor) = url.host_str().and_then(|host| allowed(catalogue, host)) else {
                notices.push(format!("{url} is not on a host of the catalogue, and was not asked"));
                continue;
            };
            if fetches == MAX_FETCHES {
                notices.push(format!("more than {MAX_FETCHES} fetches for one certificate"));
                return (found, notices);
            }
            fetches += 1;
            match fetch(fetcher, catalogue, &vendor, url.clone()).await {
                Ok((certificates, transport)) => {
                    let origin = Origin::Aia { url, transport, vendor };
                    found.extend(certificates.into_iter().map(|certificate| (origin.clone(), certificate)));
                    break;
                }
                Err(notice) => notices.push(notice),
            }
        }
        if found.len() == before {
            break;
        }
    }
    (found, notices)
}

/// The URLs to ask for the issuer, https first (T12).
fn locations(certificate: &Certificate) -> Vec<Url> {
    let info = certificate.authority_info().unwrap_or_default();
    let mut urls = Vec::new();
    // Nuvoton's hold blanks, which parsing encodes.
    for url in info.ca_issuers.iter().filter_map(|text| text.parse::<Url>().ok()) {
        if url.scheme() == "http" && url.port().is_none() {
            let mut secure = url.clone();
            if secure.set_scheme("https").is_ok() {
                urls.push(secure);
            }
        }
        if matches!(url.scheme(), "http" | "https") {
            urls.push(url);
        }
    }
    urls
}

async fn fetch(
    fetcher: &Fetcher,
    catalogue: &Catalogue,
    vendor: &VendorId,
    url: Url,
) -> Result<(Vec<Found>, String), String> {
    let hosts = catalogue.vendor(vendor).map_or(&[][..], |vendor| vendor.hosts.as_slice());
    let request =
        Request { url: url.clone(), cap: fetch::CERTIFICATE_CAP, validators: Validators::default() };
    match fetcher.get(&request, hosts).await {
        Ok(Fetched::Body { bytes, transport, .. }) => {
            let certificates = container::read(&bytes).map_err(|error| format!("{url}: {error}"))?;
            Ok((certificates.into_iter().take(MAX_FETCHES).collect(), transport))
        }
        Ok(Fetched::NotModified) => Err(format!("{url}: nothing was sent")),
        Err(error) => Err(format!("{url}: {error}")),
    }
}
