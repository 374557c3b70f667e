//! A caller: sends bytes as they are, over gRPC, HTTP or as JSON, and reads the reply.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use spandrel::wire::Signal;
use tonic::Code;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};

use super::raw::Raw;
use super::read::Export;
use super::upstream::RpcStatus;

/// Sends to one address.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    channel: Channel,
    pool: Pool<HttpConnector, Full<Bytes>>,
}

/// What came back, over HTTP or gRPC.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Over HTTP, the status; over gRPC, 200.
    pub status: StatusCode,
    /// Over gRPC, the code; over HTTP, `Ok` for 2xx and `Unknown` for the rest.
    pub code: Code,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The error's text over gRPC.
    pub message: String,
    /// `google.rpc.Status`: the body of an HTTP error, the details of a gRPC one.
    pub error: Option<RpcStatus>,
}

impl Client {
    /// Connects when first used.
    pub fn to(address: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address is a URL");
        let channel = endpoint.connect_timeout(Duration::from_secs(5)).connect_lazy();
        let pool = Pool::builder(TokioExecutor::new()).build_http();
        Self { address, channel, pool }
    }

    /// A unary gRPC call of any method.
    pub async fn call(&self, path: &'static str, message: impl Into<Bytes>) -> Reply {
        let reply = self.try_call(path, message, MetadataMap::new()).await;
        reply.unwrap_or_else(|fault| panic!("can't reach {}: {fault}", self.address))
    }

    /// OTLP/gRPC.
    pub async fn grpc(&self, signal: Signal, body: impl Into<Bytes>) -> Reply {
        self.grpc_with(signal, body, MetadataMap::new()).await
    }

    /// OTLP/gRPC with metadata.
    pub async fn grpc_with(&self, signal: Signal, body: impl Into<Bytes>, metadata: MetadataMap) -> Reply {
        let reply = self.try_grpc(signal, body, metadata).await;
        reply.unwrap_or_else(|fault| panic!("can't reach {}: {fault}", self.address))
    }

    /// As `grpc_with`, for those who may find nobody there. A connection that breaks later is a reply too,
    /// with the code that tonic gives it.
    pub async fn try_grpc(
        &self,
        signal: Signal,
        body: impl Into<Bytes>,
        metadata: MetadataMap,
    ) -> Result<Reply, tonic::transport::Error> {
        self.try_call(signal.grpc_path(), body, metadata).await
    }

    async fn try_call(
        &self,
        path: &'static str,
        body: impl Into<Bytes>,
        metadata: MetadataMap,
    ) -> Result<Reply, tonic::transport::Error> {
        let mut client = tonic::client::Grpc::new(self.channel.clone()).max_encoding_message_size(usize::MAX);
        client.ready().await?;
        let mut request = tonic::Request::new(body.into());
        *request.metadata_mut() = metadata;
        let path = http::uri::PathAndQuery::from_static(path);
        Ok(match client.unary::<Bytes, Bytes, _>(request, path, Raw).await {
            Ok(response) => {
                let (metadata, body, _) = response.into_parts();
                Reply::new(StatusCode::OK, Code::Ok, metadata.into_headers(), body)
            }
            Err(status) => {
                let headers = status.metadata().clone().into_headers();
                let mut reply = Reply::new(StatusCode::OK, status.code(), headers, Bytes::new());
                reply.message = status.message().into();
                reply.error = RpcStatus::decode(status.details()).ok();
                reply
            }
        })
    }

    /// OTLP/HTTP, binary.
    pub async fn http(&self, signal: Signal, body: impl Into<Bytes>) -> Reply {
        self.post(signal.http_path(), &[("content-type", "application/x-protobuf")], body).await
    }

    /// OTLP/HTTP, JSON.
    pub async fn json(&self, signal: Signal, body: impl Into<Bytes>) -> Reply {
        self.post(signal.http_path(), &[("content-type", "application/json")], body).await
    }

    /// A decoded request, over HTTP.
    pub async fn export(&self, export: &Export) -> Reply {
        self.http(export.signal(), export.encode()).await
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
        self.request(Method::POST, path, headers, body).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.request(Method::GET, path, &[], Bytes::new()).await
    }

    pub async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        self.try_request(method, path, headers, body)
            .await
            .unwrap_or_else(|fault| panic!("no reply from {} to {path:?}: {fault:?}", self.address))
    }

    /// As `request`, for those who may find nobody there.
    pub async fn try_request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Reply, hyper_util::client::legacy::Error> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("a test writes a valid request");
        let response = self.pool.request(request).await?;
        let (head, body) = response.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(fault) => panic!("the reply to {path:?} broke off: {fault}"),
        };
        let code = if head.status.is_success() { Code::Ok } else { Code::Unknown };
        let mut reply = Reply::new(head.status, code, head.headers, body);
        if code != Code::Ok {
            reply.error = RpcStatus::decode(reply.body.clone()).ok();
        }
        Ok(reply)
    }
}

impl Reply {
    fn new(status: StatusCode, code: Code, headers: HeaderMap, body: Bytes) -> Self {
        Self { status, code, headers, body, message: String::new(), error: None }
    }

    /// How many items were refused and why; (0, "") when all were taken.
    pub fn rejected(&self) -> (i64, String) {
        let reply = ExportTraceServiceResponse::decode(self.body.clone()).expect("an export response");
        let partial = reply.partial_success.unwrap_or_default();
        (partial.rejected_spans, partial.error_message)
    }

    /// Success, and nothing was refused.
    pub fn assert_taken(&self) {
        assert_eq!((self.status, self.code), (StatusCode::OK, Code::Ok), "{self:?}");
        let is_json = self.headers.get("content-type").is_some_and(|kind| kind == "application/json");
        if is_json {
            let reply: serde_json::Value = serde_json::from_slice(&self.body).expect("a JSON reply");
            let rejected = &reply["partialSuccess"];
            assert!(rejected.is_null() || rejected.as_object().is_some_and(|it| it.is_empty()), "{reply}");
        } else {
            assert_eq!(self.rejected(), (0, String::new()));
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
