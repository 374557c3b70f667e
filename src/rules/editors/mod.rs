//! Everything that can begin a statement: OTTL's editors, and ours.

mod converting;
pub mod deciding;
mod keys;
mod maps;
mod masking;
mod replacing;
mod writing;

use std::borrow::Cow;

use super::compare::Single;
use super::functions::{Deed, Editor, Takes};
use super::keys::Key;
use super::map::{Map, utf8};
use super::program::Path;
use super::spots::Spot;
use super::trouble::Trouble;
use super::types::Types;
use super::value::Value;
use crate::rules::functions::Argument;

pub fn all() -> impl Iterator<Item = &'static Editor> + Clone {
    let tables = [
        writing::EDITORS,
        keys::EDITORS,
        maps::EDITORS,
        replacing::EDITORS,
        masking::EDITORS,
        deciding::EDITORS,
        converting::EDITORS,
    ];
    tables.into_iter().flatten()
}

const TEXT: Takes = Takes::Value(Types::STR);
const COUNT: Takes = Takes::Constant(Types::INT);
const STRINGS: Takes = Takes::Value(Types::LIST);

/// Bytes that one statement may make of one value.
pub const RESULT_MAX: usize = 4 << 20;

/// The first argument of all editors that change something is where.
impl<'a> Deed<'_, 'a> {
    fn place(&self) -> Result<&'a Path, Trouble> {
        match self.arguments.first() {
            Some(Argument::Place(path)) => Ok(path),
            _ => Err(Trouble::new("wanted a path")),
        }
    }

    fn target(&self) -> Result<(&'a Path, Cow<'a, [Key<'a>]>), Trouble> {
        let path = self.place()?;
        Ok((path, path.keys(self.scene)?))
    }

    fn get(&self) -> Result<Value<'a>, Trouble> {
        Ok(self.place()?.read(self.scene)?.open())
    }

    /// The target's text; `None`: it is none.
    fn text_there(&self) -> Result<Option<Cow<'_, str>>, Trouble> {
        let path = self.place()?;
        match path.peek(self.scene) {
            Single::Str(text) => Ok(Some(utf8(text))),
            Single::Parts => match path.read(self.scene)?.open() {
                Value::Str(text) => Ok(Some(text)),
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    fn set(&mut self, value: Value<'a>) -> Result<(), Trouble> {
        let path = self.place()?;
        let kept = matches!(path.spot, Spot::Cache | Spot::Moment(_));
        if matches!(value, Value::Time(_) | Value::Duration(_)) && !kept {
            let hint = "; write `UnixNano(…)`, `FormatTime(…)` or `Nanoseconds(…)` of it";
            return Err(Trouble(format!("{} can not be stored{hint}", value.what())));
        }
        match (path.number, self.scene.draft_mut(path.home)) {
            (Some(number), Some(draft)) => {
                value.fits_in(0).map_err(Trouble::homeless)?;
                draft.write_named(number, Some(value));
                Ok(())
            }
            _ => {
                let keys = path.keys(self.scene)?;
                self.scene.write(path.home, path.spot, &keys, value)
            }
        }
    }

    fn remove_keys(&mut self, is: impl Fn(&[u8]) -> bool) -> Result<(), Trouble> {
        let (path, keys) = self.target()?;
        self.scene.remove_keys((path.home, path.spot, &keys), is)
    }

    fn edit_map(&mut self, edit: impl FnOnce(&mut Map<'a>) -> Result<(), Trouble>) -> Result<(), Trouble> {
        let (path, keys) = self.target()?;
        self.scene.edit_map(path.home, path.spot, &keys, edit)
    }
}

/// The strings of a list; what is no string is a trouble.
fn strings<'a>(list: Vec<Value<'a>>) -> Result<Vec<Cow<'a, str>>, Trouble> {
    let text = |value: Value<'a>| match value.open() {
        Value::Str(text) => Ok(text),
        other => Err(Trouble::wanted("a list of strings", &other)),
    };
    list.into_iter().map(text).collect()
}
