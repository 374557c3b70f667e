use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceResponse, metrics::v1::ExportMetricsServiceResponse,
    profiles::v1development::ExportProfilesServiceResponse, trace::v1::ExportTraceServiceResponse,
};
use proptest::prelude::*;
use prost::Message;

use super::*;

const BOTH: [Encoding; 2] = [Encoding::Protobuf, Encoding::Json];

/// `google.rpc` types as the standard describes them, for prost to be the judge of our bytes.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<RpcAny>,
}

#[derive(Clone, PartialEq, Message)]
struct RpcAny {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct RpcBadRequest {
    #[prost(message, repeated, tag = "1")]
    field_violations: Vec<RpcViolation>,
}

#[derive(Clone, PartialEq, Message)]
struct RpcViolation {
    #[prost(string, tag = "1")]
    field: String,
    #[prost(string, tag = "2")]
    description: String,
}

#[derive(Clone, PartialEq, Message)]
struct RpcRetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<RpcDuration>,
}

#[derive(Clone, PartialEq, Message)]
struct RpcDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

fn partial(rejected: u64, message: &str) -> Partial {
    Partial { rejected, message: message.into() }
}

fn busy() -> Status {
    Status {
        code: 14,
        message: "queue is full, \"try\" again".into(),
        retry_delay: Some(Duration::from_millis(1500)),
        violations: vec![("spans[3].trace_id".into(), "must be 16 bytes".into())],
    }
}

#[test]
fn full_success_is_empty_protobuf_and_empty_json_object() {
    for signal in Signal::ALL {
        for said in [None, Some(&partial(0, ""))] {
            assert_eq!(success(signal, Encoding::Protobuf, said), "");
            assert_eq!(success(signal, Encoding::Json, said), "{}");
        }
    }
}

#[test]
fn partial_success_is_what_each_signals_generated_type_reads() {
    let said = partial(3, "bad id");
    let bytes = |signal| success(signal, Encoding::Protobuf, Some(&said));
    let traces = ExportTraceServiceResponse::decode(bytes(Signal::Traces)).unwrap().partial_success.unwrap();
    let metrics =
        ExportMetricsServiceResponse::decode(bytes(Signal::Metrics)).unwrap().partial_success.unwrap();
    let logs = ExportLogsServiceResponse::decode(bytes(Signal::Logs)).unwrap().partial_success.unwrap();
    let profiles =
        ExportProfilesServiceResponse::decode(bytes(Signal::Profiles)).unwrap().partial_success.unwrap();
    assert_eq!((traces.rejected_spans, traces.error_message.as_str()), (3, "bad id"));
    assert_eq!((metrics.rejected_data_points, metrics.error_message.as_str()), (3, "bad id"));
    assert_eq!((logs.rejected_log_records, logs.error_message.as_str()), (3, "bad id"));
    assert_eq!((profiles.rejected_profiles, profiles.error_message.as_str()), (3, "bad id"));
}

