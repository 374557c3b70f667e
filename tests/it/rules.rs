//! Rules end to end: statements as people write them, on traces, logs and metrics through the real program,
//! read again by the oracle; what is dropped is in the books.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;
use spandrel::wire::Signal;

use crate::harness::read::{Export, attribute, text};
use crate::harness::{Proxy, Start, Upstream, made};

const FAST: &str = "join: {idle: 300ms}\nbatch: {age: 10ms}\n";

/// A program with these rules, each a line of the file's list.
async fn started(more: &str, rules: &[&str]) -> (Upstream, Proxy) {
    let upstream = Upstream::start().await;
    let list: String = rules.iter().map(|rule| format!("  - {rule}\n")).collect();
    let config = format!("upstream: {}\n{FAST}{more}rules:\n{list}", upstream.endpoint());
    (upstream, Proxy::with(config).await)
}

async fn send(proxy: &Proxy, export: &Export) {
    proxy.client().grpc(export.signal(), export.encode()).await.assert_taken();
}

fn value(any: Any) -> Option<AnyValue> {
    Some(AnyValue { value: Some(any) })
}

fn shown(attributes: &[KeyValue], key: &str) -> String {
    match attributes.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.clone()?.value) {
        None => "nil".into(),
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::DoubleValue(number)) => format!("{number:?}"),
        Some(Any::BoolValue(truth)) => truth.to_string(),
        Some(other) => format!("{other:?}"),
    }
}

fn spans(upstream: &Upstream) -> Vec<Span> {
    upstream.exports(Signal::Traces).iter().flat_map(Export::spans).collect()
}

