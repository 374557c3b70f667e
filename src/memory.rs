//! The program's memory: the allocator, how long it keeps free pages, and what is given back after the start. The only
//! `unsafe` of the program.
//!
//! A request's bytes are taken by one thread and given back by another, and the join opens and closes tens of thousands
//! of traces a second: measured by `cargo bench --bench peers -- joined`, joining costs a fifth less than with the C library's allocator;
//! passing through, and memory when idle, are the same.
//!
//! The surprise: most of what a sidecar at rest had resident was code that had run once, at the start. It is in the page
//! cache anyhow and costs nothing to drop; what is run again comes back from there, sixteen pages at a fault.

#![allow(
    unsafe_code,
    reason = "the kernel and mimalloc are told by address and number; there is no safe door"
)]

use std::ffi::c_long;
use std::ops::Range;

use rustix::mm::{Advice, madvise};

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

/// To be called once everything runs that will run.
pub fn give_back() {
    // SAFETY: it concerns what is free.
    unsafe { libmimalloc_sys::mi_collect(true) };
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    for range in clean(&maps) {
        // SAFETY: nobody can have written to these pages, so what is dropped is read again from the file as it was.
        // A kernel that does not want to keeps them, and that is as well.
        let _ = unsafe { madvise(range.start as *mut _, range.len(), Advice::LinuxDontNeed) };
    }
}

/// Where code is, of the program and its libraries, and the program's constants, in the words of proc_pid_maps(5).
/// Not what is read-only since it was relocated, which is no longer as in the file and never stands at its begin.
fn clean(maps: &str) -> impl Iterator<Item = Range<usize>> {
    maps.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (range, access, offset) = (words.next()?, words.next()?, words.next()?);
        let of_a_file = words.nth(2)?.starts_with('/');
        let is_clean = access == "r-xp" || (access == "r--p" && offset.bytes().all(|digit| digit == b'0'));
        let (start, end) = range.split_once('-')?;
        let address = |hex| usize::from_str_radix(hex, 16).ok();
        (of_a_file && is_clean).then_some(address(start)?..address(end)?)
    })
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

    #[test]
    fn only_what_is_as_in_its_file_is_given_back() {
        let check = |line: &str, expect: Option<Range<usize>>| {
            assert_eq!(clean(line).next(), expect, "{line}");
        };
        check("1000-3000 r--p 00000000 fe:00 7 /spandrel", Some(0x1000..0x3000));
        check("3000-9000 r-xp 00002000 fe:00 7 /spandrel", Some(0x3000..0x9000));
        check("7f00-7f10 r-xp 00001000 fe:00 9 /usr/lib/libc.so.6", Some(0x7f00..0x7f10));
        check("9000-a000 r--p 00008000 fe:00 7 /spandrel", None);
        check("a000-b000 rw-p 00009000 fe:00 7 /spandrel", None);
        check("b000-c000 rwxp 00000000 fe:00 7 /spandrel", None);
        check("c000-d000 r--p 00000000 00:00 0", None);
        check("d000-e000 r-xp 00000000 00:00 0 [vdso]", None);
        check("", None);
    }

    #[test]
    fn everything_is_there_afterwards() {
        let before = format!("{:?}", std::env::args());
        give_back();
        assert_eq!(format!("{:?}", std::env::args()), before);
    }
}
