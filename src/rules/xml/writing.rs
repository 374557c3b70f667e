//! A tree to text, with what was decided about its nodes carried out on the way.

use std::borrow::Cow;
use std::fmt::Write;

use hashbrown::{HashMap, HashSet};

use super::xpath::Item;
use super::{Attribute, Document, Kind};
use crate::rules::editors::RESULT_MAX;
use crate::rules::trouble::Trouble;

/// What is written otherwise than it was read.
#[derive(Debug, Default)]
pub struct Edits<'e> {
    /// Nodes and attributes that go.
    pub gone: HashSet<Item, ahash::RandomState>,
    /// Text behind the last child of these nodes.
    pub appended: HashMap<usize, Cow<'e, str>, ahash::RandomState>,
    /// Texts that are wrapped in elements, and the elements' name.
    pub wrapped: HashSet<usize, ahash::RandomState>,
    pub wrapper: &'e str,
}

impl Document<'_> {
    /// The text of a node with all that is inside.
    ///
    /// # Errors
    /// When it would be too long.
    pub fn write(&self, node: usize, edits: &Edits<'_>, out: &mut String) -> Result<(), Trouble> {
        if edits.gone.contains(&Item::Node(node)) {
            return Ok(());
        }
        if out.len() > RESULT_MAX {
            return Err(Trouble(format!("the result would be longer than {RESULT_MAX} bytes")));
        }
        match self.kind(node) {
            Kind::Document => self.write_inside(node, edits, out)?,
            Kind::Element(name, attributes) => {
                out.push('<');
                out.push_str(name);
                for (nth, attribute) in attributes.iter().enumerate() {
                    if !edits.gone.contains(&Item::Attribute(node, nth)) {
                        write_attribute(*attribute, out);
                    }
                }
                out.push('>');
                self.write_inside(node, edits, out)?;
                let _ = write!(out, "</{name}>");
            }
            Kind::Text(text) if edits.wrapped.contains(&node) => {
                let _ = write!(out, "<{0}>{text}</{0}>", edits.wrapper);
            }
            Kind::Text(text) | Kind::Instruction(text) => out.push_str(text),
            Kind::Data(text) => {
                let _ = write!(out, "<![CDATA[{text}]]>");
            }
            Kind::Comment(text) => {
                let _ = write!(out, "<!--{text}-->");
            }
        }
        Ok(())
    }

    fn write_inside(&self, node: usize, edits: &Edits<'_>, out: &mut String) -> Result<(), Trouble> {
        self.children(node).iter().try_for_each(|child| self.write(*child, edits, out))?;
        if let Some(text) = edits.appended.get(&node) {
            out.push_str(text);
        }
        Ok(())
    }
}

fn write_attribute(attribute: Attribute<'_>, out: &mut String) {
    let Attribute { name, value } = attribute;
    let _ = match value.contains('"') {
        true => write!(out, " {name}='{value}'"),
        false => write!(out, " {name}=\"{value}\""),
    };
}
