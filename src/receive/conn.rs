//! One connection's requests: which protocol, which signal, and who answers.

use std::sync::Arc;

use http::header::{AUTHORIZATION, CONTENT_TYPE, EXPECT, HeaderMap};
use http::request::Parts;
use http::{Request, Response, Version};

use super::admit::{Gate, Parcel};
use super::beyond;
use super::body::{Coming, DRAIN_MAX, Reader, SMALL_BODY, drain};
use super::credentials::Shown;
use super::doors::Doors;
use super::grpc::{self, Method};
use super::http as otlp_http;
use super::origins::Origins;
use super::reflection;
use super::refusal::{Refusal, quoted};
use super::respond::{self, Caller, Manner, Reply};
use super::watch::Watch;
use crate::model::Relay;
use crate::wire::Signal;
use crate::wire::reply::Encoding;

/// What the requests of one connection share.
#[derive(Debug)]
pub struct Conn {
    gate: Arc<Gate>,
    doors: Arc<Doors>,
    origins: Origins,
    watch: Arc<Watch>,
}

impl Conn {
    pub fn new(gate: Arc<Gate>, doors: Arc<Doors>, origins: Origins, watch: Arc<Watch>) -> Self {
        Self { gate, doors, origins, watch }
    }

    /// Answers one request, whatever it is.
    pub async fn answer(self: Arc<Self>, request: Request<Coming>) -> Response<Reply> {
        let _in_flight = self.watch.begin();
        let began = self.gate.now();
        let (parts, body) = request.into_parts();
        // gRPC on HTTP/1.1 has no trailers to answer in: it is refused as HTTP.
        let is_grpc = parts.version == Version::HTTP_2 && names_grpc(&parts);
        if is_grpc && let Some(answerer) = self.doors.reflection.at(parts.uri.path()) {
            return match self.doors.check(&parts.headers) {
                Ok(_) => reflection::answer(answerer, Request::from_parts(parts, body)).await,
                Err(refusal) => self.refuse(None, self.manner(Caller::Grpc, &parts), &refusal),
            };
        }
        if !is_grpc && let Some(relay) = self.gate.relay().filter(|_| self.is_beyond(&parts)) {
            let (headers, version) = (parts.headers.clone(), parts.version);
            let mut response = self.beyond(relay, parts, body).await;
            self.dress(&headers, version, &mut response);
            return response;
        }
        let limits = self.gate.timeouts;
        let asked = grpc::timeout(&parts.headers).filter(|_| is_grpc);
        let patience = asked.map_or(limits.request, |asked| asked.min(limits.request));
        let mut body = Reader::new(body, self.gate.clock(), began + patience, limits.body);
        if is_grpc {
            self.grpc(&parts, &mut body).await
        } else {
            let mut response = self.http(&parts, &mut body).await;
            self.dress(&parts.headers, parts.version, &mut response);
            linger(&parts, &response, body.into_body());
            response
        }
    }

    /// What a response that is not gRPC's is to say beside what it answers; `asked` are the headers of its request.
    fn dress(&self, asked: &HeaderMap, version: Version, response: &mut Response<Reply>) {
        self.doors.cors.mark(asked, response);
        respond::over_http2(response, version, self.gate.clock());
    }

    async fn grpc(&self, parts: &Parts, body: &mut Reader) -> Response<Reply> {
        let manner = self.manner(Caller::Grpc, parts);
        let method = Method::of(parts.uri.path());
        // Probes have no credentials, and learn nothing but that we are here.
        if let Some(Method::HealthCheck) = method {
            return match grpc::health(&self.gate, body).await {
                Ok(message) => respond::grpc_message(message),
                Err(refusal) => respond::refused(manner, &refusal),
            };
        }
        let shown = match self.doors.check(&parts.headers) {
            Ok(shown) => shown,
            Err(refusal) => return self.refuse(None, manner, &refusal),
        };
        let Some(Method::Export(signal)) = method else {
            return self.refuse(None, manner, &Refusal::Path(quoted(parts.uri.path())));
        };
        if let Err(refusal) = self.gate.welcome(signal, &parts.headers) {
            return self.refuse(Some(signal), manner, &refusal);
        }
        let parcel = grpc::parcel(&self.gate, signal, parts, body).await;
        self.export(manner, shown, signal, parcel).await
    }

