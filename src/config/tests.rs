//! The rules of configuration, end to end: what is given -> what is in force.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use tracing::level_filters::LevelFilter;

use super::*;
use crate::export::{Compression, Protocol};
use crate::receive::Listen;

/// What a test gives; nothing of the machine it runs on gets in.
#[derive(Default)]
struct Given {
    file: &'static str,
    variables: &'static [(&'static str, &'static str)],
    set: &'static [&'static str],
}

fn surroundings(root: &Path, variables: &[(&str, &str)]) -> Surroundings {
    let variables = variables.iter().fold(Variables::default(), |all, pair| all.with(pair.0, pair.1));
    let resolve = |_: &str| vec![IpAddr::from([192, 0, 2, 1])];
    Surroundings { variables, root: root.to_owned(), resolve, is_ours: |address| address.is_loopback() }
}

fn read(given: &Given) -> Result<Loaded, Mistakes> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("spandrel.yaml");
    std::fs::write(&file, given.file).unwrap();
    let ask = Ask { file: Some(file), set: given.set.iter().map(|s| (*s).to_owned()).collect() };
    load_in(&ask, &surroundings(directory.path(), given.variables))
}

fn plan(given: Given) -> Plan {
    read(&given).unwrap_or_else(|mistakes| panic!("{mistakes}")).plan
}

fn from_file(file: &'static str) -> Plan {
    plan(Given { file, ..Given::default() })
}

fn from_variables(variables: &'static [(&'static str, &'static str)]) -> Plan {
    plan(Given { variables, ..Given::default() })
}

fn wrong(given: Given) -> String {
    read(&given).err().map(|mistakes| mistakes.to_string()).expect("there are mistakes")
}

#[test]
fn with_nothing_configured_the_defaults_are_a_plan() {
    let plan = from_file("");
    let listen =
        [Listen::Tcp("127.0.0.1:4317".parse().unwrap()), Listen::Tcp("127.0.0.1:4318".parse().unwrap())];
    assert_eq!(plan.receive.listen, listen);
    assert_eq!(plan.receive.request_max, 64 << 20);
    assert_eq!(plan.receive.timeouts, receive::Timeouts::default());
    assert!(plan.upstreams.is_empty());
    assert_eq!(plan.memory, 256 << 20);
    assert_eq!(plan.join.unwrap().held_bytes_max, 192 << 20);
    assert_eq!((plan.batch.bytes, plan.batch.age), (1 << 20, Duration::from_millis(200)));
    assert_eq!(plan.admin, Some("127.0.0.1:8888".parse().unwrap()));
    assert_eq!(plan.lanes, 1);
    assert_eq!(plan.labels, rules::labels::Settings::default());
}

#[test]
fn the_defaults_of_the_table_are_the_parts_own() {
    let plan = from_file("");
    let join = join::Settings { held_bytes_max: 192 << 20, ..join::Settings::default() };
    assert_eq!(plan.join, Some(join));
    assert_eq!(plan.batch, queue::batcher::Settings::default());
}

/// Found by fuzzing: such a header was sent with nothing in it.
#[test]
fn a_name_of_the_users_own_without_a_value_is_a_mistake() {
    let file = "upstreams: {a: {endpoint: 'http://h:1', headers: {x-gone:, x-team: b}}}\nresource: {team: }";
    let said = wrong(Given { file, ..Given::default() });
    assert!(said.contains("`upstreams.a.headers.x-gone`: is empty"), "{said}");
    assert!(said.contains("`resource.team`: is empty"), "{said}");
}

#[test]
fn everything_can_be_said_in_a_file() {
    let plan = from_file(
        "receive: {grpc: '0.0.0.0:14317', http: 'unix:/run/s.sock', unix: /run/t.sock, max_request: 1MB,
  max_connections: 9, timeouts: {head: 1s, body: 2s, request: 3s, idle: 4s}}
upstreams:
  backend:
    endpoint: https://otel.example.com/base/
    protocol: http/json
    headers: {X-Api-Key: k, x-team: a b}
    compression: zstd
    tls: {ca_file: /ca, cert_file: /c, key_file: /k, insecure_skip_verify: true}
    timeout: 3s
    retry: {initial: 2s, max: 4s, give_up: 1h}
    parallel: 9
    max_request: 2MiB
environment: production
release: 1.10
release_key: app.version
legacy_environment: true
enforce: true
resource: {team: payments, service.namespace: shop}
join: {scope: local, quiet: 1ms, idle: 2s, hold: 3m}
batch: {bytes: 4096, age: 0s}
memory: 32MiB
lanes: 4
admin: off
log: {level: debug, format: json}
",
    );
    assert_eq!(
        plan.receive.listen[1..],
        [Listen::Unix("/run/s.sock".into()), Listen::Unix("/run/t.sock".into())]
    );
    assert_eq!((plan.receive.request_max, plan.receive.connections_max), (1_000_000, 9));
    let receive::Timeouts { head, body, request, idle } = plan.receive.timeouts;
    assert_eq!([head, body, request, idle].map(|limit| limit.as_secs()), [1, 2, 3, 4]);
    let [upstream] = plan.upstreams.as_slice() else { panic!("one upstream") };
    assert_eq!(upstream.name, "backend");
    assert_eq!(upstream.endpoint, "https://otel.example.com/base");
    assert_eq!((upstream.protocol, upstream.compression), (Protocol::HttpJson, Compression::Zstd));
    assert_eq!(upstream.headers[0].0, "x-api-key");
    assert!(upstream.headers[0].1.is_sensitive() && !upstream.headers[1].1.is_sensitive());
    assert_eq!(upstream.tls.key_file, Some(PathBuf::from("/k")));
    assert_eq!(upstream.retry.give_up, Duration::from_secs(3600));
    assert_eq!((upstream.parallel, upstream.request_max), (9, 2 << 20));
    // Text as it was written: a release is no number.
    assert_eq!(plan.labels.release.as_deref(), Some("1.10"));
    assert_eq!(plan.labels.resource[1], ("service.namespace".to_owned(), "shop".to_owned()));
    assert_eq!(plan.join.unwrap().scope, join::Scope::Local);
    assert_eq!((plan.memory, plan.lanes, plan.admin), (32 << 20, 4, None));
    let log = logs::Settings { level: LevelFilter::DEBUG, format: logs::Format::Json };
    assert_eq!(plan.log, log);
}

