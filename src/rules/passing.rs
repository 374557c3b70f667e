//! What the rules make of a resource block that passes through: log records, metrics, spans that nobody joins.
//!
//! One plan for the whole block, so that what no rule touches is copied as it came, or not at all. What passes
//! is seen by itself: there is no trace around it, and children of a dropped span keep its name.

use std::borrow::Cow;

use smallvec::{SmallVec, smallvec};

use super::engine::{Outcome, Rules};
use super::frame::{Frame, Request};
use super::group::Context;
use super::parts::{Part, Parts};
use super::slots::{Slot, slots};
use super::trouble::Trouble;
use crate::model::Destination;
use crate::wire::fields::put_len_field;
use crate::wire::patch::Patch;
use crate::wire::{Signal, split};

/// Field numbers in every block: what it is about, and what is in it.
const HEAD: u32 = 1;
const ITEMS: u32 = 2;

/// What becomes of a block.
#[derive(Debug, Default)]
pub struct Ruled {
    /// For the block's body: what goes to each destination, in the order their first items stand in the block.
    /// None when nothing is left of it.
    pub parts: Parts,
    /// Spans, records or data points that are dropped, and those that were not drawn.
    pub dropped: u64,
    pub sampled_out: u64,
    pub troubles: Vec<(u32, Trouble)>,
}

/// A block's surroundings, and whoever wants to know of each item what the rules make of it.
#[derive(Debug)]
pub struct Passing<'a, Random, See> {
    pub rules: &'a Rules,
    pub signal: Signal,
    /// The Resource's body, with what labels and rules made of it.
    pub resource: &'a [u8],
    /// The one it came in.
    pub request: Option<&'a dyn Request>,
    /// Unix nanoseconds.
    pub now: i64,
    /// Gives what nobody can guess, new each time.
    pub random: Random,
    pub see: See,
}

