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
/// Requests of a run.
const TIMES: u64 = 10;

pub fn steps() -> Vec<Step> {
    let ten = || compiled(TEN.lines());
    let idle = || compiled(std::iter::repeat_n(IDLE, 10));
    vec![
        step("rules/pass", ten(), pass),
        step("rules/pass_idle", idle(), pass),
        step("rules/joined", ten(), joined),
        step("rules/joined_idle", idle(), joined),
    ]
}

fn step(name: &'static str, rules: Rules, once: fn(&Rules, &[u8], &mut Meter)) -> Step {
    let body: Bytes = Content::Flat(SPANS).templates()[0].fresh(1);
    let run = move |meter: &mut Meter| {
        let block = messages(&body, 1).next().unwrap_or_default();
        (0..TIMES).for_each(|_| once(&rules, block, meter));
    };
    Step { name, spans: u64::from(SPANS) * TIMES, run: Box::new(run) }
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
