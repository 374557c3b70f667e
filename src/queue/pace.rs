//! How long a lane sleeps between two turns, and how many requests wake it before.
//!
//! To be woken costs more than to do what one request asks of a lane: a call to the system on either side, a change of
//! threads, a processor that starts up and has forgotten what a lane does. So a lane to which requests keep coming sleeps
//! for as long as some of them take to come, nobody wakes it, and it does them together; their callers have been answered
//! when they were offered. One to which they come rarely sleeps until the next comes, or something is due. Pure: told
//! what time it is.

use std::time::Duration;

use crate::model::Time;

/// Requests that wake a lane from any sleep.
pub const MANY: usize = 32;
/// So do bytes of fewer: what is taken while it is still in the processor's cache costs less.
pub const MUCH: usize = 1 << 20;
/// Requests it sleeps for.
const A_FEW: u32 = 16;
/// The shortest sleep: whatever comes at full speed gathers.
const SHORTEST: Duration = Duration::from_micros(500);
/// The longest that a request waits unseen, and that a trace waits to leave once it may.
const TICK: Duration = Duration::from_millis(30);
/// Requests further apart than this are worth a wake-up each.
const APART: Duration = Duration::from_millis(5);
/// What is due sooner waits for as long, where requests come rarely, so that more leaves with it.
const NAP: Duration = Duration::from_millis(10);
/// Silence counts as this much: some requests after it the lane is in step again.
const SILENCE: Duration = Duration::from_millis(20);
/// The longest sleep, so that a lane looks at the budget now and then.
const LONGEST: Duration = Duration::from_millis(250);

/// A sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    pub lasts: Duration,
    /// So many waiting requests end it.
    pub ends_at: usize,
}

/// How far apart a lane's requests come, lately.
#[derive(Debug)]
pub struct Pace {
    rested: Time,
    gap: Duration,
}

impl Pace {
    pub fn new(now: Time) -> Self {
        Self { rested: now, gap: SILENCE }
    }

    /// A lane for which nothing waits took so many requests since it last told.
    pub fn learn(&mut self, now: Time, taken: usize) {
        let since = now.since(self.rested);
        self.rested = now;
        let gap = match u32::try_from(taken).unwrap_or(u32::MAX) {
            // Nothing came: they are at least so far apart.
            0 => since.max(self.gap),
            taken => since / taken,
        };
        self.gap = (self.gap * 3 + gap.min(SILENCE)) / 4;
    }

    /// How long it is going to sleep, at least, if nobody wakes it.
    pub fn nap(&self) -> Duration {
        if self.keeps_coming() { (self.gap * A_FEW).clamp(SHORTEST, TICK) } else { NAP }
    }

    /// Its sleep, when something is due at `due`. Where requests keep coming that waits until it wakes up.
    pub fn rest(&self, now: Time, due: Option<Time>) -> Rest {
        let nap = self.nap();
        if self.keeps_coming() {
            return Rest { lasts: nap, ends_at: MANY };
        }
        let lasts = due.map_or(LONGEST, |due| due.since(now).clamp(nap, LONGEST));
        Rest { lasts, ends_at: 1 }
    }

    fn keeps_coming(&self) -> bool {
        self.gap <= APART
    }
}

/// Whether a request is too large to wait unseen: as many as may, of its size in each lane, would hold an eighth of the
/// budget.
pub fn is_large(bytes: usize, limit: usize, lanes: usize) -> bool {
    bytes.saturating_mul(8 * MANY).saturating_mul(lanes) > limit
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// The pace after so long at this many requests every so often.
    fn settled(every: Duration, taken: usize) -> Pace {
        let mut pace = Pace::new(Time::from_millis(7));
        (0..200).for_each(|_| pace.learn(pace.rested + every, taken));
        pace
    }

    /// The sleep at that pace, with something due so long after.
    fn check(every: Duration, taken: usize, due: Option<Duration>) -> Rest {
        let pace = settled(every, taken);
        let now = pace.rested;
        pace.rest(now, due.map(|due| now + due))
    }

    #[test]
    fn a_lane_to_which_nothing_comes_sleeps_until_something_does_or_is_due() {
        assert_eq!(
            Pace::new(Time::default()).rest(Time::default(), None),
            Rest { lasts: LONGEST, ends_at: 1 }
        );
        assert_eq!(check(LONGEST, 0, None), Rest { lasts: LONGEST, ends_at: 1 });
        assert_eq!(check(LONGEST, 0, Some(60 * MS)), Rest { lasts: 60 * MS, ends_at: 1 });
        assert_eq!(
            check(50 * MS, 1, Some(60 * MS)),
            Rest { lasts: 60 * MS, ends_at: 1 },
            "seldom is as never"
        );
    }

    #[test]
    fn what_is_due_at_once_waits_for_a_moment_so_that_more_leaves_with_it() {
        assert_eq!(check(LONGEST, 0, Some(MS)), Rest { lasts: NAP, ends_at: 1 });
    }

    #[test]
    fn a_lane_to_which_requests_keep_coming_is_not_woken_for_one() {
        assert_eq!(check(5 * MS, 1, None), Rest { lasts: TICK, ends_at: MANY }, "200 a second");
        assert_eq!(check(10 * MS, 5, Some(MS)), Rest { lasts: TICK, ends_at: MANY }, "500 a second");
        assert_eq!(check(8 * MS, 16, None), Rest { lasts: 8 * MS, ends_at: MANY }, "2,000 a second");
        assert_eq!(check(MS / 2, 20, None), Rest { lasts: SHORTEST, ends_at: MANY }, "full speed");
    }

    #[test]
    fn it_sleeps_at_least_for_as_long_as_it_said_it_would() {
        for (every, taken) in [(LONGEST, 0), (10 * MS, 5), (8 * MS, 16), (MS / 2, 20)] {
            let pace = settled(every, taken);
            let now = pace.rested;
            for due in [None, Some(now), Some(now + 15 * MS)] {
                assert!(pace.rest(now, due).lasts >= pace.nap());
            }
        }
    }

    #[test]
    fn it_is_in_step_some_requests_after_a_silence_and_out_of_it_some_naps_after_the_last() {
        let mut now = Time::from_millis(100_000);
        let mut pace = Pace::new(Time::default());
        let mut turns_until = |every: Duration, taken, ends_at| {
            let turns = (1..100).take_while(|_| {
                now = now + every;
                pace.learn(now, taken);
                pace.rest(now, None).ends_at != ends_at
            });
            turns.count() + 1
        };
        assert_eq!(turns_until(2 * MS, 1, MANY), 8);
        assert_eq!(turns_until(2 * MS, 1, 1), 100, "and stays so");
        assert_eq!(turns_until(TICK, 0, 1), 1);
    }

    #[test]
    fn what_waits_unseen_is_never_more_than_an_eighth_of_the_budget() {
        let limit = 16 << 20;
        for lanes in 1..8 {
            let largest = (0..limit).step_by(1024).rfind(|&bytes| !is_large(bytes, limit, lanes)).unwrap();
            assert!(largest * MANY * lanes <= limit / 8);
        }
        assert!(is_large(limit, limit, 1) && is_large(usize::MAX, limit, usize::MAX));
    }
}
