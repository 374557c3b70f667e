//! Rules: the ten of `benches/rules/ten.ottl`, which `benches/peers` gives to the Collector's transform processor as
//! well. Seven of the ten find something to change on each span. `…_idle` are ten rules that find nothing.

use std::hint::black_box;

use bytes::Bytes;
use spandrel::rules::passing::Passing;
use spandrel::rules::whole::{self, Member};
use spandrel::rules::{Group, Outcome, Rules, TraceFacts};
use spandrel::wire::Signal;
use spandrel::wire::attr::messages;

use crate::Step;
use crate::common::Content;
use crate::meter::Meter;

const TEN: &str = include_str!("../rules/ten.ottl");
const IDLE: &str = "drop() where span.name == \"GET /healthz\"";
const SPANS: u16 = 100;
/// Requests of a run; more where the first of them are spent on getting to know what comes.
const TIMES: u64 = 10;
const VARIED_TIMES: u64 = 40;

pub fn steps() -> Vec<Step> {
    let ten = || compiled(TEN.lines());
    let idle = || compiled(std::iter::repeat_n(IDLE, 10));
    vec![
        step("rules/pass", ten(), pass, FLAT),
        step("rules/pass_idle", idle(), pass, FLAT),
        step("rules/pass_varied", ten(), pass, VARIED),
        step("rules/joined", ten(), joined, FLAT),
        step("rules/joined_idle", idle(), joined, FLAT),
        step("rules/joined_varied", ten(), joined, VARIED),
    ]
}

const FLAT: Content = Content::Flat(SPANS);
const VARIED: Content = Content::Varied(SPANS);

fn step(name: &'static str, rules: Rules, once: fn(&Rules, &[u8], &mut Meter), content: Content) -> Step {
    let bodies: Vec<Bytes> = content.templates().iter().map(|template| template.fresh(1)).collect();
    let times = if content == VARIED { VARIED_TIMES } else { TIMES };
    let mut next = 0;
    let run = move |meter: &mut Meter| {
        for _ in 0..times {
            once(&rules, messages(&bodies[next], 1).next().unwrap_or_default(), meter);
            next = (next + 1) % bodies.len();
        }
    };
    Step { name, spans: u64::from(SPANS) * times, run: Box::new(run) }
}

fn compiled<'a>(statements: impl Iterator<Item = &'a str>) -> Rules {
    let group = |text: &str| Group { statements: vec![text.to_owned()], ..Group::default() };
    Rules::compile(&statements.map(group).collect::<Vec<_>>()).expect("good rules")
}

/// A block that passes, and its bytes as they go out.
fn pass(rules: &Rules, block: &[u8], meter: &mut Meter) {
    let resource = messages(block, 1).next().unwrap_or_default();
    let see = |_: &[u8], _: &Outcome| {};
    let passing =
        Passing { rules, signal: Signal::Traces, resource, request: None, now: 0, random: || 7, see };
    meter.measure(|| {
        let ruled = passing.apply(black_box(block));
        for part in ruled.parts.iter().filter(|part| !part.edits.is_empty()) {
            black_box(part.edits.apply(block));
        }
    });
}

/// A trace of as many spans, with the bytes of each that is changed.
fn joined(rules: &Rules, block: &[u8], meter: &mut Meter) {
    let resource = messages(block, 1).next().unwrap_or_default();
    let scope = messages(block, 2).next().unwrap_or_default();
    let member = |span| Member { span, resource, scope: &[], request: None, dropped: false, to: None };
    let members: Vec<Member<'_>> = messages(scope, 2).map(member).collect();
    meter.measure(|| black_box(whole::apply(rules, black_box(&members), &TraceFacts::default(), 0, || 7)));
}
