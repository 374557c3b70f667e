//! Writing blocks: lengths worked out first, bytes laid down once.

use bytes::Bytes;

use super::Rope;

/// The bytes of a block besides its items, ready to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BlockHead {
    /// The one Resource or InstrumentationScope field, tag and length included; empty when absent.
    pub first: Bytes,
    /// All other fields (schema_url, unknown ones), tag and length included.
    pub rest: Bytes,
}

/// One scope block to write: its head and its items, each item a whole field 2, tag and length included.
#[derive(Clone, Debug, Default)]
pub struct ScopeBlock {
    pub head: BlockHead,
    pub items: Rope,
}

/// Appends one resource block (request field 1) holding `scopes`, in field order 1, 2, rest.
pub fn write_resource_block(head: &BlockHead, scopes: Vec<ScopeBlock>, out: &mut Rope) {
    let _ = (head, scopes, out);
    todo!()
}

/// The tag and length of a field 2 item of `len` bytes, appended to `out` with the item.
pub fn put_item(item: &[u8], out: &mut Rope) {
    let _ = (item, out);
    todo!()
}
