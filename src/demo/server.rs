//! An HTTPS server on loopback that publishes what it is told to, for the `demo` command and for tests.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::server::TlsStream;

use crate::demo::authority;
use crate::fingerprint::Digest;

/// What the server answers.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// The status; 0 stands for 200.
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A body with status 200.
    pub fn body(body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }

    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

/// Answers for a host and a path (percent-encoded, as requested); `None` is 404.
pub type Content = dyn Fn(&str, &str) -> Option<Reply> + Send + Sync;

/// A running server; it stops when this is dropped.
pub struct Server {
    address: SocketAddr,
    root_pem: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server on a free port of 127.0.0.1, with a certificate for these host names.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn start(hosts: &[String], content: Arc<Content>) -> io::Result<Self> {
        let (root_pem, certificate, key) = authority::tls(hosts).map_err(io::Error::other)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate.into()], key))
            .map_err(io::Error::other)?;
        let socket = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let Ok(socket) = TcpListener::from_std(socket) else { return };
                let listener = Tls { socket, acceptor: TlsAcceptor::from(Arc::new(config)) };
                let handler = move |request: Request| {
                    let reply = answer(&request, content.as_ref());
                    async move { reply }
                };
                let serving = axum::serve(listener, Router::new().fallback(handler));
                tokio::select! {
                    _ = async { serving.await } => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { address, root_pem, stop: Some(stop), thread: Some(thread) })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The TLS root that the server's certificate is under, as PEM.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(request: &Request, content: &Content) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    let reply = content(host, request.uri().path()).unwrap_or(Reply::status(404));
    let mut status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    let etag = format!("\"{}\"", Digest::of(&reply.body));
    let mut body = reply.body;
    if request.headers().get(header::IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == etag.as_bytes()) {
        status = StatusCode::NOT_MODIFIED;
        body.clear();
    }
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Accepts TLS connections; one whose handshake fails is dropped.
struct Tls {
    socket: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            if let Ok((stream, address)) = self.socket.accept().await
                && let Ok(stream) = self.acceptor.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}
