//! KeyValue and AnyValue, read without decoding.
//!
//! ```text
//! pub enum Value<'a> { Empty, Str(&'a [u8]), Bool(bool), Int(i64), Double(f64), Array(&'a [u8]), Map(&'a [u8]), Bytes(&'a [u8]) }
//! pub struct Attr<'a> { pub key: &'a [u8], pub value: Value<'a> }
//! pub fn attributes(message: &[u8], field: u32) -> impl Iterator<Item = Attr<'_>>   // field 1 in Resource, 3 in Scope, 9 in Span
//! pub fn find<'a>(message: &'a [u8], field: u32, key: &[u8]) -> Option<Value<'a>>   // last wins, like a merge
//! ```

/// A reading of one AnyValue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Empty,
    /// UTF-8, as the walk has checked.
    Str(&'a [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    /// The body of an ArrayValue.
    Array(&'a [u8]),
    /// The body of a KeyValueList.
    Map(&'a [u8]),
    Bytes(&'a [u8]),
}

/// A reading of one KeyValue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attr<'a> {
    pub key: &'a [u8],
    pub value: Value<'a>,
}

/// The KeyValue list of `message` at `field` (Resource 1, InstrumentationScope 3, Span 9).
pub fn attributes(message: &[u8], field: u32) -> impl Iterator<Item = Attr<'_>> {
    let _ = (message, field);
    std::iter::empty()
}

/// The value of `key`; the last one wins where a key stands twice.
pub fn find<'a>(message: &'a [u8], field: u32, key: &[u8]) -> Option<Value<'a>> {
    attributes(message, field).filter(|a| a.key == key).last().map(|a| a.value)
}
