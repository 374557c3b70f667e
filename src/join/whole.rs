//! Whether a trace may leave, why, and when to ask again.

use std::time::Duration;

use super::Settings;
use super::trace::Trace;
use crate::model::{Reason, Time};

/// What is to be done with a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Leave(Reason),
    /// Nothing to do before this time, if nothing comes.
    Wait(Time),
}

/// Asking a large trace costs about this much for each span …
const ASKING: Duration = Duration::from_nanos(100);
/// … and is to take no more than one part in this many of the time.
const ASKING_SHARE: u32 = 20;

/// Decides about one trace. Asked again for every quiet time, so cheap where traces are small, and
/// rare where they are large.
pub(super) fn judge(trace: &Trace, now: Time, settings: &Settings) -> Verdict {
    if trace.late {
        return Verdict::Leave(Reason::Late);
    }
    let aged = trace.first + settings.hold;
    if now >= aged {
        return Verdict::Leave(Reason::Aged);
    }
    let quiet = trace.last + quiet_for(trace, settings);
    if now < quiet {
        return Verdict::Wait(quiet.min(aged));
    }
    if trace.has_root() && trace.has_all_parents() {
        return Verdict::Leave(Reason::Complete);
    }
    let idle = trace.last + settings.idle;
    if now >= idle {
        return Verdict::Leave(Reason::Idle);
    }
    Verdict::Wait(idle.min(aged))
}

fn quiet_for(trace: &Trace, settings: &Settings) -> Duration {
    if !trace.is_large() {
        return settings.quiet;
    }
    let spans = u32::try_from(trace.records.len()).unwrap_or(u32::MAX);
    settings.quiet.max(ASKING.saturating_mul(spans).saturating_mul(ASKING_SHARE)).min(settings.idle)
}
