//! What one span shape is known to do: how many children it gets from elsewhere, and how late.
//!
//! Only children that can come late are counted: those made in another process, whenever they came,
//! so that the number does not depend on whose export was first; and all of them once a child from
//! the same process has been late too. A shape whose number never changes is satisfied the moment
//! its children are here. One whose number changes is given the lag it has been seen to need.
//!
//! Experience fades: it is kept for the current and the previous [`EPOCH`] traces, so that a timer made
//! shorter or a call no longer made is forgotten, slowly. The one surprise is how much is asked before
//! anything is believed; the reasons stand at the constants.

use std::time::Duration;

/// Traces a shape is waited for in full before it is trusted to have no late children. A child made in
/// one call of five is then missed with probability 0.8^128 = 4e-13, in one of ten with 1e-6, in one of
/// twenty with 0.1 %; the first that is missed corrects the shape. At 64 the latter two would be 0.1 %
/// and 4 %; more would make a quiet service wait for hours to be known. Spans of one trace tend to
/// behave alike, so a trace counts once.
pub(super) const SEEN_MIN: u32 = 128;

/// Late children after which the longest lag seen is believed. Two export timers with random phases
/// differ by more than two thirds of the longer period in one of nine late cases, so 128 of them all
/// miss that with probability 0.889^128 = 3e-7; half as much again is then a bound on the rest.
const LATE_MIN: u32 = 128;
const LAG_MARGIN: f64 = 1.5;

/// Where children are late so seldom that `LATE_MIN` is far away, this many traces are enough, with a
/// margin for the few lags seen.
const SEEN_ENOUGH: u32 = 4096;
const LAG_MARGIN_FEW: f64 = 3.0;

/// Traces after which experience begins to fade.
const EPOCH: u32 = 8192;

/// The children one span has, as far as they are here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub all: u32,
    /// Made in another process.
    pub remote: u32,
    /// The longest any came after its parent, if in a later request.
    pub lag: Option<Duration>,
    /// One made in the same process came in a later request.
    pub local_late: bool,
}

/// What is to be expected of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// Not known yet: anything may come.
    Unknown,
    /// Nothing, or nothing more than is here.
    Nothing,
    /// A child, within this time of the span's own arrival; `None`: no telling when.
    Child(Option<Duration>),
}

/// Experience of some traces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(super) struct Epoch {
    pub seen: u32,
    /// Traces with a late child.
    pub late: u32,
    pub lag_ms: u32,
    pub remote: (u32, u32),
    pub all: (u32, u32),
    pub local_late: bool,
}

impl Epoch {
    fn and(self, other: Self) -> Self {
        let widest = |a: (u32, u32), b: (u32, u32)| (a.0.min(b.0), a.1.max(b.1));
        if self.seen == 0 || other.seen == 0 {
            let (some, none) = if self.seen == 0 { (other, self) } else { (self, other) };
            let (lag_ms, late) = (some.lag_ms.max(none.lag_ms), some.late + none.late);
            return Self { lag_ms, late, local_late: some.local_late | none.local_late, ..some };
        }
        Self {
            seen: self.seen.saturating_add(other.seen),
            late: self.late.saturating_add(other.late),
            lag_ms: self.lag_ms.max(other.lag_ms),
            remote: widest(self.remote, other.remote),
            all: widest(self.all, other.all),
            local_late: self.local_late | other.local_late,
        }
    }

    fn lag(&mut self, lag: Duration) {
        self.lag_ms = self.lag_ms.max(u32::try_from(lag.as_millis()).unwrap_or(u32::MAX));
    }
}

/// One shape's experience: this epoch's and the one's before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(super) struct Habit {
    now: Epoch,
    before: Epoch,
    /// The last trace that was counted, and the last counted as late.
    #[serde(skip)]
    counted: (u64, u64),
}

impl Habit {
    /// All that is remembered.
    pub fn known(&self) -> Epoch {
        self.now.and(self.before)
    }

    /// A span of this shape has left with these children, in the `nth` trace that left.
    pub fn observe(&mut self, nth: u64, tally: &Tally) {
        if self.counted.0 != nth {
            self.counted.0 = nth;
            if self.now.seen >= EPOCH {
                self.before = std::mem::take(&mut self.now);
            }
            if self.now.seen == 0 {
                self.now.remote = (u32::MAX, 0);
                self.now.all = (u32::MAX, 0);
            }
            self.now.seen += 1;
        }
        let now = &mut self.now;
        for (bounds, count) in [(&mut now.remote, tally.remote), (&mut now.all, tally.all)] {
            *bounds = (bounds.0.min(count), bounds.1.max(count));
        }
        now.local_late |= tally.local_late;
        if let Some(lag) = tally.lag {
            now.lag(lag);
            self.count_late(nth);
        }
    }

