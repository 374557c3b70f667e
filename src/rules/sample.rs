//! Which traces stay when only a part of them may, as OpenTelemetry's consistent sampling says it
//! (trace/tracestate-probability-sampling.md): 56 bits of a trace's randomness against a threshold.
//!
//! The surprise: a trace that was thinned out further before it came here is not thinned again, so the rate
//! is of what the services made, not of what arrived.

use super::tracestate;

const BITS: u32 = 56;
const ALL: u64 = 1 << BITS;

/// Below this much randomness a trace goes, at `rate` (0 to 1).
pub fn threshold_of(rate: f64) -> u64 {
    let rate = if rate.is_nan() { 1.0 } else { rate.clamp(0.0, 1.0) };
    ((1.0 - rate) * ALL as f64).round() as u64
}

/// What a trace state says of sampling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// What it was thinned out at before.
    pub threshold: Option<u64>,
    /// The trace's randomness, where it is not its id's.
    pub random: Option<u64>,
}

impl Said {
    pub fn of(state: &str) -> Self {
        let said = tracestate::get(state, "ot").unwrap_or_default();
        Self {
            threshold: sub(&said, "th").and_then(threshold),
            random: sub(&said, "rv").and_then(|rv| hex(rv).filter(|_| rv.len() == 14)),
        }
    }
}

/// The randomness of a trace's id: its last seven bytes.
pub fn random_of(id: &[u8]) -> u64 {
    id.iter().rev().take(7).rev().fold(0, |all, byte| all << 8 | u64::from(*byte))
}

/// Whether a trace stays that was thinned out at `earlier` before.
pub fn stays(threshold: u64, random: u64, earlier: Option<u64>) -> bool {
    threshold < ALL && (threshold <= earlier.unwrap_or(0) || random >= threshold)
}

/// The trace state of a span whose trace stayed at `threshold`; `None`: what it says is right already.
pub fn stated(state: &str, threshold: u64) -> Option<String> {
    let said = tracestate::get(state, "ot").unwrap_or_default();
    if Said::of(state).threshold.is_some_and(|earlier| earlier >= threshold) {
        return None;
    }
    let others = said.split(';').filter(|part| !part.is_empty() && !part.starts_with("th:"));
    let ot = std::iter::once(format!("th:{}", digits(threshold))).chain(others.map(str::to_owned));
    // A state that can not take it stays: the decision holds all the same.
    tracestate::set(state, "ot", &ot.collect::<Vec<_>>().join(";")).ok()
}

fn sub<'s>(ot: &'s str, key: &str) -> Option<&'s str> {
    ot.split(';').find_map(|part| part.strip_prefix(key)?.strip_prefix(':'))
}

fn hex(digits: &str) -> Option<u64> {
    u64::from_str_radix(digits, 16).ok().filter(|_| (1..=14).contains(&digits.len()))
}

/// Trailing zeros of a threshold are left away.
fn threshold(digits: &str) -> Option<u64> {
    Some(hex(digits)? << (4 * (14 - digits.len())))
}

fn digits(threshold: u64) -> String {
    let all = format!("{threshold:014x}");
    let short = all.trim_end_matches('0');
    if short.is_empty() { "0".into() } else { short.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a trace state at a rate; `None`: its trace goes.
    fn decide(id: &[u8], state: &str, rate: f64) -> Option<String> {
        let (said, wanted) = (Said::of(state), threshold_of(rate));
        let stays = stays(wanted, said.random.unwrap_or_else(|| random_of(id)), said.threshold);
        stays.then(|| stated(state, wanted).unwrap_or_else(|| state.to_owned()))
    }

    fn id(random: u64) -> [u8; 16] {
        let mut id = [1; 16];
        id[8..].copy_from_slice(&random.to_be_bytes());
        id
    }

    #[test]
    fn half_the_traces_stay_and_say_so() {
        assert_eq!(decide(&id(ALL / 2), "a=1", 0.5).as_deref(), Some("ot=th:8,a=1"));
        assert_eq!(decide(&id(ALL / 2 - 1), "a=1", 0.5), None);
        assert_eq!(decide(&id(0), "", 1.0).as_deref(), Some("ot=th:0"));
        assert_eq!(decide(&id(ALL - 1), "", 0.0), None);
        // The specification's example: 25 % is c.
        assert_eq!(decide(&id(ALL - 1), "", 0.25).as_deref(), Some("ot=th:c"));
    }

    #[test]
    fn what_was_thinned_further_is_left_and_what_was_less_is_thinned_the_rest() {
        assert_eq!(decide(&id(0xd0_0000_0000_0000), "ot=th:c", 0.5).as_deref(), Some("ot=th:c"));
        assert_eq!(decide(&id(0xd0_0000_0000_0000), "ot=th:8", 0.25).as_deref(), Some("ot=th:c"));
        assert_eq!(decide(&id(0x90_0000_0000_0000), "ot=th:8", 0.25), None);
    }

    #[test]
    fn explicit_randomness_counts_instead_of_the_id() {
        let state = "ot=rv:ffffffffffffff;x:1";
        assert_eq!(decide(&id(0), state, 0.5).as_deref(), Some("ot=th:8;rv:ffffffffffffff;x:1"));
        assert_eq!(decide(&id(ALL - 1), "ot=rv:00000000000000", 0.5), None);
    }

    #[test]
    fn a_lower_rate_keeps_a_part_of_what_a_higher_one_keeps() {
        let mut seed = 1_u64;
        for _ in 0..10_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let id = id(seed);
            let kept = [0.01, 0.1, 0.5, 0.9].map(|rate| decide(&id, "", rate).is_some());
            assert!(kept.is_sorted(), "{kept:?}");
        }
    }
}
