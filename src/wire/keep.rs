//! Cutting refused items out of a request: the cold path behind a partial success.

use super::fields::{self, Payload, between};
use super::index::{Limits, Range};
use super::{Malformed, Signal, varint, walk};

/// The request without its refused items and empty blocks: the cold path after a walk whose
/// `refused.items` is not zero. Everything kept is bit for bit what came, lengths around it rewritten.
/// Walking the result refuses nothing.
///
/// # Errors
/// [`Malformed`] exactly as [`walk::walk`], or when what must be cut does not fit `limits.index_bytes`.
pub fn keep_good(signal: Signal, body: &[u8], limits: &Limits) -> Result<Vec<u8>, Malformed> {
    let cuts = walk::cuts(signal, body, limits)?;
    let mut out = Vec::with_capacity(body.len());
    copy_without(body, 0, &mut cuts.as_slice(), &mut out);
    Ok(out)
}

/// Copies `message`, which begins at offset `base` of the request, without the cuts in it. They are
/// whole fields at some depth, in order; each is taken off `cuts` once it is behind us.
fn copy_without(message: &[u8], base: usize, cuts: &mut &[Range], out: &mut Vec<u8>) {
    let mut rest = message;
    while !rest.is_empty() {
        let start = rest;
        let Ok(field) = fields::read(&mut rest) else {
            // Nothing a walk passed comes here; whatever it is, it is not ours to drop.
            return out.extend_from_slice(start);
        };
        let raw = between(start, rest);
        let at = base + (message.len() - start.len());
        let end = at + raw.len();
        match (next_cut(cuts, at), field.payload) {
            (Some(cut), _) if (cut.at as usize) <= at => {}
            (Some(cut), Payload::Len(inner)) if (cut.at as usize) < end => {
                let tag = raw.len() - inner.len() - length_len(raw, inner);
                out.extend_from_slice(raw.get(..tag).unwrap_or_default());
                let from = out.len();
                copy_without(inner, end - inner.len(), cuts, out);
                insert_length(from, out);
            }
            _ => out.extend_from_slice(raw),
        }
    }
}

/// The first cut that ends after `at`.
fn next_cut(cuts: &mut &[Range], at: usize) -> Option<Range> {
    while let [cut, behind @ ..] = *cuts {
        if (cut.at as usize + cut.len as usize) > at {
            return Some(*cut);
        }
        *cuts = behind;
    }
    None
}

/// Bytes of the (possibly over-long) length between the tag and `inner` in `raw`.
fn length_len(raw: &[u8], inner: &[u8]) -> usize {
    let mut after_tag = raw;
    let _ = varint::read(&mut after_tag);
    after_tag.len() - inner.len()
}

/// Puts the length of everything from `from` on in front of it.
fn insert_length(from: usize, out: &mut Vec<u8>) {
    let len = (out.len() - from) as u64;
    varint::put(len, out);
    out.get_mut(from..).unwrap_or_default().rotate_right(varint::len(len));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fields::put_len_field;

    fn nest(levels: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        levels.iter().for_each(|part| put_len_field(2, part, &mut out));
        out
    }

    fn cut(body: &[u8], cuts: &[(u32, u32)]) -> Vec<u8> {
        let cuts: Vec<Range> = cuts.iter().map(|&(at, len)| Range { at, len }).collect();
        let mut out = Vec::new();
        copy_without(body, 0, &mut cuts.as_slice(), &mut out);
        out
    }

    #[test]
    fn nothing_cut_is_the_same_bytes() {
        let body = nest(&[b"one", &nest(&[b"two"])]);
        assert_eq!(cut(&body, &[]), body);
    }

    #[test]
    fn a_cut_inside_rewrites_the_lengths_around_it() {
        let long = vec![b'x'; 200];
        let inner = nest(&[b"bad", &long]);
        let body = nest(&[b"one", &inner, b"two"]);
        let bad_at = 5 + 3; // after "one" and the two-byte length of inner
        assert_eq!(cut(&body, &[(bad_at, 5)]), nest(&[b"one", &nest(&[&long]), b"two"]));
    }

    #[test]
    fn neighbouring_cuts_go_as_one() {
        let body = nest(&[b"a", b"b", b"c"]);
        assert_eq!(cut(&body, &[(0, 6)]), nest(&[b"c"]));
        assert_eq!(cut(&body, &[(3, 6)]), nest(&[b"a"]));
    }
}
