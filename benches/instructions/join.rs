//! The lane: taking spans into the join, letting whole traces go, labelling and batching them.
//!
//! Traces of 12 spans over three services, whose parts come in requests some milliseconds apart, as in the loads of
//! `benches/peers`. Shapes are known before anything is counted. `join/context` is taking and letting go where what
//! traces say of themselves is worked out too, as for a vendor's server. `join/lane` is all that a lane does, and
//! `join/lane_of_two` what one of two does, which looks at every span and takes every second trace: as many spans are
//! counted, so the one divided by the other is what a second lane brings. `join/scattered` is all of it where each span
//! of a trace comes in another request.

use std::sync::Arc;

use spandrel::join::Settings;
use spandrel::queue::Budget;
use spandrel::queue::lanes::Lanes;

use crate::Step;
use crate::common::Content;
use crate::common::lane::{self, Lane, Walked};
use crate::meter::Meter;

/// Rounds in each run.
const RUN: u64 = 50;

/// What of a lane's work is measured.
#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    take: bool,
    leave: bool,
    label: bool,
    batch: bool,
}

const NONE: Parts = Parts { take: false, leave: false, label: false, batch: false };

pub fn steps() -> Vec<Step> {
    let plain = Settings::default;
    let context = || Settings { context: true, named: true, mend: true, ..Settings::default() };
    let mut steps = vec![
        step("join/take", plain(), Parts { take: true, ..NONE }),
        step("join/leave", plain(), Parts { leave: true, ..NONE }),
        step("join/context", context(), Parts { take: true, leave: true, ..NONE }),
        step("join/label", plain(), Parts { label: true, ..NONE }),
        step("join/batch", plain(), Parts { batch: true, ..NONE }),
    ];
    let whole = [
        ("join/lane", Content::Services, 1),
        ("join/lane_of_two", Content::Services, 2),
        ("join/scattered", Content::Scattered, 1),
    ];
    for (name, content, lanes) in whole {
        let own = move |trace| Lanes::of(trace, lanes) == 0;
        steps.push(fed(name, (plain(), content), move |lane, requests, meter| {
            let left = meter.measure(|| lane.work(requests, own));
            left * lanes
        }));
    }
    steps
}

fn step(name: &'static str, settings: Settings, parts: Parts) -> Step {
    fed(name, (settings, Content::Services), move |lane, requests, meter| work(lane, requests, parts, meter))
}

/// A step that is given fresh requests for each run, and says how many spans left.
fn fed(
    name: &'static str,
    (settings, content): (Settings, Content),
    work: impl Fn(&mut Lane, &[Walked], &mut Meter) -> usize + 'static,
) -> Step {
    let spans = RUN * content.templates().iter().map(|template| template.items).sum::<u64>();
    // Made when it is first run: most are only asked for their names.
    let mut ready: Option<(Lane, u64)> = None;
    let run = move |meter: &mut Meter| {
        let (lane, from) = ready.get_or_insert_with(|| learned(settings.clone(), content));
        let requests = lane::requests(content, *from..*from + RUN);
        *from += RUN;
        let left = work(lane, &requests, meter);
        assert!(left as u64 > spans / 2, "most traces leave while others come: {left} of {spans} spans");
    };
    Step { name, spans, run: Box::new(run) }
}

/// A lane, and the first round it has not seen.
fn learned(settings: Settings, content: Content) -> (Lane, u64) {
    let budget: Arc<Budget> = Budget::new(1 << 30);
    let mut lane = Lane::new(&budget, settings);
    let from = lane.learn(content, 0);
    (lane, from)
}

/// As [`Lane::work`], part by part.
fn work(lane: &mut Lane, requests: &[Walked], parts: Parts, meter: &mut Meter) -> usize {
    let mut left = 0;
    for request in requests {
        part(meter, parts.take, || lane.take(request, |_| true));
        while let Some(leaving) = part(meter, parts.leave, || lane.leave()) {
            let labelled = part(meter, parts.label, || lane.label(&leaving));
            part(meter, parts.batch, || lane.batch(&leaving, &labelled));
            left += leaving.span_count();
            part(meter, parts.leave, || lane.recycle(leaving));
        }
        part(meter, parts.batch, || drop(lane.closed()));
    }
    left
}

fn part<T>(meter: &mut Meter, counts: bool, work: impl FnOnce() -> T) -> T {
    if counts { meter.measure(work) } else { work() }
}
