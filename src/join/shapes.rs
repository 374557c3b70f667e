//! The span shapes the join has learned: service, scope, span name, kind and whether it is a root, each with its
//! habit. A root may be named as what it calls is: an agent's turn and each of its calls to a model.
//!
//! Bounded: when full, a shape not used since the hand last passed makes room (clock eviction). Ids
//! inside span names are read as `*`, or every name would be a shape of its own and never be known.
//!
//! A span is told its shape when it comes, by one look-up; whoever holds the [`ShapeId`] of a shape that
//! had to make room finds nothing, as if it had never been seen.
//!
//! The one surprise: the key of a shape is the seeded hash of its names, so two shapes may share a key
//! once in 2^64; they would then share a habit, which changes when traces leave and nothing else.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use super::habit::{Expect, Habit, Tally};
use super::heads::BlockHeads;
use super::patience::{Patience, Wants};
use crate::model::Time;

/// Names are told apart, and shown, up to here.
const NAME_MAX: usize = 128;
/// Names of which the shape is at hand.
const RECENT: usize = 1024;

/// One shape, as people are shown it.
#[derive(Clone, Debug, PartialEq)]
pub struct ShapeInfo<'a> {
    pub service: &'a str,
    pub scope: &'a str,
    /// The span name; ids in it stand as `*`.
    pub name: &'a str,
    /// `Span.kind`.
    pub kind: u8,
    /// It has no parent.
    pub root: bool,
    /// Traces it was learned from, of those that are remembered: once nothing changes, one in eight is.
    pub seen: u32,
    /// Moments, seconds or longer, in which a child came later than the span.
    pub late: u32,
    /// The longest such lag.
    pub lag: Duration,
    /// Fewest and most children from other processes (or at all, where those of its own come late).
    pub children: (u32, u32),
    /// Seen too seldom to be trusted: waited for in full.
    pub learning: bool,
}

/// A shape's place, and which of the place's successive shapes is meant.
///
/// In four bytes, for it is kept with every span. The one surprise: a place that is given away 65,536 times has had all
/// numbers; whoever still holds a shape's id then finds another, whose habit it changes and nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ShapeId {
    at: u16,
    opening: u16,
}

