//! Some statements of a program, carried out on an item that was gone through already.
//!
//! It is the one interpreter that all rules run in; only what stands where is not found out anew.

use smallvec::SmallVec;

use super::division::Division;
use super::lessons::Order;
use super::shapes::{Field, Outline};
use crate::rules::compare::Single;
use crate::rules::draft::Draft;
use crate::rules::engine::{Outcome, Rules};
use crate::rules::frame::Frame;
use crate::rules::index::Index;
use crate::rules::registers::Register;
use crate::rules::scene::Scene;
use crate::wire::patch::Patch;

/// What is run, and on what.
#[derive(Clone, Copy)]
pub struct Ground<'w, 'a> {
    pub rules: &'a Rules,
    pub division: &'a Division,
    pub fields: &'w [Field],
    pub item: &'a [u8],
    pub outline: &'w Outline,
    pub frame: &'w Frame<'a>,
}

/// Statements that were carried out.
pub struct Ran<'a> {
    scene: Scene<'a>,
    pub outcome: Outcome,
    /// One failed whose group says that nothing may run behind it.
    pub stopped: bool,
    /// Which units wrote something, and how many fields and keys had been written then.
    steps: SmallVec<[(usize, (usize, usize)); 8]>,
}

/// What has to become of the item.
#[derive(Default)]
pub struct Planned {
    patch: Patch,
    /// Of each stretch.
    orders: SmallVec<[Order; 8]>,
}

/// What comes behind the item: fields before keys, and each as the statements have it.
const BEHIND: Order = (u32::MAX as Order) << 32;
const KEY: Order = 1 << 31;

impl<'a> Ground<'_, 'a> {
    /// Carries out some units, and says what `told` tells of that.
    pub fn run<T>(&self, units: &[usize], told: impl FnOnce(&mut Ran<'a>) -> T) -> T {
        let (context, names) = (self.division.context, &self.rules.names);
        let mut ran = Ran {
            scene: Scene::about(context, self.draft(), *self.frame, names),
            outcome: Outcome::default(),
            stopped: false,
            steps: SmallVec::new(),
        };
        let mut written = (0, 0);
        for nth in units {
            let Some(unit) = self.division.units.get(*nth) else { continue };
            ran.stopped = unit.run(&self.rules.groups, &mut ran.scene, &mut ran.outcome).is_err();
            if ran.stopped || ran.scene.dropped {
                break;
            }
            if ran.scene.item.written() != written {
                written = ran.scene.item.written();
                ran.steps.push((*nth, written));
            }
        }
        told(&mut ran)
    }

    #[inline(always)]
    fn draft(&self) -> Draft<'a> {
        let named = self.outline.named.iter().map(|named| {
            let field = self.fields.get(named.place as usize);
            let value = field.map_or(&[][..], |field| field.value(self.item));
            let now = Single::of_any(value);
            (named.number, Register { now, last: named.place + 1, written: 0, several: named.several })
        });
        let index = Index::known(self.item, self.fields.iter().map(|field| field.slot), self.outline.last);
        Draft::known(index, self.rules.names.of(self.division.context), named)
    }
}

impl Ran<'_> {
    /// They say what becomes of the item as a whole.
    pub fn decides(&self) -> bool {
        self.scene.decided()
    }

    /// What it comes to; without a plan where nothing may become of the item. `None`: as [`Ran::planned`].
    pub fn finished(&mut self, fields: &[Field]) -> Option<(Outcome, Option<Planned>)> {
        if self.stopped {
            let troubles = std::mem::take(&mut self.outcome.troubles);
            return Some((Outcome { troubles, ..Outcome::default() }, None));
        }
        let planned = self.planned(fields)?;
        Some((std::mem::take(&mut self.outcome), Some(planned)))
    }

    /// `None`: more is to be done than to change whole fields.
    pub fn planned(&self, fields: &[Field]) -> Option<Planned> {
        if self.stopped || self.scene.goes_further() {
            return None;
        }
        let (patch, _) = self.scene.patch().ok()?;
        let (mut fields, mut behind) = ((0..).zip(fields), self.scene.item.behind());
        let end = self.scene.item.base().len();
        let order = |(gone, _): (std::ops::Range<usize>, _)| {
            if gone.start == end {
                let (is_key, place) = behind.next()?;
                let before = |written: &(usize, usize)| if is_key { written.1 } else { written.0 };
                let (unit, _) = self.steps.iter().find(|(_, written)| place < before(written))?;
                return Some(BEHIND | if is_key { KEY } else { 0 } | *unit as Order);
            }
            let (place, _) = fields.find(|(_, field)| field.slot.range() == gone)?;
            Some((place as Order) << 32)
        };
        let orders = patch.stretches().map(order).collect::<Option<_>>()?;
        Some(Planned { patch, orders })
    }
}

impl Planned {
    pub fn changes(&self) -> impl Iterator<Item = (Order, &[u8])> {
        self.orders.iter().copied().zip(self.patch.stretches().map(|(_, new)| new))
    }
}
