//! What the table of settings is made of: leaves, maps and groups, all seen through [`Field`].
//!
//! The `group!` macro writes a plain struct and, from the same lines, how it is filled by path, how
//! it is walked for `print-config`, and its page of the reference. There is no second list of names.

use super::mistake::{did_you_mean, quoted};
use super::source::Source;
use super::words::Word;

/// A part of the configuration that can be found by name, given a value, and shown.
pub trait Field {
    /// The field that `key` names below this one. Maps make room for a key they have not seen.
    ///
    /// # Errors
    /// What is wrong with the key, with a hint.
    fn child(&mut self, key: &str, from: &Source) -> Result<&mut dyn Field, String>;

    /// Takes a value as text.
    ///
    /// # Errors
    /// What is wrong with it, beginning with the value quoted.
    fn take(&mut self, text: &str, from: &Source) -> Result<(), String>;

    /// Takes the values of a list, each with where it stands, and where the list does.
    ///
    /// # Errors
    /// What is wrong with them.
    fn take_list(&mut self, _: Vec<(String, Source)>, _: &Source) -> Result<(), String> {
        Err("does not take a list".to_owned())
    }

    /// Makes room for one more entry of a list whose entries have parts; `None` where lists hold texts.
    fn entry(&mut self, _: &Source) -> Option<&mut dyn Field> {
        None
    }

    /// Whether keys may follow: in YAML, a mapping.
    fn has_keys(&self) -> bool {
        true
    }

    /// Whether what follows in a dotted path is one key, dots and all.
    fn keys_have_dots(&self) -> bool {
        false
    }

    /// Shows this and everything below it, in the order of the table.
    fn walk(&self, row: Row<'_>, see: &mut dyn FnMut(Row<'_>, Seen<'_>));
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub path: &'a [String],
    pub doc: &'static [&'static str],
}

/// What a walk comes by.
#[derive(Debug)]
pub enum Seen<'a> {
    Group,
    /// A map whose keys the user chooses, before its entries.
    Map {
        wants: &'static str,
    },
    /// A list, each entry as YAML on one line and where it stands.
    List {
        entries: &'a [(String, &'a Source)],
        wants: &'static str,
    },
    Leaf {
        value: Option<String>,
        from: &'a Source,
        default: &'static str,
        wants: &'static str,
        range: Range,
    },
}

/// The least and the most a leaf takes, as written in the table.
pub type Range = Option<(&'static str, &'static str)>;

/// A leaf: a value, where it came from, and what the table says of it.
#[derive(Clone, Debug)]
pub struct Slot<W> {
    pub value: W,
    pub from: Source,
    default: &'static str,
    range: Range,
}

impl<W: Word> Slot<W> {
    /// The table's default. A default that can not be read is a mistake in the table, and every
    /// start of the program and every test would show it.
    #[allow(clippy::expect_used)]
    pub fn new(default: &'static str, range: Range) -> Self {
        let value = W::read(default).expect("the table's defaults are well formed");
        Self { value, from: Source::Default, default, range }
    }

    /// Puts a value that was worked out, not written.
    pub fn put(&mut self, value: W, from: Source) {
        (self.value, self.from) = (value, from);
    }

    fn check_range(&self, value: &W, text: &str) -> Result<(), String> {
        let Some((low, high)) = self.range.filter(|_| !text.is_empty()) else { return Ok(()) };
        let bound = |word| W::read(word).ok();
        if bound(low).is_some_and(|low| *value < low) {
            return Err(format!("{} is too small; the least is `{low}`", quoted(text)));
        }
        if bound(high).is_some_and(|high| *value > high) {
            return Err(format!("{} is too large; the most is `{high}`", quoted(text)));
        }
        Ok(())
    }
}

impl<W: Word> Field for Slot<W> {
    fn child(&mut self, key: &str, _: &Source) -> Result<&mut dyn Field, String> {
        Err(format!("has no key {}: it is {}", quoted(key), W::WANTS))
    }

