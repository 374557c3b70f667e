//! A plan of what becomes of stretches of a message, carried out in one copy.
//!
//! What the plan does not name is copied bit for bit, in its place: unknown fields, over-long lengths, the
//! order of fields. The one surprise: plans for messages inside become part of the plan for the outermost, whose every
//! length on the way is written anew. Only what is short is carried out at once: to copy a message of some hundred
//! bytes once more costs less than to look after its stretches.

use std::ops::Range;

use super::fields::put_len_prefix;

/// One stretch and what comes in its place.
#[derive(Clone, Debug, PartialEq)]
struct Edit {
    /// In the message.
    gone: Range<usize>,
    /// In the plan's bytes.
    new: Range<usize>,
}

/// Messages inside that are longer are not laid down before the outermost is.
const SHORT: usize = 4096;
/// Tag and length take this much at most.
const PREFIX_MAX: usize = 15;

/// What becomes of the stretches of one message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Patch {
    /// In the order of the message; of two at one place the earlier word stands first.
    edits: Vec<Edit>,
    bytes: Vec<u8>,
}

impl Patch {
    /// Nothing changes.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Each stretch and what comes in its place, in the order of the message.
    pub fn stretches(&self) -> impl Iterator<Item = (Range<usize>, &[u8])> {
        let new = |edit: &Edit| self.bytes.get(edit.new.clone()).unwrap_or_default();
        self.edits.iter().map(move |edit| (edit.gone.clone(), new(edit)))
    }

    /// Makes room for so many stretches and new bytes.
    pub fn reserve(&mut self, edits: usize, bytes: usize) {
        self.edits.reserve(edits);
        self.bytes.reserve(bytes);
    }

    /// Nothing comes in the place of `gone`.
    pub fn cut(&mut self, gone: Range<usize>) {
        let end = self.bytes.len();
        self.insert(Edit { gone, new: end..end });
    }

    /// What `write` appends comes in the place of `gone`, or is put in where that is empty.
    pub fn put(&mut self, gone: Range<usize>, write: impl FnOnce(&mut Vec<u8>)) {
        let from = self.bytes.len();
        write(&mut self.bytes);
        self.insert(Edit { gone, new: from..self.bytes.len() });
    }

    /// The same, unless it fails.
    ///
    /// # Errors
    /// What `write` says; nothing is planned then.
    pub fn try_put<E>(
        &mut self,
        gone: Range<usize>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let from = self.bytes.len();
        write(&mut self.bytes)?;
        self.insert(Edit { gone, new: from..self.bytes.len() });
        Ok(())
    }

    /// Takes over the plan for the message `body`, which stands in field `number` and ends it.
    pub fn nest(&mut self, number: u32, field: Range<usize>, body: &[u8], mut inner: Patch) {
        if inner.is_empty() {
            return;
        }
        let len = inner.applied_len(body.len());
        if body.len() <= SHORT {
            let from = self.bytes.len();
            self.bytes.reserve(len + PREFIX_MAX);
            put_len_prefix(number, len, &mut self.bytes);
            inner.lay_down(body, &mut self.bytes);
            return self.insert(Edit { gone: field, new: from..self.bytes.len() });
        }
        let base = self.bytes.len();
        if base == 0 {
            self.bytes = std::mem::take(&mut inner.bytes);
        } else {
            self.bytes.extend_from_slice(&inner.bytes);
        }
        let from = self.bytes.len();
        put_len_prefix(number, len, &mut self.bytes);
        let start = field.end.saturating_sub(body.len());
        self.insert(Edit { gone: field.start..start, new: from..self.bytes.len() });
        // What stands at the end of the message belongs into it, before whatever was planned behind it.
        let end = self.edits.partition_point(|known| known.gone.start < field.end);
        for (end, Edit { gone, new }) in (end..).zip(inner.edits) {
            let gone = gone.start + start..gone.end + start;
            let edit = Edit { gone, new: new.start + base..new.end + base };
            if edit.gone.start < field.end {
                self.insert(edit);
            } else {
                self.edits.insert(end, edit);
            }
        }
    }

