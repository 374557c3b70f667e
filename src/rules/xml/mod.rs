//! XML as a tree of nodes: read within bounds, and written back with what was not touched as it was.
//!
//! A small reader of our own: no entities but the five built in, no DTDs that mean anything, nothing fetched,
//! so nothing can grow. Several elements may stand at the top, as the Collector allows. The one surprise:
//! `<a/>` is written as `<a></a>`, as the Collector does.

mod reading;
#[cfg(test)]
mod tests;
pub mod writing;
pub mod xpath;

use std::borrow::Cow;

/// Elements in elements. (The Collector takes 10,000.)
pub const DEPTH_MAX: usize = 1000;
/// Elements, texts, comments and attributes of one text.
pub const NODES_MAX: usize = 1 << 16;

/// A text as a tree; node 0 is the document itself.
#[derive(Debug)]
pub struct Document<'t> {
    nodes: Vec<Node<'t>>,
}

#[derive(Debug)]
pub struct Node<'t> {
    pub kind: Kind<'t>,
    parent: usize,
    children: Vec<usize>,
}

#[derive(Debug)]
pub enum Kind<'t> {
    Document,
    Element(&'t str, Vec<Attribute<'t>>),
    /// As it stands there, with its entities.
    Text(&'t str),
    /// What is between `<![CDATA[` and `]]>`.
    Data(&'t str),
    /// What is between `<!--` and `-->`.
    Comment(&'t str),
    /// `<?…?>` and `<!…>`, whole.
    Instruction(&'t str),
}

#[derive(Clone, Copy, Debug)]
pub struct Attribute<'t> {
    pub name: &'t str,
    /// As it stands there, with its entities.
    pub value: &'t str,
}

impl<'t> Document<'t> {
    /// Every node, parents before their children.
    pub fn all(&self) -> std::ops::Range<usize> {
        0..self.nodes.len()
    }

    pub fn kind(&self, node: usize) -> &Kind<'t> {
        self.nodes.get(node).map_or(&Kind::Document, |node| &node.kind)
    }

    pub fn parent(&self, node: usize) -> Option<usize> {
        self.nodes.get(node).filter(|_| node != 0).map(|node| node.parent)
    }

    pub fn children(&self, node: usize) -> &[usize] {
        self.nodes.get(node).map_or(&[], |node| &node.children)
    }

    pub fn attributes(&self, node: usize) -> &[Attribute<'t>] {
        match self.kind(node) {
            Kind::Element(_, attributes) => attributes,
            _ => &[],
        }
    }

    /// The name of an element, with its prefix.
    pub fn name(&self, node: usize) -> Option<&'t str> {
        match self.kind(node) {
            Kind::Element(name, _) => Some(name),
            _ => None,
        }
    }

    /// The text of a text node, without entities.
    pub fn text(&self, node: usize) -> Option<Cow<'t, str>> {
        match self.kind(node) {
            Kind::Text(raw) => reading::decoded(raw),
            Kind::Data(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    /// All text inside a node.
    pub fn text_inside(&self, node: usize) -> String {
        match self.kind(node) {
            Kind::Comment(text) | Kind::Instruction(text) => (*text).to_owned(),
            _ => {
                let mut out = String::new();
                self.gather(node, &mut out);
                out
            }
        }
    }

    fn gather(&self, node: usize, out: &mut String) {
        out.push_str(&self.text(node).unwrap_or_default());
        self.children(node).iter().for_each(|child| self.gather(*child, out));
    }
}

impl Attribute<'_> {
    pub fn text(&self) -> Cow<'_, str> {
        reading::decoded(self.value).unwrap_or_default()
    }
}

/// A name without its prefix.
pub fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}