impl ShapeId {
    /// Itself, as a number.
    pub fn number(self) -> u32 {
        u32::from(self.at) << 16 | u32::from(self.opening)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Shape {
    #[serde(skip)]
    key: u64,
    /// Counts the shapes its place has had.
    #[serde(skip)]
    opening: u16,
    service: Box<str>,
    scope: Box<str>,
    name: Box<str>,
    kind: u8,
    #[serde(default)]
    root: bool,
    habit: Habit,
    #[serde(default)]
    patience: Patience,
    #[serde(skip)]
    used: bool,
}

/// The shapes one join knows.
#[derive(Debug)]
pub(super) struct Shapes {
    by_key: HashTable<u16>,
    /// Shapes of spans taken of late, by service, scope, name as it stands, kind, and whether a root.
    recent: Box<[(u64, ShapeId)]>,
    shapes: Vec<Shape>,
    max: usize,
    hand: usize,
    /// Traces that have left, and when the last did.
    traces: u64,
    now: Time,
    /// Times that what is usual of a shape became another, or a shape made room.
    changes: u64,
    hasher: RandomState,
}

impl Shapes {
    pub fn new(max: usize, hasher: RandomState) -> Self {
        Self {
            by_key: HashTable::new(),
            recent: vec![Default::default(); RECENT].into(),
            shapes: Vec::new(),
            max: max.clamp(1, usize::from(u16::MAX)),
            hand: 0,
            traces: 0,
            now: Time::default(),
            changes: 0,
            hasher,
        }
    }

    pub fn len(&self) -> usize {
        self.shapes.len()
    }

    /// The part of the key all spans of a block share.
    pub fn block_key(&self, service: &str, scope: &str) -> u64 {
        self.hasher.hash_one((service, scope))
    }

    /// The shape of a span, learned from now on if it is new. Its name is read only when no span of late was
    /// named so: by now its bytes are rarely in the processor's cache.
    pub fn of<'n>(
        &mut self,
        heads: &BlockHeads,
        name_key: u64,
        kind: u8,
        root: bool,
        name: impl FnOnce() -> &'n [u8],
    ) -> ShapeId {
        let form = u64::from(kind) << 1 | u64::from(root);
        let key = (heads.shape_key ^ name_key.rotate_left(8)).wrapping_add(form);
        // A name has two places, so that two that fall into one do not drive each other out.
        let places = [(key % RECENT as u64) as usize, (key % RECENT as u64) as usize ^ 1];
        for place in places {
            if let Some(&(known, shape)) = self.recent.get(place)
                && known == key
                && self.get(shape).is_some()
            {
                return shape;
            }
        }
        let shape = self.of_name(heads, name(), kind, root);
        let mut recent = (key, shape);
        for place in places {
            if let Some(held) = self.recent.get_mut(place) {
                std::mem::swap(held, &mut recent);
            }
        }
        shape
    }

    fn of_name(&mut self, heads: &BlockHeads, name: &[u8], kind: u8, root: bool) -> ShapeId {
        let name = plain(name);
        let key = self.key(heads.shape_key, &name, kind, root);
        if let Some(known) = self.find(key) {
            return known;
        }
        let (service, scope) = (heads.resource.name().into(), heads.scope.name().into());
        let name = String::from_utf8_lossy(&name).into();
        self.insert(Shape {
            key,
            opening: 0,
            service,
            scope,
            name,
            kind,
            root,
            habit: Habit::default(),
            patience: Patience::default(),
            used: false,
        })
    }

    fn key(&self, block_key: u64, plain: &[u8], kind: u8, root: bool) -> u64 {
        let mut state = self.hasher.build_hasher();
        state.write_u64(block_key);
        state.write_u8(kind);
        state.write_u8(root.into());
        state.write(plain);
        state.finish()
    }

    /// A trace is about to be observed. Returns which one it is.
    pub fn next_trace(&mut self, now: Time) -> u64 {
        self.traces += 1;
        self.now = now;
        self.traces
    }

    /// What a span of this shape with these children still has to come.
    pub fn expect(&self, id: ShapeId, tally: &Tally, quiet: Duration) -> Expect {
        self.get(id).map_or(Expect::Unknown, |shape| shape.habit.expect(tally, quiet))
    }

    /// Whether all spans of this shape have had the same children.
    pub fn is_steady(&self, id: ShapeId) -> bool {
        self.get(id).is_some_and(|shape| shape.habit.is_steady())
    }

    /// Whether a span of this shape has just the children that all had.
    pub fn is_usual(&self, id: ShapeId, tally: &Tally) -> bool {
        self.get(id).is_some_and(|shape| shape.habit.is_usual(tally))
    }

    /// A number that is another once anything usual of any shape is.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// How late the latest child of a span of this shape was, if all spans of it had the same children.
    pub fn usual_lag(&self, id: ShapeId) -> Option<Duration> {
        self.get(id)?.habit.usual_lag()
    }

    /// A span of this shape has left.
    pub fn observe(&mut self, id: ShapeId, tally: &Tally) {
        let (now, nth) = (self.now, self.traces);
        self.teach(id, |habit| habit.observe(now, nth, tally));
    }

    /// A child came after the trace of its parent, of this shape, had left.
    pub fn correct(&mut self, id: ShapeId, tally: &Tally) {
        let now = self.now;
        self.teach(id, |habit| habit.correct(now, tally));
    }

    fn teach(&mut self, id: ShapeId, lesson: impl FnOnce(&mut Habit) -> bool) {
        if let Some(shape) = self.get_mut(id) {
            shape.used = true;
            let changed = lesson(&mut shape.habit);
            self.changes += u64::from(changed);
        }
    }

    /// What log records a span of this shape is to have.
    pub fn wants(&self, id: ShapeId) -> Option<Wants> {
        self.get(id)?.patience.wants()
    }

    /// Log records of a span of this shape came, one that ends a call (`last`) among them; or none did.
    pub fn noted(&mut self, id: ShapeId, last: Option<bool>) {
        match (self.get_mut(id).map(|shape| &mut shape.patience), last) {
            (Some(patience), Some(last)) => patience.came(last),
            (Some(patience), None) => patience.did_not_come(),
            (None, _) => {}
        }
    }

    pub fn info(&self, id: ShapeId) -> Option<ShapeInfo<'_>> {
        self.get(id).map(Shape::info)
    }

