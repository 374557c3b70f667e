//! Edits to an attribute list, spliced into the message's bytes.

use super::attr::Value;

/// One change to one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit<'a> {
    pub key: &'a str,
    pub value: Value<'a>,
    /// Overwrite a value that is there; otherwise only fill a gap.
    pub overwrite: bool,
}

/// `message` with its attribute list at `field` edited: every key at most once (the last value a key
/// had wins), all other bytes as they were and in their order, new attributes at the end.
pub fn attributes(message: &[u8], field: u32, edits: &[Edit<'_>]) -> Vec<u8> {
    let _ = (message, field, edits);
    todo!()
}
