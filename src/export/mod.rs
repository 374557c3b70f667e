//! The client edge: sends batches, reads verdicts, settles every item.
//!
//! `sender` is the spine: take a batch, pass the `gate`, call over a `line`, act on the verdict of
//! `classify`, `settle`. It never puts a batch back, never follows a redirect, never believes a reply's
//! size. The surprise: hyper's connections are used directly, because the usual clients resolve a name
//! once, share one connection, and hide whether a broken call was ever heard.

mod appetite;
mod body;
mod broken;
mod classify;
mod compress;
mod dial;
mod division;
mod fleet;
mod gate;
mod gathered;
mod grpc;
mod http;
mod line;
mod names;
#[doc(hidden)]
pub mod probe;
mod read;
mod relay;
mod retry;
mod scores;
mod sender;
mod settle;
mod target;
#[cfg(test)]
mod tests;
mod tls;
mod tunnel;
mod voice;

use std::path::PathBuf;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, Uri};

pub use relay::relay;
pub use scores::scores;
pub use tunnel::Proxy;

use crate::wire::Signals;

/// How an upstream is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    HttpProtobuf,
    HttpJson,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// TLS towards an upstream; used when the endpoint's scheme is `https`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    pub ca_file: Option<PathBuf>,
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub insecure_skip_verify: bool,
}

/// When to try again, and when to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    pub initial: Duration,
    pub max: Duration,
    /// A batch not accepted for this long is lost, with reason `gave_up`.
    pub give_up: Duration,
}

/// Several gateways behind one name, each trace's owner among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gateways {
    /// For how long they hold a trace: so long it stays with the gateway it was begun with.
    pub hold: Duration,
}

/// One upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The `upstream` label of metrics.
    pub name: String,
    /// `http://host:4317`, `https://host/base`. For HTTP the signal's path is appended to it.
    pub endpoint: Uri,
    /// The endpoint's name stands for several gateways.
    pub gateways: Option<Gateways>,
    /// Over HTTP, the endpoint is a signal's own address and nothing is appended.
    pub exact: bool,
    /// What it is given.
    pub signals: Signals,
    /// It is given what rules route nowhere; else only what they route to it.
    pub default: bool,
    pub protocol: Protocol,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `authorization` for data whose caller has none. Configured in `headers`, it is for all.
    pub lent: Option<HeaderValue>,
    /// The address of the server behind the endpoint, where callers may want more of it than OTLP: see
    /// [`relay`](fn@relay).
    pub base: Option<Uri>,
    pub compression: Compression,
    pub tls: Tls,
    /// Who is connected to in its place.
    pub proxy: Option<Proxy>,
    /// For one attempt.
    pub timeout: Duration,
    pub retry: Retry,
    /// Calls in flight at once.
    pub parallel: usize,
    /// Largest request sent, before compression.
    pub request_max: usize,
}

/// What an upstream's senders work with.
#[derive(Clone, Debug)]
pub struct Inner {
    pub outbox: std::sync::Arc<crate::queue::Outbox>,
    pub meters: std::sync::Arc<crate::telemetry::Meters>,
    pub clock: crate::model::Clock,
}

/// An upstream that can not be set up.
#[derive(Debug, thiserror::Error)]
#[error("upstream `{name}`: {what}")]
pub struct SetupError {
    pub name: String,
    pub what: String,
}

/// Sends batches from the outbox until it is closed and empty. When `give_up` fires, calls in flight
/// end, and what is left is counted as lost with reason `shutdown`. Close the outbox first: a batch
/// offered after that is nobody's.
///
/// # Errors
/// The endpoint, a header or a TLS file can not be used; or there is no tokio runtime here.
pub fn start(
    settings: Settings,
    inner: Inner,
    give_up: tokio_util::sync::CancellationToken,
) -> Result<tokio::task::JoinHandle<()>, SetupError> {
    let name = settings.name.clone();
    let runtime = tokio::runtime::Handle::try_current()
        .map_err(|error| SetupError { name, what: error.to_string() })?;
    let system = names::Resolver::system();
    match settings.gateways {
        Some(gateways) => {
            let fleet = fleet::Fleet::new(settings, gateways, inner, system, give_up)?;
            Ok(runtime.spawn(fleet.run()))
        }
        None => {
            let upstream = std::sync::Arc::new(sender::Upstream::new(settings, inner, system)?);
            Ok(runtime.spawn(sender::run(upstream, give_up)))
        }
    }
}
