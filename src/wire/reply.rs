//! Replies: `Export*ServiceResponse` and `google.rpc.Status`, written and read, in protobuf and JSON.

use std::time::Duration;

use bytes::Bytes;

use super::Signal;

/// The two OTLP/HTTP encodings; gRPC bodies are `Protobuf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Protobuf,
    Json,
}

/// `partial_success`: how many items were rejected, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partial {
    pub rejected: u64,
    pub message: String,
}

/// A `google.rpc.Status` with the details OTLP names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// A `google.rpc.Code`.
    pub code: u32,
    pub message: String,
    /// RetryInfo.retry_delay.
    pub retry_delay: Option<Duration>,
    /// BadRequest.field_violations as (field, description).
    pub violations: Vec<(String, String)>,
}

/// The body of a 200 / OK. `partial` unset means full success: 0 bytes, or `{}` (conformance G08).
pub fn success(signal: Signal, encoding: Encoding, partial: Option<&Partial>) -> Bytes {
    let _ = (signal, encoding, partial);
    todo!()
}

/// The body of every 4xx and 5xx, and (protobuf) of `grpc-status-details-bin`.
pub fn status(encoding: Encoding, status: &Status) -> Bytes {
    let _ = (encoding, status);
    todo!()
}

/// Reads an upstream's 200 / OK body. `None`: full success, also when the body can not be read (HC8).
pub fn read_partial(signal: Signal, encoding: Encoding, body: &[u8]) -> Option<Partial> {
    let _ = (signal, encoding, body);
    todo!()
}

/// Reads a `google.rpc.Status`, bounded; unreadable parts are left empty.
pub fn read_status(encoding: Encoding, body: &[u8]) -> Status {
    let _ = (encoding, body);
    todo!()
}
