//! Spans that were there before: bytes that were checked then need not be checked again.
//!
//! Spans of one name often say the same of themselves: the method, the route, the host, the versions. To compare bytes
//! costs a fraction of looking at them. So a span is held against the last one that was called so, all of it but its
//! ids and times.
//!
//! It accepts nothing by itself: what is equal was accepted in this request, at this depth. The one surprise: what is
//! remembered is found by a few bits of the name. A name has two places; more that fall into them cost time and change
//! nothing.

use super::index::SpanEntry;
use super::noted::Noted;
use super::plain::Layout;

/// Spans that are remembered, two to the power of this.
const PLACES_BITS: u32 = 5;

/// Spans of one request, the last of each name.
#[derive(Debug, Default)]
pub struct Repeats<'a>([Known<'a>; 1 << PLACES_BITS]);

/// What spans that are alike have in common, and was found good.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// Name and kind, as they stand between the ids and the times.
    head: &'a [u8],
    /// All that stands behind the times.
    tail: &'a [u8],
    /// What the index keeps of it.
    pub name_key: u64,
    pub flags: u32,
    pub noted: Noted,
}

impl<'a> Repeats<'a> {
    /// What a span has in common with the last one of its name, if that is all but ids and times.
    #[inline(always)]
    pub fn like(&self, span: &Layout<'_>) -> Option<&Known<'a>> {
        places_of(span).into_iter().map(|place| &self.0[place]).find(|known| known.is_like(span))
    }

    /// Remembers a span that was accepted, which has none of its ids, its name, kind and times a second time.
    pub fn remember(&mut self, span: &Layout<'a>, entry: &SpanEntry) {
        let SpanEntry { name_key, flags, noted, .. } = *entry;
        let [first, second] = places_of(span);
        if self.0[first].head != span.head {
            self.0[second] = self.0[first];
        }
        self.0[first] = Known { head: span.head, tail: span.tail, name_key, flags, noted };
    }
}

impl Known<'_> {
    #[inline(always)]
    fn is_like(&self, span: &Layout<'_>) -> bool {
        // What differs mostly does so at the end of a value: most others are told apart here.
        let ends = || self.tail.last_chunk::<16>() == span.tail.last_chunk::<16>();
        self.tail.len() == span.tail.len() && ends() && self.head == span.head && self.tail == span.tail
    }
}

/// By the length of the name, its beginning, its end, and the kind.
#[inline(always)]
fn places_of(span: &Layout<'_>) -> [usize; 2] {
    let (begin, end) = (span.head.first_chunk::<8>(), span.head.last_chunk::<8>());
    let [begin, end] = [begin, end].map(|some| u64::from_le_bytes(*some.unwrap_or(&[0; 8])));
    let mixed = (begin ^ end.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let place = (mixed >> (u64::BITS - PLACES_BITS)) as usize;
    [place, place ^ 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout<'a>(head: &'a [u8], tail: &'a [u8]) -> Layout<'a> {
        Layout { head, tail, ..Layout::default() }
    }

    fn check(known: (&[u8], &[u8]), span: (&[u8], &[u8]), expect: bool) {
        let (mut repeats, entry) = (Repeats::default(), SpanEntry { flags: 7, ..SpanEntry::default() });
        repeats.remember(&layout(known.0, known.1), &entry);
        let like = repeats.like(&layout(span.0, span.1));
        assert_eq!(like.map(|known| known.flags), expect.then_some(7), "{known:?} {span:?}");
    }

    #[test]
    fn only_what_is_the_same_to_the_last_byte_is_known() {
        let long: Vec<u8> = (0..100).collect();
        check((b"head", &long), (b"head", &long), true);
        check((b"head", &long), (b"heap", &long), false);
        check((b"head", &long), (b"head", &long[..99]), false);
        for at in [0, 50, 99] {
            let mut other = long.clone();
            other[at] ^= 1;
            check((b"head", &long), (b"head", &other), false);
        }
        check((b"head", b"short"), (b"head", b"short"), true);
        check((b"head", b"short"), (b"head", b"shore"), false);
    }
}
