//! The join from outside: requests in, traces out.

use std::cell::Cell;

mod context;
mod make;
mod notes;
mod order;
mod patterns;
mod reasons;
mod simulation;

thread_local! {
    /// Look-ups of a span by its id, by this test: what all work on a large trace is made of.
    pub static LOOK_UPS: Cell<u64> = const { Cell::new(0) };
}
