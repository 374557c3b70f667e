//! What one span shape is known to do: how many children it gets from elsewhere, and how late.
//!
//! Only children that can come late are counted: those made in another process, whenever they came,
//! so that the number does not depend on whose export was first; and all of them once a child from
//! the same process has been late too. A shape whose number never changes is satisfied the moment
//! its children are here. One whose number changes is given the lag it has been seen to need.
//!
//! Experience fades: it is kept for the current and the previous [`EPOCH`] moments, so that a timer made
//! shorter or a call no longer made is forgotten, slowly. The one surprise is how much is asked before
//! anything is believed; the reasons stand at the constants.

use std::time::Duration;

use crate::model::Time;

/// Traces a shape is waited for in full before it is trusted to have no late children. A child made in
/// one call of five is then missed with probability 0.8^128 = 4e-13, in one of ten with 1e-6, in one of
/// twenty with 0.1 %; the first that is missed corrects the shape. At 64 the latter two would be 0.1 %
/// and 4 %; more would make a quiet service wait for hours to be known. Spans of one trace tend to
/// behave alike, so a trace counts once.
pub(super) const SEEN_MIN: u32 = 128;

/// What a moment lasts, unless the longest lag is longer. Lags come of export timers, and all traces of
/// one turn of a timer say the same of it, be they one or ten thousand: so they count once.
const MOMENT: Duration = Duration::from_secs(1);

/// Moments with a late child after which the longest lag seen is believed. Two export timers with random
/// phases differ by more than a third of the longer period in four of nine late cases, so 24 of them all
/// miss that with probability (5/9)^24 = 7e-7; three times the longest seen is then a bound on the rest.
const LATE_MIN: u32 = 24;
const LAG_MARGIN_MIN: f64 = 3.0;
/// By more than half of it in one of four cases, so twice the longest of 48 is as good: 0.75^48 = 1e-6.
const LATE_ENOUGH: u32 = 48;
const LAG_MARGIN: f64 = 2.0;

/// Where children are late so seldom that `LATE_MIN` is far away, this many moments are enough.
const MOMENTS_ENOUGH: u32 = 1024;

/// Moments after which experience begins to fade: an hour or more.
const EPOCH: u32 = 4096;

/// Traces in which every span of a shape had the same children, neither more nor fewer, after which that is
/// taken to be all there ever are. A child made in one call of a hundred is then missed once in 30,000 shapes,
/// and only if it comes within the quiet time that is not waited for; its shape is steady no more.
const STEADY_MIN: u32 = 1024;

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
    /// Traces.
    pub seen: u32,
    pub moments: u32,
    /// Moments with a late child.
    pub late: u32,
    pub lag_ms: u32,
    pub remote: Bounds,
    pub all: Bounds,
    pub local_late: bool,
}

/// The fewest and the most seen; of nothing, a range that any number begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Bounds(pub u32, pub u32);

impl Default for Bounds {
    fn default() -> Self {
        Self(u32::MAX, 0)
    }
}

impl Bounds {
    fn and(self, other: Self) -> Self {
        Self(self.0.min(other.0), self.1.max(other.1))
    }
}

impl Epoch {
    fn and(self, other: Self) -> Self {
        Self {
            seen: self.seen.saturating_add(other.seen),
            moments: self.moments.saturating_add(other.moments),
            late: self.late.saturating_add(other.late),
            lag_ms: self.lag_ms.max(other.lag_ms),
            remote: self.remote.and(other.remote),
            all: self.all.and(other.all),
            local_late: self.local_late | other.local_late,
        }
    }
}

/// One shape's experience: this epoch's and the one's before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(super) struct Habit {
    now: Epoch,
    before: Epoch,
    /// The last trace that was counted.
    #[serde(skip)]
    trace: u64,
    #[serde(skip)]
    moment: Option<Moment>,
    /// What every span of this shape had, in many traces, if they all had the same.
    #[serde(skip)]
    usual: Option<Usual>,
}

/// What spans had that all had the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Usual {
    remote: u32,
    all: u32,
    /// The longest any child was late.
    lag_ms: u32,
    local_late: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment {
    ends: Time,
    late: bool,
}

impl Habit {
    /// All that is remembered.
    pub fn known(&self) -> Epoch {
        self.now.and(self.before)
    }

    /// A span of this shape has left with these children, in the `nth` trace that left. Says whether anything else is
    /// usual now.
    pub fn observe(&mut self, now: Time, nth: u64, tally: &Tally) -> bool {
        self.enter(now);
        if self.trace != nth {
            self.trace = nth;
            self.now.seen = self.now.seen.saturating_add(1);
        }
        self.count_late(tally);
        let (remote, all) = (Bounds(tally.remote, tally.remote), Bounds(tally.all, tally.all));
        if let Some(usual) = self.usual
            && (self.now.remote, self.now.all) == (remote, all)
        {
            let is_later = self.now.lag_ms > usual.lag_ms || self.now.local_late && !usual.local_late;
            return is_later && self.weigh();
        }
        (self.now.remote, self.now.all) = (self.now.remote.and(remote), self.now.all.and(all));
        self.weigh()
    }

