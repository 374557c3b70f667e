//! The statement shapes that stand in most Collectors' files, end to end, and what the real Collector makes of the
//! same input: `tests/data/rules/shapes`.
//!
//! Each shape is a Collector's file, taken as it is by `rules: {from_collector: ...}`. What is expected was written
//! by the Collector itself, outside CI: `tests/data/rules/collector/run`. Attributes are compared in the order in
//! which the Collector leaves them, where it has one ([`loses_order`]). Spans are compared by their ids, because a
//! joined trace leaves in an order of its own.

use std::path::PathBuf;

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::Value as Json;
use spandrel::wire::Signal;
use tokio::process::Command;

use crate::harness::read::{Export, Item};
use crate::harness::{Client, PATIENCE, Proxy, Start, Upstream, root};

const SIGNALS: [Signal; 3] = [Signal::Traces, Signal::Metrics, Signal::Logs];

/// A shape's name and its file.
fn shapes() -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(root().join("tests/data/rules/shapes")).expect("part of the checkout");
    let files = entries.map(|entry| entry.expect("readable").path());
    let mut shapes: Vec<(String, PathBuf)> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), path))
        .collect();
    shapes.sort();
    assert!(shapes.len() >= 20, "{} shapes", shapes.len());
    shapes
}

fn read(signal: Signal, json: &str) -> Export {
    match signal {
        Signal::Traces => Export::Traces(serde_json::from_str(json).expect("spans")),
        Signal::Metrics => Export::Metrics(serde_json::from_str(json).expect("metrics")),
        _ => Export::Logs(serde_json::from_str(json).expect("log records")),
    }
}

/// What is sent to both: one request of each signal.
fn input(signal: Signal) -> Export {
    let path = root().join(format!("tests/data/rules/shapes/{}.json", signal.name()));
    read(signal, &std::fs::read_to_string(path).expect("part of the checkout"))
}

/// Whether a shape says anything of a signal.
fn says(text: &str, signal: Signal) -> bool {
    let name = signal.name();
    let one = name.trim_end_matches('s');
    text.contains(&format!("{one}_statements")) || text.contains(&format!("{one}_conditions")) || {
        text.contains(&format!("    {name}:"))
    }
}

/// The items of a signal as JSON, each with what it belongs to, in the order of the input: spans by their ids,
/// others as they came. What is empty is as good as absent: the Collector writes it, Spandrel does not.
fn items(exports: &[Export]) -> Vec<Json> {
    let mut items: Vec<Json> = exports
        .iter()
        .flat_map(|export| export.items().iter().map(|item| shown(export, item)).collect::<Vec<_>>())
        .collect();
    items.sort_by_key(|item| {
        item["item"]["parentSpanId"].as_str().map(|_| item["item"]["spanId"].to_string())
    });
    items
}

fn shown(export: &Export, item: &Item) -> Json {
    let body = &item.body[..];
    let body = match export {
        Export::Traces(_) => serde_json::to_value(Span::decode(body).expect("a span")),
        Export::Metrics(_) => serde_json::to_value(Metric::decode(body).expect("a metric")),
        _ => serde_json::to_value(LogRecord::decode(body).expect("a record")),
    };
    let mut body = body.expect("JSON");
    for (key, empty) in
        [("status", serde_json::json!({"message": "", "code": 0})), ("body", serde_json::json!({}))]
    {
        if body[key] == empty {
            body[key] = Json::Null;
        }
    }
    serde_json::json!({"item": body, "resource": item.resource, "scope": item.scope})
}

/// Whether the Collector leaves attributes in no order of theirs: what it parses is in the order of Go's maps,
/// another each time, and the last attribute takes the place of one that is deleted. Spandrel keeps the order of the
/// text, and of what is left.
fn loses_order(shape: &str) -> bool {
    ["delete_key(", "ParseJSON(", "ParseKeyValue(", "ExtractPatterns(", "URL("]
        .iter()
        .any(|f| shape.contains(f))
}

/// Sorts all attributes by their keys.
fn in_order_of_keys(value: &mut Json) {
    match value {
        Json::Array(all) => {
            all.iter_mut().for_each(in_order_of_keys);
            if all.iter().all(|one| one.get("key").is_some()) {
                all.sort_by_key(|one| one["key"].to_string());
            }
        }
        Json::Object(all) => all.values_mut().for_each(in_order_of_keys),
        _ => {}
    }
}

async fn send(client: &Client, signals: &[Signal]) {
    for signal in signals {
        client.grpc(*signal, input(*signal).encode()).await.assert_taken();
    }
}

