//! The tools themselves: an upstream that forgot a request would pass every test.

use std::time::Duration;

use spandrel::wire::Signal;
use tonic::Code;

use super::read::Export;
use super::{Answer, Client, Transport, Upstream, captures};

#[tokio::test]
async fn the_upstream_records_what_a_caller_sends_byte_for_byte() {
    let upstream = Upstream::start().await;
    let caller = Client::to(upstream.address());
    for path in captures(".pb") {
        let bytes = std::fs::read(&path).unwrap();
        let signal = signal_of(&path, &bytes);
        caller.grpc(signal, bytes.clone()).await.assert_taken();
        caller.http(signal, bytes.clone()).await.assert_taken();
        let came = upstream.requests();
        assert_eq!((came[0].transport, came[1].transport), (Transport::Grpc, Transport::Http));
        assert!(came.iter().all(|request| request.bytes == bytes), "{}", path.display());
        upstream.forget();
    }
}

#[tokio::test]
async fn the_upstream_refuses_delays_and_goes_away_as_told() {
    let mut upstream = Upstream::start().await;
    let caller = Client::to(upstream.address());
    let after = Some(Duration::from_secs(7));
    let refuse = Answer::Refuse { grpc: Code::ResourceExhausted, http: 429, after };
    upstream.answer_next([refuse.clone(), refuse, Answer::Partial { rejected: 2, message: "no" }]);
    let reply = caller.grpc(Signal::Traces, vec![]).await;
    assert_eq!((reply.code, reply.error.unwrap().retry_after()), (Code::ResourceExhausted, after));
    let reply = caller.http(Signal::Traces, vec![]).await;
    assert_eq!((reply.status.as_u16(), &reply.headers["retry-after"]), (429, &"7".parse().unwrap()));
    assert_eq!(caller.grpc(Signal::Logs, vec![]).await.rejected(), (2, "no".into()));
    assert_eq!(upstream.requests().len(), 3);
    assert_eq!(upstream.accepted().len(), 1);

    upstream.go_down().await;
    assert!(caller.try_request(http::Method::GET, "/", &[], "").await.is_err());
    upstream.go_up().await;
    caller.http(Signal::Metrics, vec![]).await.assert_taken();

    upstream.answer(Answer::Never);
    let reply = tokio::time::timeout(Duration::from_millis(50), caller.http(Signal::Logs, vec![])).await;
    assert!(reply.is_err(), "it answered {reply:?}");
}

/// Which signal a capture is of: its headers name the path or method it was sent to.
pub fn signal_of(path: &std::path::Path, bytes: &[u8]) -> Signal {
    let name = path.to_string_lossy();
    let name = name.trim_end_matches(".gz").trim_end_matches(".pb");
    let headers = std::fs::read_to_string(format!("{name}.headers.json")).expect("a capture has its headers");
    let signal = Signal::ALL
        .into_iter()
        .find(|signal| headers.contains(signal.http_path()) || headers.contains(signal.grpc_path()));
    let signal = signal.unwrap_or_else(|| panic!("no signal named in the headers of {name}"));
    assert!(Export::decode(signal, bytes).is_ok_and(|export| export.count() > 0), "{name}");
    signal
}