impl<Random: FnMut() -> u128, See: FnMut(&[u8], &Outcome)> Passing<'_, Random, See> {
    /// Runs the rules about scopes and items on the body of a resource block.
    pub fn apply(mut self, block: &[u8]) -> Ruled {
        let mut ruled = Ruled::default();
        let mut parts = Parts::default();
        for slot in slots(block).filter(|slot| slot.is_message(ITEMS)) {
            let scope = self.scope(slot.body(block), &mut ruled);
            // One that was empty before stays where it is.
            if !scope.is_untouched() {
                parts.lay(&slot, slot.body(block), scope.into_pieces());
            }
        }
        ruled.parts = parts;
        ruled
    }

    /// What becomes of a scope block.
    fn scope(&mut self, block: &[u8], ruled: &mut Ruled) -> Parts {
        let mut begun = Patch::default();
        let items = || slots(block).filter(|slot| slot.is_message(ITEMS));
        let Some((scope, to)) = self.head(block, &mut begun, ruled) else {
            let mut parts = Parts::default();
            for slot in items() {
                ruled.dropped += self.weight(slot.body(block));
                parts.lay(&slot, slot.body(block), SmallVec::new());
            }
            return parts;
        };
        let mut parts = Parts::of(begun, block.len());
        let routes = !self.rules.routes().is_nowhere();
        let mut rules = self.rules.recalling(self.signal);
        for slot in items() {
            let item = slot.body(block);
            let frame = Frame {
                signal: Some(self.signal),
                resource: self.resource,
                scope: &scope,
                request: self.request,
                now: self.now,
                random: (self.random)(),
                ..Frame::default()
            };
            let mut outcome = rules.apply_item(item, frame);
            (self.see)(item, &outcome);
            ruled.troubles.append(&mut outcome.troubles);
            if outcome.dropped || outcome.sampled_out {
                let gone = if outcome.dropped { &mut ruled.dropped } else { &mut ruled.sampled_out };
                *gone += self.weight(item);
                parts.lay(&slot, item, SmallVec::new());
                continue;
            }
            let mut gone = 0;
            if self.signal == Signal::Metrics {
                // Of other items the parts are not counted: they settle with the item.
                gone = u64::from(outcome.parts_dropped);
                ruled.dropped += gone;
            }
            let items = if routes { self.weight(item).saturating_sub(gone) } else { 0 };
            let to = Destination::both(to, outcome.route);
            parts.lay(&slot, item, smallvec![Part { to, edits: outcome.edits, items }]);
        }
        parts
    }

    /// The scope's body as the rules leave it and where they send what is in it, noting what is to be written;
    /// `None` if it is dropped. An absent one has nothing to be changed.
    fn head<'b>(
        &mut self,
        block: &'b [u8],
        edits: &mut Patch,
        ruled: &mut Ruled,
    ) -> Option<(Cow<'b, [u8]>, Option<Destination>)> {
        let pieces: SmallVec<[Slot; 1]> = slots(block).filter(|slot| slot.is_message(HEAD)).collect();
        let (first, others) = match pieces.split_first() {
            Some((first, others)) => (first, others),
            None => return Some((Cow::Borrowed(&[]), None)),
        };
        let scope = match others {
            [] => Cow::Borrowed(first.body(block)),
            _ => Cow::Owned(pieces.iter().map(|piece| piece.body(block)).collect::<Vec<_>>().concat()),
        };
        if scope.is_empty() || !self.rules.has_context(Context::Scope) {
            return Some((scope, None));
        }
        let frame = Frame {
            signal: Some(self.signal),
            resource: self.resource,
            request: self.request,
            now: self.now,
            random: (self.random)(),
            ..Frame::default()
        };
        let outcome = self.rules.apply_scope(&scope, frame);
        ruled.troubles.extend(outcome.troubles);
        if outcome.dropped {
            return None;
        }
        if outcome.edits.is_empty() {
            return Some((scope, outcome.route));
        }
        let new = outcome.edits.apply(&scope);
        edits.put(first.range(), |out| put_len_field(HEAD, &new, out));
        others.iter().for_each(|piece| edits.cut(piece.range()));
        Some((Cow::Owned(new), outcome.route))
    }

    /// Items that one message counts for.
    fn weight(&self, item: &[u8]) -> u64 {
        if self.signal == Signal::Metrics { split::points(item) } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    use prost::Message;

    use super::*;
    use crate::rules::Group;

    fn block(scopes: &[(&str, &[&str])]) -> ResourceLogs {
        let record = |text: &&str| LogRecord { severity_text: (*text).into(), ..LogRecord::default() };
        let scope = |(name, records): &(&str, &[&str])| ScopeLogs {
            scope: Some(InstrumentationScope { name: (*name).into(), ..Default::default() }),
            log_records: records.iter().map(record).collect(),
            schema_url: "url".into(),
        };
        ResourceLogs { scope_logs: scopes.iter().map(scope).collect(), ..ResourceLogs::default() }
    }

    fn ruled(statements: &[&str], block: &ResourceLogs) -> (Ruled, ResourceLogs) {
        let group = |text: &&str| Group { statements: vec![(*text).into()], ..Group::default() };
        let rules = Rules::compile(&statements.iter().map(group).collect::<Vec<_>>()).unwrap();
        let (signal, block) = (Signal::Logs, block.encode_to_vec());
        let passing = Passing {
            rules: &rules,
            signal,
            resource: &[],
            request: None,
            now: 0,
            random: || 1,
            see: |_: &[u8], _: &Outcome| {},
        };
        let ruled = passing.apply(&block);
        let after = ruled.parts.iter().next().map_or(Vec::new(), |part| part.edits.apply(&block));
        let after = ResourceLogs::decode(after.as_slice()).unwrap();
        (ruled, after)
    }

    #[track_caller]
    fn check(statements: &[&str], expect: &[(&str, &[&str])], lost: u64) {
        let before = block(&[("a", &["x", "y"]), ("b", &["z"])]);
        let (ruled, after) = ruled(statements, &before);
        assert_eq!((after, ruled.dropped), (block(expect), lost), "{statements:?}");
    }

    #[test]
    fn records_and_scopes_are_changed_in_their_places() {
        check(&["set(log.severity_text, \"x\")"], &[("a", &["x", "x"]), ("b", &["x"])], 0);
        check(&["set(scope.name, \"c\") where scope.name == \"b\""], &[("a", &["x", "y"]), ("c", &["z"])], 0);
        let both = ["set(scope.name, \"c\")", "set(log.severity_text, scope.name)"];
        check(&both, &[("c", &["c", "c"]), ("c", &["c"])], 0);
    }

    #[test]
    fn a_scope_goes_with_its_last_record() {
        check(&["drop() where log.severity_text == \"z\""], &[("a", &["x", "y"])], 1);
        check(&["drop() where log.severity_text == \"x\""], &[("a", &["y"]), ("b", &["z"])], 1);
        check(&["drop() where scope.name == \"a\""], &[("b", &["z"])], 2);
        check(&["drop() where log.severity_text != nil"], &[], 3);
    }

    #[test]
    fn what_changes_nothing_plans_nothing() {
        let before = block(&[("a", &["x", "y"]), ("b", &["z"])]);
        let (ruled, after) =
            ruled(&["set(log.severity_text, \"q\") where log.severity_text == \"w\""], &before);
        assert!(ruled.parts.iter().all(|part| part.edits.is_empty()) && after == before);
    }

    #[test]
    fn a_block_goes_to_each_destination_with_what_is_sent_there() {
        let group = |text: &&str| Group { statements: vec![(*text).into()], ..Group::default() };
        let statements = [
            "route(\"eu\") where log.severity_text == \"x\" or scope.name == \"b\"",
            "route(\"us\") where log.severity_text == \"z\"",
            "drop() where log.severity_text == \"w\"",
            "set(scope.name, \"c\") where scope.name == \"a\"",
        ];
        let rules = Rules::compile(&statements.iter().map(group).collect::<Vec<_>>()).unwrap();
        let before =
            block(&[("a", &["w", "x", "y", "x"]), ("b", &["z", "v"]), ("d", &["y"])]).encode_to_vec();
        let (signal, see) = (Signal::Logs, |_: &[u8], _: &Outcome| {});
        let ruled =
            Passing { rules: &rules, signal, resource: &[], request: None, now: 0, random: || 1, see }
                .apply(&before);
        let (eu, us) = (Destination::of(0), Destination::of(1));
        let part = |part: &Part| {
            let block = ResourceLogs::decode(part.edits.apply(&before).as_slice()).unwrap();
            (part.to, part.items, block)
        };
        let parts: Vec<_> = ruled.parts.iter().map(part).collect();
        let expect = [
            (Some(eu), 3, block(&[("c", &["x", "x"]), ("b", &["v"])])),
            (None, 2, block(&[("c", &["y"]), ("d", &["y"])])),
            (Some(eu | us), 1, block(&[("b", &["z"])])),
        ];
        assert_eq!((parts.as_slice(), ruled.dropped), (&expect[..], 1));
    }
}
