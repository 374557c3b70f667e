//! A request that passed the edge: checked, indexed, paid for.

use std::sync::Arc;

use bytes::Bytes;

use super::Reservation;
use crate::model::{Origin, Time};
use crate::wire::{Index, Signal};

/// One admitted request. Its bytes are protobuf, walked; refused items are in the index's count and
/// (for anything that is not joined) already cut out of `body`.
#[derive(Debug)]
pub struct Admitted {
    pub signal: Signal,
    pub origin: Arc<Origin>,
    pub body: Bytes,
    pub index: Index,
    /// When it was given to the lanes, all of it read and walked.
    pub offered: Time,
    /// Pays for `body` and `index` until the last lane is done with them.
    pub reservation: Reservation,
}
