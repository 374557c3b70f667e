//! One line to an upstream: a connection at a time, replaced when it breaks or grows old.
//!
//! HTTP/2 connections are shared by the senders on the line; an HTTP/1.1 connection is lent to one sender
//! and comes back only after a whole reply. One that grew old, or whose address the upstream's name no longer
//! stands for, is replaced while it still works. A line never retries: who holds the batch decides that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderValue, Request, Response, Uri, header};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::body::{Pieces, Whole};
use super::dial::{DialError, Dialer};
use super::gathered::Upcoming;
use crate::model::relay::{BoxError, Streamed};

/// An older connection is replaced, so that an upstream that moved or grew is found.
const AGE_MAX: Duration = Duration::from_secs(300);
/// How long a call waits for a replacement of a connection that works.
const REPLACE_MAX: Duration = Duration::from_secs(3);
/// A connection that could not be replaced is used for so long before that is tried again.
const REPLACE_AGAIN: Duration = Duration::from_secs(30);

/// A request's body that a connection can send.
pub(super) trait Outgoing:
    Body<Data: Send + 'static, Error: Into<BoxError>> + Unpin + Send + 'static
{
    /// What of it is here already.
    fn pieces(&self) -> Pieces;
}

/// What is relayed as it comes.
impl Outgoing for Streamed {
    fn pieces(&self) -> Pieces {
        Pieces::default()
    }
}

/// The sending half of a connection.
#[derive(Debug)]
pub(super) enum Wire<B = Whole> {
    H1(http1::SendRequest<B>, Form, Upcoming),
    H2(http2::SendRequest<B>),
}

/// How an HTTP/1.1 request says where it goes (RFC 9112, 3.2).
#[derive(Debug)]
pub(super) enum Form {
    /// To the server itself: the path.
    Origin,
    /// To a proxy, with its credentials: the whole address.
    Absolute(Option<HeaderValue>),
}