    /// A child came after its trace had left: what was believed was wrong, and is mended at once. With
    /// it the span has `tally` children. Says whether anything else is usual now.
    pub fn correct(&mut self, now: Time, tally: &Tally) -> bool {
        self.enter(now);
        // It left without the child, and was counted so: its number is not always the same.
        self.now.remote.1 = self.now.remote.1.max(tally.remote);
        self.now.all.1 = self.now.all.1.max(tally.all);
        self.count_late(tally);
        self.weigh()
    }

    /// Whether every span of this shape, in many traces, had the same children.
    pub fn is_steady(&self) -> bool {
        self.usual.is_some()
    }

    /// Whether a span has just the children that all had, none of them later than any before, so that it
    /// teaches nothing.
    pub fn is_usual(&self, tally: &Tally) -> bool {
        self.usual.is_some_and(|usual| {
            let later = tally.lag.is_some_and(|lag| lag > Duration::from_millis(usual.lag_ms.into()))
                || (tally.local_late && !usual.local_late);
            !later && (tally.remote, tally.all) == (usual.remote, usual.all)
        })
    }

    /// How late the latest child was, if every span had the same children.
    pub fn usual_lag(&self) -> Option<Duration> {
        self.usual.map(|usual| Duration::from_millis(usual.lag_ms.into()))
    }

    /// Works out anew what is usual, and says whether it is another.
    fn weigh(&mut self) -> bool {
        let Epoch { seen, remote, all, lag_ms, local_late, .. } = self.known();
        let steady = seen >= STEADY_MIN && remote.0 == remote.1 && all.0 == all.1;
        let usual = steady.then_some(Usual { remote: remote.1, all: all.1, lag_ms, local_late });
        std::mem::replace(&mut self.usual, usual) != usual
    }

    /// Begins a moment, and with enough of them an epoch, when the last is over.
    fn enter(&mut self, now: Time) {
        if self.moment.is_some_and(|moment| now < moment.ends) {
            return;
        }
        if self.now.moments >= EPOCH {
            self.before = std::mem::take(&mut self.now);
        }
        self.now.moments += 1;
        let lag = Duration::from_millis(self.now.lag_ms.max(self.before.lag_ms).into());
        self.moment = Some(Moment { ends: now + lag.max(MOMENT), late: false });
    }

    fn count_late(&mut self, tally: &Tally) {
        self.now.local_late |= tally.local_late;
        let Some(lag) = tally.lag else { return };
        self.now.lag_ms = self.now.lag_ms.max(u32::try_from(lag.as_millis()).unwrap_or(u32::MAX));
        if let Some(moment) = self.moment.as_mut().filter(|moment| !moment.late) {
            moment.late = true;
            self.now.late = self.now.late.saturating_add(1);
        }
    }

