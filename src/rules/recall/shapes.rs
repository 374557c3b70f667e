//! Which fields and which keys an item has, in their order: its shape. Items of one kind have the same.
//!
//! Shapes are kept as a tree: an item is gone through along it, field by field, and where it branches off a branch
//! is added. At the end of each way stands what is known of items of that shape: where each named key stands needs
//! no search then. An attribute counts only as every SDK writes it (key, value, and nothing else).

use std::ops::Range;

use super::division::Division;
use super::lessons::{Lessons, Reads};
use super::reach::Cell;
use crate::rules::hash::same;
use crate::rules::index::{self, Index};
use crate::rules::names::{Names, Number};
use crate::rules::slots::{Slot, print_of, slots};
use crate::wire::attr::Attr;

/// A field of an item.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub slot: Slot,
    /// Where the body of an attribute's value begins, or another field.
    value: u32,
}

/// Where a named key stands.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    pub number: Number,
    /// Its last place among the fields.
    pub place: u32,
    pub several: bool,
}

#[derive(Debug)]
pub struct Shape {
    pub outline: Outline,
    /// The places of all that is read, if nothing but that has a say.
    pub reads: Box<[u32]>,
    pub groups: Box<[Group]>,
    /// A field that is read by itself stands there more than once: nothing is known of it.
    pub odd: bool,
}

/// Parts of the program that read the same of items of a shape, and what is known of them.
#[derive(Debug)]
pub struct Group {
    /// In the order of the program.
    pub units: Vec<usize>,
    pub lessons: Lessons,
}

#[derive(Debug)]
pub struct Outline {
    pub last: index::Last,
    pub named: Box<[Named]>,
}

/// A field as it begins.
#[derive(Debug)]
struct Node {
    tag: u32,
    /// Of an attribute all before the length of its value.
    head: Box<[u8]>,
    /// What came behind it.
    next: Vec<Node>,
    /// The place of the shape that ends here.
    shape: Option<u32>,
}

#[derive(Debug)]
pub struct Shapes {
    /// Has no field: every way begins here.
    root: Node,
    all: Vec<Shape>,
    /// Of the item that was last; kept for its room.
    fields: Vec<Field>,
}

/// Ways that go on from one place; who comes with more keys has no shapes.
const BRANCHES_MAX: usize = 32;
/// Fields of an item that has a shape.
const FIELDS_MAX: usize = 256;

impl Field {
    /// The body of an attribute's value, the whole of another field.
    #[inline]
    pub fn value<'a>(&self, item: &'a [u8]) -> &'a [u8] {
        item.get(self.value as usize..self.slot.end() as usize).unwrap_or_default()
    }

    /// The bytes of it that may be others while each field stands where it stood: none of a varint, which ends itself.
    pub fn carried(&self) -> Range<usize> {
        self.value.max(self.slot.body_at()) as usize..self.slot.end() as usize
    }
}

impl Node {
    fn of(tag: u32, head: &[u8]) -> Self {
        Self { tag, head: head.into(), next: Vec::new(), shape: None }
    }

    #[inline]
    fn fits(&self, slot: &Slot, item: &[u8]) -> bool {
        let begins = || slot.body(item).get(..self.head.len()).is_some_and(|head| same(head, &self.head));
        self.tag == slot.tag && (self.head.is_empty() || begins())
    }
}

impl Default for Shapes {
    fn default() -> Self {
        Self { root: Node::of(0, &[]), all: Vec::new(), fields: Vec::new() }
    }
}

/// Why an item has no shape yet.
enum Off {
    /// It branches off from all ways that are known.
    New,
    /// An attribute is written as nobody writes it.
    Odd,
}

impl Shapes {
    /// The fields of an item and its shape, learnt if it is new; `kept` grows by what that takes. `None`: it has none.
    #[inline]
    pub fn of(
        &mut self,
        item: &[u8],
        division: &Division,
        names: &Names,
        kept: &mut usize,
    ) -> Option<(&[Field], &mut Shape)> {
        let place = match along(&self.root, item, names.tag(), &mut self.fields) {
            Ok(place) => place,
            Err(Off::Odd) => return None,
            Err(Off::New) => self.learn(item, division, names, kept)?,
        };
        Some((&self.fields, self.all.get_mut(place as usize)?))
    }

