//! The fields of one span that the index does not keep, read on demand.

/// A borrowed reading of a Span message's body.
#[derive(Clone, Copy, Debug)]
pub struct SpanView<'a>(pub &'a [u8]);

/// `Span.Status.code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Unset,
    Ok,
    Error,
}

impl<'a> SpanView<'a> {
    pub fn name(&self) -> &'a [u8] {
        todo!()
    }
    pub fn kind(&self) -> u8 {
        todo!()
    }
    /// Unix nanoseconds.
    pub fn start(&self) -> u64 {
        todo!()
    }
    /// Unix nanoseconds; 0 when the span has not ended.
    pub fn end(&self) -> u64 {
        todo!()
    }
    pub fn status(&self) -> (Status, &'a [u8]) {
        todo!()
    }
}
