//! A trace for tests, here and, since what is built for tests stays in its package, where `page` includes this file.

use std::time::Duration;

use bytes::Bytes;

use crate::model::{Reason, Repairs};
use crate::watch::JoinedTrace;
use crate::wire::TraceId;

/// A trace whose id ends in `n`, with `len` bytes of nothing for a body.
pub fn trace_of(n: u8, len: usize) -> JoinedTrace {
    let mut id = [0; 16];
    id[15] = n;
    id[0] = 1;
    JoinedTrace {
        trace: TraceId(id),
        reason: Reason::Complete,
        held: Duration::from_millis(1_200),
        quiet: Duration::from_micros(51_300),
        left_unix_nano: 1_795_347_881_000_000_000,
        spans: 0,
        requests: 3,
        repairs: Repairs::default(),
        said: None,
        given: Box::default(),
        mended: 0,
        body: Bytes::from(vec![0; len]),
    }
}
