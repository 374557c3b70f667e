//! A metric's data: which kind it is, and where each kind of point keeps what.

use super::draft::Place;
use super::spots::{PointSpot, Spot};
use crate::wire::fields::{Fields, Payload};

/// The kinds of data, by their field in a Metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Gauge = 5,
    Sum = 7,
    Histogram = 9,
    Exponential = 10,
    Summary = 11,
}

impl Kind {
    /// The data a Metric message has: the last one it names.
    pub fn of(metric: &[u8]) -> Option<Self> {
        let kinds = Fields::of(metric).filter(|field| matches!(field.payload, Payload::Len(_)));
        kinds.filter_map(|field| Self::of_field(field.number)).last()
    }

    pub fn of_field(number: u32) -> Option<Self> {
        [Self::Gauge, Self::Sum, Self::Histogram, Self::Exponential, Self::Summary]
            .into_iter()
            .find(|kind| *kind as u32 == number)
    }

    /// The Collector's number for it (`METRIC_DATA_TYPE_…`).
    pub const fn number(self) -> i64 {
        match self {
            Self::Gauge => 1,
            Self::Sum => 2,
            Self::Histogram => 3,
            Self::Exponential => 4,
            Self::Summary => 5,
        }
    }

    pub fn temporality(self) -> Option<Spot> {
        let has = matches!(self, Self::Sum | Self::Histogram | Self::Exponential);
        has.then_some(Spot::Number(Place { field: self as u32, within: 2 }))
    }

    pub fn monotonic(self) -> Option<Spot> {
        (self == Self::Sum).then_some(Spot::Bool(Place { field: self as u32, within: 3 }))
    }

    /// Where a point of this kind has `spot`; `None` where it has no such thing.
    pub fn place(self, spot: PointSpot) -> Option<Spot> {
        use Kind::{Exponential, Gauge, Histogram, Sum, Summary};
        Some(match (spot, self) {
            (PointSpot::Attributes, Gauge | Sum | Summary) => Spot::Attributes(7),
            (PointSpot::Attributes, Histogram) => Spot::Attributes(9),
            (PointSpot::Attributes, Exponential) => Spot::Attributes(1),
            (PointSpot::Flags, Gauge | Sum | Summary) => Spot::Number(Place::at(8)),
            (PointSpot::Flags, Histogram | Exponential) => Spot::Number(Place::at(10)),
            (PointSpot::ValueDouble, Gauge | Sum) => Spot::Double(4),
            (PointSpot::ValueInt, Gauge | Sum) => Spot::Fixed(6),
            (PointSpot::Count, Histogram | Exponential | Summary) => Spot::Fixed(4),
            (PointSpot::Sum, Histogram | Exponential | Summary) => Spot::Double(5),
            (PointSpot::Scale, Exponential) => Spot::Zigzag(6),
            (PointSpot::ZeroCount, Exponential) => Spot::Fixed(7),
            _ => return None,
        })
    }
}