    #[cold]
    fn learn(&mut self, item: &[u8], division: &Division, names: &Names, kept: &mut usize) -> Option<u32> {
        let mut node = &mut self.root;
        for (nth, slot) in slots(item).enumerate() {
            let head = if slot.tag == names.tag() { head_of(slot.body(item))? } else { &[] };
            let known = node.next.iter().position(|next| next.fits(&slot, item));
            if known.is_none() {
                if node.next.len() >= BRANCHES_MAX || nth >= FIELDS_MAX {
                    return None;
                }
                *kept += 2 * size_of::<Node>() + head.len();
                node.next.reserve_exact(1);
                node.next.push(Node::of(slot.tag, head));
            }
            let place = known.unwrap_or(node.next.len() - 1);
            node = node.next.get_mut(place)?;
        }
        let place = u32::try_from(self.all.len()).ok()?;
        node.shape = Some(place);
        along(&self.root, item, names.tag(), &mut self.fields).ok()?;
        let shape = Shape::of(&self.fields, item, division, names);
        *kept += 2 * size_of::<Shape>()
            + shape.outline.named.len() * size_of::<Named>()
            + size_of_val(&*shape.reads)
            + shape.groups.len() * size_of::<Group>();
        self.all.push(shape);
        Some(place)
    }
}

/// Notes the fields of an item and gives the place of its shape.
#[inline]
fn along(root: &Node, item: &[u8], tag: u32, fields: &mut Vec<Field>) -> Result<u32, Off> {
    fields.clear();
    let mut node = root;
    for slot in slots(item) {
        node = node.next.iter().find(|next| next.fits(&slot, item)).ok_or(Off::New)?;
        let mut value = slot.range().start as u32;
        if slot.tag == tag {
            let len = match *slot.body(item).get(node.head.len()..).unwrap_or_default() {
                [len @ ..0x80, ref value @ ..] if value.len() == usize::from(len) => u32::from(len),
                [low @ 0x80..=0xff, high @ ..0x80, ref value @ ..]
                    if value.len() == usize::from(low & 0x7f) | usize::from(high) << 7 =>
                {
                    value.len() as u32
                }
                _ => return Err(Off::Odd),
            };
            value = slot.end() - len;
        }
        fields.push(Field { slot, value });
    }
    node.shape.ok_or(Off::New)
}

/// All of a KeyValue before the length of its value.
fn head_of(key_value: &[u8]) -> Option<&[u8]> {
    let (key, _) = Attr::usual(key_value)?;
    // Tag and length of the key, and the tag of the value.
    key_value.get(..2 + key.len() + 1)
}

impl Shape {
    fn of(fields: &[Field], item: &[u8], division: &Division, names: &Names) -> Self {
        let mut named: Vec<Named> = Vec::new();
        for (place, field) in (0..).zip(fields).filter(|(_, field)| field.slot.tag == names.tag()) {
            let key = Attr::key_of(field.slot.body(item));
            let Some(number) = names.find(print_of(key), key) else { continue };
            match named.iter_mut().find(|known| known.number == number) {
                Some(known) => *known = Named { place, several: true, ..*known },
                None => named.push(Named { number, place, several: false }),
            }
        }
        let of_field = |number| {
            let fields = (0..).zip(fields).filter(move |(_, field)| field.slot.number() == number);
            fields.map(|(place, _)| place)
        };
        let place = |cell: &Cell| match cell {
            Cell::Attribute(number) => {
                named.iter().find(|known| known.number == *number).map(|known| known.place)
            }
            Cell::Field(number) => of_field(*number).last(),
            Cell::Resource => Some(RESOURCE),
            Cell::Scope => Some(SCOPE),
        };
        let (mut groups, mut all): (Vec<Group>, Vec<u32>) = (Vec::new(), Vec::new());
        for part in &division.parts {
            let reads: Reads = part.cells.iter().filter_map(place).collect();
            all.extend(&reads);
            match groups.iter_mut().find(|known| !part.fickle && known.lessons.are_about(&reads)) {
                Some(known) => known.units.extend(&part.units),
                None => {
                    let lessons = Lessons::of((!part.fickle).then_some(reads));
                    groups.push(Group { units: part.units.clone(), lessons });
                }
            }
        }
        groups.iter_mut().for_each(|group| group.units.sort_unstable());
        let mut cells = division.parts.iter().flat_map(|part| &part.cells);
        Self {
            odd: cells.any(|cell| matches!(cell, Cell::Field(number) if of_field(*number).nth(1).is_some())),
            groups: groups.into(),
            reads: all.into(),
            outline: Outline {
                last: Index::last_places(fields.iter().map(|field| field.slot)),
                named: named.into(),
            },
        }
    }
}

/// Stand for what is no field.
pub const RESOURCE: u32 = u32::MAX;
pub const SCOPE: u32 = u32::MAX - 1;
