//! Saying a thing not too often.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use super::Time;

/// Lets one line a key through in every interval, and counts the others.
///
/// Bounded: at most [`Every::KEYS_MAX`] keys are remembered; while all of them are fresh, others are
/// not said at all but counted with the next that is.
#[derive(Debug)]
pub struct Every<K> {
    interval: Duration,
    said: HashMap<K, Said>,
    unnamed: u64,
}

#[derive(Debug)]
struct Said {
    at: Time,
    held_back: u64,
}

impl<K: Hash + Eq> Every<K> {
    pub const KEYS_MAX: usize = 256;

    pub fn new(interval: Duration) -> Self {
        Self { interval, said: HashMap::new(), unnamed: 0 }
    }

    /// `Some(n)`: say it now, and that `n` like it were held back since. `None`: hold it back.
    pub fn ask(&mut self, now: Time, key: K) -> Option<u64> {
        let interval = self.interval;
        if let Some(said) = self.said.get_mut(&key) {
            if now.since(said.at) < interval {
                said.held_back += 1;
                return None;
            }
            said.at = now;
            return Some(std::mem::take(&mut said.held_back) + std::mem::take(&mut self.unnamed));
        }
        if self.said.len() >= Self::KEYS_MAX {
            self.forget(now);
        }
        if self.said.len() >= Self::KEYS_MAX {
            self.unnamed += 1;
            return None;
        }
        self.said.insert(key, Said { at: now, held_back: 0 });
        Some(std::mem::take(&mut self.unnamed))
    }

    /// Drops keys whose interval is over; what they held back is said with another.
    fn forget(&mut self, now: Time) {
        let (interval, unnamed) = (self.interval, &mut self.unnamed);
        self.said.retain(|_, said| {
            let fresh = now.since(said.at) < interval;
            *unnamed += if fresh { 0 } else { said.held_back };
            fresh
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_key_and_interval_and_the_rest_is_counted() {
        let mut every = Every::new(Duration::from_secs(10));
        let ms = Time::from_millis;
        assert_eq!(every.ask(ms(0), "a"), Some(0));
        assert_eq!(every.ask(ms(0), "b"), Some(0), "keys do not hold each other back");
        assert_eq!(every.ask(ms(1), "a"), None);
        assert_eq!(every.ask(ms(9_999), "a"), None);
        assert_eq!(every.ask(ms(10_000), "a"), Some(2));
        assert_eq!(every.ask(ms(20_000), "a"), Some(0));
    }

    #[test]
    fn any_number_of_keys_takes_bounded_memory_and_none_goes_uncounted() {
        let mut every = Every::new(Duration::from_secs(10));
        let (mut said, mut counted) = (0, 0);
        for n in 0..10_000 {
            if let Some(held_back) = every.ask(Time::from_millis(n), n) {
                said += 1;
                counted += held_back;
            }
        }
        assert_eq!(said, Every::<u64>::KEYS_MAX as u64);
        assert_eq!(every.said.len(), Every::<u64>::KEYS_MAX);
        counted += every.ask(Time::from_millis(30_000), 99_999).unwrap();
        assert_eq!(said + counted, 10_000);
    }
}
