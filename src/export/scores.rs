//! Posts scores to a vendor's server, one after the other, until each is taken, refused or given up.
//!
//! A score carries its own id, so that it may be posted again: it then replaces itself. They come out of
//! `queue/scores.rs`. Every score has one outcome (`spandrel_scores_total`).
//! The surprise: unlike a batch of OTLP, a score is tried again after any 5xx: REST has no rule against it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::body::{Pieces, Whole};
use super::dial::Dialer;
use super::http::retry_after;
use super::line::Line;
use super::names::Resolver;
use super::read::{self, FAILURE_MAX};
use super::retry::Backoff;
use super::target::Target;
use super::{Settings, SetupError};
use crate::model::{Clock, background};
use crate::queue::Budget;
use crate::queue::scores::{Score, Scores, count};
use crate::semantics::Dialect;
use crate::telemetry::Meters;

/// Callers whose project is remembered.
const PROJECTS_MAX: usize = 1024;
/// Where Langfuse takes scores, and where InteractiveAI says whose project a key is of.
const LANGFUSE: &str = "/api/public/scores";
const PROJECTS: &str = "/api/platform/v1/projects";

/// Posts scores to the server behind an upstream until everybody who may offer some is gone and the queue is
/// empty. When `give_up` fires, what is left is counted as lost with outcome `shutdown`.
///
/// `None`: there is no such server.
///
/// # Errors
/// The endpoint, a header or a TLS file can not be used.
pub fn scores(
    upstream: &Settings,
    dialect: Dialect,
    budget: &Arc<Budget>,
    meters: &Arc<Meters>,
    clock: Clock,
    give_up: CancellationToken,
) -> Result<Option<(Scores, JoinHandle<()>)>, SetupError> {
    let Some(base) = upstream.base.clone() else { return Ok(None) };
    let target = Target::new(upstream)?;
    let dialer = Dialer::new(upstream, &target, Resolver::system())?;
    let poster = Poster {
        base,
        dialect,
        target,
        dialer,
        line: Line::default(),
        settings: upstream.clone(),
        projects: HashMap::new(),
        meters: meters.clone(),
        clock,
        failing: false,
    };
    let (scores, queue) = Scores::new(budget, meters);
    Ok(Some((scores, background(poster.run(queue, give_up)))))
}

/// The one who posts.
#[derive(Debug)]
struct Poster {
    base: Uri,
    dialect: Dialect,
    target: Target,
    dialer: Dialer,
    line: Line,
    settings: Settings,
    /// By `authorization`: the path that scores of its project are posted to.
    projects: HashMap<Option<HeaderValue>, String>,
    meters: Arc<Meters>,
    clock: Clock,
    /// The last attempt failed, and that has been said.
    failing: bool,
}

/// What an attempt came to, if the score was not taken.
#[derive(Debug)]
enum Failed {
    /// For now; and when the server wants to see us again.
    Again(String, Option<Duration>),
    Refused(String),
}

/// What is read of a reply.
struct Reply {
    status: StatusCode,
    after: Option<Duration>,
    body: Bytes,
}

/// What is read of a project's description.
#[derive(Deserialize)]
struct Projects {
    data: Vec<Project>,
}

#[derive(Deserialize)]
struct Project {
    id: String,
    #[serde(rename = "orgId")]
    org: String,
}

impl Poster {
    async fn run(mut self, mut queue: mpsc::Receiver<Score>, give_up: CancellationToken) {
        while let Some(score) = queue.recv().await {
            let outcome = tokio::select! {
                biased;
                () = give_up.cancelled() => "shutdown",
                outcome = self.post(&score) => outcome,
            };
            count(&self.meters, outcome);
        }
    }

