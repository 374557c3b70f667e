//! `drop`, `sample` and `route`: ours. They decide what becomes of the item, and write nothing to it but how far
//! it was thinned out.

use std::borrow::Cow;

use super::Types;
use crate::model::Destination;
use crate::rules::draft::Raw;
use crate::rules::functions::{Argument, Deed, Editor, Takes, must};
use crate::rules::group::Context;
use crate::rules::reading::TRACE_STATE;
use crate::rules::sample;
use crate::rules::scene::Scene;
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

/// Only says at which rate: whoever knows the whole trace decides, once for all of it. What belongs to no trace
/// stays.
fn sample_it(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    let rate = match deed.value(0) {
        Value::Int(rate) => rate as f64,
        Value::Double(rate) => rate,
        other => return Err(Trouble::wanted("a number", &other)),
    };
    if let Some(id) = trace_of(deed.scene)
        && id.iter().any(|byte| *byte != 0)
    {
        let asked = sample::threshold_of(rate);
        deed.scene.threshold = Some(deed.scene.threshold.map_or(asked, |other| other.max(asked)));
    }
    Ok(())
}

/// The id of the trace that a span or a log record belongs to.
fn trace_of<'a>(scene: &Scene<'a>) -> Option<Cow<'a, [u8]>> {
    let field = match scene.context {
        Context::Span => 1,
        Context::Log => 9,
        _ => return None,
    };
    match scene.read(Home::Item, Spot::Id(field, 16), &[]) {
        Ok(Value::Bytes(id)) => Some(id),
        _ => None,
    }
}

/// Whether an item stays that `sample` was asked of by itself; a span then says how far it was thinned out.
pub fn stays_alone(scene: &mut Scene<'_>) -> bool {
    let Some(threshold) = scene.threshold else { return true };
    let Some(id) = trace_of(scene) else { return true };
    let state = match scene.item.read(TRACE_STATE) {
        Raw::Len(state) if scene.context == Context::Span => String::from_utf8_lossy(&state).into_owned(),
        _ => String::new(),
    };
    let said = sample::Said::of(&state);
    if !sample::stays(threshold, said.random.unwrap_or_else(|| sample::random_of(&id)), said.threshold) {
        return false;
    }
    if scene.context == Context::Span
        && let Some(new) = sample::stated(&state, threshold)
    {
        scene.item.write(TRACE_STATE, Raw::Len(new.into_bytes().into()));
    }
    true
}

/// Several statements come to all of the upstreams that they name.
fn route(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    if let Some(Argument::Route(to)) = deed.arguments.first() {
        deed.scene.route = Destination::both(deed.scene.route, Some(*to));
    }
    Ok(())
}
