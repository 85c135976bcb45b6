//! Fetching: transport, size cap, digest. What comes back has no meaning yet.

pub mod address;
pub mod http;
pub mod mirror;

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use url::Url;

use crate::fingerprint::Digest;

/// The most that is read of a certificate: 1 MiB (T12). Real ones have at most 3 KiB; more is an attack or a mistake.
pub const CERTIFICATE_CAP: u64 = 1 << 20;

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    /// What to get.
    pub url: Url,
    /// The most bytes of a body.
    pub cap: u64,
    /// Asks for nothing if the content still is what these validators name (RFC 9110 §13.1).
    pub validators: Validators,
}

/// What a server says to recognise a content by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// ETag (RFC 9110 §8.8.3).
    pub etag: Option<String>,
    /// Last-Modified (RFC 9110 §8.8.2).
    pub last_modified: Option<String>,
}

/// What a transport brought back for one request, redirects not followed.
#[derive(Debug, Clone)]
pub struct Response {
    /// The HTTP status; 200 from a mirror.
    pub status: u16,
    /// Where it redirects to, as it stands in the answer.
    pub location: Option<String>,
    /// The body, at most the request's cap.
    pub body: Vec<u8>,
    /// To ask again with.
    pub validators: Validators,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
}

/// A way to get bytes.
pub trait Transport: Send + Sync {
    /// Sends one request and reads its answer up to the cap.
    fn get<'a>(&'a self, request: &'a Request) -> Answer<'a>;

    /// What authenticated the transport of `url`, for the record: `https (platform roots)`, `http`, `mirror`.
    fn describe(&self, url: &Url) -> String;
}

/// A future answer of a [`Transport`].
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response, Error>> + Send + 'a>>;

/// Why nothing was fetched. None of these changes what is trusted (T11).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The mirror has no such file; not a failure (T11).
    #[error("not in the mirror")]
    Absent,
    /// The mirror has it but it cannot be read.
    #[error("the mirror's file cannot be read: {0}")]
    Mirror(String),
    /// No connection came about, or it broke.
    #[error("no connection: {0}")]
    Connect(String),
    /// The server's certificate is not trusted, or TLS failed otherwise.
    #[error("TLS: {0}")]
    Tls(String),
    /// It took too long.
    #[error("timed out")]
    Timeout,
    /// The host did not answer several times in this run; it was not asked again.
    #[error("no connection: the host did not answer before")]
    HostDown,
    /// The server's answer is not a success.
    #[error("not a certificate: the server answered with status {0}")]
    Status(u16),
    /// The body is larger than the cap; reading stopped there.
    #[error("not a certificate: larger than {0} bytes")]
    TooLarge(u64),
    /// A redirect leads away from the manufacturer's hosts.
    #[error("redirected to {0}, which is not a host of the manufacturer")]
    RedirectLeaves(String),
    /// A redirect's target is malformed, or not http(s), or leads from https to http.
    #[error("redirected to {0}")]
    RedirectBad(String),
    /// There are more redirects than [`Limits::redirects`].
    #[error("more than {0} redirects")]
    TooManyRedirects(u32),
    /// The host's address is not a public one (T13).
    #[error("{0} is not a public address")]
    Address(IpAddr),
}

impl Error {
    /// The kind of failure: a stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Absent => "absent",
            Error::Mirror(_) => "mirror-unreadable",
            Error::Connect(_) | Error::HostDown => "no-connection",
            Error::Tls(_) => "tls",
            Error::Timeout => "timeout",
            Error::Status(_) => "status",
            Error::TooLarge(_) => "too-large",
            Error::RedirectLeaves(_) | Error::RedirectBad(_) | Error::TooManyRedirects(_) => "redirect",
            Error::Address(_) => "address",
        }
    }

    /// Whether the same request may work in a moment.
    fn is_transient(&self) -> bool {
        matches!(
            self,
            Error::Connect(_) | Error::Timeout | Error::Status(408 | 425 | 429 | 500 | 502 | 503 | 504)
        )
    }
}

/// The limits that keep us polite to manufacturers and safe from servers that are not theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests at one time; default 16.
    pub total: usize,
    /// Requests at one time to one host; default 4, as browsers long did.
    pub per_host: usize,
    /// Redirects followed for one source; default 5. Manufacturers need one at most.
    pub redirects: u32,
    /// Tries for one request, the first included; default 3. Infineon's and Intel's sites are known to be flaky.
    pub tries: u32,
    /// The wait before the second try, doubled for each further one; default half a second.
    pub backoff: Duration,
    /// The longest wait, whatever the server asks for; default ten seconds.
    pub longest_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            total: 16,
            per_host: 4,
            redirects: 5,
            tries: 3,
            backoff: Duration::from_millis(500),
            longest_wait: Duration::from_secs(10),
        }
    }
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// A body, and its digest.
    Body {
        /// The bytes, without meaning yet.
        bytes: Vec<u8>,
        /// SHA-256 of them.
        digest: Digest,
        /// To ask again with.
        validators: Validators,
        /// How it came.
        transport: String,
    },
    /// The content is what the validators name.
    NotModified,
}

