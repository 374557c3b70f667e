//! A gauge made a sum, or a sum a gauge, as the Collector's transform processor has it: the points stay as they are.
//!
//! Both kinds keep them alike, so what rules write to them fits either. The surprise: it is carried out last, on
//! what all other edits leave of the metric; until then only its type is another.

use super::points::Kind;
use crate::wire::fields::{Fields, Payload, put_len_field};
use crate::wire::patch::Patch;
use crate::wire::varint;

/// The field of a gauge's or a sum's points.
const POINTS: u32 = 1;

/// What a metric becomes.
#[derive(Clone, Debug)]
pub struct Recast {
    pub to: Kind,
    /// What its data says beside the points: whole fields.
    said: Vec<u8>,
}

impl Recast {
    pub fn gauge() -> Self {
        Self { to: Kind::Gauge, said: Vec::new() }
    }

    /// `temporality` as OTLP numbers it.
    pub fn sum(temporality: u64, monotonic: bool) -> Self {
        let mut said = Vec::new();
        for (field, value) in [(2, temporality), (3, u64::from(monotonic))] {
            varint::put(field << 3, &mut said);
            varint::put(value, &mut said);
        }
        Self { to: Kind::Sum, said }
    }

    /// What has to become of a metric that `edits` are for.
    pub fn plan(&self, metric: &[u8], edits: &Patch) -> Patch {
        let edited = edits.apply(metric);
        let mut out = Vec::with_capacity(edited.len());
        let mut fields = Fields::of(&edited);
        while let Some((field, raw)) = fields.next_raw() {
            match (Kind::of_field(field.number), field.payload) {
                (Some(Kind::Gauge | Kind::Sum), Payload::Len(data)) => {
                    put_len_field(self.to as u32, &self.data(data), &mut out);
                }
                _ => out.extend_from_slice(raw),
            }
        }
        let mut plan = Patch::default();
        plan.put(0..metric.len(), |whole| whole.extend_from_slice(&out));
        plan
    }

    fn data(&self, old: &[u8]) -> Vec<u8> {
        let (mut data, mut fields) = (Vec::with_capacity(old.len()), Fields::of(old));
        while let Some((field, raw)) = fields.next_raw() {
            if field.number == POINTS {
                data.extend_from_slice(raw);
            }
        }
        data.extend_from_slice(&self.said);
        data
    }
}
