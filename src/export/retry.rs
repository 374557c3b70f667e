//! How long to wait before the next attempt. Pure: randomness is passed in, nobody sleeps here.
//!
//! Exponential with full jitter (OTLP specification, "OTLP/gRPC Throttling", "OTLP/HTTP Connection"):
//! any wait between a floor and a ceiling that doubles. The floor, half the first wait, is there so that
//! an upstream that is down is not knocked at in a tight loop by the luck of the dice.

use std::time::Duration;

use rand::Rng;

use super::Retry;

/// The waits of one thing that keeps failing: a batch, or a whole upstream.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    retry: Retry,
    failures: u32,
    /// What waits grow from: the first wait, or what the server asked for if that is more.
    base: Duration,
}

impl Backoff {
    pub fn new(retry: Retry) -> Self {
        Self { retry, failures: 0, base: retry.initial }
    }

    /// It worked: the next failure starts over.
    pub fn reset(&mut self) {
        *self = Self::new(self.retry);
    }

    /// The wait after one more failure. What the upstream `asked` for is a minimum, with jitter on top so
    /// that all its callers do not come back at the same moment; but never more than half of `give_up`,
    /// so that a batch is offered at least once more within its life, however absurd the answer. Later waits
    /// grow from what was asked (conformance GC3).
    pub fn next(&mut self, asked: Option<Duration>, dice: &mut impl Rng) -> Duration {
        let ceiling = self.ceiling();
        self.failures = self.failures.saturating_add(1);
        match asked.map(|asked| asked.min(self.retry.give_up / 2)).filter(|asked| !asked.is_zero()) {
            Some(asked) => {
                if asked > self.base {
                    (self.base, self.failures) = (asked, 1);
                }
                asked.saturating_add(between(Duration::ZERO, ceiling, dice))
            }
            None => between((self.base / 2).min(ceiling), ceiling, dice),
        }
    }

    /// The longest wait now.
    fn ceiling(&self) -> Duration {
        self.base.saturating_mul(1 << self.failures.min(20)).min(self.retry.max)
    }
}

fn between(low: Duration, high: Duration, dice: &mut impl Rng) -> Duration {
    let nanos = |wait: Duration| u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(dice.random_range(nanos(low)..=nanos(high).max(nanos(low))))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::SmallRng};

    pub const RETRY: Retry = Retry {
        initial: Duration::from_secs(1),
        max: Duration::from_secs(30),
        give_up: Duration::from_secs(300),
    };

    #[test]
    fn c05_the_ceiling_doubles_up_to_the_maximum() {
        let mut highest = [Duration::ZERO; 8];
        for seed in 0..2000 {
            let mut backoff = Backoff::new(RETRY);
            let mut dice = SmallRng::seed_from_u64(seed);
            highest.iter_mut().for_each(|high| *high = (*high).max(backoff.next(None, &mut dice)));
        }
        let rounded: Vec<_> = highest.iter().map(|high| high.as_secs_f64().ceil() as u64).collect();
        assert_eq!(rounded, [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn gc3_the_server_is_not_called_before_it_asked() {
        let mut dice = SmallRng::seed_from_u64(1);
        for _ in 0..100 {
            let wait = Backoff::new(RETRY).next(Some(Duration::from_secs(7)), &mut dice);
            assert!(wait >= Duration::from_secs(7) && wait <= Duration::from_secs(8), "{wait:?}");
        }
    }

    #[test]
    fn gc3_an_absurd_delay_is_capped_and_a_zero_delay_is_none() {
        let mut dice = SmallRng::seed_from_u64(1);
        assert!(Backoff::new(RETRY).next(Some(Duration::MAX), &mut dice) <= Duration::from_secs(151));
        assert!(Backoff::new(RETRY).next(Some(Duration::ZERO), &mut dice) >= Duration::from_millis(500));
    }

    #[test]
    fn gc3_waits_grow_from_what_the_server_asked_for() {
        for seed in 0..200 {
            let mut dice = SmallRng::seed_from_u64(seed);
            let mut backoff = Backoff::new(RETRY);
            let asked = backoff.next(Some(Duration::from_secs(4)), &mut dice);
            assert!(asked >= Duration::from_secs(4) && asked <= Duration::from_secs(5), "{asked:?}");
            for ceiling in [8, 16, 30, 30] {
                let next = backoff.next(None, &mut dice);
                assert!(next >= Duration::from_secs(2) && next <= Duration::from_secs(ceiling), "{next:?}");
            }
            backoff.reset();
            assert!(backoff.next(None, &mut dice) <= Duration::from_secs(1), "a success starts over");
        }
    }

    proptest! {
        #[test]
        fn no_setting_panics_or_waits_beyond_its_bounds(
            initial in 0u64..=u64::MAX, max in 0u64..=u64::MAX, give_up in 0u64..=u64::MAX,
            asked in proptest::option::of(0u64..=u64::MAX), failures in 0u32..70, seed in 0u64..u64::MAX,
        ) {
            let retry = Retry {
                initial: Duration::from_nanos(initial),
                max: Duration::from_nanos(max),
                give_up: Duration::from_nanos(give_up),
            };
            let mut backoff = Backoff { failures, ..Backoff::new(retry) };
            let wait = backoff.next(asked.map(Duration::from_nanos), &mut SmallRng::seed_from_u64(seed));
            prop_assert!(wait <= retry.max.saturating_add(retry.give_up / 2));
        }
    }
}
