//! The helpers of the admin port: ids of seeds and links to traces, as plain text.

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;

use super::admin::Sources;
use crate::semantics::ids;

/// `/id?seed=…`, and `&observation` for a span's.
pub async fn id(RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let Some(seed) = value_of("seed", &query) else {
        return wrong("give a seed: /id?seed=…, and &observation for an observation's id");
    };
    let Ok(seed) = seed else { return wrong("the seed is not UTF-8") };
    let observation = value_of("observation", &query).is_some_and(|value| value.as_deref() != Ok("false"));
    match ids::of_seed(&seed, observation) {
        Ok(id) => format!("{id}\n").into_response(),
        Err(none) => wrong(&none.to_string()),
    }
}

/// `/url/{trace_id}`.
pub async fn url(State(sources): State<Sources>, Path(id): Path<String>) -> Response {
    let trace = match ids::parse_trace_id(&id) {
        Ok(trace) => trace,
        Err(none) => return wrong(&none.to_string()),
    };
    match sources.links.of(trace) {
        Ok(link) => format!("{link}\n").into_response(),
        Err(none) => (StatusCode::NOT_FOUND, format!("{none}\n")).into_response(),
    }
}

fn wrong(what: &str) -> Response {
    (StatusCode::BAD_REQUEST, format!("{what}\n")).into_response()
}

/// The last value of a query's key, as forms encode it; `Err` of what is not UTF-8. A key alone is empty.
fn value_of(key: &str, query: &str) -> Option<Result<String, std::str::Utf8Error>> {
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let value = pairs.rfind(|(name, _)| *name == key)?.1.replace('+', " ");
    Some(percent_decode_str(&value).decode_utf8().map(std::borrow::Cow::into_owned))
}
