//! Monotonic time as a number, so that pure parts can be told what time it is.
//!
//! `Clock` is the only place that reads the machine's clock; `clippy.toml` bans it elsewhere.

use std::ops::{Add, Sub};
use std::time::{Duration, Instant};

/// Nanoseconds since the process began, on the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub u64);

impl Time {
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms * 1_000_000)
    }

    /// Zero when `earlier` is later.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, d: Duration) -> Time {
        let nanos = d.as_secs().saturating_mul(1_000_000_000).saturating_add(d.subsec_nanos().into());
        Time(self.0.saturating_add(nanos))
    }
}

impl Sub for Time {
    type Output = Duration;
    fn sub(self, earlier: Time) -> Duration {
        self.since(earlier)
    }
}

/// Where `Time` comes from. Copies agree with each other.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
}

impl Clock {
    #[allow(clippy::new_without_default, clippy::disallowed_methods)]
    pub fn new() -> Self {
        Self { began: Instant::now() }
    }

    pub fn now(&self) -> Time {
        Time(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The instant `time` stands for, to hand to timers.
    pub fn instant(&self, time: Time) -> Instant {
        self.began + Duration::from_nanos(time.0)
    }
}

#[allow(clippy::disallowed_methods)]
impl Clock {
    /// Wall time, nanoseconds since the Unix epoch. For people to read; never for deciding.
    pub fn unix_nanos(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}
