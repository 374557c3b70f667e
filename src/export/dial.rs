//! Opening connections: name, socket, proxy, TLS, HTTP.
//!
//! Names are resolved anew each time (`names`), so a moved upstream is found by the next connection. A peer that
//! is gone without a word is noticed within 20 s: by the kernel's probes and unacknowledged bytes on
//! every connection, by pings on HTTP/2 while a call waits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rand::seq::SliceRandom;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::classify::Trouble;
use super::gathered::{Gathered, Upcoming};
use super::line::{Form, Live, Outgoing, Wire};
use super::names::{Names, Resolver};
use super::target::Target;
use super::tls::{self, Secrets};
use super::tunnel::{self, Proxy};
use super::{Protocol, Settings, SetupError, Tls};
use crate::model::{Stream, background, stream};

/// All addresses of a name, the TLS handshake and HTTP's together.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// One address: a black hole among several must not use up the time of the others.
const ADDRESS_MAX: Duration = Duration::from_secs(3);

/// Bytes unacknowledged, or probes unanswered, for this long end a connection.
#[cfg(target_os = "linux")]
const UNHEARD_MAX: Duration = Duration::from_secs(15);

const PING_EVERY: Duration = Duration::from_secs(10);
const PING_EVERY_MAX: Duration = Duration::from_secs(600);
const PING_ANSWER_MAX: Duration = Duration::from_secs(10);

const FRAME_MAX: u32 = 1 << 20;
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Bounds header blocks and trailers, of which `grpc-status-details-bin` is the longest we want.
const HEADERS_MAX: u32 = 32 << 10;
const H1_BUFFER_MAX: usize = 64 << 10;

/// No connection, and why.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct DialError {
    pub trouble: Trouble,
    message: String,
}

impl DialError {
    pub fn connect(message: impl Into<String>) -> Self {
        Self { trouble: Trouble::Connect, message: message.into() }
    }

    fn tls(message: impl Into<String>) -> Self {
        Self { trouble: Trouble::Tls, message: message.into() }
    }
}

/// Opens connections to one upstream.
#[derive(Debug)]
pub(super) struct Dialer {
    host: String,
    port: u16,
    /// Of whom we connect to: the proxy if there is one, else the upstream.
    names: Arc<Names>,
    proxy: Option<(Proxy, Option<Guard>)>,
    tls: Option<Guard>,
    protocol: Protocol,
    patience: Duration,
    /// Milliseconds between HTTP/2 pings; doubled by an upstream that finds them too many.
    ping_every: Arc<AtomicU64>,
    opened: AtomicU64,
}

/// TLS with one peer.
#[derive(Debug)]
struct Guard {
    secrets: Secrets,
    name: ServerName<'static>,
}

impl Guard {
    fn new(host: &str, tls: Tls, alpn: &'static [&'static [u8]]) -> Result<Self, String> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| format!("host `{host}` is not a DNS name or address"))?;
        Ok(Self { secrets: Secrets::new(tls, alpn)?, name })
    }

    async fn connect(&self, io: Stream) -> Result<TlsStream<Stream>, DialError> {
        let connector = TlsConnector::from(self.secrets.current());
        connector.connect(self.name.clone(), io).await.map_err(|error| {
            let (name, hint) = (self.name.to_str(), tls::hint(&error));
            DialError::tls(format!("TLS handshake with `{name}` failed: {error}{hint}"))
        })
    }
}

impl Dialer {
    /// # Errors
    /// TLS files that can not be used, a host that is no name TLS could check.
    pub fn new(settings: &Settings, target: &Target, resolver: Resolver) -> Result<Self, SetupError> {
        let fail = |what: String| SetupError { name: settings.name.clone(), what };
        let alpn: &[&[u8]] = match settings.protocol {
            Protocol::Grpc => &[b"h2"],
            Protocol::HttpProtobuf | Protocol::HttpJson => &[b"h2", b"http/1.1"],
        };
        let guard = |host: &str, tls: Tls, alpn| Guard::new(host, tls, alpn).map_err(fail);
        let tls = target.tls.then(|| guard(&target.host, settings.tls.clone(), alpn)).transpose()?;
        let proxy = match settings.proxy.clone() {
            // The system's roots: `tls` is about the upstream.
            Some(proxy) if proxy.tls => {
                let guard = guard(&proxy.host, Tls::default(), &[b"http/1.1"])?;
                Some((proxy, Some(guard)))
            }
            Some(proxy) => Some((proxy, None)),
            None => None,
        };
        let (host, port) = match &proxy {
            Some((proxy, _)) => (proxy.host.clone(), proxy.port),
            None => (target.host.clone(), target.port),
        };
        Ok(Self {
            host: target.host.clone(),
            port: target.port,
            names: Names::new(host, port, resolver),
            proxy,
            tls,
            protocol: settings.protocol,
            patience: settings.timeout.min(CONNECT_MAX),
            ping_every: Arc::new(AtomicU64::new(PING_EVERY.as_millis() as u64)),
            opened: AtomicU64::new(0),
        })
    }

    /// A fresh connection, ready for calls.
    pub async fn dial<B: Outgoing>(&self) -> Result<Live<B>, DialError> {
        timeout(self.patience, self.open()).await.unwrap_or_else(|_| {
            let (host, port, patience) = (&self.host, self.port, self.patience);
            Err(DialError::connect(format!("`{host}:{port}` did not answer within {patience:?}")))
        })
    }

    /// Whether connections to `peer` are still to be used: the name stands for it.
    pub fn stands(&self, peer: SocketAddr) -> bool {
        self.names.still(peer)
    }