    /// `message` as planned.
    pub fn apply(&self, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.applied_len(message.len()));
        self.lay_down(message, &mut out);
        out
    }

    /// Appends `message` as planned.
    fn lay_down(&self, message: &[u8], out: &mut Vec<u8>) {
        let mut copied = 0;
        for Edit { gone, new } in &self.edits {
            if copied < gone.start {
                out.extend_from_slice(message.get(copied..gone.start).unwrap_or_default());
            }
            out.extend_from_slice(self.bytes.get(new.clone()).unwrap_or_default());
            copied = gone.end;
        }
        out.extend_from_slice(message.get(copied..).unwrap_or_default());
    }

    /// How long a message of `len` bytes is then.
    pub fn applied_len(&self, len: usize) -> usize {
        self.edits.iter().fold(len, |len, edit| (len + edit.new.len()).saturating_sub(edit.gone.len()))
    }

    fn insert(&mut self, edit: Edit) {
        if self.edits.last().is_none_or(|last| last.gone.start <= edit.gone.start) {
            self.edits.push(edit);
        } else {
            let at = self.edits.partition_point(|known| known.gone.start <= edit.gone.start);
            self.edits.insert(at, edit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::put_len_field;
    use super::*;

    fn message(fields: &[(u32, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        fields.iter().for_each(|(number, body)| put_len_field(*number, body, &mut out));
        out
    }

    fn put(patch: &mut Patch, gone: Range<usize>, bytes: &[u8]) {
        patch.put(gone, |out| out.extend_from_slice(bytes));
    }

    #[test]
    fn what_is_not_named_stays_bit_for_bit() {
        assert_eq!(Patch::default().apply(b"anything"), b"anything");
        let mut patch = Patch::default();
        put(&mut patch, 8..8, b"!");
        patch.cut(0..3);
        put(&mut patch, 4..5, b"");
        put(&mut patch, 5..6, b"HI");
        assert_eq!(patch.apply(b"anything"), b"tHIng!");
        assert_eq!(patch.applied_len(8), 6);
    }

    #[test]
    fn of_two_at_one_place_the_earlier_word_stands_first() {
        let mut patch = Patch::default();
        put(&mut patch, 2..2, b"1");
        put(&mut patch, 0..1, b"0");
        put(&mut patch, 2..2, b"2");
        assert_eq!(patch.apply(b"ab"), b"0b12");
    }

    /// A message, and a plan that puts something at its end and takes away its last field.
    fn planned(len: usize) -> (Vec<u8>, Patch, Vec<u8>) {
        let (long, gone, new) = ((3, &vec![7; len][..]), (4, &b"gone"[..]), (5, &b"new"[..]));
        let before = message(&[long, gone]);
        let mut patch = Patch::default();
        put(&mut patch, before.len()..before.len(), &message(&[new]));
        patch.cut(before.len() - 6..before.len());
        (before, patch, message(&[long, new]))
    }

    /// Found beside the Collector: an attribute of a point was laid down behind the sum's temporality.
    #[test]
    fn what_is_put_at_the_end_of_a_message_inside_stays_inside() {
        for len in [2, SHORT] {
            let (inside, inner, expect) = planned(len);
            let before = message(&[(1, &inside), (2, b"c")]);
            let mut patch = Patch::default();
            put(&mut patch, before.len() - 3..before.len(), &message(&[(2, b"other")]));
            patch.nest(1, 0..before.len() - 3, &inside, inner);
            assert_eq!(patch.apply(&before), message(&[(1, &expect), (2, b"other")]));
        }
    }

    #[test]
    fn messages_inside_get_their_new_lengths() {
        for len in [1, 130, SHORT, 5 * SHORT] {
            let (deep, of_deep, new_deep) = planned(len);
            let inner = message(&[(2, &deep), (9, b"x")]);
            let before = message(&[(1, b"a"), (1, &inner)]);
            let (mut of_inner, mut patch) = (Patch::default(), Patch::default());
            of_inner.nest(2, 0..inner.len() - 3, &deep, of_deep);
            of_inner.cut(inner.len() - 3..inner.len());
            patch.nest(1, 3..before.len(), &inner, of_inner);
            let new_inner = message(&[(2, &new_deep)]);
            assert_eq!(patch.apply(&before), message(&[(1, b"a"), (1, &new_inner)]), "{len}");
        }
    }

    #[test]
    fn a_plan_for_another_message_is_no_panic() {
        for len in [70, SHORT + 1] {
            let mut patch = Patch::default();
            patch.cut(3..900);
            put(&mut patch, 5..6, b"x");
            patch.nest(1, 0..2, &vec![0; len], patch.clone());
            let _ = patch.apply(b"short");
        }
    }
}
