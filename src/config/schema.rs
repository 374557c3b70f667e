//! The JSON Schema of a configuration, written from the table of settings: for editors, and for the chart's values.
//!
//! It knows forms and names, not what goes together: that is `spandrel check`. Wherever a value stands, a variable
//! (`${env:NAME}`) may stand for it.

use serde_json::{Map, Value, json};

use super::field::{Field, Named, Range, Row, Seen};
use super::raw::{Raw, Upstream};
use super::source::Source;

/// Stands for the names a user chooses.
const NAME: &str = "NAME";
/// A variable within a value.
const VARIABLE: &str = r".*\$\{.+\}.*";

/// The schema, as an object that allows no unknown keys.
pub fn schema() -> Value {
    let upstreams = Named { entries: vec![(NAME.to_owned(), Source::Default, Upstream::default())] };
    let raw = Raw { upstreams, ..Raw::default() };
    let mut root = json!({});
    raw.walk(Row { path: &[], doc: &[] }, &mut |row, seen| {
        let mut schema = of(&seen);
        if !row.doc.is_empty() {
            let doc: Vec<&str> = row.doc.iter().map(|line| line.trim()).collect();
            schema["description"] = doc.join(" ").into();
        }
        *place(&mut root, row.path) = schema;
    });
    // `upstream` with keys is short for the one called `default`.
    let mut short = root["properties"]["upstreams"]["additionalProperties"].clone();
    short["type"] = json!(["string", "object"]);
    short["description"] = root["properties"]["upstream"]["description"].take();
    root["properties"]["upstream"] = short;
    // A text, or the mapping it is short for.
    let environment = &mut root["properties"]["environment"];
    environment["type"] = json!(["string", "number", "boolean", "object"]);
    environment["additionalProperties"] = false.into();
    root
}

/// Where the schema of a path stands. Groups come before what is in them.
fn place<'a>(root: &'a mut Value, path: &[String]) -> &'a mut Value {
    path.iter().fold(root, |at, key| match key.as_str() {
        NAME => &mut at["additionalProperties"],
        key => &mut at["properties"][key],
    })
}

fn of(seen: &Seen<'_>) -> Value {
    match seen {
        Seen::Group => json!({"type": "object", "additionalProperties": false, "properties": {}}),
        Seen::Map { wants: "name: text" } => {
            json!({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}})
        }
        Seen::Map { .. } => json!({"type": "object"}),
        // A list, or the mapping that names where it is taken from.
        Seen::List { .. } => json!({"type": ["array", "object"], "items": {"type": ["string", "object"]}}),
        Seen::Leaf { default, wants, range, .. } => {
            let mut schema = leaf(wants, *range);
            if !default.is_empty() {
                schema["default"] = (*default).into();
            }
            schema
        }
    }
}

/// By what the table says is wanted.
fn leaf(wants: &str, range: Range) -> Value {
    let one_of = |forms: &str| format!("^({forms}|{VARIABLE})$");
    match wants {
        "`true` or `false`" => json!({"type": ["boolean", "string"], "pattern": one_of("true|false")}),
        "a whole number" => {
            let mut schema = json!({"type": ["integer", "string"], "pattern": one_of("[0-9]+")});
            for (bound, word) in
                range.into_iter().flat_map(|(low, high)| [("minimum", low), ("maximum", high)])
            {
                schema[bound] = word.parse::<u64>().map_or(Value::Null, Value::from);
            }
            schema
        }
        "a size" => {
            let pattern = one_of("[0-9]+ ?([KMG]i|[kKMG]?B|[KMG]iB)?");
            json!({"type": ["integer", "string"], "pattern": pattern})
        }
        "a duration" => json!({"type": "string", "pattern": one_of("[0-9]+ ?(h|m|s|ms|us)")}),
        "a file mode" => json!({"type": ["integer", "string"], "pattern": one_of("[0-7]{3,4}")}),
        "a path" => json!({"type": "string"}),
        wants if wants.starts_with("a list of") => {
            json!({"type": ["array", "string"], "items": {"type": "string"}})
        }
        wants if wants.contains("address:port") => {
            let forms = "off|unix:/.+|.*:[0-9]+";
            json!({"type": "string", "pattern": one_of(forms)})
        }
        wants if wants.starts_with('`') => {
            let words: Vec<&str> = wants.split('`').skip(1).step_by(2).collect();
            json!({"type": "string", "pattern": one_of(&words.join("|"))})
        }
        _ => json!({"type": ["string", "number", "boolean"]}),
    }
}

/// The schema of the chart's values: `chart` says what is the chart's own, the table what a configuration is.
pub fn of_values(chart: Value) -> Value {
    let mut whole = chart;
    let definitions = Map::from_iter([("configuration".to_owned(), schema())]);
    whole["$defs"] = definitions.into();
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_there_and_nothing_else_may_be() {
        let schema = schema();
        assert_eq!(schema["additionalProperties"], false);
        let idle = &schema["properties"]["join"]["properties"]["idle"];
        assert_eq!((&idle["default"], &idle["type"]), (&"6s".into(), &"string".into()));
        let upstream = &schema["properties"]["upstreams"]["additionalProperties"];
        assert_eq!(upstream["properties"]["compression"]["pattern"], r"^(none|gzip|zstd|.*\$\{.+\}.*)$");
        assert_eq!(schema["properties"]["upstream"]["type"], json!(["string", "object"]));
        assert_eq!(
            schema["properties"]["upstream"]["properties"]["gateway"]["type"],
            json!(["string", "number", "boolean"])
        );
        assert_eq!(schema["properties"]["lanes"]["maximum"], 256);
        let environment = &schema["properties"]["environment"];
        assert_eq!(environment["properties"]["by_namespace"]["type"], "object");
        assert!(environment["type"].as_array().unwrap().contains(&"object".into()));
        assert!(schema["properties"]["rules"]["description"].as_str().unwrap().contains("OTTL"));
    }
}
