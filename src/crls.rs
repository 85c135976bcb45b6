//! The CRLs that the CAs in the stores name, kept beside the store: the last good one of each URL.
//!
//! A CRL is believed by its signature, so how it came does not matter (T12). One that is older than the one at hand, that no
//! CA of the stores signed, or that is not of the issuer it is expected of, does not take its place: whoever sits between
//! could otherwise put another CA's sound CRL there, and a revocation would be forgotten.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::StreamExt;
use serde::Serialize;
use url::Url;

use crate::cert::general_name::GeneralName;
use crate::cert::name::Name;
use crate::crl::{CRL_CAP, Crl};
use crate::fetch::{Fetched, Fetcher, Limits, Request, Transport, Validators};
use crate::file;
use crate::fingerprint::Digest;
use crate::store::record::Record;
use crate::store::{StoreName, Stores};
use crate::time::Time;
use crate::verify::algorithms::{self, SignatureAlgorithm};

/// What became of one URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CrlReport {
    /// Where it is published.
    pub crl: Url,
    /// Whether the CRL at hand is current after this.
    pub current: bool,
    /// How many certificates it revokes, if one is at hand.
    pub revoked: Option<usize>,
    /// Until when it counts.
    pub next_update: Option<Time>,
    /// Why no new one was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// The folder that a store keeps its CRLs in.
pub fn folder(store: &Path) -> PathBuf {
    store.join("crls")
}

/// Reads all CRLs that a store keeps. What cannot be read is named, and does not count.
///
/// # Errors
///
/// [`file::Error`] if the folder cannot be read; one that does not exist is empty.
pub fn load(store: &Path) -> Result<(Vec<Crl>, Vec<String>), file::Error> {
    let folder = folder(store);
    let mut crls = Vec::new();
    let mut notices = Vec::new();
    if !folder.exists() {
        return Ok((crls, notices));
    }
    for path in
        file::list(&folder)?.into_iter().filter(|path| path.extension().is_some_and(|end| end == "crl"))
    {
        let read = file::read(&path, CRL_CAP).map_err(|error| error.to_string());
        match read.and_then(|bytes| Crl::from_der(&bytes).map_err(|error| error.to_string())) {
            Ok(crl) => crls.push(crl),
            Err(error) => notices.push(format!("{}: {error}", path.display())),
        }
    }
    Ok((crls, notices))
}

/// The URLs of the CRLs that the CAs in the stores name, each with the issuers that its CRL may be of.
pub fn urls(stores: &Stores) -> Vec<(Url, Vec<Name>)> {
    let mut urls: BTreeMap<String, (Url, Vec<Name>)> = BTreeMap::new();
    let stored = StoreName::ALL.into_iter().flat_map(|store| stores.members(store));
    for record in stored {
        for point in record.certificate.crl_distribution_points().ok().flatten().unwrap_or_default() {
            let issuer = point.crl_issuer.as_ref().unwrap_or_else(|| record.certificate.issuer());
            for name in point.names {
                if let GeneralName::Uri(uri) = name
                    && let Ok(url) = uri.parse::<Url>()
                    && matches!(url.scheme(), "http" | "https")
                {
                    let (_, issuers) = urls.entry(url.to_string()).or_insert_with(|| (url, Vec::new()));
                    if !issuers.contains(issuer) {
                        issuers.push(issuer.clone());
                    }
                }
            }
        }
    }
    urls.into_values().collect()
}

/// Fetches the CRLs that the stores' CAs name, and keeps the good ones in the store's folder.
pub async fn sync(
    stores: &Stores,
    store: &Path,
    transport: Arc<dyn Transport>,
    limits: Limits,
    at: Time,
) -> Vec<CrlReport> {
    let urls = urls(stores);
    let hosts: Vec<&str> = urls.iter().filter_map(|(url, _)| url.host_str()).collect();
    let fetcher = Fetcher::new(transport, limits, hosts);
    let work = urls.iter().map(|(url, issuers)| {
        let fetcher = &fetcher;
        async move {
            let place = folder(store).join(format!("{}.crl", Digest::of(url.as_str().as_bytes())));
            let there = file::read(&place, CRL_CAP).ok().and_then(|bytes| Crl::from_der(&bytes).ok());
            match fetch(fetcher, url)
                .await
                .and_then(|bytes| take(stores, &bytes, issuers, there.as_ref(), at))
            {
                Ok((der, crl)) => {
                    let failure = file::write_whole(&place, &der).err().map(|error| error.to_string());
                    report(url, Some(&crl), at, failure)
                }
                Err(failure) => report(url, there.as_ref(), at, Some(failure)),
            }
        }
    });
    futures::stream::iter(work).buffered(limits.total.max(1)).collect().await
}

fn report(url: &Url, crl: Option<&Crl>, at: Time, failure: Option<String>) -> CrlReport {
    CrlReport {
        crl: url.clone(),
        current: crl.is_some_and(|crl| crl.is_current(at)),
        revoked: crl.map(Crl::len),
        next_update: crl.and_then(Crl::next_update),
        failure,
    }
}

/// Asks by https first where the certificate says http (T12); redirects stay on the host.
async fn fetch(fetcher: &Fetcher, url: &Url) -> Result<Vec<u8>, String> {
    let host = [url.host_str().unwrap_or_default().to_owned()];
    let mut secure = url.clone();
    let mut tries = vec![url.clone()];
    if url.scheme() == "http" && url.port().is_none() && secure.set_scheme("https").is_ok() {
        tries.insert(0, secure);
    }
    let mut failure = String::new();
    for url in tries {
        let request = Request { url, cap: CRL_CAP, validators: Validators::default() };
        match fetcher.get(&request, &host).await {
            Ok(Fetched::Body { bytes, .. }) => return Ok(bytes),
            Ok(Fetched::NotModified) => "nothing was sent".clone_into(&mut failure),
            Err(error) => failure = error.to_string(),
        }
    }
    Err(failure)
}

/// Takes a CRL that a CA of the stores signed, that is current, and that is not older than the one at hand.
fn take(
    stores: &Stores,
    bytes: &[u8],
    issuers: &[Name],
    there: Option<&Crl>,
    at: Time,
) -> Result<(Vec<u8>, Crl), String> {
    let crl = Crl::read(bytes).map_err(|error| error.to_string())?;
    let [crl] = <[Crl; 1]>::try_from(crl).map_err(|_| "several CRLs where one is named".to_owned())?;
    if !issuers.contains(crl.issuer()) {
        return Err(format!("it is a CRL of {}, of whom none is expected here", crl.issuer()));
    }
    let algorithm = SignatureAlgorithm::from_der(crl.signature_algorithm());
    let signed = |record: &Record| {
        record.certificate.subject() == crl.issuer()
            && algorithm.is_some_and(|algorithm| {
                algorithms::verify(algorithm, &record.certificate.key(), crl.tbs(), crl.signature()).is_ok()
            })
    };
    if !StoreName::ALL.into_iter().flat_map(|store| stores.members(store)).any(signed) {
        return Err("no CA in the stores signed this CRL".to_owned());
    }
    if !crl.is_current(at) {
        return Err(format!("the CRL of {} is not current", crl.this_update()));
    }
    if there.is_some_and(|there| there.this_update() > crl.this_update()) {
        return Err("it is older than the one at hand".to_owned());
    }
    Ok((crl.der().to_vec(), crl))
}