    /// A child came after its trace had left: what was believed was wrong, and is mended at once. With
    /// it the span has `tally` children.
    pub fn correct(&mut self, nth: u64, tally: &Tally) {
        if self.now.seen == 0 {
            (self.now.remote, self.now.all) = (self.before.remote, self.before.all);
        }
        let now = &mut self.now;
        // It left without the child, and was counted so: its number is not always the same.
        for (bounds, count) in [(&mut now.remote, tally.remote), (&mut now.all, tally.all)] {
            bounds.1 = bounds.1.max(count);
        }
        now.local_late |= tally.local_late;
        tally.lag.into_iter().for_each(|lag| now.lag(lag));
        self.count_late(nth);
    }

    fn count_late(&mut self, nth: u64) {
        if self.counted.1 != nth {
            self.counted.1 = nth;
            self.now.late = self.now.late.saturating_add(1);
        }
    }

    /// What a span with these children still has to come.
    pub fn expect(&self, tally: &Tally, quiet: Duration) -> Expect {
        let known = self.known();
        if known.seen < SEEN_MIN {
            return Expect::Unknown;
        }
        let (here, most) =
            if known.local_late { (tally.all, known.all.1) } else { (tally.remote, known.remote.1) };
        if here >= most {
            return Expect::Nothing;
        }
        let margin = match (known.late, known.seen) {
            (LATE_MIN.., _) => LAG_MARGIN,
            (_, SEEN_ENOUGH..) => LAG_MARGIN_FEW,
            _ => return Expect::Child(None),
        };
        if known.late == 0 {
            return Expect::Nothing;
        }
        Expect::Child(Some(Duration::from_millis(known.lag_ms.into()).mul_f64(margin) + quiet))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_millis(50);

    fn children(remote: u32, lag_ms: u64) -> Tally {
        let lag = (lag_ms > 0).then(|| Duration::from_millis(lag_ms));
        Tally { all: remote, remote, lag, local_late: false }
    }

    fn after(traces: impl Iterator<Item = Tally>) -> Habit {
        let mut habit = Habit::default();
        traces.zip(1..).for_each(|(tally, nth)| habit.observe(nth, &tally));
        habit
    }

    #[test]
    fn nothing_is_believed_before_enough_was_seen() {
        let habit = after((1..SEEN_MIN).map(|_| children(0, 0)));
        assert_eq!(habit.expect(&children(0, 0), QUIET), Expect::Unknown);
    }

    #[test]
    fn many_spans_of_one_trace_count_once() {
        let mut habit = Habit::default();
        (0..1000).for_each(|_| habit.observe(1, &children(0, 0)));
        assert_eq!(habit.expect(&children(0, 0), QUIET), Expect::Unknown);
    }

    #[test]
    fn a_shape_that_never_had_a_child_is_not_waited_for() {
        let habit = after((0..SEEN_MIN).map(|_| children(0, 0)));
        assert_eq!(habit.expect(&children(0, 0), QUIET), Expect::Nothing);
    }

    #[test]
    fn a_shape_with_a_fixed_number_is_satisfied_when_they_are_here_and_else_waited_for() {
        let habit = after((0..200).map(|n| children(2, if n % 2 == 0 { 300 } else { 0 })));
        assert_eq!(habit.expect(&children(2, 0), QUIET), Expect::Nothing);
        assert_eq!(habit.expect(&children(1, 0), QUIET), Expect::Child(None), "100 late ones are too few");
        let habit = after((0..300).map(|n| children(2, if n % 2 == 0 { 300 } else { 0 })));
        assert_eq!(habit.expect(&children(1, 0), QUIET), Expect::Child(Some(Duration::from_millis(500))));
    }

    #[test]
    fn a_child_made_sometimes_is_given_the_lag_it_was_seen_to_need() {
        let habit = after((0..2000).map(|n| if n % 10 == 0 { children(1, 200) } else { children(0, 0) }));
        assert_eq!(habit.expect(&children(0, 0), QUIET), Expect::Child(Some(Duration::from_millis(350))));
        assert_eq!(habit.expect(&children(1, 0), QUIET), Expect::Nothing);
    }

    #[test]
    fn a_late_child_corrects_at_once() {
        let mut habit = after((0..500).map(|_| children(0, 0)));
        habit.correct(501, &children(1, 400));
        assert_eq!(habit.expect(&children(0, 0), QUIET), Expect::Child(None));
    }

    #[test]
    fn a_child_of_the_same_process_counts_once_one_was_late() {
        let late = Tally { all: 3, remote: 0, lag: Some(QUIET), local_late: true };
        let habit = after((0..200).map(|_| late));
        assert_eq!(habit.expect(&Tally { all: 3, ..Tally::default() }, QUIET), Expect::Nothing);
        assert!(matches!(habit.expect(&Tally { all: 2, ..Tally::default() }, QUIET), Expect::Child(Some(_))));
    }

    #[test]
    fn what_no_longer_happens_is_forgotten_after_two_epochs() {
        let old = (0..1000).map(|_| children(1, 5000));
        let habit = after(old.chain((0..2 * EPOCH).map(|_| children(0, 0))));
        assert_eq!(habit.expect(&children(0, 0), QUIET), Expect::Nothing);
    }
}
