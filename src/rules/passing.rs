//! What the rules make of a resource block that passes through: log records, metrics, spans that nobody joins.
//!
//! One plan for the whole block, so that what no rule touches is copied as it came, or not at all. What passes
//! is seen by itself: there is no trace around it, and children of a dropped span keep its name.

use std::borrow::Cow;

use super::engine::{Outcome, Rules};
use super::frame::Frame;
use super::group::Context;
use super::trouble::Trouble;
use crate::wire::attr::messages;
use crate::wire::fields::put_len_field;
use crate::wire::patch::{Fate, Patch};
use crate::wire::{Signal, split};

/// Field numbers in every block: what it is about, and what is in it.
const HEAD: u32 = 1;
const ITEMS: u32 = 2;

/// What becomes of a block.
#[derive(Debug, Default)]
pub struct Ruled {
    /// For the block's body.
    pub edits: Patch,
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
    /// Unix nanoseconds.
    pub now: i64,
    /// Gives what nobody can guess, new each time.
    pub random: Random,
    pub see: See,
}

impl<Random: FnMut() -> u128, See: FnMut(&[u8], &Outcome<'_>)> Passing<'_, Random, See> {
    /// Runs the rules about scopes and items on the body of a resource block.
    pub fn apply(mut self, block: &[u8]) -> Ruled {
        let mut ruled = Ruled::default();
        for (nth, scope) in (0..).zip(messages(block, ITEMS)) {
            match self.scope(scope, &mut ruled) {
                Some(edits) if edits.is_empty() => {}
                Some(edits) => *ruled.edits.within(ITEMS, nth) = edits,
                None => ruled.edits.decide(ITEMS, nth, Fate::Cut),
            }
        }
        ruled
    }

    /// What becomes of a scope block; `None` if nothing is left in it.
    fn scope(&mut self, block: &[u8], ruled: &mut Ruled) -> Option<Patch> {
        let mut edits = Patch::default();
        let Some(scope) = self.head(block, &mut edits, ruled) else {
            ruled.dropped += messages(block, ITEMS).map(|item| self.weight(item)).sum::<u64>();
            return None;
        };
        let (mut kept, mut lost) = (false, false);
        for (nth, item) in (0..).zip(messages(block, ITEMS)) {
            let frame = Frame {
                signal: Some(self.signal),
                resource: self.resource,
                scope: &scope,
                now: self.now,
                random: (self.random)(),
                ..Frame::default()
            };
            let outcome = self.rules.apply_item(self.signal, item, frame);
            (self.see)(item, &outcome);
            ruled.troubles.extend(outcome.troubles);
            if outcome.dropped || outcome.sampled_out {
                let gone = if outcome.dropped { &mut ruled.dropped } else { &mut ruled.sampled_out };
                *gone += self.weight(item);
                edits.decide(ITEMS, nth, Fate::Cut);
                lost = true;
                continue;
            }
            kept = true;
            if self.signal == Signal::Metrics {
                // Of other items the parts are not counted: they settle with the item.
                ruled.dropped += u64::from(outcome.parts_dropped);
            }
            if !outcome.edits.is_empty() {
                *edits.within(ITEMS, nth) = outcome.edits;
            }
        }
        (kept || !lost).then_some(edits)
    }

    /// The scope's body as the rules leave it, noting what is to be written; `None` if it is dropped. An absent
    /// one has nothing to be changed.
    fn head<'b>(&mut self, block: &'b [u8], edits: &mut Patch, ruled: &mut Ruled) -> Option<Cow<'b, [u8]>> {
        let mut pieces = messages(block, HEAD);
        let first = pieces.next().unwrap_or_default();
        let others = pieces.count() as u32;
        let scope = match others {
            0 => Cow::Borrowed(first),
            _ => Cow::Owned(messages(block, HEAD).collect::<Vec<_>>().concat()),
        };
        if scope.is_empty() || !self.rules.has_context(Context::Scope) {
            return Some(scope);
        }
        let frame = Frame {
            signal: Some(self.signal),
            resource: self.resource,
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
            return Some(scope);
        }
        let new = outcome.edits.apply(&scope);
        let mut field = Vec::new();
        put_len_field(HEAD, &new, &mut field);
        edits.decide(HEAD, 0, Fate::Put(field));
        (1..=others).for_each(|nth| edits.decide(HEAD, nth, Fate::Cut));
        Some(Cow::Owned(new))
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
            now: 0,
            random: || 1,
            see: |_: &[u8], _: &Outcome<'_>| {},
        };
        let ruled = passing.apply(&block);
        let after = ResourceLogs::decode(ruled.edits.apply(&block).as_slice()).unwrap();
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
        assert!(ruled.edits.is_empty() && after == before);
    }
}