impl<B> Wire<B> {
    /// The same, with a proxy at its other end that is handed requests. HTTP/2 is only spoken in tunnels.
    pub fn handing_over(self, credentials: Option<HeaderValue>) -> Self {
        match self {
            Wire::H1(sender, _, upcoming) => Wire::H1(sender, Form::Absolute(credentials), upcoming),
            Wire::H2(sender) => Wire::H2(sender),
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Live<B = Whole> {
    id: u64,
    peer: Option<SocketAddr>,
    born: Instant,
    /// Until then it is used though it should have been replaced.
    excused: Instant,
    /// A whole reply came over it.
    served: Arc<AtomicBool>,
    wire: Wire<B>,
}

impl<B: Outgoing> Live<B> {
    pub fn new(id: u64, peer: Option<SocketAddr>, wire: Wire<B>) -> Self {
        let now = Instant::now();
        Self { id, peer, born: now, excused: now, served: Arc::default(), wire }
    }

    fn is_good(&self, dialer: &Dialer) -> bool {
        let stands = || self.peer.is_none_or(|peer| dialer.stands(peer));
        Instant::now() < self.excused || (self.born.elapsed() < AGE_MAX && stands())
    }

    /// Another in its place, or it again for a while.
    async fn replaced(self, dialer: &Dialer) -> Self {
        match timeout(REPLACE_MAX, dialer.dial()).await {
            Ok(Ok(fresh)) => fresh,
            Ok(Err(_)) | Err(_) => Self { excused: Instant::now() + REPLACE_AGAIN, ..self },
        }
    }

    pub fn has_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    /// Sends a request whose address is absolute.
    pub async fn send(&mut self, request: Request<B>) -> hyper::Result<Response<Incoming>> {
        self.try_send(request).await.map_err(|unsent| unsent.0)
    }

    /// The same; a request that never left comes back with the error.
    pub async fn try_send(&mut self, mut request: Request<B>) -> Result<Response<Incoming>, Unsent<B>> {
        let address = request.uri().clone();
        let sent = match &mut self.wire {
            Wire::H2(sender) => match sender.ready().await {
                Ok(()) => sender.try_send_request(request).await,
                Err(error) => return Err(Unsent(error, Some(request))),
            },
            Wire::H1(sender, form, upcoming) => match sender.ready().await {
                Ok(()) => {
                    form.put_on(&mut request);
                    upcoming.is(request.body().pieces());
                    let sent = sender.try_send_request(request).await;
                    upcoming.is(Pieces::default());
                    sent
                }
                Err(error) => return Err(Unsent(error, Some(request))),
            },
        };
        sent.map_err(|mut failed| {
            let unsent = failed.take_message().map(|mut request| {
                *request.uri_mut() = address;
                request
            });
            Unsent(failed.into_error(), unsent)
        })
    }

    fn is_closed(&self) -> bool {
        match &self.wire {
            Wire::H1(sender, ..) => sender.is_closed(),
            Wire::H2(sender) => sender.is_closed(),
        }
    }

    /// Another handle to it, where the protocol allows.
    fn share(&self) -> Option<Self> {
        match &self.wire {
            Wire::H1(..) => None,
            Wire::H2(sender) => Some(Self {
                id: self.id,
                peer: self.peer,
                born: self.born,
                excused: self.excused,
                served: self.served.clone(),
                wire: Wire::H2(sender.clone()),
            }),
        }
    }
}

/// Why a request got no reply; and the request itself, where it never left.
#[derive(Debug)]
pub(super) struct Unsent<B>(pub hyper::Error, pub Option<Request<B>>);

impl Form {
    /// Writes the address of a request as this form has it; the host is a header either way.
    fn put_on<B>(&self, request: &mut Request<B>) {
        let host = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
        if let Some(host) = host {
            request.headers_mut().insert(header::HOST, host);
        }
        match (self, request.uri().path_and_query()) {
            (Form::Origin, Some(path)) => *request.uri_mut() = Uri::from(path.clone()),
            (Form::Absolute(Some(credentials)), _) => {
                request.headers_mut().insert(header::PROXY_AUTHORIZATION, credentials.clone());
            }
            (Form::Origin | Form::Absolute(_), _) => {}
        }
    }
}

#[derive(Debug)]
pub(super) struct Line<B = Whole> {
    live: Mutex<Option<Live<B>>>,
}

impl<B> Default for Line<B> {
    fn default() -> Self {
        Self { live: Mutex::new(None) }
    }
}

impl<B: Outgoing> Line<B> {
    /// The line's connection, or a fresh one. Who asks meanwhile waits for the same dial.
    pub async fn connection(&self, dialer: &Dialer) -> Result<Live<B>, DialError> {
        let mut slot = self.live.lock().await;
        let open = slot.take().filter(|live| !live.is_closed());
        let live = match open {
            Some(live) if live.is_good(dialer) => live,
            Some(old) => old.replaced(dialer).await,
            None => dialer.dial().await?,
        };
        *slot = live.share();
        Ok(live)
    }

    /// A whole reply came: the connection is good for the next call.
    pub async fn give_back(&self, live: Live<B>) {
        live.served.store(true, Ordering::Relaxed);
        self.put_back(live).await;
    }

    /// The same where nobody can wait. Whoever is dialling just then has another in a moment.
    pub fn give_back_now(&self, live: Live<B>) {
        live.served.store(true, Ordering::Relaxed);
        if let Ok(mut slot) = self.live.try_lock()
            && slot.is_none()
            && !live.is_closed()
        {
            *slot = Some(live);
        }
    }

    /// It may carry another call, for all we know.
    pub async fn put_back(&self, live: Live<B>) {
        let mut slot = self.live.lock().await;
        if slot.is_none() && !live.is_closed() {
            *slot = Some(live);
        }
    }

    /// It failed a call: nobody else shall start one on it. Calls under way on it may still end well.
    pub async fn discard(&self, live: Live<B>) {
        let mut slot = self.live.lock().await;
        if slot.as_ref().is_some_and(|kept| kept.id == live.id) {
            *slot = None;
        }
    }
}
