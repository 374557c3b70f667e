//! XML: taken apart into maps, looked into and edited as text.

use std::borrow::Cow;

use hashbrown::HashMap;

use super::{TEXT, pure};
use crate::rules::functions::{Argument, Converter, Given, Parameter, Takes, may, must};
use crate::rules::map::Map;
use crate::rules::trouble::Trouble;
use crate::rules::types::Types;
use crate::rules::value::{LEVELS_MAX, Value};
use crate::rules::xml::writing::Edits;
use crate::rules::xml::xpath::Item;
use crate::rules::xml::{Attribute, Document, Kind, local};

const TARGET: Parameter = must("target", TEXT);
const XPATH: Parameter = must("xpath|x_path", Takes::XPath);

pub const CONVERTERS: &[Converter] = &[
    pure("ParseXML", &[TARGET], Types::MAP, parse_xml),
    pure("ParseSimplifiedXML", &[TARGET], Types::MAP, parse_simplified_xml),
    pure("GetXML", &[TARGET, XPATH], Types::STR, get_xml),
    pure("RemoveXML", &[TARGET, XPATH], Types::STR, remove_xml),
    pure("InsertXML", &[TARGET, XPATH, must("value|sub_document", TEXT)], Types::STR, insert_xml),
    pure(
        "ConvertAttributesToElementsXML",
        &[TARGET, may("xpath|x_path", Takes::XPath)],
        Types::STR,
        convert_attributes,
    ),
    pure(
        "ConvertTextToElementsXML",
        &[TARGET, may("xpath|x_path", Takes::XPath), may("element_name", Takes::Constant(Types::STR))],
        Types::STR,
        convert_text,
    ),
];

/// What the XPath selects; `None` where there is no XPath.
fn selected(given: &Given<'_, '_>, document: &Document<'_>) -> Result<Option<Vec<Item>>, Trouble> {
    match given.arguments.get(1) {
        Some(Argument::XPath(xpath)) => xpath.select(document).map(Some),
        _ => Ok(None),
    }
}

fn written<'a>(document: &Document<'_>, edits: &Edits<'_>) -> Result<Value<'a>, Trouble> {
    let mut out = String::new();
    document.write(0, edits, &mut out)?;
    Ok(Value::text(out))
}

/// As a map with `tag`, `attributes`, `content` and `children`.
fn parse_xml<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let text = given.text(0)?;
    let document = Document::read(&text)?;
    let top = document.children(0);
    let mut elements = top.iter().filter(|node| document.name(**node).is_some());
    let Some(root) = elements.next() else { return Err(Trouble::new("there is no element in the XML")) };
    let behind = top.iter().skip_while(|node| *node != root).skip(1);
    let is_more = |node: &usize| match document.kind(*node) {
        Kind::Text(text) => !text.trim().is_empty(),
        Kind::Element(..) | Kind::Data(_) => true,
        _ => false,
    };
    if behind.copied().any(|node| is_more(&node)) {
        return Err(Trouble::new("there is more behind the XML's element"));
    }
    parsed(&document, *root, 0).map(Value::Map)
}

fn parsed<'a>(document: &Document<'_>, node: usize, level: u32) -> Result<Map<'a>, Trouble> {
    // Each element is a map in a list.
    too_deep(level)?;
    let mut map = Map::default();
    map.set("tag", Value::text(local(document.name(node).unwrap_or_default()).to_owned()));
    let attributes = document.attributes(node);
    if !attributes.is_empty() {
        let pair =
            |a: &Attribute<'_>| (Cow::Owned(local(a.name).to_owned()), Value::text(a.text().into_owned()));
        map.set("attributes", Value::Map(attributes.iter().map(pair).collect()));
    }
    let (mut content, mut children) = (String::new(), Vec::new());
    for child in document.children(node) {
        match document.kind(*child) {
            Kind::Element(..) => children.push(Value::Map(parsed(document, *child, level + 2)?)),
            Kind::Text(_) | Kind::Data(_) => {
                content.push_str(document.text(*child).unwrap_or_default().trim());
            }
            _ => {}
        }
    }
    if !content.is_empty() {
        map.set("content", Value::text(content));
    }
    if !children.is_empty() {
        map.set("children", Value::List(children));
    }
    Ok(map)
}

fn too_deep(level: u32) -> Result<(), Trouble> {
    match level + 2 > LEVELS_MAX {
        true => Err(Trouble(format!("as a value the XML nests deeper than {LEVELS_MAX} levels"))),
        false => Ok(()),
    }
}

/// As maps from names to texts; what comes twice becomes a list.
fn parse_simplified_xml<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let text = given.text(0)?;
    let document = Document::read(&text)?;
    simplified(&document, 0, 0).map(Value::Map)
}