#[tokio::test]
async fn the_common_shapes_come_out_as_the_collector_makes_them() {
    let mut wrong = Vec::new();
    for (name, path) in shapes() {
        let text = std::fs::read_to_string(&path).expect("readable");
        let expected =
            std::fs::read_to_string(path.with_extension("expected")).expect("what the Collector made");
        let upstream = Upstream::start().await;
        let config = format!(
            "upstream: {}\njoin: {{idle: 300ms}}\nbatch: {{age: 10ms}}\nrules: {{from_collector: {}}}\n",
            upstream.endpoint(),
            path.display()
        );
        let proxy = Proxy::start(Start { config, ..Start::default() }).await;
        let signals: Vec<Signal> = SIGNALS.into_iter().filter(|signal| says(&text, *signal)).collect();
        send(&proxy.client(), &signals).await;
        for (signal, line) in signals.into_iter().zip(expected.lines()) {
            let mut expected = items(&[read(signal, line)]);
            let _ = upstream.await_items(signal, read(signal, line).count()).await;
            proxy.await_settled(signal, "default").await;
            let mut got = items(&upstream.exports(signal));
            if loses_order(&text) {
                got.iter_mut().chain(&mut expected).for_each(in_order_of_keys);
            }
            if got != expected {
                wrong.push(format!("{name}, {}:\n{}", signal.name(), difference(&got, &expected)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The fields that differ of the first items that do.
fn difference(got: &[Json], expected: &[Json]) -> String {
    let differ = (0..got.len().max(expected.len())).filter(|nth| got.get(*nth) != expected.get(*nth));
    let of = |all: &[Json], nth: usize, path: &str| {
        all.get(nth).and_then(|item| item.pointer(path)).unwrap_or(&Json::Null).clone()
    };
    let mut told = Vec::new();
    for nth in differ.take(4) {
        let keys = of(expected, nth, "/item").as_object().map(|all| all.keys().cloned().collect::<Vec<_>>());
        let paths = keys.unwrap_or_default().into_iter().map(|key| format!("/item/{key}"));
        for path in paths.chain(["/resource".into(), "/scope".into()]) {
            let (got, expected) = (of(got, nth, &path), of(expected, nth, &path));
            if got != expected {
                told.push(format!("  #{nth}{path}\n    got      {got}\n    expected {expected}"));
            }
        }
    }
    told.join("\n")
}

/// Writes what is expected anew, with the Collector that `OTELCOL` names.
#[tokio::test]
#[ignore = "needs a Collector: tests/data/rules/collector/run"]
async fn the_collector_says_what_is_expected() {
    let program = std::env::var("OTELCOL").expect("OTELCOL names a Collector");
    for (name, path) in shapes() {
        let text = std::fs::read_to_string(&path).expect("readable");
        let upstream = Upstream::start().await;
        let signals: Vec<Signal> = SIGNALS.into_iter().filter(|signal| says(&text, *signal)).collect();
        let directory = tempfile::tempdir().expect("a directory");
        let (file, port) = (directory.path().join("collector.yaml"), free_port());
        std::fs::write(&file, collector(&text, port, &upstream.endpoint(), &signals)).expect("writable");
        let mut child = Command::new(&program)
            .arg("--config")
            .arg(&file)
            .env_clear()
            .kill_on_drop(true)
            .spawn()
            .expect("OTELCOL runs");
        let address = ([127, 0, 0, 1], port).into();
        tokio::time::timeout(PATIENCE, async {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                assert!(child.try_wait().expect("our child").is_none(), "{name} is no configuration");
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("it listens in time");
        send(&Client::to(address), &signals).await;
        let mut lines = String::new();
        for signal in signals {
            // It passes a request on before it answers.
            let exports = upstream.exports(signal);
            let merged =
                exports.first().cloned().unwrap_or_else(|| Export::decode(signal, &[]).expect("empty"));
            assert!(exports.len() <= 1, "{name}: {} requests of {}", exports.len(), signal.name());
            let mut merged: Json = serde_json::from_slice(&merged.json()).expect("JSON");
            if loses_order(&text) {
                in_order_of_keys(&mut merged);
            }
            lines += &merged.to_string();
            lines.push('\n');
        }
        std::fs::write(path.with_extension("expected"), lines).expect("writable");
    }
}

/// The processors of a shape between OTLP and OTLP, in the order of the file.
fn collector(shape: &str, port: u16, to: &str, signals: &[Signal]) -> String {
    let processors = |signal: Signal| {
        let mut names: Vec<&str> = Vec::new();
        let mut parts: Vec<(&str, String)> = Vec::new();
        for line in shape.lines().filter(|line| line.starts_with("  ")) {
            match line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) {
                Some(name) => parts.push((name.trim_end_matches(':'), String::new())),
                None => parts.last_mut().expect("below a name").1.push_str(&format!("{line}\n")),
            }
        }
        names.extend(parts.iter().filter(|(_, part)| says(part, signal)).map(|(name, _)| *name));
        names.join(", ")
    };
    let pipelines: String = signals
        .iter()
        .map(|signal| {
            let (name, processors) = (signal.name(), processors(*signal));
            format!("    {name}: {{receivers: [otlp], processors: [{processors}], exporters: [otlp_grpc]}}\n")
        })
        .collect();
    format!(
        "{shape}\nreceivers: {{otlp: {{protocols: {{grpc: {{endpoint: \"127.0.0.1:{port}\"}}}}}}}}\nexporters:\n  \
         otlp_grpc: {{endpoint: \"{}\", tls: {{insecure: true}}, sending_queue: {{enabled: false}}}}\nservice:\n  \
         telemetry: {{metrics: {{level: none}}, logs: {{level: warn}}}}\n  pipelines:\n{pipelines}",
        to.trim_start_matches("http://")
    )
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}
