//! The join from outside: requests in, traces out.

mod make;
mod order;
mod reasons;
mod simulation;
