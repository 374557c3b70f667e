//! The one process-wide byte budget: what we hold, paid for before it is held.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes held by the whole process against the bytes it may hold.
#[derive(Debug)]
pub struct Budget {
    limit: AtomicUsize,
    used: AtomicUsize,
}

impl Budget {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: AtomicUsize::new(limit), used: AtomicUsize::new(0) })
    }

    pub fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// Another limit from now on. What is held above it is kept, and nothing new taken until it is paid back.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Relaxed);
    }

    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Takes `bytes` if they fit under the limit.
    pub fn try_reserve(self: &Arc<Self>, bytes: usize) -> Option<Reservation> {
        let mut reservation = Reservation { budget: self.clone(), bytes: 0 };
        reservation.try_grow(bytes).then_some(reservation)
    }

    /// Takes `bytes` whether they fit or not: for what is held already and only changes hands.
    /// Going over the limit makes the edge refuse until it is paid back.
    pub fn reserve(self: &Arc<Self>, bytes: usize) -> Reservation {
        let mut reservation = Reservation { budget: self.clone(), bytes: 0 };
        reservation.resize(bytes);
        reservation
    }
}

/// A share of the budget, given back on drop.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Reservation {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What this is a share of.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Another share of the same budget, fitting or not; see [`Budget::reserve`].
    pub fn another(&self, bytes: usize) -> Reservation {
        self.budget.reserve(bytes)
    }

    /// Takes `more` bytes if they fit under the limit.
    pub fn try_grow(&mut self, more: usize) -> bool {
        let fits = self.budget.used.fetch_update(Relaxed, Relaxed, |used| {
            used.checked_add(more).filter(|&sum| sum <= self.budget.limit())
        });
        if fits.is_ok() {
            self.bytes += more;
        }
        fits.is_ok()
    }

    /// Holds exactly `bytes` from now on, fitting or not.
    pub fn resize(&mut self, bytes: usize) {
        if bytes >= self.bytes {
            self.budget.used.fetch_add(bytes - self.bytes, Relaxed);
        } else {
            self.budget.used.fetch_sub(self.bytes - bytes, Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_not_taken() {
        let budget = Budget::new(100);
        let first = budget.try_reserve(60).unwrap();
        assert!(budget.try_reserve(41).is_none());
        assert_eq!(budget.used(), 60);
        let mut second = budget.try_reserve(40).unwrap();
        assert!(!second.try_grow(1));
        drop(first);
        assert!(second.try_grow(60));
        drop(second);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_is_held_already_may_overshoot_and_then_nothing_new_fits() {
        let budget = Budget::new(100);
        let mut held = budget.reserve(150);
        assert!(budget.try_reserve(1).is_none());
        held.resize(20);
        assert_eq!(budget.used(), 20);
        assert!(budget.try_reserve(80).is_some());
    }
}