#[test]
fn set_wins_over_variables_over_the_file_over_the_defaults() {
    let given = |set| Given {
        file: "lanes: 2\nbatch: {bytes: 2MiB}\nenvironment: file",
        variables: &[
            ("SPANDREL_LANES", "3"),
            ("SPANDREL_ENVIRONMENT", "variable"),
            ("SPANDREL_BATCH_AGE", ""),
        ],
        set,
    };
    let plan = plan(given(&["lanes=4"]));
    assert_eq!(plan.lanes, 4);
    assert_eq!(plan.labels.environment.as_deref(), Some("variable"));
    assert_eq!(plan.labels_from.environment.as_deref(), Some("env SPANDREL_ENVIRONMENT"));
    assert_eq!(plan.batch.bytes, 2 << 20);
    assert_eq!(plan.batch.age, Duration::from_millis(200));
}

#[test]
fn a_value_that_is_overridden_is_checked_all_the_same() {
    let said = wrong(Given { file: "lanes: many", set: &["lanes=2"], ..Given::default() });
    assert!(said.contains(":1:8: `lanes`: `many` is not a whole number"), "{said}");
}

#[test]
fn upstreams_and_maps_can_be_given_as_variables() {
    let plan = plan(Given {
        file: "upstreams: {far-away: {endpoint: 'http://192.0.2.9:4317', headers: {a: file, b: file}}}",
        variables: &[
            ("SPANDREL_UPSTREAMS_FAR_AWAY_HEADERS", "a=1, c=x=y"),
            ("SPANDREL_UPSTREAMS_FAR_AWAY_TLS_INSECURE_SKIP_VERIFY", "false"),
            ("SPANDREL_UPSTREAMS_OTHER_ENDPOINT", "http://192.0.2.8:4318"),
            ("SPANDREL_RESOURCE", "team=payments,service.namespace=shop"),
        ],
        set: &["resource.service.namespace=set", "upstreams.other.headers.x.y=z"],
    });
    let headers: Vec<_> =
        plan.upstreams[0].headers.iter().map(|(k, v)| (k.as_str(), v.to_str().unwrap())).collect();
    assert_eq!(headers, [("a", "1"), ("b", "file"), ("c", "x=y")]);
    assert_eq!(plan.upstreams[1].name, "other");
    assert_eq!(plan.upstreams[1].protocol, Protocol::HttpProtobuf);
    assert_eq!(plan.upstreams[1].headers[0].0, "x.y");
    assert_eq!(plan.labels.resource[1].1, "set");
}

#[test]
fn the_short_upstream_is_the_default_ones_endpoint() {
    let plan = plan(Given {
        file: "upstreams: {default: {endpoint: 'http://192.0.2.1:4317', timeout: 3s}}",
        variables: &[("SPANDREL_UPSTREAM", "http://192.0.2.2:4317")],
        ..Given::default()
    });
    assert_eq!(plan.upstreams.len(), 1);
    assert_eq!(plan.upstreams[0].endpoint, "http://192.0.2.2:4317");
    assert_eq!(plan.upstreams[0].timeout, Duration::from_secs(3));
}

#[test]
fn an_upstream_can_be_taken_away() {
    let plan = plan(Given {
        file: "upstream: http://192.0.2.1:4317",
        variables: &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://192.0.2.3:4317")],
        set: &["upstream="],
    });
    assert!(plan.upstreams.is_empty());
}

