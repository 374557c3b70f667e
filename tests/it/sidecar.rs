//! A sidecar's life: it is there before its upstream, its app starts whatever is wrong with its configuration, and
//! whoever asks from outside the pod learns how it does and nothing of traces.

use std::process::Command;

use prost::Message;
use spandrel::wire::Signal;

use crate::harness::known_set::LABELS;
use crate::harness::read::{ENVIRONMENT, text};
use crate::harness::{Client, Metrics, Proxy, Start, Upstream, made};

/// What a sidecar is told by its pod, whatever its file says.
fn injected(upstream: &Upstream) -> Vec<(String, String)> {
    variables(&[
        ("SPANDREL_UPSTREAM", &upstream.endpoint()),
        ("SPANDREL_RECEIVE_GRPC", "127.0.0.1:0"),
        ("SPANDREL_RECEIVE_HTTP", "127.0.0.1:0"),
        ("SPANDREL_ADMIN", "127.0.0.1:0"),
    ])
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn it_is_ready_and_takes_spans_before_there_is_an_upstream() {
    let mut upstream = Upstream::start().await;
    upstream.go_down().await;
    let retry = "retry: {initial: 50ms, max: 50ms}";
    let config = format!("upstreams: {{a: {{endpoint: \"{}\", {retry}}}}}\n{LABELS}", upstream.endpoint());
    let proxy = Proxy::with(format!("{config}join: {{scope: local}}\n")).await;
    proxy
        .client()
        .grpc(Signal::Traces, made::request(made::trace(1, 5)).encode_to_vec())
        .await
        .assert_taken();
    proxy
        .await_metrics("a call that failed", |metrics| {
            let failed = metrics.sum("spandrel_exporter_sends_total", &[("outcome", "connect")]);
            failed > 0
        })
        .await;
    let ready = Client::to(proxy.admin()).get("/readyz").await;
    assert_eq!(ready.status, 200, "{}", ready.text());
    upstream.go_up().await;
    upstream.await_spans(5).await;
}

#[tokio::test]
async fn a_name_that_is_not_known_yet_is_no_reason_not_to_start() {
    let proxy = Proxy::with("upstream: http://gateway.nowhere.invalid:4317\n").await;
    let body = made::request(made::trace(1, 2)).encode_to_vec();
    proxy.http_client().http(Signal::Traces, body).await.assert_taken();
    let said =
        proxy.await_stderr("the name and what is wrong", |line| line.contains("gateway.nowhere.invalid"));
    assert!(said.await.contains("gateway.nowhere.invalid"));
    assert_eq!(Client::to(proxy.admin()).get("/livez").await.status, 200);
}

#[tokio::test]
async fn a_configuration_that_can_not_be_used_is_left_out_and_said() {
    let upstream = Upstream::start().await;
    let start = Start {
        config: "join: {quite: 50ms}\n".to_owned(),
        arguments: vec!["--regardless".to_owned()],
        variables: injected(&upstream),
        ..Start::default()
    };
    let proxy = Proxy::start(start).await;
    let body = made::request(made::trace(1, 2)).encode_to_vec();
    proxy.client().grpc(Signal::Traces, body).await.assert_taken();
    upstream.await_spans(2).await;
    let log = proxy.await_stderr("the mistake", |line| line.contains("left out")).await;
    assert!(log.contains("quite") && log.contains("quiet"), "{log}");
    let ready = Client::to(proxy.admin()).get("/readyz").await;
    assert!(ready.text().contains("refused") && ready.text().contains("quite"), "{}", ready.text());
    assert_eq!(ready.status, 200, "its pod must stay in its Service");
    assert_eq!(proxy.metrics().await.sum("spandrel_config_refused", &[]), 1);
}

/// The ConfigMap of a namespace is mended, and the pod is not created anew.
#[tokio::test]
async fn a_configuration_that_is_mended_is_taken_by_the_running_sidecar() {
    let upstream = Upstream::start().await;
    let start = Start {
        config: "environment: production\nrules: [set(span.name)]\n".to_owned(),
        arguments: vec!["--regardless".to_owned()],
        variables: injected(&upstream),
        ..Start::default()
    };
    let proxy = Proxy::start(start).await;
    let refused = |is: u64| move |metrics: &Metrics| metrics.sum("spandrel_config_refused", &[]) == is;
    proxy.await_metrics("a file that is refused", refused(1)).await;
    proxy.write("environment: production\nrules: ['set(span.name, \"ruled\")']\n");
    proxy.await_metrics("a file that is taken", refused(0)).await;
    let body = made::request(made::trace(1, 2)).encode_to_vec();
    proxy.client().grpc(Signal::Traces, body).await.assert_taken();
    let came = upstream.await_spans(2).await;
    let export = &came[0].export;
    assert!(export.spans().iter().all(|span| span.name == "ruled"), "{:?}", export.spans());
    assert_eq!(text(&export.resources()[0].attributes, ENVIRONMENT), Some("production"));
    let ready = Client::to(proxy.admin()).get("/readyz").await.text();
    assert!(!ready.contains("refused"), "{ready}");
}

/// The ConfigMap is deleted while the pod runs.
#[tokio::test]
async fn a_configuration_that_is_gone_is_told_and_the_last_stays() {
    let upstream = Upstream::start().await;
    let config = "environment: production\n".to_owned();
    let proxy = Proxy::start(Start { config, variables: injected(&upstream), ..Start::default() }).await;
    std::fs::remove_file(proxy.file()).unwrap();
    proxy
        .await_stderr("that it is gone", |line| line.contains("ERROR") && line.contains("no such file"))
        .await;
    assert_eq!(proxy.metrics().await.sum("spandrel_config_refused", &[]), 1);
    let ready = Client::to(proxy.admin()).get("/readyz").await;
    assert!(ready.status == 200 && ready.text().contains("no such file"), "{}", ready.text());
    let body = made::request(made::trace(1, 2)).encode_to_vec();
    proxy.client().grpc(Signal::Traces, body).await.assert_taken();
    let came = upstream.await_spans(2).await;
    assert_eq!(text(&came[0].export.resources()[0].attributes, ENVIRONMENT), Some("production"));
}

#[tokio::test]
async fn variables_that_can_not_be_used_end_it_all_the_same() {
    let arguments = vec!["--regardless".to_owned()];
    let variables = variables(&[("SPANDREL_JOIN_SCOPE", "everywhere")]);
    let (code, said) = Proxy::fails(Start { arguments, variables, ..Start::default() }).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("SPANDREL_JOIN_SCOPE") && said.contains("everywhere"), "{said}");
}

