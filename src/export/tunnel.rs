//! Through a proxy: what is connected to in the upstream's place, and a tunnel opened there (CONNECT).
//!
//! What is encrypted, and gRPC, goes through a tunnel. Plain OTLP/HTTP is handed to the proxy request by
//! request with the whole address in it, as proxies that allow CONNECT to port 443 alone want it.

use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;

use super::dial::DialError;
use crate::model::relay::Streamed;
use crate::model::{Stream, background};

/// An answer to CONNECT longer than this is none.
const ANSWER_MAX: usize = 16 << 10;

/// A proxy on the way to an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    pub host: String,
    pub port: u16,
    /// The way to the proxy itself is encrypted.
    pub tls: bool,
    /// `Proxy-Authorization`.
    pub credentials: Option<HeaderValue>,
}

/// Asks the proxy at the other end of `io` for a tunnel to `host:port`.
pub(super) async fn open(io: Stream, proxy: &Proxy, host: &str, port: u16) -> Result<Upgraded, DialError> {
    let at = format!("proxy `{}:{}`", proxy.host, proxy.port);
    let failed = |error: hyper::Error| DialError::connect(format!("{at} opened no tunnel: {error}"));
    let handshake = http1::Builder::new().max_buf_size(ANSWER_MAX).handshake(TokioIo::new(io)).await;
    let (mut sender, connection) = handshake.map_err(failed)?;
    background(connection.with_upgrades());
    let request = ask(proxy, host, port).map_err(|error| DialError::connect(format!("{at}: {error}")))?;
    let answer = sender.send_request(request).await.map_err(failed)?;
    match answer.status().as_u16() {
        200..=299 => hyper::upgrade::on(answer).await.map_err(failed),
        407 => Err(DialError::connect(format!(
            "{at} wants other credentials (407); write them into its address, as in `http://user:password@proxy:3128`"
        ))),
        status => {
            Err(DialError::connect(format!("{at} opened no tunnel to `{host}:{port}`: it answered {status}")))
        }
    }
}

fn ask(proxy: &Proxy, host: &str, port: u16) -> Result<Request<Streamed>, http::Error> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let authority = format!("{host}:{port}");
    let mut request = Request::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = Uri::builder().authority(authority.as_str()).build()?;
    let headers = request.headers_mut();
    headers.insert(header::HOST, HeaderValue::try_from(authority)?);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(super::target::USER_AGENT));
    if let Some(credentials) = &proxy.credentials {
        headers.insert(header::PROXY_AUTHORIZATION, credentials.clone());
    }
    Ok(request)
}