/// The shapes that stand in most configurations, on a trace: `(statement, key, expected)` on its root.
#[tokio::test]
async fn spans_are_changed_as_twelve_common_statements_say() {
    let cases: [(&str, &str, &str); 12] = [
        (r#"set(span.attributes["a1"], "prod")"#, "a1", "prod"),
        (
            r#"set(span.attributes["a2"], true) where span.attributes["http.request.method"] == "GET""#,
            "a2",
            "true",
        ),
        (
            r#"set(span.attributes["a3"], span.attributes["server.address"]) where span.attributes["a3"] == nil"#,
            "a3",
            "orders.internal.example",
        ),
        (r#"delete_key(span.attributes, "db.query.text")"#, "db.query.text", "nil"),
        (
            r#"replace_pattern(span.attributes["url.full"], "\\?.*$$", "")"#,
            "url.full",
            "http://orders.internal.example/orders/42",
        ),
        (
            r#"set(span.attributes["a6"], Concat([span.name, resource.attributes["service.name"]], "@"))"#,
            "a6",
            "GET /orders@orders",
        ),
        (
            r#"set(span.attributes["a7"], "slow") where span.end_time_unix_nano - span.start_time_unix_nano > 100000000"#,
            "a7",
            "slow",
        ),
        (r#"set(span.attributes["a8"], Int("42")) where IsMatch(span.name, "^GET ")"#, "a8", "42"),
        (r#"merge_maps(span.attributes, ParseJSON("{\"a9\": \"json\"}"), "upsert")"#, "a9", "json"),
        (r#"set(span.attributes["a10"], "error") where span.status.code == STATUS_CODE_ERROR"#, "a10", "nil"),
        (r#"set(span.attributes["a11"], trace.span_count)"#, "a11", "3"),
        (r#"truncate_all(span.attributes, 40)"#, "a1", "prod"),
    ];
    let rules: Vec<String> = cases.iter().map(|case| format!("'{}'", case.0)).collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let (upstream, proxy) = started("", &rules).await;
    let sent = made::trace(1, 3);
    send(&proxy, &Export::Traces(made::request(sent.clone()))).await;
    upstream.await_spans(3).await;
    let came = spans(&upstream);
    let root = came.iter().find(|span| span.parent_span_id.is_empty()).unwrap();
    for (statement, key, expect) in cases {
        assert_eq!(shown(&root.attributes, key), expect, "{statement}");
    }
    let untouched = Span { attributes: Vec::new(), ..root.clone() };
    assert_eq!(
        untouched,
        Span { attributes: Vec::new(), ..sent[0].clone() },
        "what no rule names is as it was"
    );
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.received, ledger.delivered, ledger.lost), (3, 3, 0));
    assert!(proxy.stop().await.success());
}

#[tokio::test]
async fn logs_are_parsed_masked_and_dropped_as_five_common_statements_say() {
    let (upstream, proxy) = started(
        "",
        &[
            "{name: parse, context: log, conditions: ['IsMatch(body, \"^order\")'], statements: \
             ['merge_maps(attributes, ExtractPatterns(body, \"order (?P<order>\\\\d+)\"), \"upsert\")', \
             'set(severity_text, \"WARN\") where attributes[\"order\"] == \"1\"']}",
            r#"'replace_pattern(log.body, "order \\d+", "order *")'"#,
            r#"'mask(log.attributes["card"], "card")'"#,
            r#"'set(resource.attributes["team"], "shop") where resource.attributes["service.name"] == "orders"'"#,
            r#"'drop() where log.attributes["order"] == "2"'"#,
        ],
    )
    .await;
    let mut request = made::logs(0, 4);
    let card = attribute("card", "paid with 4111 1111 1111 1111");
    request.resource_logs[0].scope_logs[0].log_records[0].attributes.push(card);
    send(&proxy, &Export::Logs(request)).await;
    upstream.await_items(Signal::Logs, 3).await;
    let Export::Logs(ExportLogsServiceRequest { resource_logs }) = upstream.exports(Signal::Logs).remove(0)
    else {
        panic!("logs")
    };
    let resource = resource_logs[0].resource.clone().unwrap_or_default();
    assert_eq!(text(&resource.attributes, "team"), Some("shop"));
    let records = &resource_logs[0].scope_logs[0].log_records;
    let orders: Vec<_> = records.iter().map(|record| shown(&record.attributes, "order")).collect();
    assert_eq!(orders, ["0", "1", "3"]);
    assert!(
        records.iter().all(|r| r.body == value(Any::StringValue("order * was paid".into()))),
        "{records:?}"
    );
    assert_eq!(records[1].severity_text, "WARN");
    let card = shown(&records[0].attributes, "card");
    assert!(!card.contains("1111 1111") && card.starts_with("paid with "), "{card}");
    let ledger = proxy.await_settled(Signal::Logs, "default").await;
    assert_eq!((ledger.received, ledger.delivered, ledger.lost), (4, 3, 1));
    let lost = [("signal", "logs"), ("reason", "dropped_by_rule")];
    assert_eq!(proxy.metrics().await.sum("spandrel_exporter_lost_items_total", &lost), 1);
}

#[tokio::test]
async fn metrics_are_renamed_and_lose_points_as_three_common_statements_say() {
    let (upstream, proxy) = started(
        "",
        &[
            r#"'set(metric.name, "shop.orders") where metric.name == "orders"'"#,
            r#"'delete_key(datapoint.attributes, "order.state")'"#,
            r#"'drop() where datapoint.value_int < 3'"#,
        ],
    )
    .await;
    send(&proxy, &Export::Metrics(made::metrics(0, 10))).await;
    upstream.await_items(Signal::Metrics, 7).await;
    let Export::Metrics(ExportMetricsServiceRequest { resource_metrics }) =
        upstream.exports(Signal::Metrics).remove(0)
    else {
        panic!("metrics")
    };
    let metric = &resource_metrics[0].scope_metrics[0].metrics[0];
    assert_eq!(metric.name, "shop.orders");
    let Some(Data::Sum(sum)) = &metric.data else { panic!("a sum") };
    assert_eq!(sum.data_points.len(), 7);
    assert!(sum.data_points.iter().all(|point| point.attributes.is_empty()));
    let ledger = proxy.await_settled(Signal::Metrics, "default").await;
    assert_eq!((ledger.received, ledger.delivered, ledger.lost), (10, 7, 3));
}

/// Children move to the nearest that is kept; a trace that is dropped whole leaves nothing behind.
#[tokio::test]
async fn dropped_spans_leave_no_orphans_and_are_in_the_books() {
    let (upstream, proxy) = started(
        "",
        &[r#"'drop() where span.name == "noise" or resource.attributes["service.name"] == "gone"'"#],
    )
    .await;
    let mut spans_sent = made::trace(1, 4);
    spans_sent[1].name = "noise".into();
    spans_sent[2].name = "noise".into();
    spans_sent[2].parent_span_id = spans_sent[1].span_id.clone();
    spans_sent[3].parent_span_id = spans_sent[2].span_id.clone();
    let mut whole = made::request(made::trace(2, 3));
    let resource = whole.resource_spans[0].resource.as_mut().unwrap();
    resource.attributes = vec![attribute("service.name", "gone")];
    send(&proxy, &Export::Traces(whole)).await;
    send(&proxy, &Export::Traces(made::request(spans_sent.clone()))).await;
    upstream.await_spans(2).await;
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.received, ledger.delivered, ledger.lost), (7, 2, 5));
    let came = spans(&upstream);
    let child = came.iter().find(|span| span.span_id == spans_sent[3].span_id).unwrap();
    assert_eq!(child.parent_span_id, spans_sent[0].span_id);
    assert_eq!(came.len(), 2);
}

/// Three services, of which one alone is asked; and a trace with an error, which the rule spares.
#[tokio::test]
async fn a_sample_keeps_or_drops_whole_traces_across_services() {
    let (upstream, proxy) = started(
        "",
        &[r#"'sample(0.25) where trace.errors == 0 and resource.attributes["service.name"] == "b"'"#],
    )
    .await;
    let mut expect = Vec::new();
    for number in 0..40_u64 {
        let mut trace = made::trace(number, 3);
        // The last seven bytes decide.
        let random = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let id = [&[7; 8][..], &random.to_be_bytes()].concat();
        trace.iter_mut().for_each(|span| span.trace_id = id.clone());
        let erring = number % 10 == 0;
        if erring {
            let status = opentelemetry_proto::tonic::trace::v1::Status { code: 2, ..Default::default() };
            trace[0].status = Some(status);
        }
        let threshold: u64 = (1 << 56) / 4 * 3;
        let drawn = id[9..].iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte)) >= threshold;
        if erring || drawn {
            expect.push(id);
        }
        for (span, service) in trace.into_iter().zip(["a", "b", "c"]) {
            let mut request = made::request(vec![span]);
            request.resource_spans[0].resource.as_mut().unwrap().attributes =
                vec![attribute("service.name", service)];
            send(&proxy, &Export::Traces(request)).await;
        }
    }
    assert!(expect.len() > 4 && expect.len() < 25, "{}", expect.len());
    upstream.await_spans(expect.len() * 3).await;
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!(ledger.received, 120);
    assert_eq!((ledger.delivered, ledger.lost), (expect.len() as u64 * 3, 120 - expect.len() as u64 * 3));
    let lost = [("signal", "traces"), ("reason", "sampled_out")];
    assert_eq!(proxy.metrics().await.sum("spandrel_exporter_lost_items_total", &lost), ledger.lost);
    let mut came: Vec<Vec<u8>> = spans(&upstream).into_iter().map(|span| span.trace_id).collect();
    came.sort();
    let mut thrice: Vec<Vec<u8>> = expect.iter().flat_map(|id| vec![id.clone(); 3]).collect();
    thrice.sort();
    assert_eq!(came, thrice);
}

/// Rules see what labels wrote, and their parents; without a join they see each span by itself.
#[tokio::test]
async fn rules_run_behind_the_labels_with_or_without_the_join() {
    let statement = r#"'set(span.attributes["env"], resource.attributes["deployment.environment.name"])'"#;
    let parents = r#"'set(span.attributes["up"], parent.name)'"#;
    let scope = r#"'set(scope.attributes["x"], "y") where scope.name == "made"'"#;
    for (join, up) in [("trace", "GET /orders"), ("off", "nil")] {
        let upstream = Upstream::start().await;
        let config = format!(
            "upstream: {}\nenvironment: qa\njoin: {{scope: {join}}}\nbatch: {{age: 10ms}}\nrules:\n  - {statement}\n  - {parents}\n  - {scope}\n",
            upstream.endpoint()
        );
        let proxy = Proxy::with(config).await;
        send(&proxy, &Export::Traces(made::request(made::trace(1, 3)))).await;
        upstream.await_spans(3).await;
        for span in spans(&upstream) {
            assert_eq!(text(&span.attributes, "env"), Some("qa"));
            let expect = if span.parent_span_id.is_empty() { "nil" } else { up };
            assert_eq!(shown(&span.attributes, "up"), expect, "join {join}");
        }
        for export in upstream.exports(Signal::Traces) {
            assert!(export.items().iter().all(|item| text(&item.scope.attributes, "x") == Some("y")));
        }
    }
}

/// With a vendor's dialect they see what its server is given, and what they drop takes no stamp along.
#[tokio::test]
async fn rules_see_what_the_trace_says_of_itself() {
    let upstream = Upstream::start().await;
    let config = format!(
        "upstream: {}\ndialect: interactiveai\nkeys: {{public: pk, secret: sk}}\njoin: {{idle: 300ms}}\nrules:\n  \
         - 'set(span.attributes[\"who\"], span.attributes[\"user.id\"])'\n  \
         - 'set(span.attributes[\"said\"], trace.user)'\n  - 'drop() where span.name == \"SELECT orders 1\"'\n",
        upstream.endpoint()
    );
    let proxy = Proxy::with(config).await;
    let mut sent = made::trace(1, 3);
    sent[2].attributes.push(attribute("user.id", "ann"));
    send(&proxy, &Export::Traces(made::request(sent))).await;
    upstream.await_spans(2).await;
    let came = spans(&upstream);
    assert_eq!(came.len(), 2);
    for span in came {
        for key in ["user.id", "who", "said"] {
            assert_eq!(text(&span.attributes, key), Some("ann"), "{key} of {}", span.name);
        }
        let times = span.attributes.iter().filter(|pair| pair.key == "user.id").count();
        assert_eq!(times, 1, "{:?}", span.attributes);
    }
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.received, ledger.delivered, ledger.lost), (3, 2, 1));
}

#[tokio::test]
async fn what_fails_is_counted_and_told_once_and_the_item_goes_on() {
    let (upstream, proxy) = started(
        "",
        &[
            r#"'set(span.attributes["n"], Int(span.attributes["url.full"]) + 1)'"#,
            r#"{name: quiet, error_mode: silent, statements: ['set(span.attributes["m"], 1 / span.dropped_links_count)']}"#,
            r#"'set(span.attributes["after"], "yes")'"#,
        ],
    )
    .await;
    send(&proxy, &Export::Traces(made::request(made::trace(1, 5)))).await;
    upstream.await_spans(5).await;
    assert!(spans(&upstream).iter().all(|span| text(&span.attributes, "after") == Some("yes")));
    let errors = |metrics: &crate::harness::Metrics, rule| {
        metrics.sum("spandrel_rule_errors_total", &[("rule", rule)])
    };
    proxy
        .await_metrics("each failure is counted", |metrics| {
            errors(metrics, "1.1") == 5 && errors(metrics, "quiet.1") == 5
        })
        .await;
    let told = proxy.stderr();
    assert_eq!(told.matches("a rule failed on an item").count(), 1, "{told}");
}

/// A request far larger than a batch still goes in parts behind its rules.
#[tokio::test]
async fn a_ruled_block_larger_than_a_batch_goes_in_parts() {
    let (upstream, proxy) = started(
        "",
        &[
            r#"'set(log.attributes["filler"], Concat([log.severity_text, "x"], ""))'"#,
            r#"'drop() where log.time_unix_nano == 1800000000000000003'"#,
        ],
    )
    .await;
    send(&proxy, &Export::Logs(made::logs(0, 20_000))).await;
    upstream.await_items(Signal::Logs, 19_999).await;
    assert!(upstream.exports(Signal::Logs).len() > 1);
    let ledger = proxy.await_settled(Signal::Logs, "default").await;
    assert_eq!((ledger.received, ledger.delivered, ledger.lost), (20_000, 19_999, 1));
}

#[tokio::test]
async fn bad_rules_keep_it_from_starting() {
    let config = "rules:\n  - set(span.atributes[\"a\"], 1)\n".to_owned();
    let (code, said) = Proxy::fails(Start { config, ..Start::default() }).await;
    assert_eq!(code, 2);
    assert!(said.contains("`rules[1]`: `span` has no `atributes`; did you mean `attributes`?"), "{said}");
    assert!(said.contains("\n  | set(span.atributes[\"a\"], 1)\n"), "{said}");
}

/// What of a Collector's file is left out is told by `check` and at start, with its line.
#[tokio::test]
async fn what_is_left_out_of_a_collectors_file_is_told_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let collector = directory.path().join("collector.yaml");
    let text = "processors:\n  transform:\n    trace_statements:\n      - set(span.name, \"x\")\n      - nothing()\n";
    std::fs::write(&collector, text).unwrap();
    let rules = format!("rules: {{from_collector: {}, unsupported: skip}}\n", collector.display());
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(format!("upstream: {}\n{FAST}{rules}", upstream.endpoint())).await;
    let told =
        format!("{}:5:9: `transform.trace_statements/2`: unknown editor `nothing`", collector.display());
    proxy.await_stderr("what is left out", |said| said.contains(&told)).await;
    send(&proxy, &Export::Traces(made::request(made::trace(1, 2)))).await;
    upstream.await_spans(2).await;
    assert!(spans(&upstream).iter().all(|span| span.name == "x"));
    let config = directory.path().join("spandrel.yaml");
    std::fs::write(&config, rules).unwrap();
    let check = std::process::Command::new(env!("CARGO_BIN_EXE_spandrel"))
        .args(["check", "--config"])
        .arg(&config)
        .env_clear()
        .output()
        .unwrap();
    let said = String::from_utf8(check.stdout).unwrap();
    assert!(check.status.success() && said.contains(&format!("note: {told}; left out")), "{said}");
}

