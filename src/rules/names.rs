//! The attributes that rules name, numbered when the rules are compiled.
//!
//! A message is gone through once, and each KeyValue whose key is named here is noted under the key's number
//! (`registers`): no statement looks for it again, however many name it. What is computed (`attributes[span.name]`) has
//! no number and is looked for. The surprise: there is one such table for each kind of message, not for each
//! context, since rules about events read the attributes of their span by the same numbers.

use super::group::Context;
use super::slots::{LEN, print_of};
use super::spots::{self, Home, Spot};
use super::value::{Value, put_behind};
use crate::wire::fields::put_len_field;

/// Numbers given in one kind of message, each of which takes a register in every such message; what is named beyond is
/// looked for.
const NUMBERS_MAX: usize = 64;
/// The same of events, of which an item has any number.
const INNER_MAX: usize = 16;

/// Stands for a key of one kind of message.
pub type Number = u16;

/// The named keys of one kind of message.
#[derive(Debug, Default)]
pub struct Names {
    /// The field its attributes stand in.
    field: u32,
    all: Vec<Name>,
    /// By their prints: a power of two of places, at most half of them taken, the others without a print.
    places: Vec<(u32, Number)>,
}

#[derive(Debug)]
struct Name {
    key: Box<str>,
    /// The key as a KeyValue begins with it.
    head: Box<[u8]>,
}

impl Names {
    /// Where nothing is named.
    pub const NONE: &Names = &Names { field: 0, all: Vec::new(), places: Vec::new() };

    /// The field their attributes stand in.
    pub fn field(&self) -> u32 {
        self.field
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn key(&self, number: Number) -> &str {
        self.all.get(usize::from(number)).map_or("", |name| &name.key)
    }

    /// The tag of a KeyValue among which named ones are.
    pub fn tag(&self) -> u32 {
        self.field << 3 | LEN
    }

    /// The number of a key with this print.
    #[inline]
    pub fn find(&self, print: u32, key: &[u8]) -> Option<Number> {
        let mask = self.places.len().wrapping_sub(1);
        let mut at = place(print);
        // Half of the places are free.
        loop {
            match *self.places.get(at & mask)? {
                (0, _) => return None,
                (known, number) if known == print && self.key(number).as_bytes() == key => {
                    return Some(number);
                }
                _ => at += 1,
            }
        }
    }

    /// The number of a key of the list at `field`.
    pub fn number(&self, field: u32, key: &str) -> Option<Number> {
        if field == self.field { self.find(print_of(key.as_bytes()), key.as_bytes()) } else { None }
    }

    /// The same, given now if it has none.
    fn numbered(&mut self, field: u32, key: &str, most: usize) -> Option<Number> {
        let known = self.number(field, key);
        if known.is_some() || field != self.field || self.all.len() >= most {
            return known;
        }
        let number = self.all.len() as Number;
        let mut head = Vec::new();
        put_len_field(1, key.as_bytes(), &mut head);
        self.all.push(Name { key: key.into(), head: head.into() });
        self.places = vec![(0, 0); self.all.len().next_power_of_two() * 2];
        let mask = self.places.len() - 1;
        for (number, name) in (0..).zip(&self.all) {
            let print = print_of(name.key.as_bytes());
            let mut at = place(print);
            while self.places[at & mask].0 != 0 {
                at += 1;
            }
            self.places[at & mask] = (print, number);
        }
        Some(number)
    }

    /// Appends a whole KeyValue.
    ///
    /// # Errors
    /// As [`Value::put`].
    pub fn put(&self, number: Number, value: &Value<'_>, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let head = self.all.get(usize::from(number)).map_or(&[][..], |name| &name.head);
        put_behind(head, value, self.field, 0, out)
    }
}

fn place(print: u32) -> usize {
    (print.wrapping_mul(0x9e37_79b9) >> 16) as usize
}

/// The tables of all kinds of messages.
#[derive(Debug)]
pub struct Tables([Names; Context::ALL.len()]);

impl Tables {
    /// Where nothing is named.
    pub const NONE: &Tables =
        &Tables([const { Names { field: 0, all: Vec::new(), places: Vec::new() } }; Context::ALL.len()]);

    /// Of the messages that rules about `context` are about.
    pub fn of(&self, context: Context) -> &Names {
        self.0.get(context as usize).unwrap_or(Names::NONE)
    }

    /// The number of the attribute that a path of a rule about `context` leads to.
    pub fn numbered(&mut self, context: Context, home: Home, spot: Spot, key: &str) -> Option<Number> {
        let Spot::Attributes(field) = spot else { return None };
        let most = if home == Home::Inner { INNER_MAX } else { NUMBERS_MAX };
        self.0.get_mut(message(context, home)? as usize)?.numbered(field, key, most)
    }
}

impl Default for Tables {
    fn default() -> Self {
        Self(Context::ALL.map(|context| {
            let list = spots::of_context(context).iter().find_map(|known| match known.spot {
                Spot::Attributes(field) => Some(field),
                _ => None,
            });
            Names { field: list.unwrap_or(0), ..Names::default() }
        }))
    }
}

/// What kind of message a path of a rule about `context` leads into.
fn message(context: Context, home: Home) -> Option<Context> {
    Some(match home {
        Home::Inner => context,
        Home::Item => around(context),
        Home::Resource => Context::Resource,
        Home::Scope => Context::Scope,
        Home::Root | Home::Parent => Context::Span,
        Home::Around => return None,
    })
}

/// The item that holds what rules about `context` are about.
pub fn around(context: Context) -> Context {
    match context {
        Context::SpanEvent => Context::Span,
        Context::DataPoint => Context::Metric,
        context => context,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_number_however_often_it_is_named() {
        let mut tables = Tables::default();
        let mut number =
            |home, key: &str| tables.numbered(Context::SpanEvent, home, Spot::Attributes(9), key);
        let keys: Vec<String> = (0..60).map(|nth| format!("{nth}.key")).collect();
        for _ in 0..2 {
            for (nth, key) in (0..).zip(&keys) {
                assert_eq!(number(Home::Item, key), Some(nth));
            }
        }
        assert_eq!(number(Home::Inner, "key"), None, "an event has its attributes elsewhere");
        let names = tables.of(Context::Span);
        assert_eq!(
            (names.number(9, "7.key"), names.number(9, "7.kez"), names.number(1, "7.key")),
            (Some(7), None, None)
        );
        assert_eq!((names.key(7), names.key(60)), ("7.key", ""));
    }

    #[test]
    fn numbers_end_somewhere() {
        for (context, home, field, most) in
            [(Context::Log, Home::Item, 6, NUMBERS_MAX), (Context::SpanEvent, Home::Inner, 3, INNER_MAX)]
        {
            let mut tables = Tables::default();
            for nth in 0..=most {
                let number = tables.numbered(context, home, Spot::Attributes(field), &nth.to_string());
                assert_eq!(number, (nth < most).then_some(nth as Number));
            }
        }
    }
}
