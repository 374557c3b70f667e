//! An object as lines of `path = value`, so that two can be held against each other field by field.

use std::collections::BTreeMap;

use serde_json::Value;

/// By path; members of lists are told by their names where they have one.
pub type Flat = BTreeMap<String, Value>;

/// What the API server makes up anew each time.
const MADE_UP: [&str; 5] = [
    "metadata.uid",
    "metadata.creationTimestamp",
    "metadata.generation",
    "metadata.resourceVersion",
    "metadata.name",
];

/// Without what differs between two of the same.
pub fn flat(object: &Value) -> Flat {
    let mut flat = Flat::new();
    add(&mut flat, String::new(), object);
    flat.retain(|path, _| !MADE_UP.contains(&path.as_str()) && !path.starts_with("metadata.managedFields"));
    flat
}

fn add(flat: &mut Flat, path: String, value: &Value) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let dot = if path.is_empty() { "" } else { "." };
            fields.iter().for_each(|(key, value)| add(flat, format!("{path}{dot}{key}"), value));
        }
        Value::Array(members) if members.iter().any(|member| member["name"].is_string()) => {
            for member in members {
                add(
                    flat,
                    format!("{path}[{}]", without_chance(member["name"].as_str().unwrap_or("?"))),
                    member,
                );
            }
            let order: Vec<String> =
                members.iter().map(|m| without_chance(m["name"].as_str().unwrap_or("?"))).collect();
            flat.insert(format!("{path} in order"), order.join(" ").into());
        }
        Value::Array(members) if !members.is_empty() => {
            members.iter().enumerate().for_each(|(at, member)| add(flat, format!("{path}[{at}]"), member));
        }
        Value::String(text) => drop(flat.insert(path, without_chance(text).into())),
        other => drop(flat.insert(path, other.clone())),
    }
}

/// The volume of a service account's token has letters by chance at its end.
fn without_chance(name: &str) -> String {
    let stem = "kube-api-access";
    if name.starts_with(stem) { stem.to_owned() } else { name.to_owned() }
}

/// What is in the second and not, or otherwise, in the first; one a line.
pub fn difference(first: &Flat, second: &Flat) -> String {
    let mut lines = String::new();
    for (path, value) in second {
        match first.get(path) {
            Some(same) if same == value => {}
            Some(other) => lines.push_str(&format!("{path} = {value}, was {other}\n")),
            None => lines.push_str(&format!("{path} = {value}\n")),
        }
    }
    let gone = first.keys().filter(|path| !second.contains_key(*path));
    gone.for_each(|path| lines.push_str(&format!("{path} is gone\n")));
    lines
}
