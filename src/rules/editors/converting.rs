//! `convert_sum_to_gauge` and `convert_gauge_to_sum`: the Collector's transform processor's own, for metrics.

use super::Types;
use crate::rules::functions::{Deed, Editor, Takes, must};
use crate::rules::points::Kind;
use crate::rules::recast::Recast;
use crate::rules::trouble::Trouble;

pub const EDITORS: &[Editor] = &[
    Editor { name: "convert_sum_to_gauge", parameters: &[], run: to_gauge },
    Editor {
        name: "convert_gauge_to_sum",
        parameters: &[
            must("aggregation_temporality", Takes::Choice(&["cumulative", "delta"])),
            must("is_monotonic|monotonic", Takes::Constant(Types::BOOL)),
        ],
        run: to_sum,
    },
];

/// A metric of another kind is left alone.
fn to_gauge(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    if deed.scene.metric_kind() == Some(Kind::Sum) {
        deed.scene.recast = Some(Recast::gauge());
    }
    Ok(())
}

fn to_sum(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    let temporality = if deed.text(0)? == "delta" { 1 } else { 2 };
    let monotonic = deed.truth(1);
    if deed.scene.metric_kind() == Some(Kind::Gauge) {
        deed.scene.recast = Some(Recast::sum(temporality, monotonic));
    }
    Ok(())
}
