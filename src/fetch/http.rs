//! HTTP and HTTPS. This file alone names reqwest.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{self, HeaderMap};
use reqwest::{Certificate, Client, redirect};
use tokio_rustls::rustls;
use url::{Host, Url};

use crate::fetch::{Answer, Error, Request, Response, Transport, Validators, address};

/// How long a connection may take to come about.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one request may take altogether: a certificate is a few kilobytes.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Where to connect to instead of asking the DNS, as curl's `--resolve`: `HOST:PORT:ADDR`. The address may carry a
/// port of its own (`127.0.0.1:8443`, `[::1]:8443`). Such a host is connected to directly, past any proxy, and its
/// address need not be public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    host: String,
    port: u16,
    address: SocketAddr,
}

/// Why a text is not a [`Resolution`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not HOST:PORT:ADDR, such as pki.example:443:127.0.0.1")]
pub struct ParseResolutionError(String);

impl FromStr for Resolution {
    type Err = ParseResolutionError;

    fn from_str(text: &str) -> Result<Self, ParseResolutionError> {
        let parse = || {
            let (host, rest) = text.split_once(':')?;
            let (port, address) = rest.split_once(':')?;
            let port = port.parse().ok()?;
            let bare =
                address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
            let address = match bare.parse::<IpAddr>() {
                Ok(address) => SocketAddr::new(address, port),
                Err(_) => address.parse().ok()?,
            };
            (!host.is_empty()).then(|| Self { host: host.to_ascii_lowercase(), port, address })
        };
        parse().ok_or_else(|| ParseResolutionError(text.to_owned()))
    }
}

/// What the network is to be used with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Addresses given by hand.
    pub resolutions: Vec<Resolution>,
    /// The only TLS roots to trust, as PEM, in place of the platform's.
    pub ca_certificates: Option<Vec<u8>>,
}

/// Why the network cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up HTTPS: {0}")]
pub struct SetupError(String);

/// HTTP and HTTPS over the network, with proxies from the environment.
pub struct Http {
    options: Options,
    roots: Option<Vec<Certificate>>,
    clients: Mutex<HashMap<Route, Client>>,
}

/// Requests that share a client: those to one port, through the proxy or past it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Route {
    port: u16,
    direct: bool,
}

impl Http {
    /// Prepares the network.
    ///
    /// # Errors
    ///
    /// [`SetupError`] if the given roots are no certificates, or TLS cannot be set up.
    pub fn new(options: Options) -> Result<Self, SetupError> {
        let roots = options
            .ca_certificates
            .as_deref()
            .map(|pem| Certificate::from_pem_bundle(pem).map_err(|error| SetupError(chain(&error))))
            .transpose()?;
        if roots.as_ref().is_some_and(Vec::is_empty) {
            return Err(SetupError("the file of --cacert holds no certificate".to_owned()));
        }
        let http = Self { options, roots, clients: Mutex::new(HashMap::new()) };
        http.client(Route { port: 443, direct: false })?;
        Ok(http)
    }

    fn client(&self, route: Route) -> Result<Client, SetupError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&route) {
            return Ok(client.clone());
        }
        let resolutions = self.options.resolutions.iter().filter(|resolution| resolution.port == route.port);
        let resolver = PublicOnly {
            given: resolutions.map(|resolution| (resolution.host.clone(), resolution.address)).collect(),
            proxies: proxy_hosts(),
        };
        let mut builder = Client::builder()
            .user_agent(concat!("ekstore/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .redirect(redirect::Policy::none())
            .referer(false)
            .dns_resolver(resolver);
        if route.direct {
            builder = builder.no_proxy();
        }
        if let Some(roots) = &self.roots {
            builder = builder.tls_certs_only(roots.iter().cloned());
        }
        let client = builder.build().map_err(|error| SetupError(chain(&error)))?;
        clients.insert(route, client.clone());
        Ok(client)
    }

    async fn request(&self, request: &Request) -> Result<Response, Error> {
        let url = &request.url;
        let port = url.port_or_known_default().unwrap_or(443);
        let host = url.host_str().unwrap_or_default();
        let direct = self.options.resolutions.iter().any(|given| given.host == host && given.port == port);
        // A literal address is connected to without asking the resolver.
        if let Some(literal) = literal(url)
            && !direct
            && !address::is_public(literal)
        {
            return Err(Error::Address(literal));
        }
        let client = self.client(Route { port, direct }).map_err(|error| Error::Tls(error.0))?;
        let mut builder = client.get(url.clone()).header(header::ACCEPT, "application/pkix-cert, */*;q=0.5");
        if let Some(etag) = &request.validators.etag {
            builder = builder.header(header::IF_NONE_MATCH, etag);
        }
        if let Some(modified) = &request.validators.last_modified {
            builder = builder.header(header::IF_MODIFIED_SINCE, modified);
        }
        let mut answer = builder.send().await.map_err(|error| sort(&error))?;
        let status = answer.status().as_u16();
        let text = |headers: &HeaderMap, name| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(|value| value.chars().take(1024).collect())
        };
        let headers = answer.headers();
        let mut response = Response {
            status,
            location: text(headers, header::LOCATION),
            body: Vec::new(),
            validators: Validators {
                etag: text(headers, header::ETAG),
                last_modified: text(headers, header::LAST_MODIFIED),
            },
            retry_after: text(headers, header::RETRY_AFTER)
                .and_then(|value: String| value.parse().ok())
                .map(Duration::from_secs),
        };
        if status != 200 {
            return Ok(response);
        }
        if answer.content_length().is_some_and(|length| length > request.cap) {
            return Err(Error::TooLarge(request.cap));
        }
        while let Some(chunk) = answer.chunk().await.map_err(|error| sort(&error))? {
            if (response.body.len() + chunk.len()) as u64 > request.cap {
                return Err(Error::TooLarge(request.cap));
            }
            response.body.extend_from_slice(&chunk);
        }
        Ok(response)
    }
}

