//! Bounded queues between the parts. Offering never blocks, in either direction.

pub mod admitted;
pub mod batch;
pub mod batcher;
pub mod budget;
pub mod inbox;
pub mod lanes;
pub mod outbox;
pub mod pace;
pub mod scores;

pub use admitted::Admitted;
pub use batch::Batch;
pub use budget::{Budget, Reservation};
pub use inbox::Inbox;
pub use lanes::{Busy, Lanes};
pub use outbox::Outbox;
