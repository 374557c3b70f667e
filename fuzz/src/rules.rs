//! Any text as rules, and any bytes as an item: a mistake lies inside the text it is about; what compiles runs
//! on the bytes, does nothing where no statement matched, and leaves an item that could be read one that can.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use spandrel::rules::{Context, Frame, Group, Outcome, Rules};
use spandrel::wire::Signal;

/// The first byte chooses the context; lines are statements, up to a zero byte; the rest is the item.
pub fn check(input: &[u8]) {
    let Some((&choice, rest)) = input.split_first() else { return };
    let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
    let Ok(text) = std::str::from_utf8(&rest[..end]) else { return };
    let item = rest.get(end + 1..).unwrap_or_default();
    let context = Context::ALL.get(usize::from(choice) % (Context::ALL.len() + 1)).copied();
    let statements: Vec<String> = text.lines().map(str::to_owned).collect();
    let group = Group { context, statements: statements.clone(), ..Group::default() };
    match Rules::compile(&[group]) {
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            for mistake in mistakes {
                assert!(statements.contains(&mistake.source), "{mistake:?}");
                assert!(mistake.source.get(mistake.at.clone()).is_some(), "{mistake:?}");
                let shown = mistake.to_string();
                assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
            }
        }
        Ok(rules) => run(&rules, item),
    }
}

fn run(rules: &Rules, item: &[u8]) {
    let frame = Frame { now: 1_795_618_281_000_000_000, random: 7, root: Some(item), ..Frame::default() };
    stays_readable::<Span>(item, &rules.apply_item(Signal::Traces, item, frame));
    stays_readable::<LogRecord>(item, &rules.apply_item(Signal::Logs, item, frame));
    stays_readable::<Metric>(item, &rules.apply_item(Signal::Metrics, item, frame));
    stays_readable::<Resource>(item, &rules.apply_resource(item, frame));
    stays_readable::<InstrumentationScope>(item, &rules.apply_scope(item, frame));
}

fn stays_readable<M: Message + Default>(item: &[u8], outcome: &Outcome) {
    assert!(!outcome.matched.is_empty() || outcome.edits.is_empty(), "{outcome:?}");
    let after = outcome.edits.apply(item);
    if M::decode(item).is_ok() {
        let read = M::decode(after.as_slice());
        assert!(read.is_ok(), "{:?} of {outcome:?}", read.err());
    }
    for (_, trouble) in &outcome.troubles {
        let shown = trouble.to_string();
        assert!(shown.len() <= 10 * 300 && !shown.chars().any(char::is_control), "{shown:?}");
    }
}
