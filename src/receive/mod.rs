//! The server edge: one hyper server for gRPC and HTTP on every listener; content type decides.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// What the server edge needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub listen: Vec<Listen>,
    /// Bytes of one request, on the wire and inflated (conformance G02).
    pub request_max: usize,
    /// Connections open at once, over all listeners.
    pub connections_max: usize,
    /// Index spans (the join is on) or blocks only.
    pub join: bool,
}

/// Listeners that are bound, and the addresses they got (port 0 is replaced by the real one).
#[derive(Debug)]
pub struct Bound {}

/// A listener that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {listen}: {cause}")]
pub struct BindError {
    pub listen: String,
    pub cause: std::io::Error,
}

/// Binds every listener, before anything else starts.
pub async fn bind(settings: &Settings) -> Result<Bound, BindError> {
    let _ = settings;
    todo!()
}

/// What the edge hands requests to, and counts with.
#[derive(Clone, Debug)]
pub struct Inner {
    pub lanes: crate::queue::Lanes,
    pub budget: std::sync::Arc<crate::queue::Budget>,
    pub meters: std::sync::Arc<crate::telemetry::Meters>,
    pub clock: crate::model::Clock,
}

/// Serves until `stop`, then finishes what is in flight (GOAWAY, `connection: close`) and returns.
pub async fn serve(
    bound: Bound,
    settings: Settings,
    inner: Inner,
    stop: tokio_util::sync::CancellationToken,
) {
    let _ = (bound, settings, inner, stop);
    todo!()
}