#[test]
fn a6_otel_variables_make_an_upstream_only_when_nobody_else_does() {
    let one = from_variables(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otel.example.com/base/"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20a%3D%3D , x-a=1=2,x-b = raw space"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://elsewhere"),
    ]);
    let upstream = &one.upstreams[0];
    assert_eq!(upstream.endpoint, "https://otel.example.com/base");
    assert_eq!((upstream.protocol, upstream.compression), (Protocol::HttpProtobuf, Compression::None));
    let headers: Vec<_> = upstream.headers.iter().map(|(k, v)| (k.as_str(), v.to_str().unwrap())).collect();
    assert_eq!(headers, [("authorization", "Basic a=="), ("x-a", "1=2"), ("x-b", "raw space")]);
    assert_eq!(upstream.timeout, Duration::from_millis(2500));
    assert_eq!(upstream.tls.ca_file, Some(PathBuf::from("/ca.pem")));
    assert_eq!(one.notes, [""; 0]);
    // What a signal has of its own beats what is said of all.
    let metrics = &one.upstreams[1];
    assert_eq!((metrics.name.as_str(), metrics.signals.names(",").as_str()), ("metrics", "metrics"));
    assert_eq!((metrics.endpoint.to_string().as_str(), metrics.exact), ("http://elsewhere/", true));
    assert_eq!((metrics.timeout, &metrics.headers), (upstream.timeout, &upstream.headers));
    assert_eq!(metrics.tls.ca_file, None, "meant for the endpoint under TLS");
    assert_eq!(
        (upstream.name.as_str(), upstream.signals.names(",").as_str()),
        ("default", "traces,logs,profiles")
    );

    let ours = plan(Given {
        file: "upstream: http://192.0.2.1:4317",
        variables: &[("OTEL_EXPORTER_OTLP_ENDPOINT", "not even a url"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "x")],
        ..Given::default()
    });
    assert_eq!(ours.upstreams[0].endpoint, "http://192.0.2.1:4317");
}

#[test]
fn a6_otel_endpoints_are_read_as_the_exporter_specification_has_them() {
    let check = |variables: &'static [(&str, &str)], endpoint: &str, protocol| {
        let plan = from_variables(variables);
        let upstream = &plan.upstreams[0];
        assert_eq!((upstream.endpoint.to_string().as_str(), upstream.protocol), (endpoint, protocol));
    };
    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const PROTOCOL: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    check(&[(ENDPOINT, "http://c.example:4317")], "http://c.example:4317/", Protocol::Grpc);
    check(&[(ENDPOINT, "http://c.example:4318")], "http://c.example:4318/", Protocol::HttpProtobuf);
    // Without a scheme gRPC is secure unless said otherwise; a scheme beats what is said.
    check(&[(ENDPOINT, "c.example:4317"), PROTOCOL], "https://c.example:4317/", Protocol::Grpc);
    const INSECURE: (&str, &str) = ("OTEL_EXPORTER_OTLP_INSECURE", "true");
    check(&[(ENDPOINT, "c.example:4317"), PROTOCOL, INSECURE], "http://c.example:4317/", Protocol::Grpc);
    check(&[(ENDPOINT, "https://c.example"), PROTOCOL, INSECURE], "https://c.example/", Protocol::Grpc);
    // A signal's endpoint is whole; with the signal's own path it is the same as a base.
    const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    check(&[(TRACES, "http://c.example/x/v1/traces")], "http://c.example/x", Protocol::HttpProtobuf);
    check(&[(TRACES, "http://c.example/x/v1/logs")], "http://c.example/x/v1/logs", Protocol::HttpProtobuf);
    check(&[(TRACES, "http://c.example/any/")], "http://c.example/any/", Protocol::HttpProtobuf);
    check(&[(TRACES, "c.example:4317"), PROTOCOL, INSECURE], "http://c.example:4317/", Protocol::Grpc);
}