fn simplified<'a>(document: &Document<'_>, node: usize, level: u32) -> Result<Map<'a>, Trouble> {
    too_deep(level)?;
    let named = || {
        let children = document.children(node).iter();
        children.filter_map(|child| Some((local(document.name(*child)?), *child)))
    };
    let mut counts: HashMap<&str, usize, ahash::RandomState> = HashMap::default();
    named().for_each(|(name, _)| *counts.entry(name).or_default() += 1);
    let mut lists: HashMap<&str, Vec<Value<'a>>, ahash::RandomState> = HashMap::default();
    let mut found = Vec::new();
    for (name, child) in named() {
        // Nothing is inside: no value, though it counts.
        if document.children(child).is_empty() {
            continue;
        }
        let value = simplified_value(document, child, level)?;
        if counts.get(name).is_none_or(|count| *count == 1) {
            found.extend(value.map(|value| (name, value)));
            continue;
        }
        let list = lists.entry(name).or_insert_with(|| {
            found.push((name, Value::Nil));
            Vec::new()
        });
        list.extend(value);
    }
    let pairs = found.into_iter().map(|(name, value)| {
        let value = lists.remove(name).map_or(value, Value::List);
        (Cow::Owned(name.to_owned()), value)
    });
    Ok(pairs.collect())
}

fn simplified_value<'a>(
    document: &Document<'_>,
    node: usize,
    level: u32,
) -> Result<Option<Value<'a>>, Trouble> {
    let children = document.children(node);
    if children.iter().all(|child| document.name(*child).is_none()) {
        let text = children.iter().find_map(|child| document.text(*child));
        return Ok(text.filter(|text| !text.is_empty()).map(|text| Value::text(text.into_owned())));
    }
    // It may stand in a list.
    let map = simplified(document, node, level + 2)?;
    Ok((!map.is_empty()).then_some(Value::Map(map)))
}

/// Elements as XML, texts and attributes as text, one behind the other.
fn get_xml<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let text = given.text(0)?;
    let document = Document::read(&text)?;
    let mut out = String::new();
    for item in selected(given, &document)?.unwrap_or_default() {
        match item {
            Item::Attribute(node, nth) => {
                out.push_str(&document.attributes(node).get(nth).map(Attribute::text).unwrap_or_default());
            }
            Item::Node(node) => match document.text(node) {
                Some(text) => out.push_str(&text),
                None => document.write(node, &Edits::default(), &mut out)?,
            },
        }
    }
    Ok(Value::text(out))
}

fn remove_xml<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let text = given.text(0)?;
    let document = Document::read(&text)?;
    let gone = selected(given, &document)?.unwrap_or_default().into_iter().collect();
    written(&document, &Edits { gone, ..Edits::default() })
}

fn insert_xml<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let (text, inner) = (given.text(0)?, given.text(2)?);
    let document = Document::read(&text)?;
    let Value::Str(inner) = written(&Document::read(&inner)?, &Edits::default())? else {
        return Ok(Value::Nil);
    };
    let mut edits = Edits::default();
    for item in selected(given, &document)?.unwrap_or_default() {
        match item {
            Item::Node(node) if matches!(document.kind(node), Kind::Document | Kind::Element(..)) => {
                edits.appended.insert(node, Cow::Borrowed(&*inner));
            }
            _ => return Err(Trouble::new("the XPath selects something that is no element")),
        }
    }
    written(&document, &edits)
}

/// All attributes, or those the XPath selects.
fn convert_attributes<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let text = given.text(0)?;
    let document = Document::read(&text)?;
    let all = || {
        let nodes =
            document.all().flat_map(|node| (0..document.attributes(node).len()).map(move |n| (node, n)));
        nodes.map(|(node, nth)| Item::Attribute(node, nth)).collect()
    };
    let mut edits = Edits::default();
    for item in selected(given, &document)?.unwrap_or_else(all) {
        let Item::Attribute(node, nth) = item else { continue };
        let Some(Attribute { name, value }) = document.attributes(node).get(nth) else { continue };
        let elements = edits.appended.entry(node).or_default();
        elements.to_mut().push_str(&format!("<{name}>{value}</{name}>"));
        edits.gone.insert(item);
    }
    written(&document, &edits)
}

/// Texts that stand beside elements or other texts get an element of their own.
fn convert_text<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let text = given.text(0)?;
    let document = Document::read(&text)?;
    let wrapper = match given.text_or(2, "")? {
        name if name.is_empty() => Cow::Borrowed("value"),
        name => name,
    };
    let whole = || vec![Item::Node(0)];
    let mut edits = Edits { wrapper: &wrapper, ..Edits::default() };
    let mut ahead: Vec<usize> = Vec::new();
    for item in selected(given, &document)?.unwrap_or_else(whole) {
        ahead.extend(if let Item::Node(node) = item { Some(node) } else { None });
    }
    let mut seen = vec![false; document.all().len()];
    while let Some(node) = ahead.pop() {
        // What one selected element has inside may be selected too.
        match seen.get_mut(node) {
            Some(seen) if !*seen => *seen = true,
            _ => continue,
        }
        let children = document.children(node);
        let is_text =
            |child: &&usize| matches!(document.kind(**child), Kind::Text(t) if !t.trim().is_empty());
        let elements = children.iter().filter(|child| document.name(**child).is_some());
        let texts = children.iter().filter(is_text);
        if elements.clone().count() + texts.clone().count() > 1 {
            edits.wrapped.extend(texts);
        }
        ahead.extend(elements);
    }
    written(&document, &edits)
}