fn tried(arguments: &[&str]) -> (i32, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_spandrel"))
        .arg("try")
        .args(arguments)
        .env_clear()
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8(said).unwrap())
}

/// The same rules over a capture as protobuf and as JSON: what is changed, by which rule, and which never were.
#[test]
fn try_shows_what_rules_would_do_to_a_capture() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    let (rules, pb, json) = (path("rules.yaml"), path("capture.pb"), path("capture.json"));
    let list = "- set(span.attributes[\"env\"], \"prod\") where span.parent_span_id == SpanID(0x0000000000000000)\n\
                - delete_key(span.attributes, \"url.full\") where span.name == \"GET /orders\"\n\
                - drop() where span.name == \"SELECT orders 1\"\n\
                - set(log.body, \"x\")\n";
    std::fs::write(&rules, list).unwrap();
    let export = Export::Traces(made::request(made::trace(1, 4)));
    std::fs::write(&pb, export.encode()).unwrap();
    std::fs::write(&json, export.json()).unwrap();
    let (code, said) = tried(&[&rules, &pb, "--explain"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("- span \"SELECT orders 1\" 0000000200000002: dropped\n"), "{said}");
    assert!(
        said.contains("~ span \"GET /orders\" 0000000200000001\n    - attributes.url.full: \"http://orders"),
        "{said}"
    );
    assert!(said.contains("rules.yaml:2  delete_key(span.attributes"), "{said}");
    assert!(said.contains("    never ") && said.contains("rules.yaml:4  set(log.body"), "{said}");
    assert!(said.contains("4 items: 1 changed, 1 dropped, 0 sampled out, 2 as they were"), "{said}");
    assert!(!said.contains('\u{1b}'), "no colours into a pipe: {said:?}");
    assert_eq!(tried(&[&rules, &json, "--explain"]), (code, said));

    // Two rules on one field, a child that moves because its parent went, a Collector's file.
    let list = "- set(span.name, Concat([span.name, \"a\"], \"\")) where span.kind == 2\n\
                - set(span.name, Concat([span.name, \"b\"], \"\")) where span.kind == 2\n\
                - drop() where span.name == \"noise\"\n\
                - 'sample(0.5) where span.kind == 2'\n";
    std::fs::write(&rules, list).unwrap();
    let mut spans = made::trace(0xff_ffff, 3);
    spans[1].name = "noise".into();
    spans[2].parent_span_id = spans[1].span_id.clone();
    spans.iter_mut().for_each(|span| span.trace_id = vec![0xff; 16]);
    std::fs::write(&pb, Export::Traces(made::request(spans)).encode()).unwrap();
    let (code, said) = tried(&[&rules, &pb, "--explain"]);
    assert_eq!(code, 0, "{said}");
    let by = |line: usize| format!("      by {rules}:{line}  ");
    let lines: Vec<&str> = said.lines().collect();
    let behind = |what: &str| {
        let at =
            lines.iter().position(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {said}"));
        lines[at + 1..]
            .iter()
            .take_while(|line| line.trim_start().starts_with("by "))
            .map(|line| line.to_string())
    };
    let named: Vec<String> = behind("~ name: ").collect();
    assert!(named.len() == 2 && named[0].starts_with(&by(1)) && named[1].starts_with(&by(2)), "{said}");
    assert!(behind("~ parentSpanId: ").all(|line| line.starts_with(&by(3))), "{said}");
    assert!(behind("noise\" 01").all(|line| line.contains("rules.yaml:3  drop()")), "{said}");
    assert!(behind("+ traceState: \"ot=th:8\"").all(|line| line.starts_with(&by(4))), "{said}");
    assert!(!said.contains("never "), "{said}");

    std::fs::write(
        &rules,
        "processors:\n  transform:\n    trace_statements:\n      - set(span.name, \"x\")\n",
    )
    .unwrap();
    let (code, said) = tried(&[&rules, &pb, "--explain"]);
    assert!(
        code == 0 && said.contains("rules.yaml:4  set(span.name, \"x\")") && said.contains("3 changed"),
        "{said}"
    );

    std::fs::write(&rules, "rules:\n  - sett(span.name, \"x\")\n").unwrap();
    let (code, said) = tried(&[&rules, &pb]);
    assert!(code == 2 && said.contains("rules.yaml:2:5: `rules[1]`: unknown editor `sett`"), "{said}");
    std::fs::write(&rules, "rules:\n  - set(span.name, \"x\")\n").unwrap();
    std::fs::write(&pb, "not an export").unwrap();
    let (code, said) = tried(&[&rules, &pb]);
    assert!(code == 1 && said.contains("is no export of traces, logs or metrics"), "{said}");
}
