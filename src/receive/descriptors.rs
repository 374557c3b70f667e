//! How many connections the system's limit of open files leaves to callers.
//!
//! A process out of descriptors can not reach its upstreams either, and what it holds stays where it is. So
//! callers never get them all (faults F30).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept for listeners, the runtime, upstreams and the admin port, however few there are.
const KEPT_MIN: u64 = 32;

/// Raises our limit as far as we are allowed to, and says how many connections fit under it.
pub fn for_connections() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Where it can not be raised, it is what it was.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    connections(if raised { maximum } else { current })
}

/// Three quarters of the limit; none at all is no limit.
fn connections(limit: Option<u64>) -> usize {
    let left = limit.map_or(u64::MAX, |limit| limit.saturating_sub(KEPT_MIN.max(limit / 4)).max(1));
    usize::try_from(left).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_never_get_all_descriptors() {
        let check = |limit, expect| assert_eq!(connections(limit), expect, "{limit:?}");
        check(Some(20_000), 15_000);
        check(Some(64), 32);
        check(Some(8), 1);
        check(None, usize::MAX);
    }
}
