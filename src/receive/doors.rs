//! What a connection and a request pass before anything of them is read: TLS, credentials, origins.

use std::sync::Arc;

use http::HeaderMap;
use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Settings;
use super::cors::Cors;
use super::credentials::{Credentials, Shown};
use super::reflection::Reflection;
use super::refusal::Refusal;
use super::tls;
use crate::follow::{Followed, Looked};
use crate::telemetry::Meters;

/// The doors of all listeners. A UNIX socket has no TLS: its file's mode says who may come.
#[derive(Clone, Debug)]
pub struct Doors {
    pub tls: Option<Arc<Followed<ServerConfig>>>,
    credentials: Option<Arc<Credentials>>,
    /// Whoever passes has shown who it is: a credential, or a certificate.
    pub knows_callers: bool,
    pub cors: Cors,
    pub reflection: Reflection,
}

impl Doors {
    /// # Errors
    /// In words: a file that is named can not be used.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let tls = settings.tls.clone().map(tls::acceptor).transpose()?;
        let credentials = settings.credentials.clone().map(Credentials::new).transpose()?;
        let certified = settings.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        let knows_callers = certified || settings.credentials.is_some();
        let cors = Cors::new(settings.cors.clone());
        let reflection = Reflection::new().map_err(|error| format!("can't make reflection: {error}"))?;
        let (tls, credentials) = (tls.map(Arc::new), credentials.map(Arc::new));
        Ok(Self { tls, credentials, knows_callers, cors, reflection })
    }

    /// Keeps up with files that change, until `stop`.
    pub fn follow(&self, meters: &Arc<Meters>, stop: &CancellationToken, tracker: &TaskTracker) {
        if let Some(tls) = &self.tls {
            tracker.spawn(tls.clone().follow(stop.clone(), telling("certificates", meters)));
        }
        if let Some(credentials) = &self.credentials {
            tracker.spawn(credentials.followed().follow(stop.clone(), telling("credentials", meters)));
        }
    }

    /// # Errors
    /// Credentials are asked for, and the caller has none that are known.
    pub fn check(&self, headers: &HeaderMap) -> Result<Shown, Refusal> {
        self.credentials.as_ref().map_or(Ok(Shown::Apart), |credentials| credentials.check(headers))
    }
}

/// Says and counts what became of files that changed.
fn telling(what: &'static str, meters: &Arc<Meters>) -> impl Fn(&Looked) + use<> {
    let reloads = meters.reloads.clone();
    move |looked| {
        let outcome = match looked {
            Looked::Fresh | Looked::Same => {
                tracing::info!("{what} changed and are in use");
                "ok"
            }
            Looked::Unusable(wrong) => {
                tracing::warn!("{what} changed but can not be used, keeping the last: {wrong}");
                "failed"
            }
        };
        reloads.with_label_values(&[what, outcome]).inc();
    }
}
