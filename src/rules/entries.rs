//! The KeyValue lists of one message and what has been written to them so far.
//!
//! Keys that rules name have a number (`names`) and a register each: where their KeyValue stands, and what was written.
//! Others are looked for. A list is only taken apart for what looks at all of it at once, or writes very much.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::compare::Single;
use super::index::Index;
use super::map::{Map, utf8};
use super::names::{Names, Number};
use super::registers::{Register, Registers};
use super::slots::Slot;
use super::value::{Value, put_entry};
use crate::wire::attr::Attr;
use crate::wire::patch::Patch;

/// A key of a list.
#[derive(Clone, Copy, Debug)]
pub enum Which<'k> {
    Named(Number),
    /// In the list at this field.
    Other(u32, &'k str),
}

/// What was written under a key.
#[derive(Clone, Debug)]
struct Written<'a> {
    number: Option<Number>,
    field: u32,
    key: Cow<'a, str>,
    /// `None`: it is gone.
    value: Option<Value<'a>>,
}

/// What stands under a key now.
enum Standing<'d, 'a> {
    Said(&'d Value<'a>),
    /// The KeyValue that came.
    Came(&'a [u8]),
    Nothing,
}

/// Entries written to one by one. More, and the list is taken apart: what is written is searched for in order.
const WRITTEN_MAX: usize = 24;
/// Keys that are taken away one by one. Of more, each would be looked for among all the others.
const FEW: usize = 8;

#[derive(Clone, Debug)]
pub struct Entries<'a> {
    registers: Registers<'a>,
    /// Of lists that are not taken apart.
    written: Vec<Written<'a>>,
    /// Lists that are.
    maps: SmallVec<[(u32, Map<'a>); 1]>,
}

impl<'a> Entries<'a> {
    /// Of a message that is still to be gone through.
    pub fn of(names: &'a Names) -> Self {
        Self { registers: Registers::of(names), written: Vec::new(), maps: SmallVec::new() }
    }

    /// Of a message of which this is known.
    #[inline(always)]
    pub fn known(names: &'a Names, named: impl Iterator<Item = (Number, Register<'a>)>) -> Self {
        let registers = Registers::known(names, named);
        Self { registers, written: Vec::new(), maps: SmallVec::new() }
    }

    /// No list was taken apart.
    pub fn are_simple(&self) -> bool {
        self.maps.is_empty()
    }

    /// The places, among those that were written, of those that come behind the message.
    pub fn behind(&self, index: &Index<'a>) -> impl Iterator<Item = usize> {
        let came = |written: &Written<'a>| match written.number {
            Some(number) => self.registers.get(number).last != 0,
            None => index.key_values(written.field, &written.key).next().is_some(),
        };
        let is_new = move |(_, written): &(usize, &Written<'a>)| written.value.is_some() && !came(written);
        self.written.iter().enumerate().filter(is_new).map(|(nth, _)| nth)
    }

    /// Notes what stands in the message under the named keys.
    pub fn fill(&mut self, index: &Index<'a>) {
        self.registers.fill(index);
    }

    /// How many entries were written to one by one.
    pub fn len(&self) -> usize {
        self.written.len()
    }

    fn named<'k>(&self, key: Which<'k>) -> Which<'k> {
        match key {
            Which::Other(field, key) => {
                self.registers.names.number(field, key).map_or(Which::Other(field, key), Which::Named)
            }
            named => named,
        }
    }

    /// Its field and its letters.
    fn spelt<'k>(&self, key: Which<'k>) -> (u32, &'k str)
    where
        'a: 'k,
    {
        match key {
            Which::Named(number) => (self.registers.names.field(), self.registers.names.key(number)),
            Which::Other(field, key) => (field, key),
        }
    }

    #[inline]
    fn standing(&self, index: &Index<'a>, which: Which<'_>) -> Standing<'_, 'a> {
        if !self.maps.is_empty() {
            let (field, key) = self.spelt(which);
            if let Some(map) = self.taken_apart(field) {
                return map.get(key).map_or(Standing::Nothing, Standing::Said);
            }
        }
        let (written, came) = match self.named(which) {
            Which::Named(number) => {
                let Register { last, written, .. } = self.registers.get(number);
                (usize::from(written).checked_sub(1), last.checked_sub(1).and_then(|at| index.at(at)))
            }
            Which::Other(field, key) => (self.loose(field, key), index.key_values(field, key).next_back()),
        };
        match (written.and_then(|at| self.written.get(at)), came) {
            (Some(Written { value: Some(value), .. }), _) => Standing::Said(value),
            (None, Some(slot)) => Standing::Came(slot.body(index.base())),
            _ => Standing::Nothing,
        }
    }

    fn taken_apart(&self, field: u32) -> Option<&Map<'a>> {
        self.maps.iter().find(|(written, _)| *written == field).map(|(_, map)| map)
    }

    /// Where a key that has no number was written.
    fn loose(&self, field: u32, key: &str) -> Option<usize> {
        self.written.iter().position(|written| written.field == field && written.key == key)
    }

    /// The value of a key as it is compared.
    #[inline]
    pub fn peek(&self, index: &Index<'a>, which: Which<'_>) -> Single<'_> {
        if let Which::Named(number) = which
            && self.maps.is_empty()
            && let Register { now, written: 0, .. } = self.registers.get(number)
        {
            return now;
        }
        match self.standing(index, which) {
            Standing::Said(value) => Single::of(value),
            Standing::Came(key_value) => Single::of_read(Attr::of(key_value).value),
            Standing::Nothing => Single::Nil,
        }
    }

    /// The value of a key.
    pub fn value(&self, index: &Index<'a>, which: Which<'_>) -> Value<'a> {
        match self.standing(index, which) {
            Standing::Said(value) => value.clone(),
            Standing::Came(key_value) => Value::of_entry(key_value),
            Standing::Nothing => Value::Nil,
        }
    }

    /// Takes away any key of the list at `field`, if it is there.
    pub fn remove(&mut self, index: &Index<'a>, field: u32, key: Cow<'a, str>) {
        let there = match self.registers.names.number(field, &key) {
            _ if self.taken_apart(field).is_some() => true,
            Some(number) => {
                let Register { last, written, .. } = self.registers.get(number);
                if last != 0 || written != 0 {
                    self.write_named(index, number, None);
                }
                return;
            }
            None => self.loose(field, &key).is_some() || index.key_values(field, &key).next().is_some(),
        };
        if there {
            self.write(index, field, key, None);
        }
    }

    /// Writes a key that has a number; no value takes it away.
    pub fn write_named(&mut self, index: &Index<'a>, number: Number, value: Option<Value<'a>>) {
        let names = self.registers.names;
        let (field, key) = (names.field(), Cow::Borrowed(names.key(number)));
        if !self.maps.is_empty() {
            return self.write(index, field, key, value);
        }
        let place = usize::from(self.registers.get(number).written).checked_sub(1);
        self.put(index, place, Written { number: Some(number), field, key, value });
    }

    /// Writes any key of the list at `field`; no value takes it away.
    pub fn write(&mut self, index: &Index<'a>, field: u32, key: Cow<'a, str>, value: Option<Value<'a>>) {
        if let Some((_, map)) = self.maps.iter_mut().find(|(written, _)| *written == field) {
            return match value {
                Some(value) => map.set(key, value),
                None => map.remove(&key),
            };
        }
        let number = self.registers.names.number(field, &key);
        let place = match number {
            Some(number) => usize::from(self.registers.get(number).written).checked_sub(1),
            None => self.loose(field, &key),
        };
        self.put(index, place, Written { number, field, key, value });
    }

    /// Keeps what is written, in the place where the key was written before.
    fn put(&mut self, index: &Index<'a>, place: Option<usize>, new: Written<'a>) {
        if let Some(written) = place.and_then(|place| self.written.get_mut(place)) {
            written.value = new.value;
            return;
        }
        if self.written.is_empty() {
            self.written.reserve(8);
        }
        if let Some(number) = new.number {
            self.registers.wrote(number, self.written.len());
        }
        let field = new.field;
        self.written.push(new);
        if self.written.len() > WRITTEN_MAX {
            self.map_mut(index, field);
        }
    }

    /// The whole list at `field`.
    pub fn map(&self, index: &Index<'a>, field: u32) -> Map<'a> {
        if let Some(map) = self.taken_apart(field) {
            return map.clone();
        }
        let mut map = Map::of_entries(index.bodies(field));
        for written in self.written.iter().filter(|written| written.field == field) {
            match &written.value {
                Some(value) => map.set(written.key.clone(), value.clone()),
                None => map.remove(&written.key),
            }
        }
        map
    }

    /// The same, to be written to.
    pub fn map_mut(&mut self, index: &Index<'a>, field: u32) -> &mut Map<'a> {
        let at = self.maps.iter().position(|(written, _)| *written == field).unwrap_or_else(|| {
            self.maps.push((field, self.map(index, field)));
            self.written.retain(|written| written.field != field);
            self.registers.forget();
            for (place, written) in self.written.iter().enumerate() {
                written.number.into_iter().for_each(|number| self.registers.wrote(number, place));
            }
            self.maps.len() - 1
        });
        &mut self.maps[at].1
    }

    /// Takes away the keys of the list at `field` that `is` wants.
    pub fn remove_all(&mut self, index: &Index<'a>, field: u32, is: impl Fn(&[u8]) -> bool) {
        if self.taken_apart(field).is_none() {
            let mut wanted: SmallVec<[&'a [u8]; FEW]> = SmallVec::new();
            wanted.extend(index.bodies(field).map(Attr::key_of).filter(|key| is(key)).take(FEW + 1));
            if wanted.len() <= FEW {
                for Written { number, field: of, key, value } in &mut self.written {
                    // What came is among those that are wanted, if it is.
                    let came = number.is_some_and(|number| self.registers.get(number).last != 0);
                    if *of == field && value.is_some() && !came && is(key.as_bytes()) {
                        *value = None;
                    }
                }
                wanted.into_iter().for_each(|key| self.write(index, field, utf8(key), None));
                return;
            }
        }
        self.map_mut(index, field).retain(|entry| !is(entry.key.as_bytes()));
    }

    /// Says what has to become of the lists. Entries whose keys `stays` names are left as they came.
    ///
    /// # Errors
    /// The name of a written value that OTLP has no place for.
    pub fn patch(
        &self,
        index: &Index<'a>,
        stays: impl Fn(&str) -> bool,
        patch: &mut Patch,
    ) -> Result<(), &'static str> {
        let end = index.base().len();
        for Written { number, field, key, value } in self.written.iter().filter(|w| !stays(&w.key)) {
            let register =
                number.map(|number| self.registers.get(number)).filter(|register| !register.several);
            let last = match register {
                Some(register) => register.last.checked_sub(1).and_then(|place| index.at(place)),
                None => {
                    let mut known = index.key_values(*field, key);
                    let last = known.next_back();
                    // Of a key that stands twice the last counted.
                    known.for_each(|slot| patch.cut(slot.range()));
                    last
                }
            };
            match (value, last.map(Slot::range)) {
                (Some(value), last) => patch.try_put(last.unwrap_or(end..end), |out| match number {
                    Some(number) => self.registers.names.put(*number, value, out),
                    None => put_entry(key, value, *field, 0, out),
                })?,
                (None, Some(last)) => patch.cut(last),
                (None, None) => {}
            }
        }
        for (field, map) in &self.maps {
            let known = index.messages(*field).map(|slot| (slot.range(), slot.body(index.base())));
            map.patch(*field, known, end, &stays, patch)?;
        }
        Ok(())
    }
}
