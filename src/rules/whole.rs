//! What the rules make of a whole trace: every span beside its parent, its root and the facts of all.
//!
//! Parents come before their children, so that `parent` is the nearest that is kept; then the tree is mended
//! (`kinship`). Two surprises. A trace all of whose spans are dropped goes whole: the last root is kept for its
//! children only. And `sample` is decided once for all of it, wherever the span stands that a rule asks it of (each
//! span that stays then says how far its trace was thinned out); `route` as well, so that a trace stays whole.

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::engine::{Outcome, Rules};
use super::frame::{Frame, Request, TraceFacts};
use super::kinship::{self, Kin};
use super::sample::{self, Said};
use super::slots::slots;
use super::trouble::Trouble;
use crate::model::{Destination, Draw};
use crate::wire::fields::{Fields, Payload, put_len_field};
use crate::wire::patch::Patch;
use crate::wire::span::{SpanView, Status};
use crate::wire::{Signal, SpanId, TraceId, attr};

/// `Span.span_id`, `Span.trace_state` and `Span.parent_span_id`.
const ID: u32 = 2;
const TRACE_STATE: u32 = 3;
const PARENT: u32 = 4;

/// A span as it would go out, and what it stands in.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    pub span: &'a [u8],
    pub resource: &'a [u8],
    pub scope: &'a [u8],
    /// The one it came in.
    pub request: Option<&'a dyn Request>,
    /// A rule about its resource or scope dropped it.
    pub dropped: bool,
    /// Where such rules want it to go.
    pub to: Option<Destination>,
}

/// What becomes of one span.
#[derive(Clone, Debug, Default)]
pub struct Fated {
    pub dropped: bool,
    /// Its new bytes; `None`: as they are.
    pub written: Option<Vec<u8>>,
    /// Numbers of the statements that did something to it.
    pub matched: SmallVec<[u32; 8]>,
}

/// What becomes of a trace.
#[derive(Debug, Default)]
pub struct Ruled {
    /// In the order of the members.
    pub spans: Vec<Fated>,
    /// It was not drawn: all of it goes.
    pub sampled_out: bool,
    /// What is to be remembered for parts of it still to come.
    pub drawn: Option<Draw>,
    /// Where rules want any of its spans that stay to go, all of it goes, and nowhere else.
    pub to: Option<Destination>,
    pub troubles: Vec<(u32, Trouble)>,
}

impl Ruled {
    /// Nothing is dropped and no byte is another.
    pub fn is_nothing(&self) -> bool {
        !self.sampled_out && self.spans.iter().all(|span| !span.dropped && span.written.is_none())
    }
}

/// Facts that are worked out of the spans; the rest is the caller's to add.
pub fn facts<'a>(members: &[Member<'_>]) -> TraceFacts<'a> {
    let views = || members.iter().map(|member| SpanView(member.span));
    let first = views().map(|span| span.start()).filter(|start| *start > 0).min().unwrap_or(0);
    let last = views().map(|span| span.end()).max().unwrap_or(0);
    TraceFacts {
        span_count: members.len() as u64,
        duration: i64::try_from(last.saturating_sub(first)).unwrap_or(i64::MAX),
        errors: views().filter(|span| span.status().0 == Status::Error).count() as u64,
        ..TraceFacts::default()
    }
}

