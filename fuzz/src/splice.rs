//! Any resource that a walk has accepted: to splice is to decode with prost, edit and encode; all that is
//! not an attribute stays as it was, to the byte; and what was filled in is not filled in again.

use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use spandrel::wire::attr::Value;
use spandrel::wire::block::first_body;
use spandrel::wire::splice::{self, Edit, RESOURCE_ATTRIBUTES, identifies};
use spandrel::wire::{Detail, Limits, Signal, walk};

use super::oracle::{all_but_attributes, edit_decoded};

pub fn check(request: &[u8]) {
    let limits = Limits { index_bytes: 1 << 20, ..Limits::default() };
    let Ok(index) = walk(Signal::Traces, request, Detail::Spans, &limits) else { return };
    let edits = [
        Edit { key: "deployment.environment.name", value: Value::Int(7), overwrite: true },
        Edit { key: "service.version", value: Value::Int(-7), overwrite: false },
        Edit { key: "", value: Value::Int(i64::MAX), overwrite: false },
    ];
    for entry in &index.resources {
        let before = first_body(request, &index, &entry.head);
        let after = splice::attributes(&before, RESOURCE_ATTRIBUTES, &edits);
        let mut expect = Resource::decode(&*before).expect("a walk accepted it");
        // What identifies an entity is never overwritten.
        let allowed = edits.clone().map(|edit| {
            let fixed = identifies(&before, edit.key.as_bytes());
            Edit { overwrite: edit.overwrite && !fixed, ..edit }
        });
        edit_decoded(&mut expect.attributes, &allowed);
        assert_eq!(same(&Resource::decode(&*after).expect("it was spliced")), same(&expect));
        assert_eq!(all_but_attributes(&after), all_but_attributes(&before));
        assert_eq!(splice::attributes(&after, RESOURCE_ATTRIBUTES, &edits[1..]), after);
    }
}

/// Bytes to compare: a NaN is not equal to itself, its encoding is.
fn same(resource: &Resource) -> Vec<u8> {
    resource.encode_to_vec()
}
