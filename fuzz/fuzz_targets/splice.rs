//! Any resource a walk has accepted: after a splice every key stands once, an overwritten key holds the
//! new value, and splicing again changes nothing.
#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use spandrel::wire::attr::{self, Value};
use spandrel::wire::block::first_body;
use spandrel::wire::splice::{self, Edit, RESOURCE_ATTRIBUTES, identifies};
use spandrel::wire::{Detail, Limits, Signal, walk};

const ENVIRONMENT: &str = "deployment.environment.name";
const RELEASE: &str = "service.version";

fuzz_target!(|request: &[u8]| {
    let limits = Limits { index_bytes: 1 << 20, ..Limits::default() };
    let Ok(index) = walk(Signal::Traces, request, Detail::Spans, &limits) else { return };
    let edits = [
        Edit { key: ENVIRONMENT, value: Value::Str(b"production"), overwrite: true },
        Edit { key: RELEASE, value: Value::Int(-7), overwrite: false },
    ];
    for entry in &index.resources {
        let before = first_body(request, &index, &entry.head);
        let after = splice::attributes(&before, RESOURCE_ATTRIBUTES, &edits);

        let keys: Vec<&[u8]> = attr::attributes(&after, RESOURCE_ATTRIBUTES).map(|a| a.key).collect();
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len(), "a key stands twice");
        for attribute in attr::attributes(&before, RESOURCE_ATTRIBUTES) {
            assert!(keys.contains(&attribute.key), "a key is gone");
        }
        let written = attr::find(&after, RESOURCE_ATTRIBUTES, ENVIRONMENT.as_bytes());
        if !identifies(&before, ENVIRONMENT.as_bytes()) {
            assert_eq!(written, Some(Value::Str(b"production")));
        }
        assert!(attr::find(&after, RESOURCE_ATTRIBUTES, RELEASE.as_bytes()).is_some());
        assert_eq!(splice::attributes(&after, RESOURCE_ATTRIBUTES, &edits[1..]), after);
    }
});
