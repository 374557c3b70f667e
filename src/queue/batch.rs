//! What is sent upstream in one call.

use std::sync::Arc;

use super::Reservation;
use crate::model::{Destination, Origin, Time};
use crate::wire::{Sealed, Signal};

/// One finished batch, shared by every upstream it goes to; its bytes are freed with the last.
#[derive(Debug)]
pub struct Batch {
    pub signal: Signal,
    pub origin: Arc<Origin>,
    /// The upstreams it goes to, of those that take its signal.
    pub to: Destination,
    /// An export request, uncompressed protobuf.
    pub body: Sealed,
    /// Items this batch settles: those in `body`, plus duplicates collapsed into them.
    pub items: u64,
    /// Log records that settle with it, because no upstream takes them otherwise: they are events of its spans.
    pub notes: u64,
    pub opened: Time,
    pub reservation: Reservation,
}
