//! The server edge: gRPC and HTTP on every listener. A connection's first bytes tell the version of HTTP
//! ([`speech`]), a request's content type the rest.
//!
//! Protocol files end at "bytes, headers and a reservation" ([`admit::Parcel`]): every policy after
//! that is in `admit.rs`, and every refusal is one row of one table, `refusal.rs`. Nothing here
//! waits for a queue: a full one is answered at once.

mod admit;
mod ahead;
mod beyond;
mod body;
mod conn;
mod cors;
mod credentials;
mod descriptors;
mod doors;
mod frames;
mod grpc;
mod http;
mod inflate;
mod listen;
mod origins;
#[doc(hidden)]
pub mod probe;
mod reflection;
mod refusal;
mod respond;
mod server;
mod speech;
mod tally;
#[cfg(test)]
mod tests;
mod tls;
mod watch;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use credentials::{CredentialSettings, Secret};
pub use listen::{BindError, Bound, bind};
pub use server::serve;
pub use tls::TlsFiles;

use crate::wire::Signals;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => write!(f, "{address}"),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What the server edge needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub listen: Vec<Listen>,
    /// The mode of UNIX sockets' files; `None`: as the process's umask has it.
    pub unix_mode: Option<u32>,
    /// TLS on every TCP listener.
    pub tls: Option<TlsFiles>,
    /// `None`: whoever reaches a listener may send.
    pub credentials: Option<CredentialSettings>,
    /// Origins whose pages may send.
    pub cors: Vec<String>,
    /// `None`: a connection may live for ever.
    pub age: Option<Age>,
    /// Bytes of one request, on the wire and inflated (conformance G02).
    pub request_max: usize,
    /// Bytes of one reply, before compression (conformance G04).
    pub response_max: usize,
    /// Take JSON names in snake_case and enums as text too (conformance J02, J04).
    pub lenient_json: bool,
    /// Connections open at once, over all listeners.
    pub connections_max: usize,
    pub timeouts: Timeouts,
    /// Index spans (the join is on) or blocks only.
    pub join: bool,
    /// What somebody takes from us; the rest is refused.
    pub signals: Signals,
    /// A further path at which spans come over HTTP.
    pub traces_at: Option<String>,
    /// Log records that belong to spans are indexed; they are taken even where nobody takes logs.
    pub notes: bool,
    /// Those that are evaluations also where they name no span.
    pub evaluations: bool,
}

/// How long a connection lives, so that callers spread anew over the replicas of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// Then it is told to go, give or take a tenth: connections that began together end apart.
    pub max: Duration,
    /// What is in flight then may finish within this.
    pub grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            unix_mode: None,
            tls: None,
            credentials: None,
            cors: Vec::new(),
            age: None,
            request_max: 64 << 20,
            response_max: 4 << 20,
            lenient_json: false,
            connections_max: 4096,
            timeouts: Timeouts::default(),
            join: true,
            signals: Signals::ALL,
            traces_at: None,
            notes: false,
            evaluations: false,
        }
    }
}

/// How long callers may take (faults F31).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From a request's first byte to the end of its head.
    pub head: Duration,
    /// Silence inside a body.
    pub body: Duration,
    /// A whole body, however steadily it drips.
    pub request: Duration,
    /// A connection without a request. Metrics come every minute.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            request: Duration::from_secs(120),
            idle: Duration::from_secs(600),
        }
    }
}

/// What the edge hands requests to, and counts with.
#[derive(Clone, Debug)]
pub struct Inner {
    pub lanes: crate::queue::Lanes,
    pub budget: std::sync::Arc<crate::queue::Budget>,
    pub meters: std::sync::Arc<crate::telemetry::Meters>,
    pub clock: crate::model::Clock,
    /// Who is handed what is not OTLP; `None`: it is refused.
    pub relay: Option<std::sync::Arc<dyn crate::model::Relay>>,
    /// What rules and labels want to know of requests.
    pub noting: std::sync::Arc<crate::model::Noting>,
}
