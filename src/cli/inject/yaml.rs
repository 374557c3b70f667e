//! A manifest as a tree that knows where in the text everything stands, so that text can be put in between.
//!
//! It never writes a manifest anew: comments, quotes and order stay because they are not touched. Unlike the
//! configuration's tree it takes many documents and leaves aliases alone: nobody can insert into what stands elsewhere.

use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};

const DEPTH_MAX: usize = 64;

/// A value and where it begins, in bytes.
#[derive(Clone, Debug)]
pub struct Node {
    pub start: usize,
    /// From 1.
    pub line: usize,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Scalar {
        text: String,
        plain: bool,
    },
    /// Nothing, `~` or `null`.
    Null,
    Alias,
    List {
        flow: bool,
        items: Vec<Node>,
    },
    Map {
        flow: bool,
        entries: Vec<Entry>,
    },
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    /// Where the key begins.
    pub start: usize,
    pub line: usize,
    pub column: usize,
    pub value: Node,
}

impl Node {
    /// One that stands nowhere yet.
    pub fn new(kind: Kind) -> Self {
        Self { start: 0, line: 0, kind }
    }

    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// Down a path of keys.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// Those of a map; none of anything else.
    pub fn entries(&self) -> &[Entry] {
        if let Kind::Map { entries, .. } = &self.kind { entries } else { &[] }
    }

    /// Those of a list; none of anything else.
    pub fn items(&self) -> &[Node] {
        if let Kind::List { items, .. } = &self.kind { items } else { &[] }
    }

    pub fn text(&self) -> Option<&str> {
        if let Kind::Scalar { text, .. } = &self.kind { Some(text) } else { None }
    }

    /// The text at a path, if there is any.
    pub fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path)?.text().filter(|text| !text.is_empty())
    }
}

/// Reads all documents.
///
/// # Errors
/// The first thing that is not YAML, with its line.
pub fn read(text: &str) -> Result<Vec<Node>, String> {
    let options = granit_parser::options! { emit_comments: false };
    let mut reader = Reader { parser: Parser::new_from_str_with_options(text, options) };
    let mut documents = Vec::new();
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Ok(documents),
            (Event::DocumentStart(..), _) => {
                let (event, span) = reader.next()?;
                documents.push(reader.node(event, &span, 0)?);
            }
            _ => {}
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), String> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(format!("line {}: not YAML: {}", error.marker().line(), error.info())),
            None => Err("ends too early".to_owned()),
        }
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, String> {
        let line = span.start.line();
        if depth > DEPTH_MAX {
            return Err(format!("line {line}: nested deeper than {DEPTH_MAX} levels"));
        }
        let kind = match event {
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                match &*text {
                    "" | "~" | "null" if plain => Kind::Null,
                    text => Kind::Scalar { text: text.to_owned(), plain },
                }
            }
            Event::SequenceStart(style, ..) => {
                Kind::List { flow: style == StructureStyle::Flow, items: self.list(depth)? }
            }
            Event::MappingStart(style, ..) => {
                Kind::Map { flow: style == StructureStyle::Flow, entries: self.map(depth)? }
            }
            _ => Kind::Alias,
        };
        Ok(Node { start: offset(span.start), line, kind })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, String> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, &span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, String> {
        let mut entries = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(entries);
            }
            let key = self.node(event, &at, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, &span, depth + 1)?;
            let key = key.text().unwrap_or_default().to_owned();
            let (line, column) = (at.start.line(), at.start.col());
            entries.push(Entry { key, start: offset(at.start), line, column, value });
        }
    }
}

/// Of texts the parser always knows it.
fn offset(marker: granit_parser::Marker) -> usize {
    marker.byte_offset().unwrap_or_default()
}
