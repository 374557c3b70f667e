//! What one upstream has shown it takes: learnt from its refusals, forgotten with time.
//!
//! A request refused for its size makes the next ones smaller: half of it, or as much as was ever taken if
//! that is more. After ten quiet minutes the bound doubles, so an upstream whose limit was raised gets
//! whole batches again; one whose limit stands refuses one request each ten minutes, which is divided and
//! not lost. Pure: `now` is passed in.
//!
//! The surprise: an upstream that refuses every part of a batch is not sent parts of the next one. Dividing
//! finds the bad among the good; where nothing is good it only multiplies calls. One delivery changes that.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::classify::Refusal;
use crate::model::Time;

/// Requests are not made smaller than this by learning.
const SMALLEST: usize = 1 << 10;
/// The bound doubles after this long without a refusal for size.
const FORGET: Duration = Duration::from_secs(600);

/// One upstream's. Sizes are bytes of uncompressed protobuf: that is what is divided.
#[derive(Debug)]
pub(super) struct Appetite {
    request_max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    learnt: Option<(usize, Time)>,
    /// The largest request ever taken, since a smaller one was refused for its size.
    taken_max: usize,
    /// Whether dividing is of use.
    picky: bool,
}

impl Appetite {
    pub fn new(request_max: usize) -> Self {
        let state = State { learnt: None, taken_max: 0, picky: true };
        Self { request_max, state: Mutex::new(state) }
    }

    /// The largest request worth sending now.
    pub fn most(&self, now: Time) -> usize {
        let mut state = self.state();
        if let Some((bound, since)) = &mut state.learnt {
            while *bound < self.request_max && now.since(*since) >= FORGET {
                *bound = bound.saturating_mul(2);
                *since = *since + FORGET;
            }
        }
        let bound = state.learnt.map_or(usize::MAX, |(bound, _)| bound);
        if bound >= self.request_max {
            state.learnt = None;
        }
        bound.min(self.request_max)
    }

    /// A request of `len` bytes was taken.
    pub fn took(&self, len: usize) {
        let mut state = self.state();
        state.taken_max = state.taken_max.max(len);
        state.picky = true;
    }

    /// A request of `len` bytes was refused for its size: how large parts of it may be now. `None`: they
    /// can not be smaller.
    pub fn refused_size(&self, len: usize, now: Time) -> Option<usize> {
        let mut state = self.state();
        if state.taken_max >= len {
            state.taken_max = 0;
        }
        let bound = (len / 2).max(state.taken_max);
        (bound >= SMALLEST).then(|| {
            state.learnt = Some((bound, now));
            bound
        })
    }

    /// Whether a refusal of `reason` with these `words` may be mended by dividing a request of `len` bytes,
    /// and how.
    pub fn remedy(&self, reason: Refusal, len: usize) -> Option<Remedy> {
        let state = self.state();
        match reason {
            _ if !state.picky => None,
            Refusal::Invalid => Some(Remedy::FindTheBad),
            Refusal::TooLarge => Some(Remedy::Shrink),
            // A quota has the same code; what is no larger than what was taken before is not too large now.
            Refusal::Exhausted if len > state.taken_max => Some(Remedy::Shrink),
            _ => None,
        }
    }

    /// A batch was divided and no part of it was taken.
    pub fn spurned(&self) {
        let mut state = self.state();
        state.picky = false;
        state.learnt = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What to do with a refused request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Something in it is bad: halve it until what is refused is small.
    FindTheBad,
    /// All of it may be good: send it in smaller requests.
    Shrink,
}

impl Remedy {
    /// The `reason` label of divided batches.
    pub const fn name(self) -> &'static str {
        match self {
            Remedy::FindTheBad => "invalid",
            Remedy::Shrink => "too_large",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn appetite() -> Appetite {
        Appetite::new(4 << 20)
    }

    #[test]
    fn f18_a_refusal_for_size_makes_the_next_requests_smaller() {
        let appetite = appetite();
        let now = Time::from_millis(0);
        assert_eq!(appetite.most(now), 4 << 20);
        assert_eq!(appetite.refused_size(1000 << 10, now), Some(500 << 10));
        assert_eq!(appetite.most(now), 500 << 10);
        appetite.took(400 << 10);
        assert_eq!(appetite.refused_size(500 << 10, now), Some(400 << 10), "as much as was ever taken");
        assert_eq!(appetite.refused_size(400 << 10, now), Some(200 << 10), "the limit went down");
    }

    #[test]
    fn f18_the_bound_doubles_every_ten_quiet_minutes_up_to_the_configured_one() {
        let appetite = appetite();
        appetite.refused_size(2 << 20, Time::from_millis(0));
        assert_eq!(appetite.most(Time::from_millis(10 * MINUTE - 1)), 1 << 20);
        assert_eq!(appetite.most(Time::from_millis(10 * MINUTE)), 2 << 20);
        assert_eq!(appetite.most(Time::from_millis(19 * MINUTE)), 2 << 20);
        assert_eq!(appetite.most(Time::from_millis(1000 * MINUTE)), 4 << 20);
    }

    #[test]
    fn nothing_shrinks_for_ever() {
        let appetite = appetite();
        let halvings =
            std::iter::successors(Some(4 << 20), |&len| appetite.refused_size(len, Time::default()));
        assert_eq!(halvings.count(), 13);
    }

    #[test]
    fn a_quota_is_not_taken_for_a_size() {
        let appetite = appetite();
        assert_eq!(appetite.remedy(Refusal::Exhausted, 100), Some(Remedy::Shrink));
        appetite.took(100);
        assert_eq!(appetite.remedy(Refusal::Exhausted, 100), None);
        assert_eq!(appetite.remedy(Refusal::TooLarge, 100), Some(Remedy::Shrink));
    }

    #[test]
    fn f17_who_refuses_everything_is_not_sent_parts_until_it_takes_something() {
        let appetite = appetite();
        appetite.spurned();
        assert_eq!(appetite.remedy(Refusal::Invalid, 100), None);
        assert_eq!(appetite.remedy(Refusal::TooLarge, 100), None);
        appetite.took(1);
        assert_eq!(appetite.remedy(Refusal::Invalid, 100), Some(Remedy::FindTheBad));
    }
}
