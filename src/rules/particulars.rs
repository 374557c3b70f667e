//! What single spans are given that their siblings are not: cost where none was given, and usage that does not
//! count twice.
//!
//! It is worked out of the whole trace (`semantics::rollup`), so only where somebody asked for it
//! (`usage:` in the configuration) and only of traces that speak of tokens. A cost that was given is never
//! touched, and nothing is invented for a model without a price.
//!
//! What is taken out of the count is kept under another name (`semantics::repair::KEPT_UNDER`).

use hashbrown::HashMap;

use crate::semantics::cost::Cost;
use crate::semantics::repair::{self, Change, KEPT_UNDER};
use crate::semantics::rollup::{Row, Trace};
use crate::semantics::{Dialect, SPAN_ATTRIBUTES};
use crate::wire::SpanId;
use crate::wire::attr::{Attr, Value, find};

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Mend usage and costs that servers would add up twice.
    pub repair: bool,
    /// Write a cost on spans whose model has a price.
    pub cost: bool,
}

impl Settings {
    /// Whether anything is asked for.
    pub const fn any(self) -> bool {
        self.repair || self.cost
    }
}

/// Changes to the attributes of one span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Particular {
    /// Keys that go.
    pub cut: Vec<Box<str>>,
    /// Whole attribute fields that come.
    pub tail: Vec<u8>,
}

/// By span.
pub type Particulars = HashMap<SpanId, Particular, ahash::RandomState>;

/// Works out what each span of `trace` is given. `body` finds the bytes a span was read of.
pub fn of<'t>(
    trace: &Trace<'t>,
    body: impl Fn(SpanId) -> Option<&'t [u8]>,
    settings: Settings,
    dialect: Dialect,
    prices: &str,
) -> Particulars {
    let mut all = Particulars::default();
    for row in &trace.observations {
        let mut particular = Particular::default();
        if settings.repair
            && let Some(span) = body(row.observation.id)
        {
            mend(row, span, &mut particular);
        }
        if let Some(cost) =
            row.cost.as_ref().filter(|cost| settings.cost && !cost.is_given() && row.cost_left_out.is_none())
        {
            put_cost(cost, dialect, prices, &mut particular.tail);
        }
        if particular != Particular::default() {
            all.insert(row.observation.id, particular);
        }
    }
    all
}

fn mend(row: &Row<'_>, span: &[u8], particular: &mut Particular) {
    let (usage, cost) = (row.usage_left_out.is_some(), row.cost_left_out.is_some());
    for change in repair::changes(&row.observation, usage, cost) {
        let (key, to, text) = match &change {
            Change::Rename { key, to } => (*key, to.clone(), None),
            Change::Set { key, text } => (*key, format!("{KEPT_UNDER}{key}"), Some(text)),
        };
        let Some(value) = find(span, SPAN_ATTRIBUTES, key.as_bytes()) else { continue };
        particular.cut.push(key.into());
        put(&to, value, &mut particular.tail);
        if let Some(text) = text {
            put(key, Value::Str(text.as_bytes()), &mut particular.tail);
        }
    }
}

/// A cost as the dialect's server reads it. A total always: servers show none where only parts stand.
fn put_cost(cost: &Cost<'_>, dialect: Dialect, prices: &str, out: &mut Vec<u8>) {
    put("gen_ai.usage.cost", Value::Double(cost.total.to_f64()), out);
    if !dialect.reads_langfuse() {
        return;
    }
    let parts = cost.parts.iter().map(|(key, amount)| (&**key, *amount)).chain([("total", cost.total)]);
    let all: Vec<String> =
        parts.map(|(key, amount)| format!("{}:{amount}", serde_json::Value::from(key))).collect();
    let details = format!("{{{}}}", all.join(","));
    put("langfuse.observation.cost_details", Value::Str(details.as_bytes()), out);
    if !prices.is_empty() {
        put("langfuse.observation.metadata.price_table", Value::Str(prices.as_bytes()), out);
    }
}

