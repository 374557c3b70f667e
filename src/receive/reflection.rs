//! gRPC server reflection on the OTLP listeners, for people who look with a tool: which services there are.
//!
//! OTLP's own files are not part of this program, which reads OTLP by tables of its own, so the services are
//! named and not described; a tool that is asked to call one needs the .proto files, as it does elsewhere.

use std::convert::Infallible;
use std::fmt;

use http::{Request, Response};
use tonic_reflection::server::{Builder, Error};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

use super::body::Coming;
use super::respond::Reply;
use crate::wire::Signal;

/// A question is a name; nothing longer is asked.
const QUESTION_MAX: usize = 16 * 1024;
const HEALTH: &str = "grpc.health.v1.Health";

type Answerer = BoxCloneSyncService<Request<Coming>, Response<tonic::body::Body>, Infallible>;

/// Both versions of the service: tools ask for the new one first, and some only for the old.
#[derive(Clone)]
pub struct Reflection {
    v1: Answerer,
    v1alpha: Answerer,
}

impl Reflection {
    /// # Errors
    /// What is compiled in can not be read: a fault of the build.
    pub fn new() -> Result<Self, Error> {
        let v1 = named("grpc.reflection.v1.ServerReflection").build_v1()?;
        let v1alpha = named("grpc.reflection.v1alpha.ServerReflection").build_v1alpha()?;
        Ok(Self {
            v1: BoxCloneSyncService::new(v1.max_decoding_message_size(QUESTION_MAX)),
            v1alpha: BoxCloneSyncService::new(v1alpha.max_decoding_message_size(QUESTION_MAX)),
        })
    }

    /// Whoever answers at this path, if it is one of reflection's.
    pub fn at(&self, path: &str) -> Option<Answerer> {
        match path {
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo" => Some(self.v1.clone()),
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" => Some(self.v1alpha.clone()),
            _ => None,
        }
    }
}

/// Answers for as long as the caller asks: the connection's own limits end it.
pub async fn answer(mut answerer: Answerer, request: Request<Coming>) -> Response<Reply> {
    let ready = answerer.ready().await;
    let answered = match ready {
        Ok(answerer) => answerer.call(request).await,
        Err(never) => match never {},
    };
    match answered {
        Ok(response) => response.map(Reply::Stream),
        Err(never) => match never {},
    }
}

fn named(own: &'static str) -> Builder<'static> {
    let otlp =
        Signal::ALL.iter().filter_map(|signal| signal.grpc_path().strip_prefix('/')?.split('/').next());
    otlp.chain([HEALTH, own]).fold(Builder::configure(), Builder::with_service_name)
}

impl fmt::Debug for Reflection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reflection").finish_non_exhaustive()
    }
}
