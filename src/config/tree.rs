//! YAML as a tree that remembers where everything stands.
//!
//! Not serde: it would stop at the first mistake and forget positions. The tree is bounded in depth
//! and in nodes, aliases counted each time they are used, so that no file can grow the process.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::mistake::{Mistake, quoted};
use super::source::Source;

/// A value and where it begins.
#[derive(Clone, Debug)]
pub struct Node {
    pub at: Source,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub enum Kind {
    /// `source` is the value as it stands in the file, escapes and quotes included.
    Scalar {
        text: String,
        source: String,
    },
    /// Nothing, `~` or `null`, unquoted: as good as not written.
    Null,
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    pub at: Source,
    pub value: Node,
}

const DEPTH_MAX: usize = 32;
/// Far above any honest file; aliases of aliases reach it within microseconds.
const NODES_MAX: usize = 20_000;

/// Reads one document. Duplicate keys are noted in `mistakes` and the first one stands.
///
/// # Errors
/// The first thing that is not YAML, or not what we take of it.
pub fn read(text: &str, mistakes: &mut Vec<Mistake>) -> Result<Node, Mistake> {
    let options = granit_parser::options! { emit_comments: false };
    let mut reader = Reader {
        parser: Parser::new_from_str_with_options(text, options),
        text,
        anchors: HashMap::new(),
        nodes: 0,
        mistakes,
    };
    reader.document()
}

struct Reader<'a, 'm> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    text: &'a str,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    mistakes: &'m mut Vec<Mistake>,
}

impl<'a> Reader<'a, '_> {
    fn document(&mut self) -> Result<Node, Mistake> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_some() => {
                    return Err(Mistake::new(at(&span), "a second document begins; a configuration is one"));
                }
                Event::DocumentStart(..) => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, &span, 0)?);
                }
                _ => return Err(Mistake::new(at(&span), "unexpected YAML")),
            }
        }
        Ok(root.unwrap_or(Node { at: Source::File { line: 1, column: 1 }, kind: Kind::Null }))
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Mistake> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Err(Mistake::new(Source::WholeFile, "ends too early")),
        }
    }

    fn syntax(&self, error: &granit_parser::ScanError) -> Mistake {
        let (line, column) = (error.marker().line(), error.marker().col() + 1);
        let source = self.text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let hint = match source {
            s if s.starts_with('\t') || s.trim_start_matches(' ').starts_with('\t') => {
                "; indent with spaces, not tabs"
            }
            s if s.contains("${") => "; put quotes round a value with `${…}` in it",
            _ => "",
        };
        Mistake::new(Source::File { line, column }, format!("not YAML: {}{hint}", error.info()))
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, Mistake> {
        let here = at(span);
        self.count(1, &here)?;
        if depth > DEPTH_MAX {
            return Err(Mistake::new(here, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        if let Some(tag) = event.tag().filter(|tag| !tag.is_yaml_core_schema()) {
            let begin = span.tag_start().unwrap_or(span.start);
            let here = Source::File { line: begin.line(), column: begin.col() + 1 };
            return Err(Mistake::new(here, format!("unknown tag {}", quoted(&tag.original()))));
        }
        let anchor = event.anchor_id();
        let kind = match event {
            Event::Scalar(text, style, ..) => {
                let null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null");
                let source = span.slice(self.text).unwrap_or_default().to_owned();
                if null { Kind::Null } else { Kind::Scalar { text: text.into_owned(), source } }
            }
            Event::SequenceStart(..) => self.list(depth)?,
            Event::MappingStart(..) => self.map(depth)?,
            Event::Alias(id) => return self.alias(id, here),
            _ => return Err(Mistake::new(here, "unexpected YAML")),
        };
        let node = Node { at: here, kind };
        if let Some(id) = anchor {
            self.anchors.insert(id, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Mistake> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Kind::List(items)),
                (event, span) => items.push(self.node(event, &span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Mistake> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Kind::Map(entries));
            }
            let key = self.node(event, &span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, &span, depth + 1)?;
            let Kind::Scalar { text, .. } = key.kind else {
                self.mistakes.push(Mistake::new(key.at, "a key must be text"));
                continue;
            };
            match entries.iter().find(|entry| entry.key == text) {
                Some(first) => {
                    let line = if let Source::File { line, .. } = first.at { line } else { 0 };
                    let wrong = format!("key {} is given twice; first on line {line}", quoted(&text));
                    self.mistakes.push(Mistake::new(key.at, wrong));
                }
                None => entries.push(Entry { key: text, at: key.at, value }),
            }
        }
    }

    fn alias(&mut self, id: usize, here: Source) -> Result<Node, Mistake> {
        let Some(target) = self.anchors.get(&id) else {
            return Err(Mistake::new(here, "an alias inside what it stands for"));
        };
        let (kind, size) = (&target.kind, size(target));
        // Paid for before it is copied.
        self.nodes += size;
        if self.nodes > NODES_MAX {
            return Err(too_large(here));
        }
        Ok(Node { at: here, kind: kind.clone() })
    }

    fn count(&mut self, nodes: usize, here: &Source) -> Result<(), Mistake> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX { Err(too_large(here.clone())) } else { Ok(()) }
    }
}

fn too_large(here: Source) -> Mistake {
    Mistake::new(here, format!("more than {NODES_MAX} values, aliases counted each time they are used"))
}

fn size(node: &Node) -> usize {
    match &node.kind {
        Kind::Map(entries) => 1 + entries.iter().map(|entry| 1 + size(&entry.value)).sum::<usize>(),
        Kind::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Kind::Scalar { .. } | Kind::Null => 1,
    }
}

fn at(span: &Span) -> Source {
    Source::File { line: span.start.line(), column: span.start.col() + 1 }
}