#[test]
fn partial_success_json_names_the_count_per_signal_as_text() {
    for (signal, name) in [
        (Signal::Traces, "rejectedSpans"),
        (Signal::Metrics, "rejectedDataPoints"),
        (Signal::Logs, "rejectedLogRecords"),
        (Signal::Profiles, "rejectedProfiles"),
    ] {
        let expect = format!(r#"{{"partialSuccess":{{"{name}":"3","errorMessage":"a \"b\""}}}}"#);
        assert_eq!(success(signal, Encoding::Json, Some(&partial(3, "a \"b\""))), expect);
    }
}

#[test]
fn a_warning_on_full_acceptance_survives_and_a_silent_partial_reads_as_success() {
    for encoding in BOTH {
        let warning = partial(0, "snake_case names are deprecated");
        let body = success(Signal::Logs, encoding, Some(&warning));
        assert_eq!(read_partial(Signal::Logs, encoding, &body), Some(warning));
    }
    assert_eq!(read_partial(Signal::Logs, Encoding::Protobuf, &[0x0a, 0]), None);
    let silent = br#"{"partialSuccess":{"rejectedLogRecords":"0","errorMessage":""}}"#;
    assert_eq!(read_partial(Signal::Logs, Encoding::Json, silent), None);
    assert_eq!(read_partial(Signal::Logs, Encoding::Json, br#"{"partialSuccess":null}"#), None);
}

#[test]
fn status_protobuf_is_what_google_rpc_types_read() {
    let read = RpcStatus::decode(status(Encoding::Protobuf, &busy())).unwrap();
    assert_eq!((read.code, read.message.as_str()), (14, "queue is full, \"try\" again"));
    let [bad, retry] = &read.details[..] else { panic!("two details: {read:?}") };
    assert_eq!(bad.type_url, "type.googleapis.com/google.rpc.BadRequest");
    let bad = RpcBadRequest::decode(&bad.value[..]).unwrap();
    assert_eq!(bad.field_violations[0].field, "spans[3].trace_id");
    assert_eq!(bad.field_violations[0].description, "must be 16 bytes");
    assert_eq!(retry.type_url, "type.googleapis.com/google.rpc.RetryInfo");
    let delay = RpcRetryInfo::decode(&retry.value[..]).unwrap().retry_delay.unwrap();
    assert_eq!((delay.seconds, delay.nanos), (1, 500_000_000));
}

#[test]
fn status_json_is_the_proto3_form() {
    let expect = concat!(
        r#"{"code":14,"message":"queue is full, \"try\" again","details":["#,
        r#"{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":["#,
        r#"{"field":"spans[3].trace_id","description":"must be 16 bytes"}]},"#,
        r#"{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.500s"}]}"#
    );
    assert_eq!(status(Encoding::Json, &busy()), expect);
}

#[test]
fn a_zero_retry_delay_is_still_a_retry_info() {
    for encoding in BOTH {
        let now = Status { code: 8, retry_delay: Some(Duration::ZERO), ..Status::default() };
        assert_eq!(read_status(encoding, &status(encoding, &now)), now);
    }
}

#[test]
fn long_texts_are_cut_and_counts_are_kept() {
    for encoding in BOTH {
        let long = partial(7, &"ü".repeat(10_000));
        let read =
            read_partial(Signal::Traces, encoding, &success(Signal::Traces, encoding, Some(&long))).unwrap();
        assert_eq!(read.rejected, 7);
        assert!(read.message.len() <= PARTIAL_MESSAGE_MAX && read.message.ends_with("ü…"));

        let text = "x".repeat(100_000);
        let vast = Status {
            code: 3,
            message: text.clone(),
            violations: vec![(text.clone(), text); 1000],
            ..Status::default()
        };
        let body = status(encoding, &vast);
        assert!(body.len() < 5 * 1024, "{} bytes do not fit a trailer", body.len());
        assert_eq!(read_status(encoding, &body).violations.len(), VIOLATIONS_MAX);
    }
}

#[test]
fn a_long_foreign_message_is_read_in_part() {
    let foreign = RpcStatus { code: 3, message: "é".repeat(1 << 20), details: vec![] }.encode_to_vec();
    let read = read_status(Encoding::Protobuf, &foreign);
    assert!(read.code == 3 && read.message.len() <= STATUS_MESSAGE_MAX && read.message.ends_with("é…"));
}

#[test]
fn a_count_is_read_however_long_the_text_beside_it() {
    let text = "y".repeat(1 << 20);
    let body = format!(r#"{{"partialSuccess":{{"errorMessage":"{text}","rejectedSpans":"9"}}}}"#);
    assert_eq!(read_partial(Signal::Traces, Encoding::Json, body.as_bytes()).unwrap().rejected, 9);
}

#[test]
fn json_replies_are_read_in_either_spelling_and_number_form() {
    for body in [
        r#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"e"}}"#,
        r#"{"partialSuccess":{"rejectedSpans":2,"errorMessage":"e","more":[{}]}}"#,
        r#"{"partial_success":{"rejected_spans":2,"error_message":"e"}}"#,
    ] {
        assert_eq!(
            read_partial(Signal::Traces, Encoding::Json, body.as_bytes()),
            Some(partial(2, "e")),
            "{body}"
        );
    }
}

#[test]
fn unreadable_parts_are_left_empty() {
    let html = b"<html><body>502 Bad Gateway</body></html>";
    for encoding in BOTH {
        assert_eq!(read_partial(Signal::Traces, encoding, html), None);
        assert_eq!(read_status(encoding, b"").message, "");
    }
    assert_eq!(read_status(Encoding::Json, html), Status::default());
    let half = br#"{"code":"x","message":7,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"-3s"},4]}"#;
    let read = read_status(Encoding::Json, half);
    assert_eq!(read, Status { retry_delay: Some(Duration::ZERO), ..Status::default() });
    let mut cut_short = status(Encoding::Protobuf, &busy()).to_vec();
    cut_short.truncate(cut_short.len() - 3);
    let read = read_status(Encoding::Protobuf, &cut_short);
    assert_eq!((read.code, read.violations.len(), read.retry_delay), (14, 1, None));
}

#[test]
fn an_absurd_delay_is_read_as_the_longest_there_is() {
    let body = br#"{"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1e19s"}]}"#;
    assert_eq!(read_status(Encoding::Json, body).retry_delay, Some(DELAY_MAX));
}

#[test]
fn a_negative_count_is_no_count() {
    let foreign = ExportTraceServiceResponse {
        partial_success: Some(opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess {
            rejected_spans: -1,
            error_message: "odd".into(),
        }),
    };
    let read = read_partial(Signal::Traces, Encoding::Protobuf, &foreign.encode_to_vec());
    assert_eq!(read, Some(partial(0, "odd")));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        code in 0u32..17, message in ".{0,80}", delay in proptest::option::of((0u64..1 << 40, 0u32..1_000_000)),
        violations in proptest::collection::vec((".{0,40}", ".{0,40}"), 0..=VIOLATIONS_MAX),
        rejected in 0u64..i64::MAX as u64,
    ) {
        // Micros, so that the JSON reader's float keeps them for delays of any sane size.
        let retry_delay = delay.map(|(s, micros)| Duration::new(s % 1_000_000, micros * 1000));
        let said = Status { code, message: message.clone(), retry_delay, violations };
        for encoding in BOTH {
            prop_assert_eq!(&read_status(encoding, &status(encoding, &said)), &said);
            let part = Partial { rejected, message: message.clone() };
            let expect = Some(part.clone()).filter(|p| !p.says_nothing());
            for signal in Signal::ALL {
                let body = success(signal, encoding, Some(&part));
                prop_assert_eq!(read_partial(signal, encoding, &body), expect.clone());
            }
        }
    }

    #[test]
    fn any_bytes_can_be_read(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        for encoding in BOTH {
            let read = read_status(encoding, &body);
            prop_assert!(read.violations.len() <= VIOLATIONS_MAX);
            read_partial(Signal::Metrics, encoding, &body);
        }
    }
}

proptest! {
    #[test]
    fn g05_a_reply_over_its_limit_loses_text_and_never_its_count(
        rejected in 0u64..u64::MAX,
        message in ".{0,200}|[\\x00-\\x1f\"]{0,200}",
        max in 0usize..400,
    ) {
        let whole = partial(rejected, &message);
        for encoding in BOTH {
            let Some(written) = success_within(Signal::Traces, encoding, Some(&whole), max) else {
                let least = success(Signal::Traces, encoding, Some(&partial(rejected, "")));
                prop_assert!(least.len() > max, "the count alone fits");
                continue;
            };
            prop_assert!(written.len() <= max);
            let read = read_partial(Signal::Traces, encoding, &written).unwrap_or_default();
            prop_assert_eq!(read.rejected, rejected.min(i64::MAX as u64));
            prop_assert!(message.starts_with(read.message.trim_end_matches('…')) || message.contains('…'));
        }
    }

    #[test]
    fn g04_a_status_keeps_to_any_limit(message in ".{0,200}", field in ".{0,80}", max in 2usize..600) {
        let violations = vec![(field, "wrong".to_owned())];
        let whole = Status { code: 3, message, retry_delay: None, violations };
        for encoding in BOTH {
            let written = status_within(encoding, &whole, max);
            prop_assert!(written.len() <= max, "{} of {max} bytes", written.len());
            if status(encoding, &whole).len() <= max {
                prop_assert_eq!(written, status(encoding, &whole));
            }
        }
    }
}

#[test]
fn g06_a_count_that_does_not_fit_is_no_reply() {
    let whole = partial(7, "three are wrong");
    assert_eq!(success_within(Signal::Logs, Encoding::Json, Some(&whole), 16), None);
    assert_eq!(success_within(Signal::Logs, Encoding::Json, None, 16), Some(Bytes::from_static(b"{}")));
    let count_alone = success(Signal::Logs, Encoding::Protobuf, Some(&partial(7, "")));
    assert_eq!(success_within(Signal::Logs, Encoding::Protobuf, Some(&whole), 4), Some(count_alone));
}
