//! A message that goes to several destinations, once for each, with what in it goes there.

use std::ops::Range;

use smallvec::SmallVec;

use super::slots::Slot;
use crate::model::Destination;
use crate::wire::patch::Patch;

/// A message once for each destination that something in it has.
#[derive(Debug, Default)]
pub struct Parts {
    all: SmallVec<[Part; 1]>,
    /// What all of them begin with.
    begun: Patch,
    /// What was laid into any of them, or none: it is not in a part that is begun behind it.
    laid: Vec<Range<usize>>,
    /// Bytes of the message around them: about what is laid into one of them.
    len: usize,
}

/// Room that is made at once for what changes.
const ROOM_MAX: usize = 1 << 16;

/// What goes to one destination.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// `None`: where everything goes.
    pub to: Option<Destination>,
    pub edits: Patch,
    /// Spans, records or data points in it; counted where rules route.
    pub items: u64,
}

impl Parts {
    /// Of a message of so many bytes. Each of them begins as this plan has it.
    pub fn of(begun: Patch, len: usize) -> Self {
        Self { begun, len, ..Self::default() }
    }

    pub fn into_pieces(self) -> SmallVec<[Part; 1]> {
        self.all
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Part> {
        self.all.iter()
    }

    /// Nothing was laid, into any of them or none.
    pub fn is_untouched(&self) -> bool {
        self.laid.is_empty()
    }

    /// The message at `slot`, `body`, goes to the destinations of `pieces`, as each says; without any, nowhere.
    pub fn lay(&mut self, slot: &Slot, body: &[u8], mut pieces: SmallVec<[Part; 1]>) {
        for piece in &pieces {
            if !self.all.iter().any(|part| part.to == piece.to) {
                let mut edits = self.begun.clone();
                if !piece.edits.is_empty() {
                    edits.reserve(0, (self.len + self.len / 4).min(ROOM_MAX));
                }
                self.laid.iter().for_each(|place| edits.cut(place.clone()));
                self.all.push(Part { to: piece.to, edits, items: 0 });
            }
        }
        for part in &mut self.all {
            match pieces.iter_mut().find(|piece| piece.to == part.to) {
                Some(piece) => {
                    part.items += piece.items;
                    slot.nest(body, std::mem::take(&mut piece.edits), &mut part.edits);
                }
                None => part.edits.cut(slot.range()),
            }
        }
        self.laid.push(slot.range());
    }
}
