//! One item under evaluation: what it says now, and what is around it.
//!
//! Statements read and write here; nothing is copied until [`Scene::patch`] says what has changed.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

use super::draft::Draft;
use super::frame::Frame;
use super::group::Context;
use super::keys::{self, Key};
use super::lambda::Locals;
use super::map::Map;
use super::names::{Names, Tables};
use super::points::Kind;
use super::reading::{self, Reading};
use super::recast::Recast;
use super::slots::{self, Nests, Slot};
use super::spots::{Home, Spot};
use super::trouble::Trouble;
use super::value::Value;
use super::writing;
use crate::model::Destination;
use crate::wire::patch::Patch;
use crate::wire::splice::identifies;

/// An event of a span, or a point of a metric.
#[derive(Debug)]
pub struct Inner<'a> {
    pub draft: Draft<'a>,
    pub kind: Option<Kind>,
    /// Which of its siblings it is, where it stands among them, and where the message of points does.
    nth: u32,
    slot: Slot,
    outer: Option<(Slot, &'a [u8])>,
    pub dropped: bool,
}

#[derive(Debug)]
pub struct Scene<'a> {
    pub frame: Frame<'a>,
    pub context: Context,
    names: &'a Tables,
    pub item: Draft<'a>,
    /// The resource, the scope, the root and the parent, where somebody has looked at them.
    around: [OnceCell<Box<Draft<'a>>>; 4],
    /// Read when the first group wants them; then kept, with what was written to them.
    pub inners: Option<Vec<Inner<'a>>>,
    /// The one that is looked at.
    pub current: Option<usize>,
    pub cache: Map<'a>,
    pub locals: Locals<'a>,
    pub dropped: bool,
    /// What `sample` asks of the trace this belongs to (`sample`); of several the highest.
    pub threshold: Option<u64>,
    /// What kind of metric this becomes.
    pub recast: Option<Recast>,
    /// The upstreams it goes to, and no others.
    pub route: Option<Destination>,
    /// Random values handed out so far.
    pub drawn: Cell<u32>,
}

/// Span.events.
const EVENTS: u32 = 11;
/// `data_points` of every kind of metric.
const POINTS: u32 = 1;

impl<'a> Scene<'a> {
    pub fn of(context: Context, item: &'a [u8], frame: Frame<'a>, names: &'a Tables) -> Self {
        Self::about(context, Draft::of(item, names.of(context)), frame, names)
    }

    #[inline(always)]
    pub fn about(context: Context, item: Draft<'a>, frame: Frame<'a>, names: &'a Tables) -> Self {
        Self {
            frame,
            context,
            names,
            item,
            around: Default::default(),
            inners: None,
            current: None,
            cache: Map::default(),
            locals: Locals::default(),
            dropped: false,
            threshold: None,
            recast: None,
            route: None,
            drawn: Cell::new(0),
        }
    }

    /// Something was said about the item as a whole.
    pub fn decided(&self) -> bool {
        self.dropped || self.threshold.is_some() || self.route.is_some()
    }

    /// That, or it was changed otherwise than field by field and key by key.
    pub fn goes_further(&self) -> bool {
        self.decided() || self.recast.is_some() || self.inners.is_some() || !self.item.is_simple()
    }

    /// How many events or points there are for `context` to look at.
    pub fn load_inners(&mut self, context: Context) -> usize {
        if self.inners.is_none() {
            let (item, names) = (&self.item, self.names.of(context));
            let inner = |(nth, slot): (u32, Slot), message, kind, outer| Inner {
                draft: Draft::of(slot.body(message), names),
                kind,
                nth,
                slot,
                outer,
                dropped: false,
            };
            self.inners = Some(match (context, Kind::of(item.base())) {
                (Context::SpanEvent, _) => {
                    let events = (0..).zip(item.messages(EVENTS).copied());
                    events.map(|event| inner(event, item.base(), None, None)).collect()
                }
                (_, Some(kind)) => {
                    let points = |data: &Slot| {
                        let (data, message) = (*data, data.body(item.base()));
                        let points = slots::slots(message).filter(|slot| slot.is_message(POINTS));
                        (0..)
                            .zip(points)
                            .map(move |point| inner(point, message, Some(kind), Some((data, message))))
                    };
                    item.messages(kind as u32).flat_map(points).collect()
                }
                (_, None) => Vec::new(),
            });
        }
        self.inners.as_ref().map_or(0, Vec::len)
    }

    /// Empties the cache.
    pub fn forget(&mut self) {
        if self.cache.is_touched() {
            self.cache = Map::default();
        }
    }