    /// Posts one until it is known what becomes of it.
    async fn post(&mut self, score: &Score) -> &'static str {
        let mut backoff = Backoff::new(self.settings.retry);
        let deadline = score.since + self.settings.retry.give_up;
        loop {
            let (why, after) = match self.attempt(score).await {
                Ok(()) => {
                    self.failing = false;
                    return "sent";
                }
                Err(Failed::Refused(why)) => {
                    self.say(&why, "refused");
                    return "refused";
                }
                Err(Failed::Again(why, after)) => (why, after),
            };
            self.say(&why, "will try again");
            if Instant::now() >= deadline {
                return "gave_up";
            }
            let wait = backoff.next(after, &mut rand::rng());
            // A wait beyond the end becomes one last attempt at the end.
            sleep_until((Instant::now() + wait).min(deadline)).await;
        }
    }

    async fn attempt(&mut self, score: &Score) -> Result<(), Failed> {
        let mut headers = self.target.headers(&score.origin);
        headers.remove(header::CONTENT_ENCODING);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let whose = headers.get(header::AUTHORIZATION).cloned();
        let path = match (self.dialect, self.projects.get(&whose)) {
            (Dialect::InteractiveAi, Some(known)) => known.clone(),
            (Dialect::InteractiveAi, None) => self.project(whose.clone(), &headers).await?,
            (Dialect::Langfuse | Dialect::Otel, _) => LANGFUSE.to_owned(),
        };
        let posted = self.call(Method::POST, &path, &headers, score.body.clone()).await;
        if let Err(Failed::Refused(_)) = posted {
            // Perhaps it is another project's by now.
            self.projects.remove(&whose);
        }
        posted.map(drop)
    }

    /// Asks whose project the keys are of, once.
    async fn project(&mut self, whose: Option<HeaderValue>, headers: &HeaderMap) -> Result<String, Failed> {
        let said = self.call(Method::GET, PROJECTS, headers, Bytes::new()).await?;
        let said: Projects = serde_json::from_slice(&said)
            .map_err(|error| Failed::Refused(format!("{PROJECTS}: not what was expected: {error}")))?;
        let plain =
            |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        let Some(Project { id, org }) = said.data.into_iter().find(|own| plain(&own.id) && plain(&own.org))
        else {
            return Err(Failed::Refused(format!("{PROJECTS}: these keys are of no project")));
        };
        let path = format!("/api/platform/v1/organizations/{org}/projects/{id}/scores");
        if self.projects.len() >= PROJECTS_MAX {
            self.projects.clear();
        }
        self.projects.insert(whose, path.clone());
        Ok(path)
    }

    /// One request, and the body of its reply if that is a success.
    async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Bytes, Failed> {
        let called = timeout(self.settings.timeout, self.exchange(method, path, headers, body)).await;
        let Reply { status, after, body } =
            called.map_err(|_| Failed::Again(format!("{path}: no reply in time"), None))??;
        let why = || format!("{path}: HTTP {}: {}", status.as_u16(), read::words_of(&body));
        match status {
            status if status.is_success() => Ok(body),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(Failed::Again(why(), after)),
            status if status.is_server_error() => Err(Failed::Again(why(), after)),
            _ => Err(Failed::Refused(why())),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Reply, Failed> {
        let failed = |why: &dyn std::fmt::Display| Failed::Again(format!("{path}: {why}"), None);
        let uri = self.address(path).ok_or_else(|| Failed::Refused(format!("{path} is no path")))?;
        loop {
            let mut request = Request::new(Whole::from(Pieces::new(vec![body.clone()])));
            (*request.method_mut(), *request.uri_mut()) = (method.clone(), uri.clone());
            *request.headers_mut() = headers.clone();
            let mut live = self.line.connection(&self.dialer).await.map_err(|error| failed(&error))?;
            let reply = match live.send(request).await {
                Ok(reply) => reply,
                Err(error) => {
                    let served = live.has_served();
                    self.line.discard(live).await;
                    // One that had rested may be gone when it is used.
                    if served {
                        continue;
                    }
                    return Err(failed(&error));
                }
            };
            let now = self.clock.unix_nanos() / 1_000_000_000;
            let (status, after) = (reply.status(), retry_after(reply.headers(), now));
            let body = read::beginning(reply.into_body(), FAILURE_MAX).await;
            self.line.give_back(live).await;
            return Ok(Reply { status, after, body });
        }
    }

    /// Where a path is found at the server.
    fn address(&self, path: &str) -> Option<Uri> {
        let (scheme, authority) = (self.base.scheme()?.clone(), self.base.authority()?.clone());
        let path = format!("{}{path}", self.base.path().trim_end_matches('/'));
        Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build().ok()
    }

    /// The first failure of a row is said; the counter has all of them.
    fn say(&mut self, why: &str, what: &str) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(upstream = self.settings.name, "a score was not taken, {what}: {why}");
        }
    }
}
