//! A message without some of its fields and with others behind it: the one way to change an item that
//! copies its payload once.
//!
//! Fields of a message may stand in any order, so what is replaced goes out at its old place and comes in
//! at the end.

use bytes::Bytes;
use smallvec::SmallVec;

use super::Rope;
use super::fields::{Field, Fields};
use super::index::Range;

/// Parts of a message to leave out, in order.
pub type Cuts = SmallVec<[Range; 4]>;

/// The fields of `message` that `pick` picks, tag and length included.
pub fn of(message: &[u8], mut pick: impl FnMut(&Field<'_>) -> bool) -> Cuts {
    let mut cuts = Cuts::new();
    let mut fields = Fields::of(message);
    while let Some((field, raw)) = fields.next_raw() {
        if pick(&field) {
            let end = message.len() - fields.rest().len();
            cuts.push(Range { at: (end - raw.len()) as u32, len: raw.len() as u32 });
        }
    }
    cuts
}

/// An item as it lies in memory.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// To be copied.
    Plain(&'a [u8]),
    /// Large, a part of a buffer: to be shared.
    Shared(&'a Bytes, &'a [u8]),
}

impl<'a> Item<'a> {
    fn bytes(self) -> &'a [u8] {
        match self {
            Self::Plain(bytes) | Self::Shared(_, bytes) => bytes,
        }
    }
}

/// Appends a field 2 item: `item` without `cuts`, and `tail` and `fields` behind it.
pub fn put_item(item: Item<'_>, cuts: &[Range], tail: &[u8], fields: &[Bytes], out: &mut Rope) {
    let body = item.bytes();
    let cut: usize = cuts.iter().map(|cut| cut.len as usize).sum();
    let behind = tail.len() + fields.iter().map(Bytes::len).sum::<usize>();
    super::block::put_prefix(2, body.len().saturating_sub(cut) + behind, out);
    let mut from = 0;
    let put = |part: &[u8], out: &mut Rope| match item {
        Item::Plain(_) => out.put(part),
        Item::Shared(whole, _) => out.put_part_of_item(whole, part),
    };
    for cut in cuts {
        put(body.get(from..cut.at as usize).unwrap_or_default(), out);
        from = (cut.at + cut.len) as usize;
    }
    put(body.get(from..).unwrap_or_default(), out);
    out.put(tail);
    fields.iter().for_each(|field| out.put_bytes(field.clone()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fields::put_len_field;

    fn message(fields: &[(u32, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        fields.iter().for_each(|(number, body)| put_len_field(*number, body, &mut out));
        out
    }

    #[test]
    fn what_is_cut_is_gone_and_what_is_new_stands_behind() {
        let body = message(&[(1, b"a"), (2, b"b"), (3, b"c"), (2, b"d")]);
        let cuts = of(&body, |field| field.number == 2);
        let (tail, field) = (message(&[(9, b"new")]), message(&[(11, b"event")]).into());
        let expect = message(&[(2, &message(&[(1, b"a"), (3, b"c"), (9, b"new"), (11, b"event")]))]);
        let whole = Bytes::from(body.clone());
        for item in [Item::Plain(&body), Item::Shared(&whole, &whole)] {
            let mut out = Rope::default();
            put_item(item, &cuts, &tail, std::slice::from_ref(&field), &mut out);
            assert_eq!(out.into_bytes(), expect);
        }
    }

    #[test]
    fn nothing_cut_and_nothing_new_is_the_item() {
        let mut out = Rope::default();
        put_item(Item::Plain(b"\x0a\x01x"), &[], &[], &[], &mut out);
        assert_eq!(out.into_bytes(), message(&[(2, b"\x0a\x01x")]));
    }

    #[test]
    fn a_large_item_is_shared_but_for_what_is_cut() {
        let large = vec![b'x'; 100_000];
        let body = Bytes::from(message(&[(1, &large), (2, b"cut"), (3, &large)]));
        let mut out = Rope::default();
        put_item(Item::Shared(&body, &body), &of(&body, |field| field.number == 2), b"", &[], &mut out);
        let pieces = out.into_pieces();
        let shared = |piece: &Bytes| body.as_ptr_range().contains(&piece.as_ptr());
        assert_eq!(pieces.iter().filter(|piece| shared(piece)).count(), 2);
    }
}
