//! What single spans are given that their siblings are not: cost where none was given, usage that does not
//! count twice, and on the root what the trace adds up to.
//!
//! It is worked out of the whole trace (`semantics::rollup`), so only where somebody asked for it. A cost
//! that was given is never touched, and nothing is invented for a model without a price. What is taken out
//! of the count is kept under another name (`semantics::repair::KEPT_UNDER`).

use std::sync::Arc;

use hashbrown::HashMap;

use super::sums;
use crate::semantics::cost::Cost;
use crate::semantics::repair::{self, Change, KEPT_UNDER};
use crate::semantics::rollup::{Row, Trace};
use crate::semantics::{Dialect, Prices, SPAN_ATTRIBUTES};
use crate::wire::SpanId;
use crate::wire::attr::{Attr, Value, find};

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Mend usage and costs that servers would add up twice.
    pub repair: bool,
    /// Write a cost on spans whose model has a price here.
    pub prices: Option<Arc<Prices>>,
    /// Tell each root what its trace adds up to.
    pub sums: bool,
    pub dialect: Dialect,
}

impl Settings {
    /// Whether something is asked for that concerns spans with tokens alone.
    pub fn of_usage(&self) -> bool {
        self.repair || self.prices.is_some()
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

/// Works out what each span of `trace` is given. `body` finds the bytes a span was read of; `sums`: its root
/// is told what it adds up to.
pub fn of<'t>(
    trace: &Trace<'t>,
    body: impl Fn(SpanId) -> Option<&'t [u8]>,
    settings: &Settings,
    sums: bool,
) -> Particulars {
    let mut all = Particulars::default();
    for (at, row) in trace.observations.iter().enumerate() {
        let mut particular = Particular::default();
        if settings.repair
            && let Some(span) = body(row.observation.id)
        {
            mend(row, span, &mut particular);
        }
        let is_ours = |cost: &&Cost<'_>| !cost.is_given() && row.cost_left_out.is_none();
        if let Some((cost, prices)) = row.cost.as_ref().filter(is_ours).zip(settings.prices.as_ref()) {
            put_cost(cost, settings.dialect, &prices.version, &mut particular.tail);
        }
        if sums && trace.root == Some(at) {
            particular.cut.extend(sums::KEYS.map(Into::into));
            sums::put(trace, &mut particular.tail);
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

    fn asked(repair: bool, cost: bool, dialect: Dialect) -> Settings {
        let prices = cost.then(|| Arc::new(Prices::parse(PRICES).unwrap()));
        Settings { repair, prices, sums: false, dialect }
    }

    fn span(id: u8, parent: u8, said: &[(&str, Value<'_>)]) -> Vec<u8> {
        let mut out = Vec::new();
        put_len_field(2, &[id; 8], &mut out);
        if parent > 0 {
            put_len_field(4, &[parent; 8], &mut out);
        }
        said.iter().for_each(|(key, value)| put(key, *value, &mut out));
        out
    }

    fn worked_out(spans: &[Vec<u8>], settings: &Settings) -> Particulars {
        let read = spans.iter().map(|span| Observation::of(span, Around::default())).collect();
        let trace = Trace::of(TraceId([1; 16]), read, 0, settings.prices.as_deref());
        let is = |span: &&[u8], id: SpanId| attr::messages(span, 2).last() == Some(&id.0[..]);
        let body = |id: SpanId| spans.iter().map(Vec::as_slice).find(|span| is(span, id));
        of(&trace, body, settings, settings.sums)
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
        let all = worked_out(&spans[..1], &asked(true, true, Dialect::Langfuse));
        let tail = &all[&SpanId([1; 8])].tail;
        assert_eq!(find(tail, 9, b"gen_ai.usage.cost"), Some(Value::Double(0.00002)));
        let details = find(tail, 9, b"langfuse.observation.cost_details").unwrap().text().unwrap();
        let details: serde_json::Value = serde_json::from_str(details).unwrap();
        assert_eq!(details, serde_json::json!({"input": 0.00001, "output": 0.00001, "total": 0.00002}));
        assert!(
            !worked_out(&spans, &asked(true, true, Dialect::Langfuse)).contains_key(&SpanId([2; 8])),
            "it was given"
        );
        let otel = &worked_out(&spans[..1], &asked(true, true, Dialect::Otel))[&SpanId([1; 8])].tail;
        assert_eq!(attr::attributes(otel, 9).count(), 1, "nothing that is a vendor's");
    }

    #[test]
    fn nothing_is_invented_for_a_model_without_a_price() {
        let unknown = span(
            1,
            0,
            &[("gen_ai.request.model", Value::Str(b"n")), ("gen_ai.usage.input_tokens", Value::Int(1))],
        );
        assert!(worked_out(&[unknown], &asked(true, true, Dialect::Langfuse)).is_empty());
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
        let all = worked_out(&spans, &asked(true, false, Dialect::Otel));
        let particular = &all[&SpanId([1; 8])];
        assert_eq!(*particular.cut, ["llm.token_count.prompt".into(), "llm.token_count.completion".into()]);
        let kept = format!("{KEPT_UNDER}llm.token_count.prompt");
        assert_eq!(find(&particular.tail, 9, kept.as_bytes()), Some(Value::Int(10)));
        assert_eq!(all.len(), 1);
    }

    #[test]
    fn a_root_is_told_what_its_trace_adds_up_to_and_forgets_what_it_was_told_before() {
        let spans = [call(1, 0, &[("spandrel.trace.spans", Value::Int(9))]), call(2, 1, &[])];
        let all = worked_out(&spans, &Settings { sums: true, ..Settings::default() });
        let particular = &all[&SpanId([1; 8])];
        assert!(particular.cut.contains(&"spandrel.trace.spans".into()));
        assert_eq!(find(&particular.tail, 9, b"spandrel.trace.spans"), Some(Value::Int(2)));
        assert_eq!(all.len(), 1);
    }

    #[test]
    fn what_is_not_asked_for_is_left_alone() {
        assert!(worked_out(&[call(1, 0, &[])], &asked(true, false, Dialect::Otel)).is_empty());
    }
}