    async fn http(&self, parts: &Parts, body: &mut Reader) -> Response<Reply> {
        let manner = self.manner(Caller::Http(otlp_http::reply_encoding(parts)), parts);
        if let Some(answer) = self.doors.cors.preflight(&parts.method, &parts.headers) {
            return answer.unwrap_or_else(|refusal| self.refuse(None, manner, &refusal));
        }
        let shown = match self.doors.check(&parts.headers) {
            Ok(shown) => shown,
            Err(refusal) => return self.refuse(None, manner, &refusal),
        };
        let path = parts.uri.path();
        let Some(signal) = self.signal(path) else {
            let refusal = match Method::of(path) {
                Some(_) if names_grpc(parts) => Refusal::HttpVersion(parts.version),
                Some(_) => otlp_http::not_a_media_type(&parts.headers),
                None => Refusal::Path(quoted(path)),
            };
            return self.refuse(None, manner, &refusal);
        };
        if let Err(refusal) = self.gate.welcome(signal, &parts.headers) {
            return self.refuse(Some(signal), manner, &refusal);
        }
        let parcel = otlp_http::parcel(&self.gate, signal, parts, body).await;
        self.export(manner, shown, signal, parcel).await
    }

    fn signal(&self, path: &str) -> Option<Signal> {
        otlp_http::signal(path, self.gate.traces_at())
    }

    /// Neither OTLP nor a browser's question of whether it may send some.
    fn is_beyond(&self, parts: &Parts) -> bool {
        let path = parts.uri.path();
        let is_question = self.doors.cors.preflight(&parts.method, &parts.headers).is_some();
        !is_question && self.signal(path).is_none() && Method::of(path).is_none()
    }

    /// What is not ours to answer. Our own words about it are JSON, as its callers read it.
    async fn beyond(&self, relay: &Arc<dyn Relay>, parts: Parts, body: Coming) -> Response<Reply> {
        // A person who follows a link to a trace has no credential to show.
        if let Some(elsewhere) = beyond::page(&**relay, &parts) {
            return elsewhere;
        }
        let caller = Caller::Http(Encoding::Json);
        let passed = self.doors.check(&parts.headers).and_then(|shown| beyond::check(&parts).map(|()| shown));
        let shown = match passed {
            Ok(shown) => shown,
            Err(refusal) => {
                let response = self.refuse(None, self.manner(caller, &parts), &refusal);
                linger(&parts, &response, body);
                return response;
            }
        };
        let mut asked = parts.clone();
        if shown == Shown::InAuthorization {
            asked.headers.remove(AUTHORIZATION);
        }
        match beyond::hand_on(relay, asked, body, self.doors.knows_callers).await {
            Ok(reply) => reply,
            Err(refusal) => self.refuse(None, self.manner(caller, &parts), &refusal),
        }
    }

    /// The same for both protocols from here on.
    async fn export(
        &self,
        manner: Manner<'_>,
        shown: Shown,
        signal: Signal,
        parcel: Result<Parcel, Refusal>,
    ) -> Response<Reply> {
        let caller = manner.caller;
        let outcome = match parcel {
            Ok(parcel) => {
                let origin = self.origins.of(manner.headers, shown, self.gate.noting());
                self.gate.admit(caller, origin, parcel).await
            }
            Err(refusal) => Err(refusal),
        };
        let refusal = match outcome {
            Ok(partial) => match respond::accepted(manner, signal, partial.as_ref()) {
                Some(response) => {
                    let name = if partial.is_some_and(|p| p.rejected > 0) { "partial" } else { "ok" };
                    self.gate.tally.answered(Some(signal), caller, name);
                    return response;
                }
                None => Refusal::ReplyTooLarge { max: manner.max },
            },
            Err(refusal) => refusal,
        };
        self.refuse(Some(signal), manner, &refusal)
    }

    fn manner<'a>(&self, caller: Caller, parts: &'a Parts) -> Manner<'a> {
        Manner { caller, headers: &parts.headers, max: self.gate.response_max }
    }

    fn refuse(&self, signal: Option<Signal>, manner: Manner<'_>, refusal: &Refusal) -> Response<Reply> {
        let caller = manner.caller;
        self.gate.tally.answered(signal, caller, refusal.outcome());
        tracing::debug!(signal = signal.map(Signal::name), transport = caller.name(), %refusal, "refused");
        respond::refused(manner, refusal)
    }
}

fn names_grpc(parts: &Parts) -> bool {
    parts.headers.get(CONTENT_TYPE).is_some_and(|value| grpc::is_ours(value.as_bytes()))
}

/// How much of a body is to be read after an early reply. A caller that writes its whole body over HTTP/1.1
/// before it reads would otherwise find a reset instead of the reason. Over HTTP/2 a stream that is not read
/// to its end is reset after the reply, which tells the sender of a large body to stop; but curl forgets a
/// reply that a reset follows at once, so a small body is read. One that waits for `100 Continue` has sent
/// nothing to read.
pub fn lingers(parts: &Parts) -> usize {
    match parts.version {
        _ if parts.headers.contains_key(EXPECT) => 0,
        Version::HTTP_2 => SMALL_BODY,
        _ => DRAIN_MAX,
    }
}

/// Reads on for a while after an early refusal.
fn linger(parts: &Parts, response: &Response<Reply>, body: Coming) {
    let most = lingers(parts);
    if response.status().is_success() || most == 0 || http_body::Body::is_end_stream(&body) {
        return;
    }
    tokio::spawn(drain(body, most));
}
