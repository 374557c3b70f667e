//! The allocator, and the one setting of it that matters. With `leftovers` the only `unsafe` of the program.
//!
//! A request's bytes are taken by one thread and given back by another, and the join opens and closes
//! tens of thousands of traces a second: measured by `cargo bench --bench peers -- joined`, joining costs a fifth
//! less than with the C library's allocator; passing through, and memory when idle, are the same.

#![allow(unsafe_code, reason = "mimalloc's settings have no safe door")]

use std::ffi::c_long;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc 2 (its `mi_option_t`, counted from 0).
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
/// Milliseconds that free pages stay ours. With mimalloc's own 10 they go back to the kernel between two
/// batches and come again as page faults: a tenth of the time a joined span takes.
const PURGE_DELAY_MS: c_long = 500;

/// In a container smaller than this free pages go back at once. Those of half a second, or of mimalloc's own
/// 10 ms, were enough to be killed in 64 MiB, with 16 of them spoken for (faults F27).
const ROOMY: usize = 512 << 20;

/// Keeps free pages for a while where there is room for them, unless `MIMALLOC_PURGE_DELAY` says otherwise.
/// `limit`: bytes this process may have; `None`: as many as there are.
pub fn keep_pages(limit: Option<usize>) {
    let delay = if limit.is_none_or(|limit| limit >= ROOMY) { PURGE_DELAY_MS } else { 0 };
    // SAFETY: both sides of the call are plain numbers; mimalloc refuses an option it does not know.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, delay) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_is_taken() {
        for (limit, expect) in [(Some(64 << 20), 0), (Some(1 << 30), PURGE_DELAY_MS), (None, PURGE_DELAY_MS)]
        {
            keep_pages(limit);
            // SAFETY: as above.
            let now = unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
            assert_eq!(now, expect, "option 15 is the purge delay, 10 ms by default");
        }
    }
}