    pub fn iter(&self) -> impl Iterator<Item = ShapeInfo<'_>> {
        self.shapes.iter().map(Shape::info)
    }

    /// All shapes, a JSON object a line.
    pub fn save(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for shape in &self.shapes {
            let start = out.len();
            if serde_json::to_writer(&mut out, shape).is_err() {
                out.truncate(start);
                continue;
            }
            out.push(b'\n');
        }
        out
    }

    /// Takes saved shapes in, as far as they can be read and are not known; says how many.
    pub fn load(&mut self, saved: &[u8]) -> usize {
        let before = self.len();
        for line in saved.split(|&byte| byte == b'\n') {
            let Ok(mut shape) = serde_json::from_slice::<Shape>(line) else { continue };
            let block_key = self.block_key(&shape.service, &shape.scope);
            shape.key = self.key(block_key, &plain(shape.name.as_bytes()), shape.kind, shape.root);
            if self.len() < self.max && self.find(shape.key).is_none() && shape.name.len() <= 4 * NAME_MAX {
                self.insert(shape);
            }
        }
        self.len() - before
    }

    fn find(&self, key: u64) -> Option<ShapeId> {
        let is = |&at: &u16| self.shapes.get(at as usize).is_some_and(|shape| shape.key == key);
        let &at = self.by_key.find(key, is)?;
        self.shapes.get(at as usize).map(|shape| ShapeId { at, opening: shape.opening })
    }

    #[inline]
    fn get(&self, id: ShapeId) -> Option<&Shape> {
        self.shapes.get(id.at as usize).filter(|shape| shape.opening == id.opening)
    }

    fn get_mut(&mut self, id: ShapeId) -> Option<&mut Shape> {
        self.shapes.get_mut(id.at as usize).filter(|shape| shape.opening == id.opening)
    }

    fn insert(&mut self, mut shape: Shape) -> ShapeId {
        let key = shape.key;
        let at = if self.shapes.len() < self.max {
            shape.opening = 1;
            self.shapes.push(shape);
            self.shapes.len() - 1
        } else {
            let at = self.make_room();
            self.changes += 1;
            if let Some(place) = self.shapes.get_mut(at) {
                shape.opening = place.opening.wrapping_add(1);
                *place = shape;
            }
            at
        };
        let id = ShapeId { at: at as u16, opening: self.shapes.get(at).map_or(0, |shape| shape.opening) };
        let shapes = &self.shapes;
        let rehash = |&at: &u16| shapes.get(at as usize).map_or(0, |shape| shape.key);
        self.by_key.insert_unique(key, id.at, rehash);
        id
    }

    /// The place of the next shape not used since the hand last passed, taken out of the index.
    fn make_room(&mut self) -> usize {
        loop {
            let at = self.hand;
            self.hand = (self.hand + 1) % self.shapes.len().max(1);
            match self.shapes.get_mut(at) {
                Some(shape) if shape.used => shape.used = false,
                Some(shape) => {
                    if let Ok(entry) = self.by_key.find_entry(shape.key, |&is| is as usize == at) {
                        entry.remove();
                    }
                    return at;
                }
                None => return at,
            }
        }
    }
}

impl Shape {
    fn info(&self) -> ShapeInfo<'_> {
        let known = self.habit.known();
        let children = if known.local_late { known.all } else { known.remote };
        ShapeInfo {
            service: &self.service,
            scope: &self.scope,
            name: &self.name,
            kind: self.kind,
            root: self.root,
            seen: known.seen,
            late: known.late,
            lag: Duration::from_millis(known.lag_ms.into()),
            children: (children.0, children.1),
            learning: known.seen < super::habit::SEEN_MIN,
        }
    }
}

/// A span name without the ids in it: five digits or more in a row, and eight hexadecimal digits or
/// more (dashes between them, as in UUIDs) with a decimal one among them, read as `*`.
fn plain(name: &[u8]) -> Cow<'_, [u8]> {
    let name = name.get(..NAME_MAX).unwrap_or(name);
    // At most 128 bytes, so their number fits; summed so that it is counted many bytes at once.
    let digits = name.iter().fold(0u8, |digits, byte| digits + u8::from(byte.is_ascii_digit()));
    if digits >= 3 { Cow::Owned(without_ids(name)) } else { Cow::Borrowed(name) }
}

