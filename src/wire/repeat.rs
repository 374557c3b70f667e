//! Attributes that stood in a span before: bytes that were checked then need not be checked again.
//!
//! Spans of one name often say the same of themselves: the method, the route, the host, the versions. To compare bytes
//! costs a fraction of looking at them. So the attributes of a span are held against those of the last one that was
//! called so.
//!
//! It accepts nothing by itself: what is equal was accepted in this request, at this depth. The one surprise: what is
//! remembered is found by a few bits of the name. Names that share a place cost time and change nothing.

/// Runs that are remembered.
const PLACES: usize = 16;

/// The attributes of spans of one request, the last of each name.
#[derive(Debug, Default)]
pub struct Repeats<'a>([Run<'a>; PLACES]);

/// Attributes of a span that stand side by side, all found good.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run<'a> {
    pub fields: &'a [u8],
    /// One of them may be among those that layers above look for ([`super::noted`]).
    pub noted: bool,
}

impl<'a> Repeats<'a> {
    /// The last run of spans with this name and kind.
    #[inline(always)]
    pub fn of(&mut self, name: &[u8], kind: u8) -> &mut Run<'a> {
        let bits = name.len() ^ usize::from(name.last().copied().unwrap_or(0)) ^ usize::from(kind) << 2;
        &mut self.0[bits % PLACES]
    }
}

impl Run<'_> {
    /// What follows in `rest` behind all of these, if it begins with them.
    #[inline(always)]
    pub fn behind<'r>(&self, rest: &'r [u8]) -> Option<&'r [u8]> {
        let (fields, behind) = rest.split_at_checked(self.fields.len())?;
        // What differs mostly does so at the end of a value: most others are told apart here.
        let ends = || fields.last_chunk::<16>() == self.fields.last_chunk::<16>();
        (!fields.is_empty() && ends() && fields == self.fields).then_some(behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(known: &[u8], rest: &[u8], behind: Option<&[u8]>) {
        assert_eq!(Run { fields: known, noted: false }.behind(rest), behind, "{known:?} {rest:?}");
    }

    #[test]
    fn only_a_whole_run_is_the_same() {
        let long: Vec<u8> = (0..100).collect();
        check(&long, &[&long[..], b"behind"].concat(), Some(b"behind"));
        check(&long, &long[..99], None);
        for at in [0, 50, 99] {
            let mut other = long.clone();
            other[at] ^= 1;
            check(&long, &other, None);
        }
        check(b"short", b"short.", Some(b"."));
        check(b"short", b"shore.", None);
        check(b"", b"anything", None);
    }
}
