//! A plan of what becomes of stretches of a message, carried out in one copy.
//!
//! What the plan does not name is copied bit for bit, in its place: unknown fields, over-long lengths, the
//! order of fields. The one surprise: plans for messages inside become part of the plan for the outermost,
//! whose every length on the way is written anew, so that no message is laid down twice.

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

    /// Takes over the plan for the body of field `number`, a message of `len` bytes that ends `field`.
    pub fn nest(&mut self, number: u32, field: Range<usize>, len: usize, inner: &Patch) {
        if inner.is_empty() {
            return;
        }
        let body = field.end.saturating_sub(len);
        let from = self.bytes.len();
        put_len_prefix(number, inner.applied_len(len), &mut self.bytes);
        self.insert(Edit { gone: field.start..body, new: from..self.bytes.len() });
        let base = self.bytes.len();
        self.bytes.extend_from_slice(&inner.bytes);
        // What stands at the end of the message belongs into it, before whatever was planned behind it.
        let end = self.edits.partition_point(|known| known.gone.start < field.end);
        for (end, Edit { gone, new }) in (end..).zip(&inner.edits) {
            let gone = gone.start + body..gone.end + body;
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
        let mut copied = 0;
        for Edit { gone, new } in &self.edits {
            out.extend_from_slice(message.get(copied..gone.start).unwrap_or_default());
            out.extend_from_slice(self.bytes.get(new.clone()).unwrap_or_default());
            copied = gone.end;
        }
        out.extend_from_slice(message.get(copied..).unwrap_or_default());
        out
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

    /// Found beside the Collector: an attribute of a point was laid down behind the sum's temporality.
    #[test]
    fn what_is_put_at_the_end_of_a_message_inside_stays_inside() {
        let before = message(&[(1, b"ab"), (2, b"c")]);
        let (mut inner, mut patch) = (Patch::default(), Patch::default());
        put(&mut patch, 4..before.len(), &message(&[(2, b"new")]));
        put(&mut inner, 2..2, b"1");
        put(&mut inner, 2..2, b"2");
        patch.nest(1, 0..4, 2, &inner);
        assert_eq!(patch.apply(&before), message(&[(1, b"ab12"), (2, b"new")]));
    }

    #[test]
    fn messages_inside_get_their_new_lengths() {
        let deep = message(&[(3, &[7; 130]), (4, b"keep")]);
        let inner = message(&[(2, &deep), (9, b"x")]);
        let before = message(&[(1, b"a"), (1, &inner)]);
        let (mut of_deep, mut of_inner, mut patch) = (Patch::default(), Patch::default(), Patch::default());
        of_deep.cut(0..deep.len() - 6);
        put(&mut of_deep, deep.len()..deep.len(), b"\x28\x01");
        of_inner.nest(2, 0..inner.len() - 3, deep.len(), &of_deep);
        of_inner.cut(inner.len() - 3..inner.len());
        patch.nest(1, 3..before.len(), inner.len(), &of_inner);
        let deep = [message(&[(4, b"keep")]), b"\x28\x01".to_vec()].concat();
        let inner = message(&[(2, &deep)]);
        assert_eq!(patch.apply(&before), message(&[(1, b"a"), (1, &inner)]));
    }

    #[test]
    fn a_plan_for_another_message_is_no_panic() {
        let mut patch = Patch::default();
        patch.cut(3..900);
        put(&mut patch, 5..6, b"x");
        patch.nest(1, 0..2, 70, &patch.clone());
        let _ = patch.apply(b"short");
    }
}