    /// What a span with these children still has to come.
    pub fn expect(&self, tally: &Tally, quiet: Duration) -> Expect {
        let known = self.known();
        if known.seen < SEEN_MIN {
            return Expect::Unknown;
        }
        let (here, Bounds(fewest, most)) =
            if known.local_late { (tally.all, known.all) } else { (tally.remote, known.remote) };
        if here >= most {
            return Expect::Nothing;
        }
        // What has never failed to come is waited for, however long it takes.
        let margin = match (known.late, known.moments) {
            _ if here < fewest => return Expect::Child(None),
            (0, MOMENTS_ENOUGH..) => return Expect::Nothing,
            (LATE_ENOUGH.., _) => LAG_MARGIN,
            (LATE_MIN.., _) | (_, MOMENTS_ENOUGH..) => LAG_MARGIN_MIN,
            _ => return Expect::Child(None),
        };
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

    fn within(ms: u64) -> Expect {
        Expect::Child(Some(Duration::from_millis(ms)))
    }

    /// Traces a second apart.
    fn after(traces: impl Iterator<Item = Tally>) -> Habit {
        let mut habit = Habit::default();
        traces.zip(1..).for_each(|(tally, nth)| _ = habit.observe(second(nth), nth, &tally));
        habit
    }

    fn second(nth: u64) -> Time {
        Time::from_millis(nth * 1000)
    }

    #[test]
    fn nothing_is_believed_before_enough_was_seen() {
        let habit = after((1..SEEN_MIN).map(|_| children(0, 0)));
        assert_eq!(habit.expect(&children(0, 0), QUIET), Expect::Unknown);
    }

    #[test]
    fn many_spans_of_one_trace_count_once() {
        let mut habit = Habit::default();
        (0..1000).for_each(|_| _ = habit.observe(second(1), 1, &children(0, 0)));
        assert_eq!(habit.expect(&children(0, 0), QUIET), Expect::Unknown);
    }

    #[test]
    fn many_traces_of_one_turn_of_a_timer_are_one_word_on_how_late_children_come() {
        let mut habit = Habit::default();
        for nth in 1..=10_000 {
            let tally = if nth % 2 == 0 { children(1, 10) } else { children(0, 0) };
            habit.observe(Time::from_millis(nth / 11), nth, &tally);
        }
        let known = habit.known();
        assert_eq!((known.seen, known.moments, known.late), (10_000, 1, 1));
        assert_eq!(habit.expect(&children(0, 0), QUIET), Expect::Child(None));
        [2, 4, 6, 8]
            .into_iter()
            .for_each(|at| _ = habit.observe(second(at), 10_000 + at, &children(1, 5_000)));
        assert_eq!(habit.known().late, 3, "where the lag is five seconds, a moment lasts as long");
    }

    #[test]
    fn a_shape_that_never_had_a_child_is_not_waited_for() {
        let habit = after((0..SEEN_MIN).map(|_| children(0, 0)));
        assert_eq!(habit.expect(&children(0, 0), QUIET), Expect::Nothing);
    }

    #[test]
    fn a_child_that_never_failed_to_come_is_waited_for_whatever_its_lag() {
        let habit = after((0..300).map(|n| children(2, if n % 2 == 0 { 300 } else { 0 })));
        assert_eq!(habit.expect(&children(2, 0), QUIET), Expect::Nothing);
        assert_eq!(habit.expect(&children(1, 0), QUIET), Expect::Child(None));
    }

    #[test]
    fn a_child_made_sometimes_is_given_the_lag_it_was_seen_to_need() {
        let traces = |count| (0..count).map(|n| if n % 10 == 0 { children(1, 200) } else { children(0, 0) });
        assert_eq!(after(traces(200)).expect(&children(0, 0), QUIET), Expect::Child(None), "20 are too few");
        assert_eq!(after(traces(400)).expect(&children(0, 0), QUIET), within(650));
        let habit = after(traces(800));
        assert_eq!(habit.expect(&children(0, 0), QUIET), within(450));
        assert_eq!(habit.expect(&children(1, 0), QUIET), Expect::Nothing);
    }

    #[test]
    fn where_children_are_hardly_ever_late_a_long_time_is_enough() {
        let traces = |late_ms| {
            let first = std::iter::once(children(1, late_ms));
            first.chain((1..MOMENTS_ENOUGH).map(|n| children(n % 2, 0)))
        };
        assert_eq!(after(traces(200)).expect(&children(0, 0), QUIET), within(650));
        assert_eq!(after(traces(0)).expect(&children(0, 0), QUIET), Expect::Nothing);
    }

    #[test]
    fn a_late_child_corrects_at_once() {
        let mut habit = after((0..500).map(|_| children(0, 0)));
        habit.correct(second(501), &children(1, 400));
        assert_eq!(habit.expect(&children(0, 0), QUIET), Expect::Child(None));
    }

    #[test]
    fn a_child_of_the_same_process_counts_once_one_was_late() {
        let late = Tally { all: 3, remote: 0, lag: Some(QUIET), local_late: true };
        let habit = after((0..200).map(|_| late));
        assert_eq!(habit.expect(&Tally { all: 3, ..Tally::default() }, QUIET), Expect::Nothing);
        assert_eq!(habit.expect(&Tally { all: 2, ..Tally::default() }, QUIET), Expect::Child(None));
    }

    #[test]
    fn a_span_is_usual_that_is_like_a_thousand_others_and_teaches_nothing() {
        let steady = |late_ms| after((0..STEADY_MIN).map(|_| children(2, late_ms)));
        assert!(!after((1..STEADY_MIN).map(|_| children(2, 9))).is_steady(), "one too few");
        assert!(steady(9).is_usual(&children(2, 9)) && steady(9).is_usual(&children(2, 0)));
        assert!(!steady(9).is_usual(&children(1, 9)) && !steady(9).is_usual(&children(3, 9)));
        assert!(!steady(9).is_usual(&children(2, 10)), "later than any");
        let local = Tally { local_late: true, ..children(2, 9) };
        assert!(!steady(9).is_usual(&local), "the first of its own process that is late");
        let mut habit = steady(9);
        habit.observe(second(2000), 2000, &children(1, 0));
        assert!(!habit.is_steady());
        let mut habit = steady(9);
        habit.correct(second(2000), &children(3, 20));
        assert!(!habit.is_steady());
    }

    #[test]
    fn what_no_longer_happens_is_forgotten_after_two_epochs() {
        let old = (0..1000).map(|_| children(1, 500));
        let habit = after(old.chain((0..2 * EPOCH).map(|_| children(0, 0))));
        assert_eq!(habit.expect(&children(0, 0), QUIET), Expect::Nothing);
    }
}
