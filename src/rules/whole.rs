//! What the rules make of a whole trace: every span beside its parent, its root and the facts of all.
//!
//! Parents come before their children, so that `parent` is the nearest that is kept; then the tree is mended
//! (`kinship`). Two surprises. A trace all of whose spans are dropped goes whole: the last root is kept for its
//! children only. And one span that is not drawn by `sample` takes all others with it; one that is sent elsewhere by
//! `route` as well, so that a trace stays whole.

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::engine::{Outcome, Rules};
use super::frame::{Frame, Request, TraceFacts};
use super::kinship::{self, Kin};
use super::slots::slots;
use super::trouble::Trouble;
use crate::model::Destination;
use crate::wire::fields::{Fields, Payload, put_len_field};
use crate::wire::patch::Patch;
use crate::wire::span::{SpanView, Status};
use crate::wire::{Signal, SpanId};

/// `Span.span_id` and `Span.parent_span_id`.
const ID: u32 = 2;
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
    let kin: Vec<Kin> = members.iter().map(|member| kin_of(member.span)).collect();
    let parents = if rules.reads().parent { parents(&kin) } else { vec![None; kin.len()] };
    let root = kin.iter().position(|kin| kin.parent.is_none());
    let root = root.filter(|_| rules.reads().root).and_then(|at| members.get(at));
    let mut ruled = Ruled { spans: vec![Fated::default(); members.len()], ..Ruled::default() };
    // Of each span that was looked at, the nearest that is kept: itself, or one above it.
    let mut kept: Vec<Option<usize>> = vec![None; members.len()];
    for at in parents_first(&parents) {
        let (Some(member), Some(fated)) = (members.get(at), ruled.spans.get_mut(at)) else { continue };
        let above = parents.get(at).copied().flatten().and_then(|parent| kept.get(parent).copied().flatten());
        let frame = Frame {
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
            rules.apply_item(Signal::Traces, member.span, frame)
        };
        ruled.sampled_out |= outcome.sampled_out;
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
    if !ruled.sampled_out {
        mend(members, kin, &mut ruled.spans);
    }
    ruled
}

/// Gives the children of what is dropped another parent.
fn mend(members: &[Member<'_>], before: Vec<Kin>, spans: &mut [Fated]) {
    if spans.iter().all(|span| span.dropped) || !spans.iter().any(|span| span.dropped) {
        return;
    }
    let dropped = spans.iter().map(|span| span.dropped);
    let mut kin: Vec<Kin> =
        before.iter().zip(dropped).map(|(kin, dropped)| Kin { dropped, ..*kin }).collect();
    kinship::settle(&mut kin);
    for (((before, after), member), span) in before.iter().zip(&kin).zip(members).zip(spans) {
        span.dropped = after.dropped;
        if !after.dropped && after.parent != before.parent {
            let written = span.written.as_deref().unwrap_or(member.span);
            span.written = Some(with_parent(written, after.parent));
        }
    }
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

fn with_parent(span: &[u8], parent: SpanId) -> Vec<u8> {
    let mut patch = Patch::default();
    slots(span).filter(|slot| slot.number() == PARENT).for_each(|slot| patch.cut(slot.range()));
    if !parent.is_none() {
        let end = span.len()..span.len();
        patch.put(end, |out| put_len_field(PARENT, &parent.0, out));
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

    #[test]
    fn a_ring_of_parents_ends() {
        let spans = [(1, 2, "a"), (2, 1, "b"), (3, 3, "c")];
        check(&["set(span.name, parent.name) where parent.name == \"x\""], &spans, &spans);
    }
}