    async fn open<B: Outgoing>(&self) -> Result<Live<B>, DialError> {
        let socket = self.reach().await?;
        let peer = socket.peer_addr().ok();
        let socket = Stream::new(socket);
        let wire = match &self.proxy {
            None => self.over(socket).await?,
            Some((proxy, None)) => self.through(proxy, socket).await?,
            Some((proxy, Some(guard))) => {
                self.through(proxy, Stream::new(guard.connect(socket).await?)).await?
            }
        };
        Ok(Live::new(self.opened.fetch_add(1, Ordering::Relaxed), peer, wire))
    }

    /// On by way of the proxy at the other end of `io`.
    async fn through<B: Outgoing>(&self, proxy: &Proxy, io: Stream) -> Result<Wire<B>, DialError> {
        if self.tls.is_none() && self.protocol != Protocol::Grpc {
            let wire = self.speak(io, false).await?;
            return Ok(wire.handing_over(proxy.credentials.clone()));
        }
        let tunnel = tunnel::open(io, proxy, &self.host, self.port).await?;
        self.over(Stream::new(TokioIo::new(tunnel))).await
    }

    /// TLS, if any, and HTTP, with the upstream itself at the other end of `io`.
    async fn over<B: Outgoing>(&self, io: Stream) -> Result<Wire<B>, DialError> {
        let Some(guard) = &self.tls else {
            return self.speak(io, self.protocol == Protocol::Grpc).await;
        };
        let stream = guard.connect(io).await?;
        let agreed = stream.get_ref().1.alpn_protocol();
        let h2 = agreed == Some(b"h2") || (agreed.is_none() && self.protocol == Protocol::Grpc);
        self.speak(Stream::new(stream), h2).await
    }

    /// The first address that answers. Their order is shuffled: several connections spread over them.
    async fn reach(&self) -> Result<TcpStream, DialError> {
        let mut addresses = self.names.addresses().await.map_err(DialError::connect)?;
        addresses.shuffle(&mut rand::rng());
        let mut last = DialError::connect("no address");
        for address in addresses {
            match timeout_at(Instant::now() + ADDRESS_MAX, TcpStream::connect(address)).await {
                Ok(Ok(socket)) => {
                    stream::tune(&socket);
                    end_unheard(&socket);
                    return Ok(socket);
                }
                Ok(Err(error)) => last = DialError::connect(format!("{address}: {error}")),
                Err(_) => {
                    last = DialError::connect(format!("{address} did not answer within {ADDRESS_MAX:?}"))
                }
            }
        }
        Err(last)
    }

    async fn speak<B: Outgoing>(&self, io: Stream, h2: bool) -> Result<Wire<B>, DialError> {
        let failed = |error: hyper::Error| DialError::connect(format!("HTTP handshake failed: {error}"));
        if !h2 {
            let upcoming = Upcoming::default();
            let io = TokioIo::new(Stream::new(Gathered::new(io, upcoming.clone())));
            let handshake = http1::Builder::new().max_buf_size(H1_BUFFER_MAX).handshake(io).await;
            let (sender, connection) = handshake.map_err(failed)?;
            background(async move {
                if let Err(error) = connection.await {
                    tracing::debug!("connection ended: {error}");
                }
            });
            return Ok(Wire::H1(sender, Form::Origin, upcoming));
        }
        let ping_every = Duration::from_millis(self.ping_every.load(Ordering::Relaxed));
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_frame_size(FRAME_MAX)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADERS_MAX)
            .keep_alive_interval(ping_every)
            .keep_alive_timeout(PING_ANSWER_MAX)
            .keep_alive_while_idle(false);
        let (sender, connection) = builder.handshake(TokioIo::new(io)).await.map_err(failed)?;
        let every = self.ping_every.clone();
        background(async move {
            if let Err(error) = connection.await {
                tracing::debug!("connection ended: {error}");
                calm_down(&error, &every);
            }
        });
        Ok(Wire::H2(sender))
    }
}

/// GOAWAY with ENHANCE_YOUR_CALM is `too_many_pings`: ping half as often from now on.
fn calm_down(error: &hyper::Error, ping_every: &AtomicU64) {
    let h2 = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
    if h2.is_some_and(|h2| h2.is_remote() && h2.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM)) {
        let doubled = |ms: u64| Some((ms * 2).min(PING_EVERY_MAX.as_millis() as u64));
        let _ = ping_every.fetch_update(Ordering::Relaxed, Ordering::Relaxed, doubled);
    }
}

/// Nobody waits for long that what was sent is acknowledged. A hint, too: a call has its own timeout.
fn end_unheard(socket: &TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = rustix::net::sockopt::set_tcp_user_timeout(socket, UNHEARD_MAX.as_millis() as u32);
    #[cfg(not(target_os = "linux"))]
    let _ = socket;
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn f12_what_nobody_acknowledges_ends_a_connection_within_twenty_seconds() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        end_unheard(&socket);
        // It bounds both unacknowledged bytes and unanswered probes (tcp(7)).
        let unheard = rustix::net::sockopt::tcp_user_timeout(&socket).unwrap();
        assert!((1..=20_000).contains(&unheard), "{unheard} ms");
    }

    #[tokio::test]
    async fn f21_an_upstream_that_finds_pings_too_many_gets_half_as_many() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = settings(listener.local_addr().unwrap().port());
        let target = Target::new(&settings).unwrap();
        let dialer = Dialer::new(&settings, &target, Resolver::system()).unwrap();
        let upstream = tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(socket).await.unwrap();
            connection.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
            while connection.accept().await.is_some() {}
        });
        let _live: Live = dialer.dial().await.unwrap();
        let before = PING_EVERY.as_millis() as u64;
        let calmed = async {
            while dialer.ping_every.load(Ordering::Relaxed) == before {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), calmed).await.expect("it heard");
        assert_eq!(dialer.ping_every.load(Ordering::Relaxed), before * 2);
        upstream.await.unwrap();
    }
}
