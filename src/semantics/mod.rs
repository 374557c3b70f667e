//! What spans mean, per convention. Pure over views.
//!
//! `convention` is the table of where each property lives; `observation` reads one span by it; `usage`,
//! `cost` and `prices` count; `doubles` finds what counts twice and `repair` says how to mend it; `rollup`
//! sums a joined trace up. `ids` makes ids of seeds. `environment`, `release`, `roots`, `claims` and
//! `context` are what the join needs of every span, read faster.
//!
//! Each fact has a list of keys, best first. A key on the span goes before the same key on its
//! resource, and both go before the next key: so a resource's `langfuse.environment` beats a span's
//! `deployment.environment.name`, as the backends read it.
//!
//! Nothing here changes a value: what is said is said. The one surprise: an empty string says nothing.

pub mod around;
pub mod claims;
pub mod complaint;
pub mod content;
pub mod context;
pub mod convention;
pub mod cost;
pub mod decimal;
pub mod dialect;
pub mod doubles;
pub mod environment;
pub mod events;
pub mod ids;
mod json;
pub mod kind;
pub mod level;
pub mod observation;
mod path;
pub mod prices;
mod reference;
pub mod release;
pub mod repair;
pub mod rollup;
pub mod roots;
pub mod score;
pub mod tags;
#[cfg(test)]
mod testing;
mod tree;
pub mod usage;
mod words;

use crate::wire::attr::{Attr, Value, messages};
use crate::wire::span::SpanView;
pub use complaint::{Complaint, Complaints};
pub use content::Content;
pub use cost::Cost;
pub use decimal::Decimal;
pub use dialect::Dialect;
pub use kind::Kind;
pub use level::Level;
pub use observation::Observation;
pub use prices::Prices;
pub use reference::reference;
pub use usage::{Tokens, Usage};

pub use crate::wire::span::ATTRIBUTES as SPAN_ATTRIBUTES;
pub use crate::wire::splice::RESOURCE_ATTRIBUTES;

/// What `message` says under each of `keys`, in one pass; the last wins where a key stands twice.
pub fn said<'a, const N: usize>(
    keys: &[&str; N],
    message: &'a [u8],
    attribute_field: u32,
) -> [Option<&'a str>; N] {
    let mut found = [None; N];
    for key_value in messages(message, attribute_field) {
        let key = Attr::key_of(key_value);
        if let Some(place) = keys.iter().position(|wanted| wanted.as_bytes() == key)
            && let Value::Str(text) = Attr::of(key_value).value
        {
            found[place] = std::str::from_utf8(text).ok().filter(|text| !text.is_empty());
        }
    }
    found
}

/// What `message` says of its environment and of its release, in one pass.
pub fn facts<'a>(message: &'a [u8], attribute_field: u32, release_key: &str) -> Facts<Option<&'a str>> {
    let [best, standard, old] = environment::KEYS;
    let [vendors, named] = release::keys(release_key);
    let [e1, e2, e3, r1, r2] = said(&[best, standard, old, vendors, named], message, attribute_field);
    Facts { environment: [e1, e2, e3], release: [r1, r2] }
}

/// What a span is called where its trace is shown: what its convention calls it, else its name.
pub fn display_name(span: &[u8]) -> &str {
    let keys = ["gen_ai.tool.name", "genkit:name", "logfire.msg", "ai.toolCall.name", "ai.operationId"];
    let said = said(&keys, span, SPAN_ATTRIBUTES).into_iter().flatten().next();
    said.unwrap_or_else(|| std::str::from_utf8(SpanView(span).name()).unwrap_or_default())
}

/// Something for each key that a fact may stand under, best first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts<T> {
    pub environment: [T; environment::KEYS.len()],
    pub release: [T; 2],
}

/// The best of what a span and its resource say: key by key, the span first.
pub fn best<'a, const N: usize>(
    span: [Option<&'a str>; N],
    resource: [Option<&'a str>; N],
) -> Option<&'a str> {
    span.into_iter().zip(resource).find_map(|(span, resource)| span.or(resource))
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
    use opentelemetry_proto::tonic::{resource::v1::Resource, trace::v1::Span};
    use prost::Message;

    fn pairs(said: &[(&str, &str)]) -> Vec<KeyValue> {
        let value = |v: &str| Some(AnyValue { value: Some(Any::StringValue(v.into())) });
        said.iter()
            .map(|(k, v)| KeyValue { key: (*k).into(), value: value(v), ..Default::default() })
            .collect()
    }

    fn span(said: &[(&str, &str)]) -> Vec<u8> {
        Span { attributes: pairs(said), name: "x".into(), ..Default::default() }.encode_to_vec()
    }

    fn resource(said: &[(&str, &str)]) -> Vec<u8> {
        Resource { attributes: pairs(said), ..Default::default() }.encode_to_vec()
    }

    fn release_of<'a>(span: &'a [u8], resource: &'a [u8]) -> Option<&'a str> {
        let keys = release::keys("service.version");
        best(said(&keys, span, SPAN_ATTRIBUTES), said(&keys, resource, RESOURCE_ATTRIBUTES))
    }

    #[test]
    fn a_better_key_on_the_resource_beats_a_worse_one_on_the_span() {
        let span = span(&[("deployment.environment.name", "from-span")]);
        let resource =
            resource(&[("langfuse.environment", "from-resource"), ("deployment.environment", "old")]);
        assert_eq!(environment::of(&span, &resource), Some("from-resource"));
    }

    #[test]
    fn the_same_key_is_believed_on_the_span_first() {
        let span = span(&[("langfuse.release", "span")]);
        let resource = resource(&[("langfuse.release", "resource"), ("service.version", "1.0")]);
        assert_eq!(release_of(&span, &resource), Some("span"));
    }

    #[test]
    fn a_span_is_called_what_the_table_of_conventions_calls_it() {
        let keys = ["gen_ai.tool.name", "genkit:name", "logfire.msg", "ai.toolCall.name", "ai.operationId"];
        for said in
            [&[][..], &[(keys[0], "a")], &[(keys[4], "e"), (keys[1], "b")], &[(keys[3], "d"), (keys[2], "c")]]
        {
            let span = span(said);
            assert_eq!(
                display_name(&span),
                Observation::of(&span, around::Around::default()).name(),
                "{said:?}"
            );
        }
    }

    #[test]
    fn only_true_marks_a_root() {
        let marked = |value| {
            let value = Some(AnyValue { value: Some(value) });
            let mark = KeyValue { key: "langfuse.internal.as_root".into(), value, ..Default::default() };
            roots::is_marked(&Span { attributes: vec![mark], ..Default::default() }.encode_to_vec())
        };
        assert!(marked(Any::BoolValue(true)));
        assert!(!marked(Any::BoolValue(false)));
        assert!(!marked(Any::StringValue("true".into())));
    }

    #[test]
    fn an_empty_string_says_nothing_and_the_last_of_two_wins() {
        let span = span(&[("langfuse.environment", "")]);
        let resource = resource(&[("deployment.environment", "a"), ("deployment.environment", "b")]);
        assert_eq!(environment::of(&span, &resource), Some("b"));
        assert_eq!(release_of(&span, &resource), None);
    }
}
