//! `spandrel tail` on a running instance, as a person uses it.

use std::process::Stdio;

use opentelemetry_proto::tonic::trace::v1::Status;
use prost::Message;
use serde_json::Value;
use spandrel::wire::Signal;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::harness::known_set::{LABELS, hex};
use crate::harness::proxy::command;
use crate::harness::{Metrics, PATIENCE, Proxy, Upstream, captures, made};

fn tail(proxy: &Proxy, options: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut command = command();
    command.arg("tail").arg(proxy.admin().to_string()).args(options);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().expect("the binary was built with the tests");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    (child, lines)
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> Value {
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it says nothing");
    serde_json::from_str(&line.unwrap().expect("it ended")).expect("one JSON object a line")
}

/// Two follow; one of them only what failed. What they see went upstream all the same.
#[tokio::test]
async fn it_follows_a_running_instance_and_picks_what_was_asked_for() {
    let upstream = Upstream::start().await;
    let config = format!("upstream: {}\njoin: {{idle: 300ms}}\n{LABELS}", upstream.endpoint());
    let proxy = Proxy::with(config).await;
    let (mut all, mut all_lines) = tail(&proxy, &[]);
    let (mut errors, mut error_lines) = tail(&proxy, &["--errors"]);
    let both_look = |metrics: &Metrics| metrics.sum("spandrel_watch_lookers", &[]) == 2;
    proxy.await_metrics("two who follow", both_look).await;

    for number in 0..3 {
        let mut spans = made::trace(number, 3);
        if number == 1 {
            spans[2].status = Some(Status { code: 2, message: "card declined".into() });
        }
        let body = made::request(spans).encode_to_vec();
        proxy.client().grpc(Signal::Traces, body).await.assert_taken();
    }
    let mut seen = Vec::new();
    for _ in 0..3 {
        let trace = next(&mut all_lines).await;
        assert_eq!((&trace["span_count"], &trace["environment"]), (&3.into(), &"test".into()), "{trace}");
        seen.push(trace["trace_id"].as_str().expect("an id").to_owned());
    }
    seen.sort();
    assert_eq!(seen, [0, 1, 2].map(|number| hex(&made::trace_id(number))));
    assert_eq!(next(&mut error_lines).await["trace_id"], hex(&made::trace_id(1)));
    upstream.await_spans(9).await;

    for child in [&mut all, &mut errors] {
        let pid =
            child.id().and_then(|id| rustix::process::Pid::from_raw(id.try_into().ok()?)).expect("it runs");
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
        let ended = tokio::time::timeout(PATIENCE, child.wait()).await.expect("Ctrl-C ends it").unwrap();
        assert!(ended.success(), "{ended}");
    }
    assert!(error_lines.next_line().await.unwrap().is_none(), "more than one trace failed");
    assert!(proxy.stop().await.success());
}

/// What was written, where it came from, and on how many spans.
#[tokio::test]
async fn why_spans_say_what_they_say_is_explained() {
    let proxy = Proxy::with("context: user\njoin: {idle: 300ms}\n").await;
    let (_why, mut lines) = tail(&proxy, &["--why"]);
    let looks = |metrics: &Metrics| metrics.sum("spandrel_watch_lookers", &[]) == 2;
    proxy.await_metrics("the console and one who follows", looks).await;
    for part in ["xservice.http01", "xservice.grpc01", "xservice.http02"] {
        let path = captures(".pb").into_iter().find(|path| path.file_stem().is_some_and(|stem| stem == part));
        let body = std::fs::read(path.expect("a capture")).expect("a capture");
        proxy.http_client().http(Signal::Traces, body).await.assert_taken();
    }
    let expect = "  why: user user-123: `user.id` of 8eafeb0bfd573dfb (handle_request), written on 5 spans";
    let said = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if line == expect {
                return;
            }
        }
        panic!("it ended without saying why");
    };
    tokio::time::timeout(PATIENCE, said).await.expect("it says nothing of the user");
}
