//! The upstreams that `route` can name, and what they take.

use crate::model::destination::UPSTREAMS_MAX;
use crate::wire::Signals;

/// In the order of the configuration. By default none is known, and any name will do: rules are then only looked
/// at, by `spandrel try`.
#[derive(Clone, Debug, Default)]
pub struct Upstreams {
    pub(super) named: Vec<(String, Signals)>,
    /// No other names will do.
    pub(super) settled: bool,
}

impl Upstreams {
    /// These and no others; more than [`UPSTREAMS_MAX`] can not be routed to.
    pub fn of(named: impl IntoIterator<Item = (String, Signals)>) -> Self {
        Self { named: named.into_iter().take(UPSTREAMS_MAX).collect(), settled: true }
    }

    /// The place of `name`, and what it takes.
    pub(super) fn find(&mut self, name: &str) -> Option<(usize, Signals)> {
        let known = self.named.iter().position(|(known, _)| known == name);
        if known.is_none() && !self.settled && self.named.len() < UPSTREAMS_MAX {
            self.named.push((name.to_owned(), Signals::ALL));
            return Some((self.named.len() - 1, Signals::ALL));
        }
        known.and_then(|nth| Some((nth, self.named.get(nth)?.1)))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.named.iter().map(|(name, _)| name.as_str())
    }
}
