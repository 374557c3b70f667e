//! What one part of a program made of items, by their shape and by what the part read of them.
//!
//! A change is kept by the place of its field among the fields of the shape, not by where it stands in the bytes, so it
//! fits every item of that shape. Something is learnt from the second time on that it comes: what comes only once costs
//! no more than to be noted.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use smallvec::SmallVec;

use super::odds::Odds;
use super::run::Ran;
use super::shapes::Field;
use crate::rules::hash::{Hash, same};

/// Which field is changed, or what of that which comes behind the item is first. Changes stand in this order.
pub type Order = u64;

#[derive(Debug)]
pub enum Lesson {
    /// Nothing yet: it came once.
    Noted,
    /// The same becomes of all that says the same.
    Learnt(Learnt),
    /// It fails, makes much, or does more than to change fields: it is carried out each time.
    Live,
    /// It decides about the item, which is then looked at as if nothing were remembered.
    Decides,
}

#[derive(Debug)]
pub struct Learnt {
    /// Numbers of the statements whose conditions held.
    pub matched: SmallVec<[u32; 4]>,
    /// Each with the end of its bytes.
    changes: SmallVec<[(Order, u32); 2]>,
    bytes: Box<[u8]>,
}

#[derive(Debug)]
struct Known {
    hash: u64,
    /// Each value behind its length.
    said: Box<[u8]>,
    lesson: Lesson,
}

/// Places among the fields.
pub type Reads = SmallVec<[u32; 2]>;

/// What is known of some units and a shape.
#[derive(Debug)]
pub struct Lessons {
    /// Where they read: places among the fields. `None`: what they come to is not to be known.
    reads: Option<Reads>,
    known: Vec<Known>,
    /// Where they stand there, by their hashes.
    places: HashTable<u32>,
    /// Of the item before: the next mostly says the same.
    last: u32,
    odds: Odds,
    bytes: usize,
}

/// What is known at once; with one more all begins anew.
const KNOWN_MAX: usize = 512;
/// Bytes that are read and kept at most.
const SAID_MAX: usize = 1024;
/// New bytes that are kept at most: what makes more is carried out each time.
const NEW_MAX: usize = 4096;

impl Lesson {
    pub fn of(ran: &Ran<'_>, fields: &[Field]) -> Self {
        let Some(planned) = ran.planned(fields) else {
            return if ran.decides() { Lesson::Decides } else { Lesson::Live };
        };
        let long = planned.changes().map(|(_, new)| new.len()).sum::<usize>() > NEW_MAX;
        if long || !ran.outcome.troubles.is_empty() {
            return Lesson::Live;
        }
        let (mut changes, mut bytes) = (SmallVec::new(), Vec::new());
        for (order, new) in planned.changes() {
            bytes.extend_from_slice(new);
            changes.push((order, u32::try_from(bytes.len()).unwrap_or(u32::MAX)));
        }
        let matched = ran.outcome.matched.iter().copied().collect();
        Lesson::Learnt(Learnt { matched, changes, bytes: bytes.into() })
    }

    fn bytes(&self) -> usize {
        match self {
            Lesson::Learnt(Learnt { matched, changes, bytes }) => {
                bytes.len() + 4 * matched.len() + size_of::<(Order, u32)>() * changes.len()
            }
            _ => 0,
        }
    }
}

impl Learnt {
    #[inline]
    pub fn changes(&self) -> impl Iterator<Item = (Order, &[u8])> {
        let mut begin = 0;
        self.changes.iter().map(move |(order, end)| {
            let new = self.bytes.get(begin as usize..*end as usize).unwrap_or_default();
            begin = *end;
            (*order, new)
        })
    }
}

impl Lessons {
    pub fn of(reads: Option<Reads>) -> Self {
        Self { reads, known: Vec::new(), places: HashTable::new(), last: 0, odds: Odds::default(), bytes: 0 }
    }

    pub fn are_about(&self, reads: &Reads) -> bool {
        self.reads.as_ref() == Some(reads)
    }

