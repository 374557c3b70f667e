//! What can be wrong with bytes.

use thiserror::Error;

/// Why one item, block or request is not acceptable. The text says what is wrong and how to mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    #[error("the bytes end in the middle of a field")]
    Truncated,
    #[error("a varint is longer than 10 bytes or overflows 64 bits")]
    Varint,
    #[error("a field has number 0, a tag over 32 bits, or a reserved wire type")]
    Tag,
    #[error("a group ends that did not begin, or is nested too deep")]
    Group,
    #[error("a known field has the wrong wire type")]
    WireType,
    #[error("text is not valid UTF-8; encode strings as UTF-8 or send bytes_value")]
    Utf8,
    #[error("trace_id must be 16 bytes and not all zero")]
    TraceId,
    #[error("span_id must be 8 bytes and not all zero")]
    SpanId,
    #[error("parent_span_id must be empty or 8 bytes")]
    ParentId,
    #[error("a link's trace_id must be 16 bytes and its span_id 8, or absent")]
    LinkId,
    #[error("attribute values are nested deeper than 30 levels")]
    Depth,
    #[error("time_unix_nano must not be 0; set it to when the value was measured")]
    PointTime,
    #[error("the request has more items than may be indexed at once; send smaller requests")]
    IndexSize,
    #[error("the request is larger than 4 GiB")]
    Length,
}

/// A request that can not be taken apart at all: nothing in it is usable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}: {fault} (at byte {at})")]
pub struct Malformed {
    pub fault: Fault,
    /// Byte offset in the request at which reading stopped.
    pub at: usize,
    /// Where, in field names: `resource_spans[0].scope_spans[1].spans[17].trace_id`.
    pub path: String,
}