fn without_ids(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some(&byte) = rest.first() {
        let run = rest.iter().take_while(|b| b.is_ascii_hexdigit() || **b == b'-').count();
        if run == 0 {
            out.push(byte);
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        let (word, after) = rest.split_at(run);
        if is_id(word) {
            out.push(b'*')
        } else {
            out.extend_from_slice(word)
        }
        rest = after;
    }
    out
}

fn is_id(word: &[u8]) -> bool {
    let hex = word.iter().filter(|b| b.is_ascii_hexdigit()).count();
    let decimal = word.iter().filter(|b| b.is_ascii_digit()).count();
    (hex == decimal && decimal >= 5) || (hex >= 8 && decimal >= 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    use crate::join::heads::{Head, Kind};
    use crate::wire::block::BlockHead;
    use crate::wire::index::name_key;

    fn of(shapes: &mut Shapes, name: &str) -> ShapeId {
        of_root(shapes, name, false)
    }

    fn of_root(shapes: &mut Shapes, name: &str, root: bool) -> ShapeId {
        let head = |kind| Rc::new(Head::new(kind, BlockHead::default(), ""));
        let (resource, scope) = (head(Kind::Resource), head(Kind::Scope));
        let heads = BlockHeads { resource, scope, shape_key: shapes.block_key("", "") };
        shapes.of(&heads, name_key(name.as_bytes()), 1, root, || name.as_bytes())
    }

    fn see(shapes: &mut Shapes, name: &str, tally: Tally) -> ShapeId {
        let id = of(shapes, name);
        shapes.next_trace(Time::default());
        shapes.observe(id, &tally);
        id
    }

    #[test]
    fn ids_in_names_are_one_shape_and_plain_numbers_are_not() {
        let plain = |name: &str| String::from_utf8(super::plain(name.as_bytes()).into_owned()).unwrap();
        for (name, expect) in [
            ("GET /users/812734/cart", "GET /users/*/cart"),
            ("job 0b5c1e0e-8f0e-4d9a-9d52-2f0a6c1c9f11", "job *"),
            ("GET /v1/users", "GET /v1/users"),
            ("step-17 of 2024", "step-17 of 2024"),
            ("SELECT feedface", "SELECT feedface"),
            ("", ""),
        ] {
            assert_eq!(plain(name), expect);
        }
    }

    #[test]
    fn a_root_is_another_shape_than_what_it_calls_by_the_same_name() {
        let mut shapes = Shapes::new(10, RandomState::with_seeds(1, 2, 3, 4));
        let (root, call) = (of_root(&mut shapes, "chat", true), of(&mut shapes, "chat"));
        assert!(
            root != call && root == of_root(&mut shapes, "chat", true) && call == of(&mut shapes, "chat")
        );
        let mut other = Shapes::new(10, RandomState::with_seeds(9, 9, 9, 9));
        assert_eq!(other.load(&shapes.save()), 2);
        let known = of_root(&mut other, "chat", true);
        assert!((other.len(), other.info(known)) == (2, shapes.info(root)), "after a restart too");
    }

    #[test]
    fn the_table_is_bounded_and_keeps_what_is_used() {
        let mut shapes = Shapes::new(10, RandomState::with_seeds(1, 2, 3, 4));
        let first = see(&mut shapes, "op", Tally::default());
        let kept = see(&mut shapes, "often", Tally::default());
        for n in 0..100 {
            see(&mut shapes, &format!("op {n}"), Tally::default());
            see(&mut shapes, "often", Tally::default());
        }
        assert_eq!((shapes.len(), shapes.by_key.len()), (10, 10));
        assert_eq!(shapes.info(first), None, "its place is another's now");
        assert_eq!(shapes.info(kept).map(|info| info.seen), Some(101));
    }

    #[test]
    fn what_was_learned_survives_a_restart_and_rubbish_is_left_out() {
        let mut shapes = Shapes::new(10, RandomState::with_seeds(1, 2, 3, 4));
        let late = Tally { all: 1, remote: 1, lag: Some(Duration::from_millis(70)), local_late: false };
        (0..200).for_each(|_| {
            see(&mut shapes, "GET /users/812734", late);
        });
        let mut saved = b"{\"not\": \"a shape\"}\n\xff\xfe\n[1,2\n".to_vec();
        saved.extend(shapes.save());
        let mut other = Shapes::new(10, RandomState::with_seeds(9, 9, 9, 9));
        assert_eq!(other.load(&saved), 1);
        assert_eq!(other.load(&saved), 0, "known already");
        let known = of(&mut other, "GET /users/999999");
        assert_eq!(other.info(known), shapes.iter().next());
        assert_eq!(other.expect(known, &Tally::default(), Duration::ZERO), Expect::Child(None));
        assert_eq!(other.expect(known, &late, Duration::ZERO), Expect::Nothing);
    }
}
