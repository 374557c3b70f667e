//! What the user wants written: settings compiled once into edits on bytes. Pure.

pub mod labels;
pub mod memo;
pub mod particulars;
pub mod stamp;
pub mod sums;
