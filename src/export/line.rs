//! One line to an upstream: a connection at a time, replaced when it breaks or grows old.
//!
//! HTTP/2 connections are shared by the senders on the line; an HTTP/1.1 connection is lent to one sender
//! and comes back only after a whole reply. A line never retries: who holds the batch decides that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderValue, Request, Response, Uri, header};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::body::Whole;
use super::dial::{DialError, Dialer};

/// An older connection is replaced, so that an upstream that moved or grew is found.
const AGE_MAX: Duration = Duration::from_secs(300);

/// The sending half of a connection.
#[derive(Debug)]
pub(super) enum Wire {
    H1(http1::SendRequest<Whole>),
    H2(http2::SendRequest<Whole>),
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Live {
    id: u64,
    born: Instant,
    /// A whole reply came over it.
    served: Arc<AtomicBool>,
    wire: Wire,
}

impl Live {
    pub fn new(id: u64, wire: Wire) -> Self {
        Self { id, born: Instant::now(), served: Arc::default(), wire }
    }

    pub fn has_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    /// Sends a request whose address is absolute.
    pub async fn send(&mut self, mut request: Request<Whole>) -> hyper::Result<Response<Incoming>> {
        match &mut self.wire {
            Wire::H2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Wire::H1(sender) => {
                sender.ready().await?;
                to_origin_form(&mut request);
                sender.send_request(request).await
            }
        }
    }

    fn is_closed(&self) -> bool {
        match &self.wire {
            Wire::H1(sender) => sender.is_closed(),
            Wire::H2(sender) => sender.is_closed(),
        }
    }

    /// Another handle to it, where the protocol allows.
    fn share(&self) -> Option<Self> {
        match &self.wire {
            Wire::H1(_) => None,
            Wire::H2(sender) => Some(Self {
                id: self.id,
                born: self.born,
                served: self.served.clone(),
                wire: Wire::H2(sender.clone()),
            }),
        }
    }
}

/// HTTP/1.1 wants the path in the request line and the host in a header (RFC 9112).
fn to_origin_form<B>(request: &mut Request<B>) {
    let host = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().insert(header::HOST, host);
    }
    if let Some(path) = request.uri().path_and_query() {
        *request.uri_mut() = Uri::from(path.clone());
    }
}

#[derive(Debug, Default)]
pub(super) struct Line {
    live: Mutex<Option<Live>>,
}

impl Line {
    /// The line's connection, or a fresh one. Who asks meanwhile waits for the same dial.
    pub async fn connection(&self, dialer: &Dialer) -> Result<Live, DialError> {
        let mut slot = self.live.lock().await;
        let open = slot.take().filter(|live| !live.is_closed());
        let live = match open {
            Some(live) if live.born.elapsed() < AGE_MAX => live,
            Some(old) => dialer.dial().await.unwrap_or(Live { born: Instant::now(), ..old }),
            None => dialer.dial().await?,
        };
        *slot = live.share();
        Ok(live)
    }

    /// A whole reply came: the connection is good for the next call.
    pub async fn give_back(&self, live: Live) {
        live.served.store(true, Ordering::Relaxed);
        let mut slot = self.live.lock().await;
        if slot.is_none() && !live.is_closed() {
            *slot = Some(live);
        }
    }

    /// It failed a call: nobody else shall start one on it. Calls under way on it may still end well.
    pub async fn discard(&self, live: Live) {
        let mut slot = self.live.lock().await;
        if slot.as_ref().is_some_and(|kept| kept.id == live.id) {
            *slot = None;
        }
    }
}