/// Runs the rules on every span of a trace. `random` gives what nobody can guess, new each time.
pub fn apply(
    rules: &Rules,
    members: &[Member<'_>],
    facts: &TraceFacts<'_>,
    now: i64,
    mut random: impl FnMut() -> u128,
) -> Ruled {
    let reads = rules.reads();
    // Who is whose child is only found out where somebody asks.
    let parents = if reads.parent { parents(&kin(members)) } else { vec![None; members.len()] };
    let root = if reads.root { members.iter().find(|m| kin_of(m.span).parent.is_none()) } else { None };
    let mut ruled = Ruled { spans: vec![Fated::default(); members.len()], ..Ruled::default() };
    // Of each span that was looked at, the nearest that is kept: itself, or one above it.
    let mut kept: Vec<Option<usize>> = vec![None; members.len()];
    let mut threshold = None;
    let mut recalling = rules.recalling(Signal::Traces);
    for at in parents_first(&parents) {
        let (Some(member), Some(fated)) = (members.get(at), ruled.spans.get_mut(at)) else { continue };
        let above = parents.get(at).copied().flatten().and_then(|parent| kept.get(parent).copied().flatten());
        let frame = Frame {
            signal: Some(Signal::Traces),
            resource: member.resource,
            scope: member.scope,
            trace: Some(facts),
            root: root.map(|root| root.span),
            parent: above.and_then(|above| members.get(above)).map(|above| above.span),
            request: member.request,
            now,
            random: random(),
        };
        let outcome = if member.dropped {
            Outcome { dropped: true, ..Outcome::default() }
        } else {
            recalling.apply_item(member.span, frame)
        };
        threshold = threshold.max(outcome.threshold);
        if !outcome.dropped {
            ruled.to = Destination::both(ruled.to, Destination::both(member.to, outcome.route));
        }
        ruled.troubles.extend(outcome.troubles);
        fated.dropped = outcome.dropped;
        fated.matched = outcome.matched;
        fated.written = (!outcome.edits.is_empty()).then(|| outcome.edits.apply(member.span));
        if let Some(kept) = kept.get_mut(at) {
            *kept = if fated.dropped { above } else { Some(at) };
        }
    }
    ruled.drawn = facts.drawn.or_else(|| rules.samples().then(|| draw(members, facts.id, threshold)));
    ruled.sampled_out = ruled.drawn == Some(Draw::Out);
    if !ruled.sampled_out {
        mend(members, &mut ruled.spans);
    }
    if let Some(Draw::Kept(Some(threshold))) = ruled.drawn {
        state(members, threshold, &mut ruled.spans);
    }
    ruled
}

/// Decides about the trace once: its randomness is what any span says it is, else its id's.
fn draw(members: &[Member<'_>], id: Option<TraceId>, threshold: Option<u64>) -> Draw {
    let Some(threshold) = threshold else { return Draw::Kept(None) };
    let said = || members.iter().map(|member| Said::of(state_of(member.span)));
    let id = || id.map_or(0, |id| sample::random_of(&id.0));
    let random = said().find_map(|said| said.random).unwrap_or_else(id);
    let earlier = said().filter_map(|said| said.threshold).max();
    if sample::stays(threshold, random, earlier) { Draw::Kept(Some(threshold)) } else { Draw::Out }
}

/// Writes on each span that stays how far its trace was thinned out, unless it was further before.
fn state(members: &[Member<'_>], threshold: u64, spans: &mut [Fated]) {
    for (member, span) in members.iter().zip(spans).filter(|(_, span)| !span.dropped) {
        let written = span.written.as_deref().unwrap_or(member.span);
        if let Some(new) = sample::stated(state_of(written), threshold) {
            span.written = Some(with(written, TRACE_STATE, Some(new.as_bytes())));
        }
    }
}

fn state_of(span: &[u8]) -> &str {
    attr::messages(span, TRACE_STATE)
        .last()
        .and_then(|state| std::str::from_utf8(state).ok())
        .unwrap_or_default()
}

/// Gives the children of what is dropped another parent.
fn mend(members: &[Member<'_>], spans: &mut [Fated]) {
    if spans.iter().all(|span| span.dropped) || !spans.iter().any(|span| span.dropped) {
        return;
    }
    let before = kin(members);
    let dropped = spans.iter().map(|span| span.dropped);
    let mut kin: Vec<Kin> =
        before.iter().zip(dropped).map(|(kin, dropped)| Kin { dropped, ..*kin }).collect();
    kinship::settle(&mut kin);
    for (((before, after), member), span) in before.iter().zip(&kin).zip(members).zip(spans) {
        span.dropped = after.dropped;
        if !after.dropped && after.parent != before.parent {
            let written = span.written.as_deref().unwrap_or(member.span);
            let parent = Some(&after.parent.0[..]).filter(|_| !after.parent.is_none());
            span.written = Some(with(written, PARENT, parent));
        }
    }
}

fn kin(members: &[Member<'_>]) -> Vec<Kin> {
    members.iter().map(|member| kin_of(member.span)).collect()
}

fn kin_of(span: &[u8]) -> Kin {
    let mut kin = Kin { span: SpanId::NONE, parent: SpanId::NONE, dropped: false };
    for field in Fields::of(span) {
        let id = || match field.payload {
            Payload::Len(id) => id.try_into().map(SpanId).unwrap_or(SpanId::NONE),
            _ => SpanId::NONE,
        };
        match field.number {
            ID => kin.span = id(),
            PARENT => kin.parent = id(),
            _ => {}
        }
    }
    kin
}

/// The span with another value at a field, or none.
fn with(span: &[u8], field: u32, value: Option<&[u8]>) -> Vec<u8> {
    let mut patch = Patch::default();
    slots(span).filter(|slot| slot.number() == field).for_each(|slot| patch.cut(slot.range()));
    if let Some(value) = value {
        let end = span.len()..span.len();
        patch.put(end, |out| put_len_field(field, value, out));
    }
    patch.apply(span)
}

/// Where the parent of each stands, if it is there.
fn parents(kin: &[Kin]) -> Vec<Option<usize>> {
    let at: HashMap<SpanId, usize, ahash::RandomState> =
        kin.iter().enumerate().map(|(at, kin)| (kin.span, at)).collect();
    kin.iter().map(|kin| at.get(&kin.parent).copied().filter(|_| !kin.parent.is_none())).collect()
}

/// Each behind its parent; rings are begun anywhere.
fn parents_first(parents: &[Option<usize>]) -> Vec<usize> {
    let (mut order, mut climbed) = (Vec::with_capacity(parents.len()), Vec::new());
    let mut seen = vec![false; parents.len()];
    for at in 0..parents.len() {
        let mut next = Some(at);
        while let Some(here) = next
            && let Some(seen) = seen.get_mut(here).filter(|seen| !**seen)
        {
            *seen = true;
            climbed.push(here);
            next = parents.get(here).copied().flatten();
        }
        order.extend(climbed.drain(..).rev());
    }
    order
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::{Span, Status as Outcome};
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::rules::Group;

    /// `(id, parent, name)`.
    type Short = (u8, u8, &'static str);

    fn span(&(id, parent, name): &Short) -> Vec<u8> {
        let parent_span_id = if parent == 0 { Vec::new() } else { vec![parent; 8] };
        let code = if name == "bad" { 2 } else { 0 };
        Span {
            trace_id: vec![0xff; 16],
            span_id: vec![id; 8],
            parent_span_id,
            name: name.into(),
            start_time_unix_nano: 100,
            end_time_unix_nano: 100 + u64::from(id),
            status: Some(Outcome { code, ..Outcome::default() }),
            ..Span::default()
        }
        .encode_to_vec()
    }

    fn ruled(statements: &[&str], spans: &[Short]) -> (Ruled, Vec<(u8, u8, String)>) {
        let statements = statements.iter().map(|text| (*text).to_owned()).collect();
        let rules = Rules::compile(&[Group { statements, ..Group::default() }]).unwrap();
        let spans: Vec<_> = spans.iter().map(span).collect();
        let member =
            |span| Member { span, resource: &[], scope: &[], request: None, dropped: false, to: None };
        let members: Vec<_> = spans.iter().map(|span| member(span)).collect();
        let ruled = apply(&rules, &members, &facts(&members), 0, || 7);
        let kept = ruled.spans.iter().zip(&spans).filter(|(fated, _)| !fated.dropped);
        let read = |(fated, span): (&Fated, &Vec<u8>)| {
            let span = Span::decode(fated.written.as_deref().unwrap_or(span)).unwrap();
            (span.span_id[0], span.parent_span_id.first().copied().unwrap_or(0), span.name)
        };
        let kept = kept.map(read).collect();
        (ruled, kept)
    }

    #[track_caller]
    fn check(statements: &[&str], spans: &[Short], expect: &[Short]) {
        let expect: Vec<_> = expect.iter().map(|(id, parent, name)| (*id, *parent, (*name).into())).collect();
        assert_eq!(ruled(statements, spans).1, expect, "{statements:?}");
    }

    #[test]
    fn children_of_dropped_spans_move_up_and_see_the_nearest_that_is_kept() {
        let spans = [(4, 3, "leaf"), (3, 2, "noise"), (2, 1, "noise"), (1, 0, "root")];
        let statements =
            ["drop() where span.name == \"noise\"", "set(span.name, parent.name) where parent.name != nil"];
        check(&statements, &spans, &[(4, 1, "root"), (1, 0, "root")]);
    }

    #[test]
    fn the_last_root_stays_for_its_children_and_goes_with_them() {
        let spans = [(1, 0, "a"), (2, 1, "b")];
        check(&["drop() where span.name == \"a\""], &spans, &spans);
        check(&["drop() where span.kind == 0"], &spans, &[]);
    }

    #[test]
    fn rules_know_the_whole_trace() {
        let spans = [(1, 0, "a"), (2, 1, "bad"), (3, 9, "c")];
        let said = |statement: &str, expect: &str| {
            let after = ruled(&[statement], &spans).1;
            assert_eq!(after[2].2, expect, "{statement}");
        };
        said("set(span.name, root.name)", "a");
        said("set(span.name, \"x\") where trace.errors == 1 and trace.span_count == 3", "x");
        said("set(span.name, \"y\") where Nanoseconds(trace.duration) == 3", "y");
    }

    #[test]
    fn one_span_that_is_not_drawn_takes_its_trace_along() {
        let spans = [(1, 0, "a"), (2, 1, "b")];
        assert!(ruled(&["sample(0) where span.name == \"b\""], &spans).0.sampled_out);
        assert!(ruled(&["sample(1) where span.name == \"c\""], &spans).0.is_nothing());
    }

    /// A trace of as many spans, its randomness, and what each says of sampling.
    fn sampled(
        statements: &[&str],
        random: u64,
        states: &[&str],
        drawn: Option<Draw>,
    ) -> (Ruled, Vec<String>) {
        let statements = statements.iter().map(|text| (*text).to_owned()).collect();
        let rules = Rules::compile(&[Group { statements, ..Group::default() }]).unwrap();
        let id = [&[1; 8][..], &random.to_be_bytes()].concat();
        let span = |(nth, state): (usize, &&str)| {
            let span_id = vec![nth as u8 + 1; 8];
            let parent_span_id = if nth == 0 { Vec::new() } else { vec![1; 8] };
            let (name, trace_state) = (format!("s{nth}"), (*state).to_owned());
            Span { trace_id: id.clone(), span_id, parent_span_id, name, trace_state, ..Span::default() }
                .encode_to_vec()
        };
        let spans: Vec<_> = states.iter().enumerate().map(span).collect();
        let members: Vec<_> = spans
            .iter()
            .map(|span| Member { span, request: None, resource: &[], scope: &[], dropped: false, to: None })
            .collect();
        let id = Some(TraceId(id.clone().try_into().unwrap()));
        let facts = TraceFacts { id, drawn, ..facts(&members) };
        let ruled = apply(&rules, &members, &facts, 0, || 7);
        let state = |(fated, span): (&Fated, &Vec<u8>)| {
            Span::decode(fated.written.as_deref().unwrap_or(span)).unwrap().trace_state
        };
        let states = ruled.spans.iter().zip(&spans).map(state).collect();
        (ruled, states)
    }

    const HALF: u64 = 1 << 55;

    #[test]
    fn every_span_of_a_sampled_trace_says_how_far_it_was_thinned_out() {
        let one = &["sample(0.5) where span.name == \"s1\""];
        let (ruled, states) = sampled(one, HALF, &["", "a=1", "ot=th:4;x:1,a=1", "ot=th:c"], None);
        assert!(!ruled.sampled_out);
        assert_eq!(ruled.drawn, Some(Draw::Kept(Some(HALF))));
        assert_eq!(states, ["ot=th:8", "ot=th:8,a=1", "ot=th:8;x:1,a=1", "ot=th:c"]);
        assert!(sampled(one, HALF - 1, &["", "", ""], None).0.sampled_out);
        // Of several rates the least one is the trace's.
        let several = &["sample(0.5)", "sample(0.25) where span.name == \"s1\"", "sample(1)"];
        assert_eq!(sampled(several, 0xd0_0000_0000_0000, &["", ""], None).1, ["ot=th:c", "ot=th:c"]);
        assert!(sampled(several, 0xb0_0000_0000_0000, &["", ""], None).0.sampled_out);
    }

    #[test]
    fn what_is_kept_for_another_reason_does_not_say_that_it_was_thinned_out() {
        let states = ["", "a=1", "ot=th:4"];
        let (ruled, after) =
            sampled(&["sample(0) where trace.errors == 0 and span.name == \"x\""], 0, &states, None);
        assert_eq!((ruled.sampled_out, ruled.drawn), (false, Some(Draw::Kept(None))));
        assert_eq!(after, states);
        assert!(ruled.is_nothing());
    }

    #[test]
    fn the_randomness_any_span_names_is_the_traces() {
        let states = ["", "ot=rv:ffffffffffffff", ""];
        let (ruled, after) = sampled(&["sample(0.1)"], 0, &states, None);
        assert!(!ruled.sampled_out);
        assert!(
            after.iter().all(|state| Said::of(state).threshold == Some(sample::threshold_of(0.1))),
            "{after:?}"
        );
        assert!(sampled(&["sample(0.9)"], HALF, &["ot=rv:00000000000000", ""], None).0.sampled_out);
    }

    #[test]
    fn a_part_that_comes_later_follows_what_was_decided() {
        let rules = &["sample(0.5)"];
        assert!(sampled(rules, u64::MAX, &[""], Some(Draw::Out)).0.sampled_out);
        let (ruled, states) = sampled(rules, 0, &["", "ot=th:c"], Some(Draw::Kept(Some(HALF))));
        assert!(!ruled.sampled_out);
        assert_eq!(states, ["ot=th:8", "ot=th:c"]);
        // Its errors kept it: what comes later has none, and stays.
        assert_eq!(sampled(rules, 0, &["a=1"], Some(Draw::Kept(None))).1, ["a=1"]);
    }

    proptest! {
        /// Dropped or moved, no span misses a parent that it had; and what is not dropped keeps every other byte.
        #[test]
        fn dropping_leaves_no_orphans_and_touches_nothing_but_parents(
            list in proptest::collection::vec((1_u8..12, 0_u8..14, 0_u8..3), 1..24)
        ) {
            const NAMES: [&str; 3] = ["keep", "noise", "bad"];
            let spans: Vec<Short> = list.iter().map(|(id, up, name)| (*id, *up, NAMES[usize::from(*name)])).collect();
            let (ruled, kept) = ruled(&["drop() where span.name == \"noise\""], &spans);
            for (id, parent, _) in &kept {
                let had = spans.iter().any(|span| span.0 == *parent);
                let has = kept.iter().any(|span| span.0 == *parent);
                prop_assert!(*parent == 0 || has || !had, "{id} lost {parent}");
            }
            prop_assert!(kept.iter().filter(|(_, _, name)| name == "noise").count() <= 1, "but for the last root");
            for (fated, short) in ruled.spans.iter().zip(&spans) {
                let Some(written) = &fated.written else { continue };
                let (mut before, mut after) = (Span::decode(&span(short)[..]).unwrap(), Span::decode(&written[..]).unwrap());
                (before.parent_span_id, after.parent_span_id) = Default::default();
                prop_assert_eq!(before, after);
            }
        }

        /// Whatever the services' own samplers said, a trace goes or stays whole, and the same with all its spans
        /// in one part or each by itself.
        #[test]
        fn sampling_takes_whole_traces(
            random in 0_u64..1 << 56,
            rate in 0_u64..=20,
            thresholds in proptest::collection::vec(proptest::option::of(0_u64..1 << 56), 1..6),
        ) {
            // Consistent: a span that says it was thinned out would not be here otherwise.
            let states: Vec<String> = thresholds
                .iter()
                .map(|th| th.filter(|th| *th <= random).map_or(String::new(), |th| format!("ot=th:{th:014x}")))
                .collect();
            let states: Vec<&str> = states.iter().map(String::as_str).collect();
            let rule = format!("sample({})", rate as f64 / 20.0);
            let (whole, after) = sampled(&[&rule], random, &states, None);
            let wanted = sample::threshold_of(rate as f64 / 20.0);
            prop_assert_eq!(whole.sampled_out, random < wanted || rate == 0);
            for (nth, state) in states.iter().enumerate() {
                let (alone, _) = sampled(&[&rule], random, &[state], None);
                prop_assert_eq!(alone.sampled_out, whole.sampled_out);
                let own = Said::of(state).threshold.unwrap_or(0);
                if !whole.sampled_out {
                    prop_assert_eq!(Said::of(&after[nth]).threshold, Some(own.max(wanted)));
                }
            }
        }
    }

    #[test]
    fn a_ring_of_parents_ends() {
        let spans = [(1, 2, "a"), (2, 1, "b"), (3, 3, "c")];
        check(&["set(span.name, parent.name) where parent.name == \"x\""], &spans, &spans);
    }
}
