//! One item under evaluation: what it says now, and what is around it.
//!
//! Statements read and write here; nothing is copied until [`Scene::patch`] says what has changed.

use std::borrow::Cow;
use std::cell::Cell;

use super::draft::Draft;
use super::frame::Frame;
use super::group::Context;
use super::keys::{self, Key};
use super::map::Map;
use super::points::{self, Kind};
use super::reading::{self, Reading};
use super::recast::Recast;
use super::spots::{Home, Spot};
use super::trouble::Trouble;
use super::value::Value;
use super::writing;
use crate::wire::patch::{Fate, Patch};
use crate::wire::splice::identifies;

/// An event of a span, or a point of a metric.
#[derive(Debug)]
pub struct Inner<'a> {
    pub draft: Draft<'a>,
    pub kind: Option<Kind>,
    /// Its occurrence among its siblings' field, and that of the message it is in, for points.
    nth: u32,
    outer: u32,
    pub dropped: bool,
}

#[derive(Debug)]
pub struct Scene<'a> {
    pub frame: Frame<'a>,
    pub context: Context,
    pub item: Draft<'a>,
    /// Read when the first group wants them; then kept, with what was written to them.
    pub inners: Option<Vec<Inner<'a>>>,
    /// The one that is looked at.
    pub current: Option<usize>,
    pub cache: Map<'a>,
    pub dropped: bool,
    /// What `sample` asks of the trace this belongs to (`sample`); of several the highest.
    pub threshold: Option<u64>,
    /// What kind of metric this becomes.
    pub recast: Option<Recast>,
    pub route: Option<&'a str>,
    /// Random values handed out so far.
    pub drawn: Cell<u32>,
}

/// Span.events.
const EVENTS: u32 = 11;

impl<'a> Scene<'a> {
    pub fn of(context: Context, item: &'a [u8], frame: Frame<'a>) -> Self {
        Self {
            frame,
            context,
            item: Draft::of(item),
            inners: None,
            current: None,
            cache: Map::default(),
            dropped: false,
            threshold: None,
            recast: None,
            route: None,
            drawn: Cell::new(0),
        }
    }

    /// How many events or points there are for `context` to look at.
    pub fn load_inners(&mut self, context: Context) -> usize {
        if self.inners.is_none() {
            let base = self.item.base();
            let inner =
                |outer, nth, body, kind| Inner { draft: Draft::of(body), kind, nth, outer, dropped: false };
            let kind = Kind::of(base);
            self.inners = Some(match (context, kind) {
                (Context::SpanEvent, _) => {
                    points::nested(base, EVENTS).map(|(nth, body)| inner(0, nth, body, None)).collect()
                }
                (_, Some(kind)) => points::each(base, kind)
                    .map(|(outer, nth, body)| inner(outer, nth, body, Some(kind)))
                    .collect(),
                (_, None) => Vec::new(),
            });
        }
        self.inners.as_ref().map_or(0, Vec::len)
    }

