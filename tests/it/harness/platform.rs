//! A stand-in for the platform behind the vendors' dialects: what the examples of its SDKs ask, answered with
//! the fields they read, for InteractiveAI's paths and Langfuse's.
//!
//! Exports are taken at `/api/public/otel/v1/traces` alone, as `gzip` or plain, and answered by JSON that is no
//! export response; one bad span and all of a request is refused. Like the real one it keeps who may ask apart:
//! a call without a project's keys is answered 401.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use serde_json::{Value, json};

use super::read::Export;

/// `pk-lf-fake:sk-lf-fake`, the keys of its only project.
pub const KEYS: &str = "Basic cGstbGYtZmFrZTpzay1sZi1mYWtl";
/// A span of this name is what it takes no request with.
pub const POISON: &str = "poison";

/// Something asked of it that is not an export.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: String,
    pub path: String,
    pub query: Option<String>,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Whether it takes an export whole, which it does or not at all.
pub fn takes(export: &Export) -> bool {
    let bad = |id: &[u8], len: usize| id.len() != len || id.iter().all(|byte| *byte == 0);
    let spans = export.spans();
    !spans.iter().any(|span| bad(&span.trace_id, 16) || bad(&span.span_id, 8) || span.name == POISON)
}

/// Said of an export that was taken.
pub fn taken() -> Response<Body> {
    reply(StatusCode::OK, &json!({"message": "queued"}))
}

/// Its answer to a call.
pub fn answer(call: &Call) -> Response<Body> {
    if !call.path.starts_with("/api/") {
        return Response::new(Body::from(format!("a page at {}", call.path)));
    }
    if call.headers.get(header::AUTHORIZATION).is_none_or(|shown| shown != KEYS) {
        return reply(
            StatusCode::UNAUTHORIZED,
            &json!({"message": "invalid credentials", "error": "Unauthorized"}),
        );
    }
    let project = json!({"id": "proj-demo", "orgId": "org-demo", "name": "demo", "metadata": {},
        "organization": {"id": "org-demo", "name": "Demo"}});
    let prompt = json!({"name": "movie-critic", "version": 3, "type": "text", "config": {}, "tags": [],
        "prompt": "As a critic, review {{movie}}", "labels": ["production"]});
    let (path, method) = (call.path.as_str(), call.method.as_str());
    match (method, path.rsplit('/').next().unwrap_or_default()) {
        ("GET", "projects") => reply(StatusCode::OK, &json!({"data": [project]})),
        ("POST", "scores") => reply(StatusCode::OK, &json!({"id": "score-1"})),
        ("GET", "movie-critic") if path.starts_with("/api/platform/") => {
            reply(StatusCode::OK, &json!({"data": prompt}))
        }
        ("GET", "movie-critic") => reply(StatusCode::OK, &prompt),
        ("PUT", "echo") => Response::new(Body::from(call.body.clone())),
        _ => reply(StatusCode::NOT_FOUND, &json!({"message": "not found", "error": "LangfuseNotFoundError"})),
    }
}

fn reply(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
