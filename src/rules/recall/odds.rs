//! Whether it pays to look things up: what is new each time is left alone for a while.

/// Look-ups between two verdicts, and how many of them may find nothing.
const WINDOW: u16 = 64;
const MISSES_MAX: u16 = 24;
/// Look-ups that are left out when too many found nothing: at first few, then four times as many each time.
const REST: (u32, u32) = (128, 32768);

#[derive(Clone, Copy, Debug, Default)]
pub struct Odds {
    looked: u16,
    missed: u16,
    rest: u32,
    last_rest: u32,
}

impl Odds {
    /// Whether to look this time.
    #[inline]
    pub fn are_good(&mut self) -> bool {
        let resting = self.are_resting();
        self.rest -= u32::from(resting);
        !resting
    }

    /// Nothing is looked up for a while.
    pub fn are_resting(&self) -> bool {
        self.rest > 0
    }

    /// Notes what came of a look-up.
    #[inline]
    pub fn note(&mut self, found: bool) {
        self.looked += 1;
        self.missed += u16::from(!found);
        if self.looked == WINDOW {
            self.judge();
        }
    }

    #[cold]
    fn judge(&mut self) {
        if self.missed > MISSES_MAX {
            self.last_rest = (4 * self.last_rest).clamp(REST.0, REST.1);
            self.rest = self.last_rest;
        } else {
            self.last_rest /= 4;
        }
        (self.looked, self.missed) = (0, 0);
    }

    /// Nothing was found for so long that what is known is hardly worth its room.
    pub fn are_bad(&self) -> bool {
        self.rest > REST.1 / 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many look-ups are made, of which one in `found_in` finds something.
    fn looks(of: u32, found_in: u32) -> u32 {
        let mut odds = Odds::default();
        let mut look = |nth: u32| {
            let looks = odds.are_good();
            if looks {
                odds.note(nth.is_multiple_of(found_in));
            }
            u32::from(looks)
        };
        (0..of).map(&mut look).sum()
    }

    #[test]
    fn what_is_mostly_found_is_always_looked_up_and_what_is_new_each_time_hardly_ever() {
        assert_eq!(looks(100_000, 1), 100_000);
        assert_eq!(looks(100_000, 2), looks(100_000, 100_000));
        assert!(looks(100_000, 2) < 1000);
    }
}
