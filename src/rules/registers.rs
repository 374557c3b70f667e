//! What is known of each key that rules name, found out in one pass over the fields of a message.
//!
//! A register says what came. Of what was written it says only where that is kept (`entries`), which may own it.

use smallvec::SmallVec;

use super::compare::Single;
use super::index::Index;
use super::names::{Names, Number};
use super::slots::print_of;
use crate::wire::attr::Attr;

/// What is known of a key. Zeros: it is not there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Register<'a> {
    /// What it says as it came, as it is compared.
    pub now: Single<'a>,
    /// One more than the place of its last KeyValue among the fields.
    pub last: u32,
    /// One more than its place among what was written.
    pub written: u16,
    /// It stands there more than once.
    pub several: bool,
}

#[derive(Clone, Debug)]
pub struct Registers<'a> {
    pub names: &'a Names,
    /// By number.
    all: SmallVec<[Register<'a>; 16]>,
}

impl<'a> Registers<'a> {
    /// Of a message that is still to be gone through.
    pub fn of(names: &'a Names) -> Self {
        Self { names, all: SmallVec::new() }
    }

    /// Of a message of which this is known.
    #[inline(always)]
    pub fn known(names: &'a Names, named: impl Iterator<Item = (Number, Register<'a>)>) -> Self {
        let mut all = SmallVec::new();
        all.resize(names.len(), Register::default());
        for (number, register) in named {
            if let Some(place) = all.get_mut(usize::from(number)) {
                *place = register;
            }
        }
        Self { names, all }
    }

    /// Notes what stands in the message under the named keys.
    pub fn fill(&mut self, index: &Index<'a>) {
        let names = self.names;
        if names.len() == 0 {
            return;
        }
        self.all.resize(names.len(), Register::default());
        let (tag, base, all) = (names.tag(), index.base(), self.all.as_mut_slice());
        for (place, slot) in (0..).zip(index.all()).filter(|(_, slot)| slot.tag == tag) {
            let key_value = slot.body(base);
            let usual = Attr::usual(key_value);
            let key = usual.map_or_else(|| Attr::key_of(key_value), |(key, _)| key);
            let number = names.find(print_of(key), key);
            if let Some(register) = number.and_then(|number| all.get_mut(usize::from(number))) {
                register.several |= register.last != 0;
                register.last = place + 1;
                register.now = match usual {
                    Some((_, body)) => Single::of_any(body),
                    None => Single::of_read(Attr::of(key_value).value),
                };
            }
        }
    }

    #[inline]
    pub fn get(&self, number: Number) -> Register<'a> {
        self.all.get(usize::from(number)).copied().unwrap_or_default()
    }

    /// Notes where it was written.
    #[inline]
    pub fn wrote(&mut self, number: Number, place: usize) {
        if let Some(register) = self.all.get_mut(usize::from(number)) {
            register.written = u16::try_from(place + 1).unwrap_or(0);
        }
    }

    /// Forgets where anything was written.
    pub fn forget(&mut self) {
        self.all.iter_mut().for_each(|register| register.written = 0);
    }
}
