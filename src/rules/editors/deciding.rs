//! `drop`, `sample` and `route`: ours. They decide what becomes of the item; only `sample` writes to it,
//! and only how far it was thinned out.

use super::Types;
use crate::model::Destination;
use crate::rules::draft::Raw;
use crate::rules::functions::{Argument, Deed, Editor, Takes, must};
use crate::rules::group::Context;
use crate::rules::reading::TRACE_STATE;
use crate::rules::sample;
use crate::rules::spots::{Home, Spot};
use crate::rules::trouble::Trouble;
use crate::rules::value::Value;

pub const EDITORS: &[Editor] = &[
    Editor { name: "drop", parameters: &[], run: drop_it },
    Editor { name: "sample", parameters: &[must("rate", Takes::Constant(Types::NUMBER))], run: sample_it },
    Editor { name: "route", parameters: &[must("upstream", Takes::Constant(Types::STR))], run: route },
];

fn drop_it(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    deed.scene.drop_current();
    Ok(())
}

/// By the trace's id, so that whatever decides the same way elsewhere keeps the same traces. What belongs to
/// no trace stays.
fn sample_it(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    let rate = match deed.value(0) {
        Value::Int(rate) => rate as f64,
        Value::Double(rate) => rate,
        other => return Err(Trouble::wanted("a number", &other)),
    };
    let field = if deed.scene.context == Context::Log { 9 } else { 1 };
    let Value::Bytes(id) = deed.scene.read(Home::Item, Spot::Id(field, 16), &[])? else { return Ok(()) };
    let spans = deed.scene.context == Context::Span;
    if !(spans || deed.scene.context == Context::Log) || id.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    let state = match deed.scene.item.read(TRACE_STATE) {
        Raw::Len(state) if spans => String::from_utf8_lossy(&state).into_owned(),
        _ => String::new(),
    };
    match sample::decide(&id, &state, rate) {
        None => deed.scene.sampled_out = true,
        Some(new) if spans && new != state => {
            deed.scene.item.write(TRACE_STATE, Raw::Len(new.into_bytes().into()));
        }
        Some(_) => {}
    }
    Ok(())
}

/// Several statements come to all of the upstreams that they name.
fn route(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    if let Some(Argument::Route(to)) = deed.arguments.first() {
        deed.scene.route = Destination::both(deed.scene.route, Some(*to));
    }
    Ok(())
}