/// Fetches over a transport, with limits, redirects and retries.
pub struct Fetcher {
    transport: Arc<dyn Transport>,
    limits: Limits,
    total: Semaphore,
    hosts: HashMap<String, Host>,
}

/// What is known about a host in this run.
struct Host {
    places: Semaphore,
    /// Sources in a row that could not connect, by http and by https: a host may serve only one of them.
    unanswered: [AtomicU32; 2],
}

impl Host {
    fn new(places: usize) -> Self {
        Self { places: Semaphore::new(places), unanswered: [AtomicU32::new(0), AtomicU32::new(0)] }
    }

    fn unanswered(&self, url: &Url) -> &AtomicU32 {
        &self.unanswered[usize::from(url.scheme() == "https")]
    }

    fn is_down(&self, url: &Url) -> bool {
        self.unanswered(url).load(Ordering::Relaxed) >= GIVE_UP_ON_HOST
    }
}

/// After so many sources in a row without a connection the rest of a host's are not tried: a hundred of them would only
/// wait for the same time-out.
const GIVE_UP_ON_HOST: u32 = 3;

impl Fetcher {
    /// Prepares for requests to `hosts`.
    pub fn new<'a>(
        transport: Arc<dyn Transport>,
        limits: Limits,
        hosts: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let host = |name: &str| (name.to_owned(), Host::new(limits.per_host));
        let hosts = hosts.into_iter().map(host).collect();
        Self { transport, limits, total: Semaphore::new(limits.total), hosts }
    }

    /// Gets what `request` names; redirects may lead to `hosts` only.
    ///
    /// # Errors
    ///
    /// [`Error`] after the last try.
    pub async fn get(&self, request: &Request, hosts: &[String]) -> Result<Fetched, Error> {
        let host = request.url.host_str().and_then(|host| self.hosts.get(host));
        let result = self.try_often(request, hosts, host).await;
        if let Some(host) = host {
            match &result {
                Err(Error::Connect(_) | Error::Timeout) => {
                    host.unanswered(&request.url).fetch_add(1, Ordering::Relaxed);
                }
                Err(Error::HostDown) => {}
                _ => host.unanswered(&request.url).store(0, Ordering::Relaxed),
            }
        }
        result
    }

    async fn try_often(
        &self,
        request: &Request,
        hosts: &[String],
        host: Option<&Host>,
    ) -> Result<Fetched, Error> {
        let mut tried = 0;
        loop {
            tried += 1;
            if host.is_some_and(|host| host.is_down(&request.url)) {
                return Err(Error::HostDown);
            }
            let (error, asked) = match self.follow(request, hosts).await {
                Ok(fetched) => return Ok(fetched),
                Err((error, asked)) => (error, asked),
            };
            if tried >= self.limits.tries || !error.is_transient() {
                return Err(error);
            }
            let doubled = self.limits.backoff.saturating_mul(1 << (tried - 1).min(16));
            // Full jitter, so that many clients do not come back at one time.
            let wait = doubled.mul_f64(0.5 + fastrand::f64() / 2.0);
            tokio::time::sleep(asked.unwrap_or(wait).min(self.limits.longest_wait)).await;
        }
    }

    /// One try: the request and its redirects.
    async fn follow(
        &self,
        request: &Request,
        hosts: &[String],
    ) -> Result<Fetched, (Error, Option<Duration>)> {
        let mut request = request.clone();
        let plain = |error| (error, None);
        for _ in 0..=self.limits.redirects {
            check_host(&request.url, hosts).map_err(plain)?;
            let response = self.once(&request).await.map_err(plain)?;
            match response.status {
                200 => {
                    return Ok(Fetched::Body {
                        digest: Digest::of(&response.body),
                        bytes: response.body,
                        validators: response.validators,
                        transport: self.transport.describe(&request.url),
                    });
                }
                304 if request.validators != Validators::default() => return Ok(Fetched::NotModified),
                301 | 302 | 303 | 307 | 308 => {
                    let location = response.location.unwrap_or_default();
                    let bad = || plain(Error::RedirectBad(location.chars().take(200).collect()));
                    let target = request.url.join(&location).map_err(|_| bad())?;
                    let downgrade = request.url.scheme() == "https" && target.scheme() == "http";
                    if location.is_empty() || downgrade || !matches!(target.scheme(), "https" | "http") {
                        return Err(bad());
                    }
                    request.url = target;
                }
                status => return Err((Error::Status(status), response.retry_after)),
            }
        }
        Err(plain(Error::TooManyRedirects(self.limits.redirects)))
    }

    async fn once(&self, request: &Request) -> Result<Response, Error> {
        // The host first: waiting for a slow host must not take a place from the others.
        let host = request.url.host_str().and_then(|host| self.hosts.get(host));
        let _host = match host {
            Some(host) => Some(host.places.acquire().await.expect("semaphores here are never closed")),
            None => None,
        };
        // Others may have found out while this one waited.
        if host.is_some_and(|host| host.is_down(&request.url)) {
            return Err(Error::HostDown);
        }
        let _total = self.total.acquire().await.expect("semaphores here are never closed");
        self.transport.get(request).await
    }
}