    fn take(&mut self, text: &str, from: &Source) -> Result<(), String> {
        let text = text.trim();
        if text.is_empty() && !W::MAY_BE_EMPTY {
            return Err(format!("is empty; it wants {}", W::WANTS));
        }
        let value = W::read(text).map_err(|wrong| format!("{} {wrong}", quoted(text)))?;
        self.check_range(&value, text)?;
        self.put(value, from.clone());
        Ok(())
    }

    fn take_list(&mut self, items: Vec<(String, Source)>, from: &Source) -> Result<(), String> {
        if !W::IS_LIST {
            return Err("does not take a list".to_owned());
        }
        let items: Vec<String> = items.into_iter().map(|(item, _)| item).collect();
        self.take(&items.join(","), from)
    }

    fn has_keys(&self) -> bool {
        false
    }

    fn walk(&self, row: Row<'_>, see: &mut dyn FnMut(Row<'_>, Seen<'_>)) {
        see(
            row,
            Seen::Leaf {
                value: self.value.show(),
                from: &self.from,
                default: self.default,
                wants: W::WANTS,
                range: self.range,
            },
        );
    }
}

/// A map from names the user chooses to text: headers, resource attributes.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    pub entries: Vec<(String, Slot<String>)>,
}

impl Field for Pairs {
    fn child(&mut self, key: &str, _: &Source) -> Result<&mut dyn Field, String> {
        let key = key.trim();
        if key.is_empty() {
            return Err("has an empty key".to_owned());
        }
        let at = self.entries.iter().position(|(name, _)| name == key).unwrap_or_else(|| {
            self.entries.push((key.to_owned(), Slot::new("", None)));
            self.entries.len() - 1
        });
        Ok(&mut self.entries[at].1)
    }

    /// `name=value,name2=value2`.
    fn take(&mut self, text: &str, from: &Source) -> Result<(), String> {
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            // Not quoted: what has no `=` may be half a secret.
            let (name, value) = pair.split_once('=').ok_or("is not a list like `name=value,name2=value2`")?;
            self.child(name, from)?.take(value.trim(), from)?;
        }
        Ok(())
    }

    fn keys_have_dots(&self) -> bool {
        true
    }

    fn walk(&self, row: Row<'_>, see: &mut dyn FnMut(Row<'_>, Seen<'_>)) {
        see(row, Seen::Map { wants: "name: text" });
        for (name, slot) in &self.entries {
            let path = below(row.path, name);
            see(
                Row { path: &path, doc: &[] },
                Seen::Leaf {
                    value: Some(slot.value.clone()),
                    from: &slot.from,
                    default: "",
                    wants: String::WANTS,
                    range: None,
                },
            );
        }
    }
}

/// A list of texts: tokens, origins.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    pub entries: Vec<(String, Source)>,
    /// Of the list as a whole.
    pub from: Source,
}

impl Field for Texts {
    fn child(&mut self, key: &str, _: &Source) -> Result<&mut dyn Field, String> {
        Err(format!("has no key {}: it is a list", quoted(key)))
    }

    /// `one,two`. What is given later takes the place of all that was.
    fn take(&mut self, text: &str, from: &Source) -> Result<(), String> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        self.entries = items.map(|item| (item.to_owned(), from.clone())).collect();
        self.from = from.clone();
        Ok(())
    }

    fn take_list(&mut self, items: Vec<(String, Source)>, from: &Source) -> Result<(), String> {
        self.from = from.clone();
        self.entries = items;
        Ok(())
    }

    fn has_keys(&self) -> bool {
        false
    }

    fn walk(&self, row: Row<'_>, see: &mut dyn FnMut(Row<'_>, Seen<'_>)) {
        let texts: Vec<&str> = self.entries.iter().map(|(text, _)| text.as_str()).collect();
        let value = (!texts.is_empty()).then(|| texts.join(","));
        see(row, Seen::Leaf { value, from: &self.from, default: "", wants: "a list of texts", range: None });
    }
}

/// A map from names the user chooses to groups: upstreams.
#[derive(Clone, Debug)]
pub struct Named<G> {
    pub entries: Vec<(String, Source, G)>,
}