fn put(key: &str, value: Value<'_>, out: &mut Vec<u8>) {
    Attr { key: key.as_bytes(), value }.put(SPAN_ATTRIBUTES, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::around::Around;
    use crate::semantics::{Observation, Prices};
    use crate::wire::fields::put_len_field;
    use crate::wire::{TraceId, attr};

    const PRICES: &[u8] = br#"{"version": "t1", "models": [{"modelName": "m", "matchPattern": "^m$",
        "prices": {"input": 0.000001, "output": 0.000002}}]}"#;
    const ALL: Settings = Settings { repair: true, cost: true };

    fn span(id: u8, parent: u8, said: &[(&str, Value<'_>)]) -> Vec<u8> {
        let mut out = Vec::new();
        put_len_field(2, &[id; 8], &mut out);
        if parent > 0 {
            put_len_field(4, &[parent; 8], &mut out);
        }
        said.iter().for_each(|(key, value)| put(key, *value, &mut out));
        out
    }

    fn worked_out(spans: &[Vec<u8>], settings: Settings, dialect: Dialect) -> Particulars {
        let prices = Prices::parse(PRICES).unwrap();
        let read = spans.iter().map(|span| Observation::of(span, Around::default())).collect();
        let trace = Trace::of(TraceId([1; 16]), read, 0, Some(&prices));
        let body = |id: SpanId| {
            spans.iter().map(Vec::as_slice).find(|span| attr::messages(span, 2).last() == Some(&id.0[..]))
        };
        of(&trace, body, settings, dialect, "t1")
    }

    fn call(id: u8, parent: u8, more: &[(&str, Value<'_>)]) -> Vec<u8> {
        let usage = [
            ("gen_ai.operation.name", Value::Str(b"chat")),
            ("gen_ai.request.model", Value::Str(b"m")),
            ("gen_ai.usage.input_tokens", Value::Int(10)),
            ("gen_ai.usage.output_tokens", Value::Int(5)),
        ];
        span(id, parent, &[&usage[..], more].concat())
    }

    #[test]
    fn a_cost_is_written_where_none_was_given_and_the_model_has_a_price() {
        let spans = [call(1, 0, &[]), call(2, 1, &[("gen_ai.usage.cost", Value::Double(1.0))])];
        let all = worked_out(&spans[..1], ALL, Dialect::Langfuse);
        let tail = &all[&SpanId([1; 8])].tail;
        assert_eq!(find(tail, 9, b"gen_ai.usage.cost"), Some(Value::Double(0.00002)));
        let details = find(tail, 9, b"langfuse.observation.cost_details").unwrap().text().unwrap();
        let details: serde_json::Value = serde_json::from_str(details).unwrap();
        assert_eq!(details, serde_json::json!({"input": 0.00001, "output": 0.00001, "total": 0.00002}));
        assert!(!worked_out(&spans, ALL, Dialect::Langfuse).contains_key(&SpanId([2; 8])), "it was given");
        let otel = &worked_out(&spans[..1], ALL, Dialect::Otel)[&SpanId([1; 8])].tail;
        assert_eq!(attr::attributes(otel, 9).count(), 1, "nothing that is a vendor's");
    }

    #[test]
    fn nothing_is_invented_for_a_model_without_a_price() {
        let unknown = span(
            1,
            0,
            &[("gen_ai.request.model", Value::Str(b"n")), ("gen_ai.usage.input_tokens", Value::Int(1))],
        );
        assert!(worked_out(&[unknown], ALL, Dialect::Langfuse).is_empty());
    }

    #[test]
    fn an_agents_sum_of_the_calls_below_it_is_kept_under_another_name() {
        let agent = span(
            1,
            0,
            &[
                ("openinference.span.kind", Value::Str(b"AGENT")),
                ("llm.token_count.prompt", Value::Int(10)),
                ("llm.token_count.completion", Value::Int(5)),
            ],
        );
        let spans = [agent, call(2, 1, &[])];
        let all = worked_out(&spans, Settings { repair: true, cost: false }, Dialect::Otel);
        let particular = &all[&SpanId([1; 8])];
        assert_eq!(*particular.cut, ["llm.token_count.prompt".into(), "llm.token_count.completion".into()]);
        let kept = format!("{KEPT_UNDER}llm.token_count.prompt");
        assert_eq!(find(&particular.tail, 9, kept.as_bytes()), Some(Value::Int(10)));
        assert_eq!(all.len(), 1);
    }

    #[test]
    fn what_is_not_asked_for_is_left_alone() {
        assert!(
            worked_out(&[call(1, 0, &[])], Settings { repair: true, cost: false }, Dialect::Otel).is_empty()
        );
    }
}
