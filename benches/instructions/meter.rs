//! Measures one stretch of a step: its time here, its instructions where callgrind counts what `collected` does.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// What callgrind is told to count: `collected`, with all below it.
pub const COLLECTED: &str = "*meter::collected*";

#[derive(Debug, Default)]
pub struct Meter {
    pub took: Duration,
}

impl Meter {
    /// Does `work`, which counts; what is done outside of it does not.
    pub fn measure<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = collected(work);
        self.took += began.elapsed();
        done
    }
}

#[inline(never)]
fn collected<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}
