//! Writing blocks: lengths worked out first, bytes laid down once.
//!
//! Exactly one Resource goes out per block, before its scopes: some readers take the first of several,
//! some the last, some read in one pass (conformance P01, P02). What is not a Resource, scope or item
//! is copied as it came.

use std::borrow::Cow;

use bytes::Bytes;
use smallvec::SmallVec;

use super::fields::{Fields, Payload, len_field_len, put_len_field, put_len_prefix};
use super::index::{Head, Index, Range};
use super::{Rope, varint};

/// The bytes of a block besides its items, ready to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BlockHead {
    /// The one Resource or InstrumentationScope field, tag and length included; empty when absent.
    pub first: Bytes,
    /// All other fields (schema_url, unknown ones), tag and length included.
    pub rest: Bytes,
}

impl BlockHead {
    /// The head `index` describes, copied out of `request`. Several Resources (scopes) become one.
    pub fn of(request: &[u8], index: &Index, head: &Head) -> Self {
        let first = pieces(index, head.first);
        let first = if first.is_empty() { Bytes::new() } else { whole_field(&join(request, first)) };
        let rest = Bytes::copy_from_slice(&join(request, pieces(index, head.rest)));
        Self { first, rest }
    }

    /// The same with another Resource (scope), given by its body.
    pub fn with_first(&self, body: &[u8]) -> Self {
        Self { first: whole_field(body), rest: self.rest.clone() }
    }

    /// The body of the one Resource (scope); empty when absent.
    pub fn first_body(&self) -> &[u8] {
        match Fields::of(&self.first).next().map(|field| field.payload) {
            Some(Payload::Len(body)) => body,
            _ => &[],
        }
    }
}

/// The body of the Resource (scope) `head` describes: a slice of `request`, or several concatenated,
/// which is how protobuf merges them.
pub fn first_body<'a>(request: &'a [u8], index: &Index, head: &Head) -> Cow<'a, [u8]> {
    join(request, pieces(index, head.first))
}

fn pieces(index: &Index, (from, to): (u32, u32)) -> &[Range] {
    index.pieces.get(from as usize..to as usize).unwrap_or_default()
}

fn join<'a>(request: &'a [u8], pieces: &[Range]) -> Cow<'a, [u8]> {
    match pieces {
        [] => Cow::Borrowed(&[]),
        [one] => Cow::Borrowed(one.of(request)),
        several => Cow::Owned(several.iter().flat_map(|piece| piece.of(request)).copied().collect()),
    }
}

fn whole_field(body: &[u8]) -> Bytes {
    let mut field = Vec::with_capacity(len_field_len(1, body.len()));
    put_len_field(1, body, &mut field);
    field.into()
}

/// One scope block to write: its head and its items, each item a whole field 2, tag and length included.
#[derive(Clone, Debug, Default)]
pub struct ScopeBlock {
    pub head: BlockHead,
    pub items: Rope,
}

impl ScopeBlock {
    /// Bytes of the block's body.
    fn body_len(&self) -> usize {
        self.head.first.len() + self.items.len() + self.head.rest.len()
    }
}

/// Appends one resource block (request field 1) holding `scopes`, in field order 1, 2, rest.
pub fn write_resource_block(head: &BlockHead, scopes: Vec<ScopeBlock>, out: &mut Rope) {
    let scopes_len: usize = scopes.iter().map(|scope| len_field_len(2, scope.body_len())).sum();
    put_prefix(1, head.first.len() + scopes_len + head.rest.len(), out);
    out.put_bytes(head.first.clone());
    for scope in scopes {
        put_prefix(2, scope.body_len(), out);
        out.put_bytes(scope.head.first);
        out.append(scope.items);
        out.put_bytes(scope.head.rest);
    }
    out.put_bytes(head.rest.clone());
}

/// The tag and length of a field 2 item of `len` bytes, appended to `out` with the item.
pub fn put_item(item: &[u8], out: &mut Rope) {
    out.put_both(prefix(2, item.len()).bytes(), item);
}