    #[inline]
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
        if spot.is_long() {
            self.locals.spend(self.item.base().len())?;
            if home == Home::Item && self.inners.is_some() {
                // Its events or points may have been written to, one by one.
                let now = self.patch()?.0.apply(self.item.base());
                let reading = Reading { draft: &Draft::of(&now, Names::NONE), kind: self.kind(home), nth: 0 };
                return Ok(reading.value(spot, keys)?.into_owned());
            }
        }
        let reading =
            |draft| Reading { draft, kind: self.kind(home), nth: self.inner().map_or(0, |i| i.nth) };
        if let (Spot::MetricType, Some(recast)) = (spot, &self.recast) {
            return Ok(Value::Int(recast.to.number()));
        }
        match self.draft(home) {
            _ if home == Home::Around => reading::around(&self.frame, &self.cache, spot, keys),
            Some(draft) => reading(draft).value(spot, keys),
            None => Ok(Value::Nil),
        }
    }

    /// The message that paths of `home` lead into.
    #[inline]
    pub fn draft(&self, home: Home) -> Option<&Draft<'a>> {
        match home {
            Home::Item => Some(&self.item),
            Home::Inner => self.inner().map(|inner| &inner.draft),
            _ => self.further(home),
        }
    }

    fn further(&self, home: Home) -> Option<&Draft<'a>> {
        let (nth, message, kind) = match home {
            Home::Item | Home::Inner | Home::Around => return None,
            Home::Resource => (0, self.frame.resource, Context::Resource),
            Home::Scope => (1, self.frame.scope, Context::Scope),
            Home::Root => (2, self.frame.root?, Context::Span),
            Home::Parent => (3, self.frame.parent?, Context::Span),
        };
        let draft = self.around.get(nth)?;
        Some(draft.get_or_init(|| Box::new(Draft::of(message, self.names.of(kind)))))
    }

    /// The one that is written to: the item, or the event or point that is looked at.
    #[inline]
    pub fn draft_mut(&mut self, home: Home) -> Option<&mut Draft<'a>> {
        match home {
            Home::Inner => self.inner_mut().map(|inner| &mut inner.draft),
            _ => Some(&mut self.item),
        }
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
        // The first key of a map stands in no value.
        let level = match writing::resolve(spot, kind) {
            Some(Spot::Attributes(_)) => Some(keys.len().saturating_sub(1)),
            Some(Spot::Any(_)) => Some(keys.len()),
            _ => None,
        };
        if let Some(level) = level.map(|level| u32::try_from(level).unwrap_or(u32::MAX)) {
            let fits = match &value {
                Value::Map(map) if keys.is_empty() && !matches!(spot, Spot::Any(_)) => {
                    map.entries().iter().try_for_each(|entry| entry.value.fits_in(level))
                }
                value => value.fits_in(level),
            };
            fits.map_err(Trouble::homeless)?;
        }
        let Some(draft) = self.draft_mut(home) else { return Ok(()) };
        match writing::resolve(spot, kind) {
            Some(spot) => writing::write(draft, spot, keys, value),
            // A point without such a field: the Collector writes nothing either.
            None => Ok(()),
        }
    }

    /// Takes one key out of the map at `spot`.
    ///
    /// # Errors
    /// When there is no map.
    pub fn remove_key(
        &mut self,
        (home, spot, keys): (Home, Spot, &[Key<'a>]),
        key: Cow<'a, str>,
    ) -> Result<(), Trouble> {
        match (home, writing::resolve(spot, self.kind(home)), keys) {
            (Home::Item, Some(Spot::Attributes(field)), []) => {
                self.item.remove_entry(field, key);
                Ok(())
            }
            _ => self.remove_keys((home, spot, keys), |known| known == key.as_bytes()),
        }
    }

    /// Takes keys that `is` wants out of the map at `spot`.
    ///
    /// # Errors
    /// When there is no map.
    pub fn remove_keys(
        &mut self,
        (home, spot, keys): (Home, Spot, &[Key<'a>]),
        is: impl Fn(&[u8]) -> bool,
    ) -> Result<(), Trouble> {
        let resolved = writing::resolve(spot, self.kind(home));
        match (resolved, keys) {
            (Some(Spot::Attributes(field)), []) => {
                if let Some(draft) = self.draft_mut(home) {
                    draft.remove_entries(field, is);
                }
                Ok(())
            }
            _ => self.edit_map(home, spot, keys, |map| {
                map.retain(|entry| !is(entry.key.as_bytes()));
                Ok(())
            }),
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
            (Some(Spot::Attributes(field)), []) => match self.draft_mut(home) {
                Some(draft) => edit(draft.map_mut(field)),
                None => Ok(()),
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
        let base = self.item.base();
        let stays = |key: &str| self.context == Context::Resource && identifies(base, key.as_bytes());
        let mut nests = Nests::default();
        let mut patch = self.item.patch(stays, &mut nests).map_err(Trouble::homeless)?;
        let mut gone = 0;
        for inner in self.inners.iter().flatten() {
            let siblings = match &inner.outer {
                Some((data, message)) => nests.of(data, message),
                None => &mut patch,
            };
            if inner.dropped {
                gone += 1;
                siblings.cut(inner.slot.range());
                continue;
            }
            let mut inside = Nests::default();
            let mut changed = inner.draft.patch(|_| false, &mut inside).map_err(Trouble::homeless)?;
            inside.settle(&mut changed);
            inner.slot.nest(inner.draft.base(), changed, siblings);
        }
        nests.settle(&mut patch);
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