/// The port for the kubelet and for Prometheus, who come from outside the pod.
#[tokio::test]
async fn probes_tell_how_it_does_and_nothing_of_traces() {
    let upstream = Upstream::start().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::with(format!("upstream: {}\nprobes: \"{free}\"\n", upstream.endpoint())).await;
    let probes = Client::to(free);
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(probes.get(path).await.status, 200, "{path}");
    }
    assert!(probes.get("/metrics").await.text().contains("spandrel_memory_limit_bytes"));
    for path in ["/", "/traces", "/tracez", "/traces/1", "/id?seed=a", "/spandrel.v1.Inspection/Status"] {
        assert_eq!(probes.get(path).await.status, 404, "{path}");
    }
    let health = |address: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_spandrel")).args(["health", address]).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let asked = tokio::task::spawn_blocking(move || (health(&free.to_string()), health("127.0.0.1:1")));
    let ((well, said), (none, why)) = asked.await.unwrap();
    assert!(well == Some(0) && said.contains("listening on"), "{said}");
    assert!(none == Some(1) && why.contains("is it running"), "{why}");
    assert!(proxy.stop().await.success());
}

#[tokio::test]
async fn probes_want_a_port_of_their_own() {
    let config = "receive: {grpc: \"127.0.0.1:14317\", http: off}\nprobes: \"127.0.0.1:14317\"\n".to_owned();
    let (code, said) = Proxy::fails(Start { config, ..Start::default() }).await;
    assert!(code == 2 && said.contains("`probes`: 127.0.0.1:14317 is listened on already"), "{said}");
}

/// A tenth of a core and 32 MiB, as the chart gives it, with five hundred spans a second from an SDK's exports.
#[tokio::test]
#[ignore = "needs root and cgroups"]
async fn a_tenth_of_a_core_and_32_mebibytes_are_enough_for_500_spans_a_second() {
    use crate::harness::cgroup::Group;
    const CAP: usize = 32 << 20;
    let (memory, processor) = (Group::of_memory("sidecar", CAP), Group::of_cpu("sidecar", 10));
    let upstream = Upstream::start().await;
    let before = Some(memory.enter() + &processor.enter());
    let config = format!("upstream: {}\njoin: {{scope: local}}\n{LABELS}", upstream.endpoint());
    let proxy = Proxy::start(Start { config, before, ..Start::default() }).await;
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(100));
    let mut sent = 0;
    for number in 0..200 {
        tick.tick().await;
        let spans = made::trace(number, 50);
        sent += spans.len();
        proxy.http_client().http(Signal::Traces, made::request(spans).encode_to_vec()).await.assert_taken();
    }
    upstream.await_spans(sent).await;
    let resident = proxy.resident_max() - proxy.resident_program();
    assert!(resident < CAP / 10 * 9, "{} KiB resident", resident >> 10);
    let metrics: Metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("spandrel_receiver_refused_items_total", &[]), 0);
    println!(
        "{sent} spans in 20 s: {:?} of processor, {} KiB resident at most",
        proxy.processor(),
        resident >> 10
    );
    assert!(proxy.stop().await.success());
}
