//! Gives back what only the start needed: the pages of code that read configurations and command lines, and what
//! they left free on the heap.
//!
//! A sidecar is there once for each pod and rests most of the time, and most of what it had resident at rest was
//! code that had run once. The surprise: that is in the page cache anyhow and costs nothing to drop; what is run
//! again comes back from there, sixteen pages at a fault.

#![allow(unsafe_code, reason = "the kernel and mimalloc are told by address; there is no safe door")]

use std::ops::Range;

use rustix::mm::{Advice, madvise};

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