#[test]
fn a6_signals_of_which_the_same_is_said_share_an_upstream() {
    let check = |variables: &'static [(&str, &str)], expect: &[&str]| {
        let plan = from_variables(variables);
        let shown = plan.upstreams.iter().map(|upstream| {
            let exact = if upstream.exact { " exact" } else { "" };
            format!("{}: {} {}{exact}", upstream.name, upstream.signals.names(","), upstream.endpoint)
        });
        assert_eq!(shown.collect::<Vec<_>>(), expect, "{variables:?}");
    };
    const ALL: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:4318");
    const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    const METRICS: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
    check(
        &[ALL, (TRACES, "http://h:4318/v1/traces")],
        &["default: traces,metrics,logs,profiles http://h:4318/"],
    );
    check(
        &[(TRACES, "http://h:4318/v1/traces"), (METRICS, "http://h:4318/v1/metrics")],
        &["traces-metrics: traces,metrics http://h:4318/"],
    );
    check(
        &[(TRACES, "http://h:4318/in"), (METRICS, "http://h:4318/in")],
        &["traces: traces http://h:4318/in exact", "metrics: metrics http://h:4318/in exact"],
    );
    check(
        &[ALL, ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "x-a=1"), ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "1000")],
        &[
            "default: traces,profiles http://h:4318/",
            "metrics: metrics http://h:4318/",
            "logs: logs http://h:4318/",
        ],
    );
    check(&[("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "x-a=1")], &[]);
}

#[test]
fn a6_every_option_of_a_signal_beats_the_general_one() {
    let plan = from_variables(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://h"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "h.example:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "true"),
        ("OTEL_EXPORTER_OTLP_LOGS_INSECURE", "false"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-all=1"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "x-logs=2"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "2000"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/all"),
        ("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "/logs"),
        ("OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE", "/cert"),
        ("OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", "/key"),
    ]);
    let [all, logs] = plan.upstreams.as_slice() else { panic!("two upstreams: {:?}", plan.upstreams) };
    assert_eq!((all.endpoint.to_string().as_str(), all.protocol), ("https://h/", Protocol::HttpJson));
    assert_eq!(
        (logs.endpoint.to_string().as_str(), logs.protocol),
        ("https://h.example:4317/", Protocol::Grpc)
    );
    assert_eq!(
        (all.headers[0].0.as_str(), logs.headers[0].0.as_str(), logs.headers.len()),
        ("x-all", "x-logs", 1)
    );
    assert_eq!((all.compression, logs.compression), (Compression::Gzip, Compression::None));
    assert_eq!((all.timeout, logs.timeout), (Duration::from_secs(1), Duration::from_secs(2)));
    let file = |path: &str| Some(PathBuf::from(path));
    assert_eq!((&all.tls.ca_file, &logs.tls.ca_file), (&file("/all"), &file("/logs")));
    assert_eq!((&all.tls.cert_file, &logs.tls.cert_file), (&None, &file("/cert")));
    assert_eq!((&all.tls.key_file, &logs.tls.key_file), (&None, &file("/key")));
}

#[test]
fn upstreams_take_the_signals_they_are_told_to() {
    let plan = from_file(
        "upstreams:
  a: {endpoint: http://a:4317, signals: [traces, logs]}
  b: {endpoint: http://b/in, signals: metrics, exact: true}",
    );
    assert_eq!(plan.upstreams[0].signals.names(","), "traces,logs");
    assert_eq!((plan.upstreams[1].exact, plan.upstreams[1].endpoint.path()), (true, "/in"));
    assert_eq!(plan.receive.signals.others().names(","), "profiles");
    assert_eq!(plan.notes, ["no upstream takes profiles: callers that send them are refused"]);
    let wrong = |file| wrong(Given { file, ..Given::default() });
    let said = wrong("upstreams: {a: {endpoint: http://a, signals: [trace]}}");
    assert!(said.contains("`upstreams.a.signals`: `trace` is not a list of `traces`"), "{said}");
    assert!(said.contains("did you mean `traces`?"), "{said}");
    let said = wrong("upstreams: {a: {endpoint: http://a, exact: true}}");
    assert!(said.contains("an exact address is one signal's; name one in `signals`"), "{said}");
    let said = wrong("upstreams: {a: {endpoint: http://a, exact: true, protocol: grpc, signals: logs}}");
    assert!(said.contains("gRPC's addresses are given by the signal"), "{said}");
    let said = wrong("upstreams: {a: {endpoint: http://a, signals: []}}");
    assert!(said.contains("`upstreams.a.signals`: is empty"), "{said}");
    let said = wrong("lanes: [1]");
    assert!(said.contains("`lanes`: does not take a list"), "{said}");
}

#[test]
fn f48_our_own_address_among_the_otel_variables_is_refused() {
    let said = wrong(Given {
        variables: &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")],
        ..Given::default()
    });
    assert!(said.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT: ") && said.contains("leads back to us"), "{said}");
    let said = wrong(Given {
        variables: &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://elsewhere"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://localhost:4318/any"),
        ],
        ..Given::default()
    });
    assert!(said.starts_with("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: "), "{said}");
    assert!(said.contains("leads back to us"), "{said}");
}

#[test]
fn f48_a_proxy_that_is_ourselves_is_refused() {
    let check = |endpoint: &'static str, proxy: &'static str, refused: bool| {
        let variables = [("ALL_PROXY", proxy)];
        let file = format!("upstream: {endpoint}");
        let given = Given {
            file: Box::leak(file.into_boxed_str()),
            variables: Box::leak(Box::new(variables)),
            set: &[],
        };
        let said = read(&given).err().map(|mistakes| mistakes.to_string()).unwrap_or_default();
        assert_eq!(said.contains("leads back to us"), refused, "{endpoint} through {proxy}: {said}");
    };
    check("http://otel.example.com", "http://localhost:4318", true);
    check("https://otel.example.com", "127.0.0.1:4317", true);
    check("http://otel.example.com", "http://localhost:3128", false);
    // Loopback is reached directly: the endpoint itself is no loop.
    check("http://127.0.0.1:14317", "http://localhost:4318", false);
}

#[test]
fn labels_are_found_in_this_order() {
    let check = |given: Given, environment: &str, release: &str| {
        let plan = plan(given);
        let shown = |value: &Option<String>, from: &Option<String>| {
            format!("{} {}", value.as_deref().unwrap_or("-"), from.as_deref().unwrap_or("-"))
        };
        assert_eq!(shown(&plan.labels.environment, &plan.labels_from.environment), environment);
        assert_eq!(shown(&plan.labels.release, &plan.labels_from.release), release);
    };
    const CI: (&str, &str) = ("GITHUB_SHA", "abc");
    const LATER: (&str, &str) = ("DRONE_COMMIT_SHA", "later");
    const SDK: (&str, &str) = ("LANGFUSE_TRACING_ENVIRONMENT", "sdk");
    const OLD: (&str, &str) = ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=old%20one");
    const NEW: (&str, &str) = (
        "OTEL_RESOURCE_ATTRIBUTES",
        "service.version=1.2,deployment.environment=old,deployment.environment.name=new",
    );
    check(
        Given { variables: &[LATER, SDK, CI], ..Given::default() },
        "sdk env LANGFUSE_TRACING_ENVIRONMENT",
        "abc env GITHUB_SHA",
    );
    check(
        Given { variables: &[CI, OLD, SDK], ..Given::default() },
        "old one env OTEL_RESOURCE_ATTRIBUTES",
        "abc env GITHUB_SHA",
    );
    check(
        Given { variables: &[CI, NEW, SDK], ..Given::default() },
        "new env OTEL_RESOURCE_ATTRIBUTES",
        "1.2 env OTEL_RESOURCE_ATTRIBUTES",
    );
    check(
        Given { variables: &[NEW, CI], set: &["environment=a", "release=b"], ..Given::default() },
        "a --set",
        "b --set",
    );
    check(Given::default(), "- -", "- -");
}

#[test]
fn protocols_follow_from_endpoints() {
    let check = |endpoint: &str, given: Option<words::Protocol>, expect: &str| {
        let got = endpoint::read(endpoint, given, false).map(|(uri, protocol)| format!("{uri} {protocol:?}"));
        assert_eq!(got.unwrap_or_else(|wrong| wrong), expect, "{endpoint}");
    };
    check("http://gateway:4317", None, "http://gateway:4317/ Grpc");
    check("http://gateway:4318", None, "http://gateway:4318/ HttpProtobuf");
    check("HTTPS://otel.example.com", None, "https://otel.example.com/ Grpc");
    check(
        "https://cloud.example.com/api/public/otel/",
        None,
        "https://cloud.example.com/api/public/otel HttpProtobuf",
    );
    check("gateway:4318", Some(words::Protocol::Grpc), "http://gateway:4318/ Grpc");
    check("gateway", None, "http://gateway:4317/ Grpc");
    check("gateway", Some(words::Protocol::HttpJson), "http://gateway:4318/ HttpJson");
    check("[::1]:4317", None, "http://[::1]:4317/ Grpc");
    check("http://a:99999", None, "`http://a:99999` has no port from 1 to 65535 after `a:`");
    check("http://a/@b", None, "http://a/@b HttpProtobuf");
}

/// Found by fuzzing: a part of a value that was quoted once more came as it was, and so did keys.
#[test]
fn what_a_mistake_repeats_of_a_value_is_short_and_has_no_control_characters() {
    let long = format!("a\\t{}", "b".repeat(500));
    for file in [
        format!("receive: {{http: \"{long}:none\"}}"),
        format!("admin: \"{long}:none\""),
        format!("upstream: \"grpc://{long}\""),
        format!("upstream: \"http://{}:0\"", "b".repeat(500)),
        "upstreams: {a: {endpoint: 'http://h:1', headers: {\"x\\ty\": }}}".to_owned(),
        "upstreams: {\"a\\tb\": {}}".to_owned(),
    ] {
        let mistakes = load_text(&file, &surroundings(Path::new("/nowhere"), &[])).unwrap_err();
        let said = &mistakes.list[0].text;
        assert!(!said.chars().any(char::is_control) && said.chars().count() < 300, "{said:?}");
    }
}

#[test]
fn the_budget_is_a_quarter_of_the_smallest_cgroup_limit() {
    let check = |files: &[(&str, &str)], expect: usize| {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        assert_eq!(found::memory(root.path()).0, expect, "{files:?}");
    };
    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal:        8388608 kB\nMemFree: 1 kB\n");
    const V2: (&str, &str) = ("proc/self/cgroup", "0::/pods/one\n");
    const V1: (&str, &str) = ("proc/self/cgroup", "7:cpu,cpuacct:/x\n5:memory:/docker/abc\n");
    let mib = |n: usize| n << 20;
    check(&[], mib(256));
    check(&[MACHINE, V2, ("sys/fs/cgroup/pods/one/memory.max", "max\n")], mib(256));
    check(&[MACHINE, V2, ("sys/fs/cgroup/pods/one/memory.max", "536870912\n")], mib(128));
    // A parent's limit binds as well.
    check(
        &[
            MACHINE,
            V2,
            ("sys/fs/cgroup/pods/one/memory.max", "max\n"),
            ("sys/fs/cgroup/pods/memory.max", "268435456\n"),
        ],
        mib(64),
    );
    check(&[MACHINE, V2, ("sys/fs/cgroup/memory.max", "33554432\n")], mib(16));
    check(&[MACHINE, V1, ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n")], mib(256));
    check(&[MACHINE, V1, ("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "134217728\n")], mib(32));
    // Version 1 says "no limit" with a number no machine has.
    check(&[MACHINE, V1, ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")], mib(256));
    check(&[("proc/meminfo", "MemTotal: 524288 kB\n")], mib(128));
}

#[test]
fn a_request_larger_than_all_memory_is_refused_for_its_size() {
    let plan = from_file("memory: 16MiB\nreceive: {max_request: 32MiB}");
    assert_eq!(plan.receive.request_max, 16 << 20);
    assert!(plan.notes[0].contains("16MiB"), "{:?}", plan.notes);
}

#[test]
fn log_records_join_their_spans_where_asked_and_then_need_no_upstream_of_their_own() {
    let notes = |plan: &Plan| (plan.receive.notes, plan.join.as_ref().unwrap().notes);
    let plan = from_file("upstream: http://a:4317");
    assert_eq!(notes(&plan), (false, false), "off unless asked for: a plain backend has logs");
    let plan = from_file("join: {logs: on}\nupstreams: {a: {endpoint: 'http://a:4317', signals: traces}}");
    assert_eq!(notes(&plan), (true, true));
    assert_eq!(plan.receive.signals.names(","), "traces");
    let said = plan.notes.concat();
    assert!(said.contains("no upstream takes logs: of those only GenAI events are taken"), "{said}");
    assert!(said.contains("no upstream takes metrics, profiles: callers"), "{said}");
    let plan = from_file("join: {logs: on}\nupstreams: {a: {endpoint: 'http://a:4317', signals: metrics}}");
    assert!(!plan.receive.notes, "nobody takes the spans they would go with");
    let plan = from_file("dialect: langfuse\nupstream: https://langfuse.example.com\n");
    assert_eq!(notes(&plan), (true, true), "its server takes no logs and looks among its spans' events");
    let plan = from_file("dialect: langfuse\nupstream: https://langfuse.example.com\njoin: {logs: off}");
    assert_eq!(notes(&plan), (false, false));
    let said = wrong(Given { file: "join: {logs: on, scope: off}", ..Given::default() });
    assert!(said.contains("`join.logs` is `on`, but `join.scope` is `off`"), "{said}");
}

#[test]
fn a_default_gives_way_to_a_lower_bound_that_was_written() {
    let plan = from_file(
        "join: {hold: 20ms}\nupstreams: {a: {endpoint: 'http://192.0.2.1', max_request: 2KiB, retry: {max: 1ms}}}",
    );
    let join = plan.join.unwrap();
    assert_eq!([join.quiet, join.idle, join.hold], [Duration::from_millis(20); 3]);
    assert_eq!(plan.batch.bytes, 2048);
    assert_eq!(plan.upstreams[0].retry.initial, Duration::from_millis(1));
    let said = wrong(Given { file: "join: {idle: 31s}", ..Given::default() });
    assert!(said.contains("`join.idle` `31s` is more than `join.hold` `30s`"), "{said}");
}

#[test]
fn a_pod_says_its_release_and_what_its_injection_could_not_do() {
    let root = tempfile::tempdir().unwrap();
    let podinfo = root.path().join("etc/podinfo");
    std::fs::create_dir_all(&podinfo).unwrap();
    let found = |annotations: &str| {
        std::fs::write(podinfo.join("labels"), "app.kubernetes.io/version=\"1.4\"\n").unwrap();
        std::fs::write(podinfo.join("annotations"), annotations).unwrap();
        let loaded = load_in(&Ask::default(), &surroundings(root.path(), &[])).unwrap();
        assert_eq!(loaded.plan.labels.release.as_deref(), Some("1.4"));
        let wrong = |source: SourceState| Some(format!("{} {}", source.name, source.wrong?));
        let wrong: Vec<String> = loaded.sources().into_iter().filter_map(wrong).collect();
        wrong.join("\n").replace(&root.path().display().to_string(), "")
    };
    assert_eq!(found("a=\"b\"\n"), "");
    let says = "file:/etc/podinfo/annotations[spandrel.dev/injection] says: not so";
    assert_eq!(found("spandrel.dev/injection=\"not so\"\n"), says);
    let odd = "file:/etc/podinfo/annotations[spandrel.dev/injection] line 1: not like `key=\"value\"`";
    assert_eq!(found("nonsense"), odd);
}

#[test]
fn the_installed_file_is_read_when_none_is_named_and_the_working_directory_is_not() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("etc/spandrel")).unwrap();
    std::fs::write(root.path().join("etc/spandrel/spandrel.yaml"), "lanes: 7").unwrap();
    std::fs::write(root.path().join("other.yaml"), "\u{feff}lanes: 8").unwrap();
    let lanes = |variables: &[(&str, &str)]| {
        load_in(&Ask::default(), &surroundings(root.path(), variables)).unwrap().plan.lanes
    };
    assert_eq!(lanes(&[]), 7);
    let other = root.path().join("other.yaml");
    assert_eq!(lanes(&[("SPANDREL_CONFIG", other.to_str().unwrap())]), 8);
    std::fs::remove_file(root.path().join("etc/spandrel/spandrel.yaml")).unwrap();
    assert_eq!(lanes(&[]), 1);
}

#[test]
fn what_is_printed_is_itself_a_configuration_and_means_the_same() {
    let given = Given {
        file: "upstreams:\n  a: {endpoint: 'https://a.example.com/x', headers: {team: 'a: $b #c \"d\"'}}
resource: {service.namespace: '${env:TEAM}', odd key: ' - x'}\njoin: {scope: off}\nenvironment: null-ish",
        variables: &[("TEAM", "pay$$ments"), ("GIT_COMMIT", "1e3")],
        set: &["upstream=http://192.0.2.1:4317", "admin=[::1]:8888"],
    };
    let first = read(&given).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("printed.yaml");
    std::fs::write(&file, first.print()).unwrap();
    let ask = Ask { file: Some(file), set: Vec::new() };
    let again = load_in(&ask, &surroundings(directory.path(), &[])).unwrap_or_else(|m| panic!("{m}"));
    // What is printed is given, wherever it came from at first.
    let strip = |plan: &Plan| {
        format!("{:?}", Plan { labels_from: LabelsFrom::default(), memory_follows: false, ..plan.clone() })
    };
    assert_eq!(strip(&again.plan), strip(&first.plan), "{}", first.print());
    assert_eq!(again.plan.labels.resource[0].1, "pay$$ments");
}

#[test]
fn what_is_printed_says_where_from_and_keeps_secrets() {
    let given = Given {
        file: "upstreams:\n  a:\n    endpoint: https://a.example.com\n    headers: {x-api-key: hunter2}",
        variables: &[("SPANDREL_LANES", "2"), ("GITHUB_SHA", "abc")],
        set: &["batch.age=1s"],
    };
    let printed = read(&given).unwrap_or_else(|mistakes| panic!("{mistakes}")).print();
    assert!(!printed.contains("hunter2"), "{printed}");
    let line = |start: &str| {
        printed.lines().find(|line| line.trim_start().starts_with(start)).unwrap().trim().to_owned()
    };
    assert!(line("x-api-key:").starts_with("x-api-key: \"*****\""), "{printed}");
    assert!(line("lanes:").ends_with("# env SPANDREL_LANES"));
    assert!(line("release:").ends_with("# env GITHUB_SHA"));
    assert!(line("age:").ends_with("# --set"));
    assert!(line("endpoint:").ends_with("spandrel.yaml:3"));
    assert!(line("hold:").ends_with("# default"));
    assert!(line("memory:").ends_with("# default without a cgroup limit"));
}

#[test]
fn aliases_are_followed() {
    let plan = from_file("environment: &e staging\nresource: {stage: *e}");
    assert_eq!(plan.labels.resource[0].1, "staging");
}

/// Pieces a YAML reader may trip over, in any order.
fn yaml_like() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "join",
        "upstream",
        "upstreams",
        "default",
        "headers",
        "batch",
        ": ",
        ":\n  ",
        "\n",
        "  ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "&a ",
        "*a",
        "<<",
        "? ",
        "| ",
        ">-\n",
        "\"",
        "'",
        "\\",
        "${",
        "}",
        "$$",
        "${env:X:-y}",
        "#",
        "---\n",
        "...\n",
        "!!str ",
        "!t ",
        "%YAML 1.2\n",
        "\t",
        "\u{0}",
        "\u{feff}",
        "é",
        "50ms",
        "1MiB",
        "0",
        "~",
        "off",
        "@",
    ]);
    prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_file_makes_it_panic(text in prop_oneof![yaml_like(), "\\PC{0,200}"]) {
        let mut mistakes = Vec::new();
        let mut table = raw::Raw::default();
        if let Ok(root) = tree::read(&text, &mut mistakes) {
            let mut files = files::Files::default();
            let outside = (&Variables::default(), &mut files);
            gather::from_file(&root, &mut table, outside, &mut mistakes);
        }
        // Every place can be shown.
        let list = mistakes;
        let _ = Mistakes { file: "f".to_owned(), text, list }.to_string();
    }

    #[test]
    fn no_argument_or_endpoint_makes_it_panic(text in "\\PC{0,80}") {
        let arguments = [text.clone(), format!("upstreams.a.{text}")];
        gather::from_arguments(&arguments, &mut raw::Raw::default(), &mut Vec::new());
        let _ = endpoint::read(&text, None, false);
        let _ = endpoint::read(&format!("http://{text}"), None, true);
    }

    #[test]
    fn sizes_and_durations_are_shown_as_they_are_read(bytes in any::<u32>(), ms in any::<u32>()) {
        use words::{Size, Word};
        let size = Size(bytes as usize);
        prop_assert_eq!(Size::read(&size.show().unwrap()), Ok(size));
        let duration = Duration::from_millis(ms.into());
        prop_assert_eq!(Duration::read(&duration.show().unwrap()), Ok(duration));
    }
}

#[test]
fn the_edge_is_set_in_the_file() {
    let receive = from_file(
        "receive:
  unix: /run/s.sock
  unix_mode: 0660
  tls: {cert_file: /c, key_file: /k, client_ca_file: /ca}
  auth:
    bearer: [one, two]
    basic: {ada: lovelace}
    basic_file: /users
  cors: [https://Shop.example.com, '*']
  max_connection_age: 30m
",
    )
    .receive;
    assert_eq!(receive.unix_mode, Some(0o660));
    assert_eq!(receive.tls.unwrap().client_ca, Some(PathBuf::from("/ca")));
    let credentials = receive.credentials.unwrap();
    assert_eq!(credentials.bearer.iter().map(|token| token.0.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(credentials.basic[0].0, "ada");
    assert_eq!(credentials.basic_file, Some(PathBuf::from("/users")));
    assert_eq!(receive.cors, ["https://shop.example.com", "*"]);
    assert_eq!(receive.age.unwrap().max, Duration::from_secs(1800));
}

#[test]
fn the_edge_is_set_by_variables() {
    let receive = from_variables(&[
        ("SPANDREL_RECEIVE_AUTH_BEARER", "one, two"),
        ("SPANDREL_RECEIVE_AUTH_BASIC", "ada=lovelace"),
        ("SPANDREL_RECEIVE_CORS", "https://a.example.com"),
    ])
    .receive;
    let credentials = receive.credentials.unwrap();
    assert_eq!((credentials.bearer.len(), credentials.basic.len(), receive.cors.len()), (2, 1, 1));
}

#[test]
fn a_listener_that_others_reach_is_warned_of_unless_it_asks_who_they_are() {
    let notes = |lines: &str| {
        let file = format!("receive: {{grpc: '0.0.0.0:4317', http: off{lines}}}");
        let given = Given { file: Box::leak(file.into_boxed_str()), ..Given::default() };
        plan(given).notes.into_iter().filter(|note| note.contains("0.0.0.0:4317")).collect::<Vec<_>>()
    };
    assert!(notes("").concat().contains("asks for no credentials"), "{:?}", notes(""));
    let tls = ", tls: {cert_file: /c, key_file: /k}";
    assert_eq!(notes(tls).len(), 1, "TLS alone asks nobody who they are");
    let clear = notes(", auth: {bearer: [one]}");
    assert!(clear.len() == 1 && clear[0].contains("in the clear"), "{clear:?}");
    let both = notes(", auth: {bearer: [one]}, tls: {cert_file: /c, key_file: /k}");
    assert_eq!(both, Vec::<String>::new());
    assert_eq!(notes(", tls: {cert_file: /c, key_file: /k, client_ca_file: /ca}"), Vec::<String>::new());
    assert!(from_file("").notes.is_empty());
}

#[test]
fn credentials_are_masked() {
    let file = "receive: {auth: {bearer: [hunter2], bearer_file: /tokens, basic: {x_file: hunter2}}}";
    let printed = read(&Given { file, ..Given::default() }).unwrap().print();
    assert!(!printed.contains("hunter2") && printed.contains("bearer_file: /tokens"), "{printed}");
}

#[test]
fn a_gateway_is_a_name_to_be_asked_for_in_place_of_an_endpoint() {
    let plan =
        plan(Given { file: "upstream: {gateway: 'dns:gw.observability', parallel: 2}", ..Given::default() });
    let [upstream] = plan.upstreams.as_slice() else { panic!("{:?}", plan.upstreams) };
    assert_eq!(
        (upstream.endpoint.to_string().as_str(), upstream.parallel),
        ("http://gw.observability:4317/", 2)
    );
    assert_eq!(upstream.gateways.map(|gateways| gateways.hold), Some(Duration::from_secs(30)));
    let both = |file: &'static str, variables: &'static [(&'static str, &'static str)]| {
        let plan = self::plan(Given { file, variables, ..Given::default() });
        let of = |upstream: &export::Settings| (upstream.endpoint.to_string(), upstream.gateways.is_some());
        plan.upstreams.iter().map(of).collect::<Vec<_>>()
    };
    // A ConfigMap has an endpoint, the injected sidecar a gateway by variable.
    let file = "upstreams: {default: {endpoint: 'http://b:4317'}}";
    const GATEWAY: &[(&str, &str)] = &[("SPANDREL_UPSTREAMS_DEFAULT_GATEWAY", "dns:a:4317")];
    const ENDPOINT: &[(&str, &str)] = &[("SPANDREL_UPSTREAMS_DEFAULT_ENDPOINT", "http://b:4317")];
    assert_eq!(both(file, GATEWAY), [("http://a:4317/".to_owned(), true)]);
    assert_eq!(both("upstream: {gateway: 'dns:a:4317'}", ENDPOINT), [("http://b:4317/".to_owned(), false)]);
    let check = |file: &'static str, expect: &str| {
        let said = wrong(Given { file, ..Given::default() });
        assert!(said.contains(expect), "{said}");
    };
    check("upstream: {gateway: 'gw:4317'}", "write it like `dns:spandrel-gateway.observability:4317`");
    check("upstream: {gateway: 'dns:'}", "is no name to be asked for");
    check("upstream: {gateway: 'dns:a:4317', endpoint: 'http://b:4317'}", "give one of them");
    check("upstream: {gateway: 'dns:a:99999'}", ":1:21");
}
