//! Requests whose bytes stay where they came, because the spans of open traces lie in them.
//!
//! Most traces leave a moment after their last span. Until then their spans need not be copied: the
//! request is kept, and charged whole, while any open trace has spans in it. A trace that must wait for
//! longer copies its spans out ([`Trace::unpin`](super::trace::Trace::unpin)), so that no small span
//! keeps a large request.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

/// Smaller requests are copied: their bytes may lie in a buffer several times as large.
const REQUEST_MIN: usize = 16 * 1024;
/// A request is pinned when at least this part of it is wanted: what is kept of it, in memory, stays
/// within four times what is held.
const SHARE: usize = 4;
/// A trace that waits for longer than this copies its spans out.
pub(super) const BRIEFLY: Duration = Duration::from_millis(250);

/// Whether `wanted` bytes of a request are worth keeping all of it.
pub(super) fn is_worth(wanted: usize, request: &Bytes) -> bool {
    request.len() >= REQUEST_MIN && wanted >= request.len() / SHARE
}

/// The same of pieces; looks at no more of them than it takes to know.
pub(super) fn are_worth(mut wanted: impl Iterator<Item = usize>, request: &Bytes) -> bool {
    let mut all = 0;
    wanted.any(|some| {
        all += some;
        is_worth(all, request)
    })
}

/// Names a pinned request; used again once it was let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PinId(u32);

/// A pinned request, as a trace holds it.
#[derive(Debug)]
pub(super) struct Pin {
    pub id: PinId,
    pub request: Rc<Bytes>,
}

/// What the requests pinned by one join take.
#[derive(Debug, Default)]
pub(super) struct Pins {
    /// How many hold it, and its length.
    pinned: Vec<(u32, usize)>,
    free: Vec<u32>,
    bytes: usize,
}

impl Pins {
    /// Bytes of all pinned requests.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Pins a request for whoever asks; to be released as any hold.
    pub fn pin(&mut self, request: &Bytes) -> PinId {
        self.bytes += request.len();
        let new = (1, request.len());
        let Some(at) = self.free.pop() else {
            self.pinned.push(new);
            return PinId(self.pinned.len() as u32 - 1);
        };
        if let Some(place) = self.pinned.get_mut(at as usize) {
            *place = new;
        }
        PinId(at)
    }

    /// One more holds it.
    pub fn hold(&mut self, id: PinId) {
        if let Some((holders, _)) = self.pinned.get_mut(id.0 as usize) {
            *holders += 1;
        }
    }

    /// One fewer holds it.
    pub fn release(&mut self, id: PinId) {
        let Some((holders, len)) = self.pinned.get_mut(id.0 as usize) else { return };
        *holders -= 1;
        if *holders == 0 {
            self.bytes -= *len;
            self.free.push(id.0);
        }
        if self.free.len() == self.pinned.len() {
            // A burst is over.
            (self.pinned, self.free) = Default::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_charged_while_anybody_holds_it() {
        let mut pins = Pins::default();
        let request = |len| Bytes::from(vec![0; len]);
        let first = pins.pin(&request(100));
        pins.hold(first);
        let second = pins.pin(&request(10));
        pins.release(first);
        assert_eq!(pins.bytes(), 110);
        pins.release(first);
        assert_eq!(pins.bytes(), 10);
        assert_eq!(pins.pin(&request(7)), first, "its name is free again");
        pins.release(first);
        pins.release(second);
        assert_eq!((pins.bytes(), pins.pinned.len()), (0, 0));
    }

    #[test]
    fn small_requests_and_small_shares_are_not_worth_it() {
        let request = Bytes::from(vec![0; 64 * 1024]);
        assert!(is_worth(16 * 1024, &request) && !is_worth(16 * 1024 - 1, &request));
        assert!(!is_worth(1000, &request.slice(..1000)));
        assert!(are_worth([1, 16 * 1024 - 1, 5].into_iter(), &request));
        assert!(!are_worth([1, 16 * 1024 - 2].into_iter(), &request) && !are_worth([].into_iter(), &request));
    }
}