    pub fn inner(&self) -> Option<&Inner<'a>> {
        self.inners.as_ref()?.get(self.current?)
    }

    fn inner_mut(&mut self) -> Option<&mut Inner<'a>> {
        self.inners.as_mut()?.get_mut(self.current?)
    }

    /// Drops what the statement looks at: the item, or the event or point of it.
    pub fn drop_current(&mut self) {
        match self.inner_mut() {
            Some(inner) => inner.dropped = true,
            None => self.dropped = true,
        }
    }

    /// The kind a metric has, or is to have.
    pub fn metric_kind(&self) -> Option<Kind> {
        self.recast.as_ref().map(|recast| recast.to).or_else(|| Kind::of(self.item.base()))
    }

    /// What stands at `spot`, looked into by `keys`.
    ///
    /// # Errors
    /// When a key does not fit what it looks into.
    pub fn read(&self, home: Home, spot: Spot, keys: &[Key<'_>]) -> Result<Value<'a>, Trouble> {
        let reading =
            |draft| Reading { draft, kind: self.kind(home), nth: self.inner().map_or(0, |i| i.nth) };
        if let (Spot::MetricType, Some(recast)) = (spot, &self.recast) {
            return Ok(Value::Int(recast.to.number()));
        }
        let borrowed;
        let draft = match home {
            Home::Item => &self.item,
            Home::Inner => match self.inner() {
                Some(inner) => &inner.draft,
                None => return Ok(Value::Nil),
            },
            Home::Around => return reading::around(&self.frame, &self.cache, spot, keys),
            Home::Resource | Home::Scope | Home::Root | Home::Parent => {
                let message = match home {
                    Home::Resource => Some(self.frame.resource),
                    Home::Scope => Some(self.frame.scope),
                    Home::Root => self.frame.root,
                    _ => self.frame.parent,
                };
                let Some(message) = message else { return Ok(Value::Nil) };
                borrowed = Draft::of(message);
                &borrowed
            }
        };
        reading(draft).value(spot, keys)
    }

    fn kind(&self, home: Home) -> Option<Kind> {
        match home {
            Home::Inner => self.inner()?.kind,
            Home::Item if self.context == Context::Metric => Kind::of(self.item.base()),
            _ => None,
        }
    }

    /// # Errors
    /// When the value has another type than the place, or a key does not fit.
    pub fn write(
        &mut self,
        home: Home,
        spot: Spot,
        keys: &[Key<'a>],
        value: Value<'a>,
    ) -> Result<(), Trouble> {
        let kind = self.kind(home);
        if spot == Spot::Cache {
            return keys::set_in_map(&mut self.cache, keys, value);
        }
        let draft = match home {
            Home::Inner => match self.inner_mut() {
                Some(inner) => &mut inner.draft,
                None => return Ok(()),
            },
            _ => &mut self.item,
        };
        match writing::resolve(spot, kind) {
            Some(spot) => writing::write(draft, spot, keys, value),
            // A point without such a field: the Collector writes nothing either.
            None => Ok(()),
        }
    }

    /// Lets `edit` change the map at `spot`.
    ///
    /// # Errors
    /// When there is no map, and whatever `edit` finds.
    pub fn edit_map(
        &mut self,
        home: Home,
        spot: Spot,
        keys: &[Key<'a>],
        edit: impl FnOnce(&mut Map<'a>) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let kind = self.kind(home);
        let resolved = writing::resolve(spot, kind);
        match (resolved, keys) {
            (Some(Spot::Cache), []) => edit(&mut self.cache),
            (Some(Spot::Attributes(field)), []) => match home {
                Home::Inner => match self.inner_mut() {
                    Some(inner) => edit(inner.draft.map_mut(field)),
                    None => Ok(()),
                },
                _ => edit(self.item.map_mut(field)),
            },
            (Some(_), _) => match self.read(home, spot, keys)?.open() {
                Value::Map(mut map) => {
                    edit(&mut map)?;
                    if map.is_touched() { self.write(home, spot, keys, Value::Map(map)) } else { Ok(()) }
                }
                other => Err(Trouble::wanted("a map", &other)),
            },
            (None, _) => Ok(()),
        }
    }

    /// What has to become of the item, and how many of its events or points go.
    ///
    /// # Errors
    /// [`Trouble`] about a written value that OTLP has no place for.
    pub fn patch(&self) -> Result<(Patch, u32), Trouble> {
        let homeless = |what| Trouble(format!("OTLP has no place for {what}"));
        let base = self.item.base();
        let stays = |key: &str| self.context == Context::Resource && identifies(base, key.as_bytes());
        let mut patch = self.item.patch(stays).map_err(homeless)?;
        let mut gone = 0;
        for inner in self.inners.iter().flatten() {
            let (siblings, field) = match inner.kind {
                Some(kind) => (patch.within(kind as u32, inner.outer), 1),
                None => (&mut patch, EVENTS),
            };
            if inner.dropped {
                gone += 1;
                siblings.decide(field, inner.nth, Fate::Cut);
                continue;
            }
            let changed = inner.draft.patch(|_| false).map_err(homeless)?;
            if !changed.is_empty() {
                *siblings.within(field, inner.nth) = changed;
            }
        }
        Ok((patch, gone))
    }
}

/// A key as a string, for messages and headers.
pub fn name_of<'k>(key: &'k Key<'_>) -> Cow<'k, str> {
    match key {
        Key::Name(name) => Cow::Borrowed(name),
        Key::At(nth) => Cow::Owned(nth.to_string()),
    }
}