impl Transport for Http {
    fn get<'a>(&'a self, request: &'a Request) -> Answer<'a> {
        Box::pin(self.request(request))
    }

    fn describe(&self, url: &Url) -> String {
        match (url.scheme(), &self.roots) {
            ("https", None) => "https (platform roots)".to_owned(),
            ("https", Some(_)) => "https (given roots)".to_owned(),
            (scheme, _) => scheme.to_owned(),
        }
    }
}

fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

/// The hosts of the proxies that the environment configures: their addresses need not be public (T13).
fn proxy_hosts() -> Vec<String> {
    let names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let values = names.iter().filter_map(|name| std::env::var(name).ok());
    let url = |value: String| Url::parse(&value).or_else(|_| Url::parse(&format!("http://{value}"))).ok();
    values.filter_map(url).filter_map(|url| url.host_str().map(str::to_owned)).collect()
}

/// Resolves names to public addresses only: what it returns is what is connected to, so a name that points inside
/// leads nowhere, on redirects too.
struct PublicOnly {
    given: HashMap<String, SocketAddr>,
    proxies: Vec<String>,
}

/// An address that must not be connected to.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not a public address")]
struct NotPublic(IpAddr);

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_ascii_lowercase();
        if let Some(address) = self.given.get(&host).copied() {
            let addresses: Addrs = Box::new(std::iter::once(address));
            return Box::pin(std::future::ready(Ok(addresses)));
        }
        let may_be_inside = self.proxies.contains(&host);
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let (allowed, refused): (Vec<SocketAddr>, Vec<SocketAddr>) =
                found.into_iter().partition(|found| may_be_inside || address::is_public(found.ip()));
            match (allowed.is_empty(), refused.first()) {
                (true, Some(refused)) => Err(NotPublic(refused.ip()).into()),
                _ => {
                    let addresses: Addrs = Box::new(allowed.into_iter());
                    Ok(addresses)
                }
            }
        })
    }
}

/// Tells what kind of failure an error is by what is behind it.
fn sort(error: &reqwest::Error) -> Error {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<NotPublic>() {
            return Error::Address(refused.0);
        }
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return Error::Tls(tls.to_string());
        }
        // An io::Error's source() passes over the error that it carries itself.
        let carried = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = match carried {
            Some(carried) => Some(carried),
            None => inner.source(),
        };
    }
    if error.is_timeout() { Error::Timeout } else { Error::Connect(chain(error)) }
}

/// The last, most telling part of an error and its causes, without the URL.
fn chain(error: &reqwest::Error) -> String {
    let mut last: &dyn StdError = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolutions_are_read_as_curl_does() {
        let read = |text: &str| {
            text.parse::<Resolution>().map(|given| (given.host, given.port, given.address.to_string()))
        };
        assert_eq!(read("A.example:443:127.0.0.1"), Ok(("a.example".into(), 443, "127.0.0.1:443".into())));
        assert_eq!(
            read("a.example:443:127.0.0.1:8443"),
            Ok(("a.example".into(), 443, "127.0.0.1:8443".into()))
        );
        assert_eq!(read("a.example:80:[::1]"), Ok(("a.example".into(), 80, "[::1]:80".into())));
        assert_eq!(read("a.example:80:::1"), Ok(("a.example".into(), 80, "[::1]:80".into())));
        assert_eq!(read("a.example:80:[::1]:81"), Ok(("a.example".into(), 80, "[::1]:81".into())));
        for bad in ["a.example", "a.example:443", "a.example:x:127.0.0.1", ":443:127.0.0.1", "a:443:host"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
