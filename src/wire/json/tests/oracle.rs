use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::prelude::*;
use prost::Message;
use serde::Serialize;

use super::generate::{Choices, message};
use super::*;

/// The request as prost understands it, in prost's own bytes: NaN equals NaN, order and packing are gone.
fn canonical(signal: Signal, body: &[u8]) -> Vec<u8> {
    fn through<M: Message + Default>(body: &[u8]) -> Vec<u8> {
        M::decode(body).unwrap_or_else(|e| panic!("{e}: {body:02x?}")).encode_to_vec()
    }
    match signal {
        Signal::Traces => through::<ExportTraceServiceRequest>(body),
        Signal::Metrics => through::<ExportMetricsServiceRequest>(body),
        Signal::Logs => through::<ExportLogsServiceRequest>(body),
        Signal::Profiles => through::<ExportProfilesServiceRequest>(body),
    }
}

#[track_caller]
fn round_trip(signal: Signal, body: &[u8]) {
    let json = from_protobuf(signal, body);
    let shown = String::from_utf8_lossy(&json);
    let back = to_protobuf(signal, &json, ROOMY).unwrap_or_else(|e| panic!("{e}: {shown}"));
    assert_eq!(canonical(signal, &back), canonical(signal, body), "{shown}");
    serde_json::from_slice::<serde_json::Value>(&json).unwrap_or_else(|e| panic!("{e}: {shown}"));
}

#[test]
fn every_field_of_every_message_survives_both_ways() {
    round_trip(Signal::Traces, &full::traces().encode_to_vec());
    round_trip(Signal::Metrics, &full::metrics().encode_to_vec());
    round_trip(Signal::Logs, &full::logs().encode_to_vec());
    round_trip(Signal::Profiles, &full::profiles().encode_to_vec());
}

/// The names in our tables against names we did not write: those of the published serde types.
#[test]
fn our_names_are_the_published_names() {
    fn names(value: &serde_json::Value, into: &mut std::collections::BTreeSet<String>) {
        match value {
            serde_json::Value::Object(members) => members.iter().for_each(|(name, value)| {
                into.insert(name.clone());
                names(value, into);
            }),
            serde_json::Value::Array(elements) => elements.iter().for_each(|value| names(value, into)),
            _ => {}
        }
    }
    fn check<M: Message + Serialize>(signal: Signal, request: &M) {
        let ours = serde_json::from_slice(&from_protobuf(signal, &request.encode_to_vec())).unwrap();
        let theirs = serde_json::to_value(request).unwrap();
        let (mut our_names, mut their_names) = Default::default();
        names(&ours, &mut our_names);
        names(&theirs, &mut their_names);
        assert_eq!(our_names, their_names, "{signal:?}");
    }
    check(Signal::Traces, &full::traces());
    check(Signal::Metrics, &full::metrics());
    check(Signal::Logs, &full::logs());
    check(Signal::Profiles, &full::profiles());
}

#[test]
fn numbers_and_ids_are_written_as_the_mapping_says() {
    let json = from_protobuf(Signal::Traces, &full::traces().encode_to_vec());
    let json = String::from_utf8(json).unwrap();
    for part in [
        r#""traceId":"30313233343536373839616263646566""#,
        r#""spanId":"0102feff807f0010""#,
        r#""kind":3,"startTimeUnixNano":"18446744073709551615""#,
        r#""intValue":"-9223372036854775808""#,
        r#""doubleValue":"-Infinity""#,
        r#""bytesValue":"+/8AAQ==""#,
        r#""flags":4294967295"#,
        r#""stringValue":"\u0001 \"quoted\" \\ ü 😀 /""#,
        r#""status":{"message":"failed","code":2}"#,
    ] {
        assert!(json.contains(part), "{part} is not in {json}");
    }
}

#[test]
fn unknown_fields_are_left_out_and_broken_bytes_end_their_message() {
    // Field 99 in front of schema_url; then a block whose third byte promises more than there is.
    let body = [0x0a, 7, 0x9a, 0x06, 1, b'x', 0x1a, 1, b'u', 0x0a, 4, 0x1a, 1, b'v', 0x1a];
    let json = String::from_utf8(from_protobuf(Signal::Traces, &body)).unwrap();
    assert_eq!(json, r#"{"resourceSpans":[{"schemaUrl":"u"},{"schemaUrl":"v"}]}"#);
    let invalid = String::from_utf8(from_protobuf(Signal::Traces, &[0x0a, 3, 0x1a, 1, 0xff])).unwrap();
    assert_eq!(invalid, r#"{"resourceSpans":[{"schemaUrl":"�"}]}"#);
}

#[test]
fn deep_protobuf_is_shown_to_a_depth() {
    let mut value = Vec::new();
    for _ in 0..100_000 {
        // A length over 4 bytes would end the growth early; 100,000 levels keep below that.
        let mut array = Vec::new();
        crate::wire::fields::put_len_field(1, &value, &mut array);
        value.clear();
        crate::wire::fields::put_len_field(5, &array, &mut value);
        if value.len() > 60_000 {
            break;
        }
    }
    let mut body = value;
    for number in [5, 2, 2, 1] {
        let inner = std::mem::take(&mut body);
        crate::wire::fields::put_len_field(number, &inner, &mut body);
    }
    let json = String::from_utf8(from_protobuf(Signal::Logs, &body)).unwrap();
    assert_eq!(json.matches("arrayValue").count(), LEVELS_MAX as usize);
}

#[test]
fn every_table_fits_its_reader() {
    fn visit(schema: &'static schema::Message, seen: &mut Vec<*const schema::Message>) {
        if seen.contains(&std::ptr::from_ref(schema)) {
            return;
        }
        seen.push(schema);
        assert!(schema.fields.len() <= from_protobuf::SLOTS_MAX);
        for (slot, field) in schema.fields.iter().enumerate() {
            assert_eq!(schema.slot_of(field.number).unwrap().0, slot, "{} has a number twice", field.name);
            assert_eq!(
                schema.slot(field.name.as_bytes(), 0).unwrap().0,
                slot,
                "{} is there twice",
                field.name
            );
            if let schema::Kind::Message(inner) = field.kind {
                visit(inner, seen);
            }
        }
    }
    let mut seen = Vec::new();
    Signal::ALL.into_iter().for_each(|signal| visit(tables::request(signal), &mut seen));
    assert_eq!(seen.len(), 48, "a message was added: does the generator reach it?");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn any_request_survives_both_ways(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut choices = Choices(&bytes);
        for signal in Signal::ALL {
            let body = message(tables::request(signal), 12, &mut choices);
            round_trip(signal, &body);
        }
    }

    #[test]
    fn any_bytes_become_json_that_we_take_back(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        for signal in Signal::ALL {
            let json = from_protobuf(signal, &body);
            let back = to_protobuf(signal, &json, ROOMY);
            prop_assert!(back.is_ok(), "{:?}: {}", back, String::from_utf8_lossy(&json));
        }
    }
}