    /// What is known of an item that has these values in its places; `learn` finds it out, and `kept` grows by what
    /// that takes. `None`: it does not pay to know.
    #[inline]
    pub fn about<'v>(
        &mut self,
        value: impl Fn(u32) -> &'v [u8],
        hash: &Hash,
        kept: &mut usize,
        learn: impl FnOnce() -> Lesson,
    ) -> Option<&Lesson> {
        let Self { reads: Some(reads), known, places, last, odds, bytes } = self else { return None };
        if !odds.are_good() {
            return None;
        }
        if known.len() >= KNOWN_MAX {
            *kept = kept.saturating_sub(std::mem::take(bytes));
            (*known, *places) = (Vec::new(), HashTable::new());
        }
        let values = || reads.iter().map(|place| value(*place));
        let mut grow = |by: usize| {
            *bytes += by;
            *kept += by;
        };
        if known.get(*last as usize).is_none_or(|known| !says(&known.said, values())) {
            let hash = hash.of_all(values());
            let of = |place: &u32| known.get(*place as usize);
            let is = |place: &u32| of(place).is_some_and(|it| it.hash == hash && says(&it.said, values()));
            match places.entry(hash, is, |place| of(place).map_or(0, |known| known.hash)) {
                Entry::Occupied(place) => *last = *place.get(),
                Entry::Vacant(place) => {
                    odds.note(false);
                    let said = said(values());
                    if said.len() <= SAID_MAX && !odds.are_bad() {
                        grow(said.len() + 2 * (size_of::<Known>() + size_of::<u32>()));
                        place.insert(known.len() as u32);
                        known.push(Known { hash, said, lesson: Lesson::Noted });
                    }
                    return None;
                }
            }
        }
        odds.note(true);
        let known = known.get_mut(*last as usize)?;
        if matches!(known.lesson, Lesson::Noted) {
            known.lesson = learn();
            grow(known.lesson.bytes());
        }
        Some(&known.lesson)
    }
}

#[cold]
fn said<'v>(values: impl Iterator<Item = &'v [u8]>) -> Box<[u8]> {
    let len = |value: &[u8]| u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes();
    values.flat_map(|value| len(value).into_iter().chain(value.iter().copied())).collect()
}

#[inline]
fn says<'v>(known: &[u8], mut values: impl Iterator<Item = &'v [u8]>) -> bool {
    let mut rest = known;
    values.all(|value| {
        let Some((len, behind)) = rest.split_first_chunk::<4>() else { return false };
        let known = behind.split_at_checked(u32::from_le_bytes(*len) as usize);
        known.is_some_and(|(known, behind)| {
            rest = behind;
            same(known, value)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_is_learnt_once_and_never_taken_for_another() {
        for hash in [Hash::new(), Hash::weak()] {
            let (mut lessons, mut learnt, mut kept) =
                (Lessons::of(Some(SmallVec::from_slice(&[0, 1]))), 0, 0);
            for _ in 0..8 {
                for n in 0..100_u32 {
                    let number = n.to_le_bytes();
                    for said in [[&number[..], b"x"], [&number, b""], [&number[..3], &number[3..]]] {
                        lessons.about(
                            |place| said[place as usize],
                            &hash,
                            &mut kept,
                            || {
                                learnt += 1;
                                Lesson::Live
                            },
                        );
                    }
                }
            }
            assert_eq!((learnt, lessons.known.len(), kept), (300, 300, lessons.bytes));
        }
    }

    #[test]
    fn what_is_new_each_time_is_soon_left_alone_and_holds_little() {
        let (hash, mut lessons, mut kept) = (Hash::new(), Lessons::of(Some(SmallVec::from_slice(&[0]))), 0);
        for n in 0..100_000_u32 {
            let number = n.to_le_bytes();
            lessons.about(|_| &number, &hash, &mut kept, || Lesson::Live);
            assert!(lessons.known.len() <= KNOWN_MAX && kept < 1 << 17);
        }
        let long = [7; SAID_MAX];
        let before = kept;
        lessons.about(|_| &long, &hash, &mut kept, || Lesson::Live);
        assert_eq!(kept, before);
    }
}