impl<G> Default for Named<G> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<G: Field + Default> Named<G> {
    /// The group of this name, made if there is none.
    pub fn entry(&mut self, name: &str, from: &Source) -> &mut G {
        let at = self.entries.iter().position(|(known, ..)| known == name).unwrap_or_else(|| {
            self.entries.push((name.to_owned(), from.clone(), G::default()));
            self.entries.len() - 1
        });
        &mut self.entries[at].2
    }
}

/// Longest name of an upstream: it is a metric label.
const NAME_MAX: usize = 40;

impl<G: Field + Default> Field for Named<G> {
    fn child(&mut self, key: &str, from: &Source) -> Result<&mut dyn Field, String> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if key.is_empty() || key.len() > NAME_MAX || !key.chars().all(plain) {
            let why = "names are lower-case letters, digits, `-` and `_`, at most 40 of them";
            return Err(format!("can not have an entry named {}; {why}", quoted(key)));
        }
        Ok(self.entry(key, from))
    }

    fn take(&mut self, text: &str, _: &Source) -> Result<(), String> {
        Err(format!("is a mapping from names, not {}; did you mean `upstream`?", quoted(text)))
    }

    fn walk(&self, row: Row<'_>, see: &mut dyn FnMut(Row<'_>, Seen<'_>)) {
        see(row, Seen::Map { wants: "name: {…}" });
        for (name, _, group) in &self.entries {
            group.walk(Row { path: &below(row.path, name), doc: &[] }, see);
        }
    }
}

/// The path of a key below `path`.
pub fn below(path: &[String], key: &str) -> Vec<String> {
    path.iter().map(String::as_str).chain([key]).map(str::to_owned).collect()
}

/// What a group says of a key it does not have.
pub fn unknown(key: &str, known: &[&str]) -> String {
    let hint = did_you_mean(key, known.iter().copied());
    let hint = if hint.is_empty() { format!("; known here: {}", known.join(", ")) } else { hint };
    format!("unknown key {}{hint}", quoted(key))
}

/// What a group says when it is given text.
pub fn not_text(text: &str, known: &[&str]) -> String {
    format!("is a mapping, not {}; its keys are {}", quoted(text), known.join(", "))
}

/// Makes a field of what the table has on one line.
macro_rules! make_field {
    ($type:ty) => {
        <$type>::default()
    };
    ($type:ty, $default:literal) => {
        <$type>::new($default, None)
    };
    ($type:ty, $default:literal, $low:literal, $high:literal) => {
        <$type>::new($default, Some(($low, $high)))
    };
}

/// A group of the table: a struct of fields with their docs, defaults and bounds.
macro_rules! group {
    ($(#[doc = $about:literal])* $name:ident {
        $($(#[doc = $doc:literal])* $field:ident: $type:ty $(= $default:literal $(in $low:literal to $high:literal)?)?;)*
    }) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        pub struct $name {
            $($(#[doc = $doc])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $crate::config::field::make_field!($type $(, $default $(, $low, $high)?)?),)* }
            }
        }

        impl $crate::config::field::Field for $name {
            fn child(
                &mut self,
                key: &str,
                _: &$crate::config::source::Source,
            ) -> Result<&mut dyn $crate::config::field::Field, String> {
                match key {
                    $(stringify!($field) => Ok(&mut self.$field),)*
                    _ => Err($crate::config::field::unknown(key, &[$(stringify!($field)),*])),
                }
            }

            fn take(&mut self, text: &str, _: &$crate::config::source::Source) -> Result<(), String> {
                Err($crate::config::field::not_text(text, &[$(stringify!($field)),*]))
            }

            fn walk(
                &self,
                row: $crate::config::field::Row<'_>,
                see: &mut dyn FnMut($crate::config::field::Row<'_>, $crate::config::field::Seen<'_>),
            ) {
                see(row, $crate::config::field::Seen::Group);
                $(
                    let path = $crate::config::field::below(row.path, stringify!($field));
                    let doc: &'static [&'static str] = &[$($doc),*];
                    self.$field.walk($crate::config::field::Row { path: &path, doc }, see);
                )*
            }
        }
    };
}

pub(crate) use {group, make_field};