fn check_host(url: &Url, hosts: &[String]) -> Result<(), Error> {
    let host = url.host_str().unwrap_or_default();
    if hosts.iter().any(|allowed| allowed == host) {
        Ok(())
    } else {
        Err(Error::RedirectLeaves(host.chars().take(200).collect()))
    }
}

#[cfg(test)]
#[expect(clippy::unnecessary_wraps, reason = "the script holds results")]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Answers from a list, and counts the questions.
    struct Script(Mutex<Vec<Result<Response, Error>>>);

    impl Script {
        fn new(answers: Vec<Result<Response, Error>>) -> Arc<Self> {
            Arc::new(Self(Mutex::new(answers)))
        }
    }

    impl Transport for Script {
        fn get<'a>(&'a self, _: &'a Request) -> Answer<'a> {
            let next = self.0.lock().expect("no panic in the lock").remove(0);
            Box::pin(std::future::ready(next))
        }

        fn describe(&self, url: &Url) -> String {
            url.scheme().to_owned()
        }
    }

    type Scripted = Result<Response, Error>;

    fn answer(status: u16, location: Option<&str>) -> Scripted {
        let response = Response {
            status,
            location: location.map(str::to_owned),
            body: b"body".to_vec(),
            validators: Validators::default(),
            retry_after: Some(Duration::ZERO),
        };
        Scripted::Ok(response)
    }

    fn prepared(script: &Arc<Script>) -> (Fetcher, Request) {
        let limits = Limits { backoff: Duration::ZERO, ..Limits::default() };
        let transport: Arc<dyn Transport> = script.clone();
        let url = "https://a.example/x".parse().expect("a URL");
        let request = Request { url, cap: 10, validators: Validators::default() };
        (Fetcher::new(transport, limits, ["a.example"]), request)
    }

    fn get(answers: Vec<Result<Response, Error>>) -> (Result<Fetched, Error>, usize) {
        let script = Script::new(answers);
        let (fetcher, request) = prepared(&script);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let result = runtime.block_on(fetcher.get(&request, &["a.example".to_owned()]));
        let left = script.0.lock().expect("no panic in the lock").len();
        (result, left)
    }

    #[test]
    fn transient_failures_are_tried_again_and_others_are_not() {
        let (result, left) = get(vec![answer(503, None), Err(Error::Timeout), answer(200, None)]);
        assert!(matches!(result, Ok(Fetched::Body { .. })));
        assert_eq!(left, 0);
        let (result, left) = get(vec![answer(403, None), answer(200, None)]);
        assert_eq!((result, left), (Err(Error::Status(403)), 1));
        let (result, left) =
            get(vec![answer(503, None), answer(503, None), answer(503, None), answer(200, None)]);
        assert_eq!((result, left), (Err(Error::Status(503)), 1));
    }

    #[test]
    fn a_body_with_202_is_not_a_certificate() {
        let (result, _) = get(vec![answer(202, None)]);
        let message = result.expect_err("202 is no success here").to_string();
        assert_eq!(message, "not a certificate: the server answered with status 202");
    }

    #[test]
    fn redirects_stay_with_the_manufacturer_and_end() {
        let (result, _) = get(vec![answer(301, Some("/y")), answer(200, None)]);
        assert!(result.is_ok());
        let (result, _) = get(vec![answer(301, Some("https://b.example/"))]);
        assert_eq!(result, Err(Error::RedirectLeaves("b.example".to_owned())));
        let (result, _) = get(vec![answer(302, Some("http://a.example/x"))]);
        assert_eq!(result, Err(Error::RedirectBad("http://a.example/x".to_owned())));
        let (result, left) = get((0..10).map(|_| answer(307, Some("/x"))).collect());
        assert_eq!((result, left), (Err(Error::TooManyRedirects(5)), 4));
    }

    #[test]
    fn a_host_that_does_not_answer_is_not_asked_a_hundred_times() {
        let script = Script::new(vec![Err(Error::Timeout); 100]);
        let (fetcher, request) = prepared(&script);
        let hosts = ["a.example".to_owned()];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let results: Vec<_> = (0..10).map(|_| runtime.block_on(fetcher.get(&request, &hosts))).collect();
        assert_eq!(results[2], Err(Error::Timeout));
        assert_eq!(results[9], Err(Error::HostDown));
        assert_eq!(
            script.0.lock().expect("no panic in the lock").len(),
            91,
            "three sources, three tries each"
        );
    }

    #[test]
    fn a_304_that_was_not_asked_for_is_a_failure() {
        assert_eq!(get(vec![answer(304, None)]).0, Err(Error::Status(304)));
    }
}