/// Appends several items that lie side by side: `items` begins with the body of the first, of `first` bytes,
/// and holds all others whole, tag and length included.
pub fn put_items(first: usize, items: &[u8], out: &mut Rope) {
    out.put_both(prefix(2, first).bytes(), items);
}

/// As [`put_items`] for items at `at` of the request they came in: those that follow each other there stay together,
/// and are shared where they are many.
pub fn put_items_of(request: &Bytes, first: usize, at: Range, out: &mut Rope) {
    out.put_next(request, at, prefix(2, first).bytes());
}

/// Bytes from the end of an item to the body of the next, of `len` bytes, if nothing stands between them.
/// No tag and length is shorter, so one that takes so many is written as [`put_item`] would.
pub fn gap_before(len: usize) -> usize {
    len_field_len(2, len) - len
}

/// As [`put_item`], sharing the bytes of a large item, which is a part of `whole`.
pub fn put_item_part(whole: &Bytes, item: &[u8], out: &mut Rope) {
    put_prefix(2, item.len(), out);
    out.put_part(whole, item);
}

/// Appends the resource block at `block` of `request` as it came, shared where it is large.
pub fn put_block(request: &Bytes, block: Range, out: &mut Rope) {
    put_prefix(1, block.of(request).len(), out);
    put_slice(request, block, out);
}

/// Appends the resource block at `block` of `request` with `resource` (a Resource's body) in place of
/// whatever Resources it has, in front; everything else as it came, shared where it is large.
pub fn put_block_with(request: &Bytes, block: Range, resource: &[u8], out: &mut Rope) {
    let (others, had_one) = all_but_first(block.of(request));
    let first_len = if had_one || !resource.is_empty() { len_field_len(1, resource.len()) } else { 0 };
    let others_len: usize = others.iter().map(|other| other.len as usize).sum();
    put_prefix(1, first_len + others_len, out);
    if first_len > 0 {
        put_prefix(1, resource.len(), out);
        out.put(resource);
    }
    for other in others {
        put_slice(request, Range { at: block.at + other.at, len: other.len }, out);
    }
}

/// Stretches of `block` between its length-delimited fields 1, and whether there is such a field.
fn all_but_first(block: &[u8]) -> (SmallVec<[Range; 4]>, bool) {
    let mut others = SmallVec::new();
    let mut from = 0;
    let mut had_one = false;
    let mut fields = Fields::of(block);
    while let Some((field, raw)) = fields.next_raw() {
        if let (1, Payload::Len(_)) = (field.number, field.payload) {
            let end = block.len() - fields.rest().len();
            add_stretch(from, end - raw.len(), &mut others);
            from = end;
            had_one = true;
        }
    }
    add_stretch(from, block.len(), &mut others);
    (others, had_one)
}

fn add_stretch(from: usize, to: usize, stretches: &mut SmallVec<[Range; 4]>) {
    if to > from {
        // A walked request is shorter than 4 GiB.
        stretches.push(Range { at: from as u32, len: (to - from) as u32 });
    }
}

fn put_slice(request: &Bytes, range: Range, out: &mut Rope) {
    out.put_part(request, range.of(request));
}

pub(super) fn put_prefix(number: u32, len: usize, out: &mut Rope) {
    out.put(prefix(number, len).bytes());
}

/// A tag and a length, without an allocation.
#[derive(Default)]
struct Prefix {
    bytes: [u8; 2 * varint::LEN_MAX],
    len: usize,
}

fn prefix(number: u32, len: usize) -> Prefix {
    let mut prefix = Prefix::default();
    put_len_prefix(number, len, &mut prefix);
    prefix
}

impl Prefix {
    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Extend<u8> for Prefix {
    #[inline]
    fn extend<T: IntoIterator<Item = u8>>(&mut self, bytes: T) {
        // Two varints always fit.
        for (place, byte) in self.bytes.iter_mut().skip(self.len).zip(bytes) {
            *place = byte;
            self.len += 1;
        }
    }
}

#[cfg(test)]
mod tests;
