//! An encoded request whose ids are written anew each time it is sent.
//!
//! Building a request costs more than any program under test takes to read it, so it is built once, with marks
//! where its ids stand, and copied. The surprise: the marks are bytes that no text holds (0xf8 and above).

use bytes::Bytes;
use spandrel::wire::TraceId;

/// A request that can be sent any number of times, each time with other ids.
pub struct Template {
    bytes: Vec<u8>,
    /// (offset, trace number in the round)
    traces: Vec<(usize, u16)>,
    /// (offset, trace number, span number in the trace); parents stand here too.
    spans: Vec<(usize, u16, u16)>,
    /// Spans, records or data points.
    pub items: u64,
}

/// What stands for the id of a trace.
pub fn trace_mark(trace: u16) -> Vec<u8> {
    [&[0xfe; 12][..], &trace.to_be_bytes(), &[0xfd, 0xfc]].concat()
}

/// What stands for the id of a span.
pub fn span_mark(trace: u16, span: u16) -> Vec<u8> {
    [&[0xfb, 0xfa, 0xf9, 0xf8][..], &trace.to_be_bytes(), &span.to_be_bytes()].concat()
}

impl Template {
    pub fn of(bytes: Vec<u8>, items: u64) -> Self {
        let (mut traces, mut spans) = (Vec::new(), Vec::new());
        let two = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let mut at = 0;
        while at + 8 <= bytes.len() {
            if bytes[at..].starts_with(&[0xfe; 12]) {
                traces.push((at, two(at + 12)));
                at += 16;
            } else if bytes[at..].starts_with(&[0xfb, 0xfa, 0xf9, 0xf8]) {
                spans.push((at, two(at + 4), two(at + 6)));
                at += 8;
            } else {
                at += 1;
            }
        }
        Self { bytes, traces, spans, items }
    }

    /// A copy with the ids of round `round`. Templates of one round that number traces alike share them.
    pub fn fresh(&self, round: u64) -> Bytes {
        self.behind(&[], round)
    }

    /// The same as the message of a gRPC call.
    pub fn framed(&self, round: u64) -> Bytes {
        let len = u32::try_from(self.bytes.len()).expect("a request of less than 4 GiB").to_be_bytes();
        self.behind(&[&[0], &len[..]].concat(), round)
    }

    /// The traces it has spans of.
    pub fn trace_ids(&self, round: u64) -> Vec<TraceId> {
        let mut numbers: Vec<u16> = self.traces.iter().map(|(_, trace)| *trace).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().map(|trace| TraceId(trace_id(round, trace))).collect()
    }

    fn behind(&self, lead: &[u8], round: u64) -> Bytes {
        let mut out = Vec::with_capacity(lead.len() + self.bytes.len());
        out.extend_from_slice(lead);
        out.extend_from_slice(&self.bytes);
        let body = &mut out[lead.len()..];
        for &(at, trace) in &self.traces {
            body[at..][..16].copy_from_slice(&trace_id(round, trace));
        }
        for &(at, trace, span) in &self.spans {
            let id = mix(number(round, trace).wrapping_mul(31).wrapping_add(u64::from(span)));
            body[at..][..8].copy_from_slice(&id.to_be_bytes());
        }
        out.into()
    }
}

fn number(round: u64, trace: u16) -> u64 {
    round << 16 | u64::from(trace)
}

fn trace_id(round: u64, trace: u16) -> [u8; 16] {
    let high = mix(number(round, trace));
    let mut id = [0; 16];
    id[..8].copy_from_slice(&high.to_be_bytes());
    id[8..].copy_from_slice(&mix(high).to_be_bytes());
    id
}

/// SplitMix64: distinct numbers in, distinct and random-looking numbers out, in every bit: lanes go by the lowest.
pub fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (n ^ (n >> 31)).max(1)
}
