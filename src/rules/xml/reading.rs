//! Text to a tree. Every fault says where, in bytes.

use std::borrow::Cow;

use super::{Attribute, DEPTH_MAX, Document, Kind, NODES_MAX, Node};
use crate::rules::trouble::Trouble;

impl<'t> Document<'t> {
    /// # Errors
    /// When the text is not well-formed, nests too deep or has too many parts.
    pub fn read(text: &'t str) -> Result<Self, Trouble> {
        let document = Node { kind: Kind::Document, parent: 0, children: Vec::new() };
        let mut reader =
            Reader { text, at: 0, document: Self { nodes: vec![document] }, open: vec![0], parts: 0 };
        while reader.at < text.len() {
            reader.next()?;
        }
        match reader.open.last() {
            Some(open) if *open != 0 => {
                let name = reader.document.name(*open).unwrap_or_default();
                Err(Trouble(format!("not XML: `<{name}>` is not closed")))
            }
            _ => Ok(reader.document),
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    document: Document<'t>,
    /// The elements that are open, the document first.
    open: Vec<usize>,
    parts: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn fault<T>(&self, what: &str) -> Result<T, Trouble> {
        Err(Trouble(format!("not XML: {what} at byte {}", self.at)))
    }

    fn next(&mut self) -> Result<(), Trouble> {
        let rest = self.rest();
        if !rest.starts_with('<') {
            let text = rest.split('<').next().unwrap_or_default();
            if decoded(text).is_none() {
                return self.fault("an unknown entity in the text");
            }
            self.at += text.len();
            return self.add(Kind::Text(text));
        }
        if rest.starts_with("</") {
            return self.close();
        }
        for (start, end, kind) in [
            ("<!--", "-->", Kind::Comment as fn(&'t str) -> Kind<'t>),
            ("<![CDATA[", "]]>", Kind::Data as fn(&'t str) -> Kind<'t>),
        ] {
            if let Some(inside) = rest.strip_prefix(start) {
                let Some((inside, _)) = inside.split_once(end) else {
                    return self.fault(&format!("no `{end}` for the `{start}`"));
                };
                self.at += start.len() + inside.len() + end.len();
                return self.add(kind(inside));
            }
        }
        if rest.starts_with("<?") || rest.starts_with("<!") {
            let end = if rest.starts_with("<?") { "?>" } else { ">" };
            let Some(len) = rest.find(end) else { return self.fault(&format!("no `{end}`")) };
            let whole = rest.get(..len + end.len()).unwrap_or_default();
            self.at += whole.len();
            return self.add(Kind::Instruction(whole));
        }
        self.element()
    }

    fn add(&mut self, kind: Kind<'t>) -> Result<(), Trouble> {
        self.count(1)?;
        let parent = self.open.last().copied().unwrap_or(0);
        let nth = self.document.nodes.len();
        self.document.nodes.push(Node { kind, parent, children: Vec::new() });
        if let Some(parent) = self.document.nodes.get_mut(parent) {
            parent.children.push(nth);
        }
        Ok(())
    }

    fn count(&mut self, parts: usize) -> Result<(), Trouble> {
        self.parts += parts;
        match self.parts > NODES_MAX {
            true => Err(Trouble(format!("the XML has more than {NODES_MAX} parts"))),
            false => Ok(()),
        }
    }

    fn close(&mut self) -> Result<(), Trouble> {
        self.at += 2;
        let name = self.name()?;
        self.skip_blanks();
        if !self.rest().starts_with('>') {
            return self.fault("no `>`");
        }
        let open = self.open.last().and_then(|open| self.document.name(*open));
        if open != Some(name) {
            let open = open.map_or("nothing is open".into(), |open| format!("`<{open}>` is open"));
            return self.fault(&format!("`</{name}>` where {open}"));
        }
        self.at += 1;
        self.open.pop();
        Ok(())
    }

    fn element(&mut self) -> Result<(), Trouble> {
        self.at += 1;
        let name = self.name()?;
        let mut attributes = Vec::new();
        loop {
            let spaced = self.skip_blanks();
            let rest = self.rest();
            let (closed, len) = match () {
                () if rest.starts_with("/>") => (true, 2),
                () if rest.starts_with('>') => (false, 1),
                () if !spaced => return self.fault("no blank before an attribute, and no `>`"),
                () => {
                    attributes.push(self.attribute()?);
                    self.count(1)?;
                    continue;
                }
            };
            self.at += len;
            self.add(Kind::Element(name, attributes))?;
            if !closed {
                self.open.push(self.document.nodes.len() - 1);
                if self.open.len() > DEPTH_MAX {
                    return Err(Trouble(format!("the XML nests deeper than {DEPTH_MAX} levels")));
                }
            }
            return Ok(());
        }
    }

    fn attribute(&mut self) -> Result<Attribute<'t>, Trouble> {
        let name = self.name()?;
        self.skip_blanks();
        if !self.rest().starts_with('=') {
            return self.fault(&format!("no `=` behind the attribute `{name}`"));
        }
        self.at += 1;
        self.skip_blanks();
        let quote = self.rest().chars().next().filter(|quote| matches!(quote, '"' | '\''));
        let Some(quote) = quote else { return self.fault("an attribute's value without quotes") };
        self.at += 1;
        let Some((value, _)) = self.rest().split_once(quote) else {
            return self.fault("an attribute's value has no closing quote");
        };
        if value.contains('<') || decoded(value).is_none() {
            return self.fault("a `<` or an unknown entity in an attribute's value");
        }
        self.at += value.len() + 1;
        Ok(Attribute { name, value })
    }

    fn name(&mut self) -> Result<&'t str, Trouble> {
        let rest = self.rest();
        let begins = |letter: char| letter.is_alphabetic() || matches!(letter, '_' | ':');
        let goes_on = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | ':' | '-' | '.');
        if !rest.starts_with(begins) {
            return self.fault("no name");
        }
        let len = rest.find(|letter| !goes_on(letter)).unwrap_or(rest.len());
        self.at += len;
        Ok(rest.get(..len).unwrap_or_default())
    }

    /// Says whether there were any.
    fn skip_blanks(&mut self) -> bool {
        let rest = self.rest();
        let len = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        self.at += len;
        len > 0
    }
}

/// Text without its entities; `None` where one is unknown.
pub fn decoded(raw: &str) -> Option<Cow<'_, str>> {
    let Some((before, mut rest)) = raw.split_once('&') else { return Some(Cow::Borrowed(raw)) };
    let mut out = String::with_capacity(raw.len());
    out.push_str(before);
    loop {
        let (entity, behind) = rest.split_once(';')?;
        out.push(match entity {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let code = entity.strip_prefix('#')?;
                let code = match code.strip_prefix(['x', 'X']) {
                    Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                    None => code.parse().ok()?,
                };
                char::from_u32(code)?
            }
        });
        match behind.split_once('&') {
            Some((plain, next)) => {
                out.push_str(plain);
                rest = next;
            }
            None => {
                out.push_str(behind);
                return Some(Cow::Owned(out));
            }
        }
    }
}
