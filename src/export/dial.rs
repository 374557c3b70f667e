//! Opening connections: name, socket, TLS, HTTP.
//!
//! Names are resolved anew each time, so a moved upstream is found by the next connection. A peer that
//! is gone without a word is noticed within 20 s: by the kernel's probes and unacknowledged bytes on
//! every connection, by pings on HTTP/2 while a call waits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper::rt::{Read, Write};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rand::seq::SliceRandom;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::body::Whole;
use super::classify::Trouble;
use super::line::{Live, Wire};
use super::target::Target;
use super::tls::Secrets;
use super::{Protocol, Settings, SetupError};

/// All addresses of a name, the TLS handshake and HTTP's together.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// One address: a black hole among several must not use up the time of the others.
const ADDRESS_MAX: Duration = Duration::from_secs(3);

const KEEP_IDLE: Duration = Duration::from_secs(10);
const KEEP_INTERVAL: Duration = Duration::from_secs(3);
/// Bytes unacknowledged, or probes unanswered, for this long end a connection.
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
    fn connect(message: impl Into<String>) -> Self {
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
    tls: Option<(Secrets, ServerName<'static>)>,
    protocol: Protocol,
    patience: Duration,
    /// Milliseconds between HTTP/2 pings; doubled by an upstream that finds them too many.
    ping_every: Arc<AtomicU64>,
    opened: AtomicU64,
}

impl Dialer {
    /// # Errors
    /// TLS files that can not be used, a host that is no name TLS could check.
    pub fn new(settings: &Settings, target: &Target) -> Result<Self, SetupError> {
        let fail = |what: String| SetupError { name: settings.name.clone(), what };
        let tls = if target.tls {
            let name = ServerName::try_from(target.host.clone())
                .map_err(|_| fail(format!("endpoint host `{}` is not a DNS name or address", target.host)))?;
            Some((Secrets::new(settings.tls.clone(), settings.protocol).map_err(fail)?, name))
        } else {
            None
        };
        Ok(Self {
            host: target.host.clone(),
            port: target.port,
            tls,
            protocol: settings.protocol,
            patience: settings.timeout.min(CONNECT_MAX),
            ping_every: Arc::new(AtomicU64::new(PING_EVERY.as_millis() as u64)),
            opened: AtomicU64::new(0),
        })
    }

    /// A fresh connection, ready for calls.
    pub async fn dial(&self) -> Result<Live, DialError> {
        timeout(self.patience, self.open()).await.unwrap_or_else(|_| {
            let (host, port, patience) = (&self.host, self.port, self.patience);
            Err(DialError::connect(format!("`{host}:{port}` did not answer within {patience:?}")))
        })
    }

    async fn open(&self) -> Result<Live, DialError> {
        let socket = self.reach().await?;
        let wire = match &self.tls {
            None => self.speak(TokioIo::new(socket), self.protocol == Protocol::Grpc).await?,
            Some((secrets, name)) => {
                let connector = TlsConnector::from(secrets.current());
                let stream = connector.connect(name.clone(), socket).await.map_err(|error| {
                    DialError::tls(format!("TLS handshake with `{}` failed: {error}", self.host))
                })?;
                let agreed = stream.get_ref().1.alpn_protocol();
                let h2 = agreed == Some(b"h2") || (agreed.is_none() && self.protocol == Protocol::Grpc);
                self.speak(TokioIo::new(stream), h2).await?
            }
        };
        Ok(Live::new(self.opened.fetch_add(1, Ordering::Relaxed), wire))
    }

    /// The first address that answers. Their order is shuffled: several connections spread over them.
    async fn reach(&self) -> Result<TcpStream, DialError> {
        let (host, port) = (self.host.as_str(), self.port);
        let found = tokio::net::lookup_host((host, port)).await;
        let found =
            found.map_err(|error| DialError::connect(format!("`{host}` can not be resolved: {error}")))?;
        let mut addresses: Vec<SocketAddr> = found.collect();
        addresses.shuffle(&mut rand::rng());
        let mut last = DialError::connect(format!("`{host}` has no address"));
        for address in addresses {
            match timeout_at(Instant::now() + ADDRESS_MAX, TcpStream::connect(address)).await {
                Ok(Ok(socket)) => {
                    tune(&socket);
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

    async fn speak<T>(&self, io: T, h2: bool) -> Result<Wire, DialError>
    where
        T: Read + Write + Unpin + Send + 'static,
    {
        let failed = |error: hyper::Error| DialError::connect(format!("HTTP handshake failed: {error}"));
        if !h2 {
            let handshake = http1::Builder::new().max_buf_size(H1_BUFFER_MAX).handshake::<T, Whole>(io).await;
            let (sender, connection) = handshake.map_err(failed)?;
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!("connection ended: {error}");
                }
            });
            return Ok(Wire::H1(sender));
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
        let (sender, connection) = builder.handshake::<T, Whole>(io).await.map_err(failed)?;
        let every = self.ping_every.clone();
        tokio::spawn(async move {
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
    if h2.and_then(h2::Error::reason) == Some(h2::Reason::ENHANCE_YOUR_CALM) {
        let doubled = |ms: u64| Some((ms * 2).min(PING_EVERY_MAX.as_millis() as u64));
        let _ = ping_every.fetch_update(Ordering::Relaxed, Ordering::Relaxed, doubled);
    }
}

/// Kernel settings are hints: a system without one of them still has the call's own timeout.
fn tune(socket: &TcpStream) {
    use rustix::net::sockopt;
    let _ = socket.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(socket, true);
    let _ = sockopt::set_tcp_keepidle(socket, KEEP_IDLE);
    let _ = sockopt::set_tcp_keepintvl(socket, KEEP_INTERVAL);
    #[cfg(target_os = "linux")]
    let _ = sockopt::set_tcp_user_timeout(socket, UNHEARD_MAX.as_millis() as u32);
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;

    #[tokio::test]
    async fn an_upstream_that_finds_pings_too_many_gets_half_as_many() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = settings(listener.local_addr().unwrap().port());
        let target = Target::new(&settings).unwrap();
        let dialer = Dialer::new(&settings, &target).unwrap();
        let upstream = tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(socket).await.unwrap();
            connection.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
            while connection.accept().await.is_some() {}
        });
        let _live = dialer.dial().await.unwrap();
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
