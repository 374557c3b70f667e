//! A captured export as requests in protobuf: what an SDK sent, as bytes or as JSON, or the lines of JSON that a
//! Collector's file exporter writes.
//!
//! Nobody says which signal it is, so it is found out: JSON says it by its first key, and bytes are of the one
//! signal they can be read as without refusing an item.

use serde_json::Value;

use crate::wire::{Detail, Limits, Signal, json, walk};

/// One request.
#[derive(Debug)]
pub struct Captured {
    pub signal: Signal,
    pub body: Vec<u8>,
}

/// JSON takes more room as protobuf only where it is full of short numbers; this is far beyond that.
const GROWTH_MAX: usize = 4;

/// The requests in `bytes`, at least one.
///
/// # Errors
/// Why they can not be read.
pub fn read(bytes: &[u8]) -> Result<Vec<Captured>, String> {
    let is_json = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let requests = if is_json { documents(bytes)? } else { vec![protobuf(bytes)?] };
    if requests.is_empty() { Err("is empty".to_owned()) } else { Ok(requests) }
}

fn documents(bytes: &[u8]) -> Result<Vec<Captured>, String> {
    let mut requests = Vec::new();
    let mut documents = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    let mut from = 0;
    while let Some(document) = documents.next() {
        let document = document.map_err(|wrong| format!("is not JSON: {wrong}"))?;
        let to = documents.byte_offset();
        let text = bytes.get(from..to).unwrap_or_default();
        from = to;
        let key = document.as_object().and_then(|all| all.keys().find(|key| key.starts_with("resource")));
        let signal = match key.map(String::as_str) {
            Some("resourceSpans" | "resource_spans") => Signal::Traces,
            Some("resourceMetrics" | "resource_metrics") => Signal::Metrics,
            Some("resourceLogs" | "resource_logs") => Signal::Logs,
            _ => return Err("has no `resourceSpans`, `resourceMetrics` or `resourceLogs`".to_owned()),
        };
        let lenient = json::Options { lenient: true };
        let max = (text.len() * GROWTH_MAX).max(1024);
        let body = json::to_protobuf_with(signal, text, max, lenient).map_err(|wrong| wrong.to_string())?;
        requests.push(Captured { signal, body });
    }
    Ok(requests)
}

fn protobuf(bytes: &[u8]) -> Result<Captured, String> {
    let signals = [Signal::Traces, Signal::Logs, Signal::Metrics];
    let fits = |signal: &Signal| {
        walk(*signal, bytes, Detail::Blocks, &Limits::default())
            .is_ok_and(|index| index.items > 0 && index.refused.items == 0)
    };
    let signal = signals.into_iter().find(fits);
    let signal = signal.ok_or("is no export of traces, logs or metrics, in protobuf or JSON")?;
    Ok(Captured { signal, body: bytes.to_vec() })
}
