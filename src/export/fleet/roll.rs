//! Which gateway a trace belongs to: the one name for it that every sidecar finds by itself.
//!
//! Rendezvous hashing (Thaler and Ravishankar, 1998): each gateway has a score for each trace, the highest
//! owns it. So when one comes, only what it wins moves to it, and when one goes, only what it had moves away.
//! Which gateways there are changes at whole multiples of [`EVERY`], one later than it is seen, so that sidecars
//! that ask within the same five seconds change at the same moment; and a trace goes by the gateways there were
//! when it began, as far as its spans here tell. What was sent before stays where it was sent for as long as a
//! trace is held.
//!
//! A gateway that fails loses its share at once, wherever that is noticed. Pure: times are passed in, as
//! nanoseconds since 1970, because that is what spans are dated in and sidecars agree on.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use ahash::RandomState;

use crate::wire::TraceId;

/// How often the name is asked for.
pub const EVERY: Duration = Duration::from_secs(5);
/// Traces remembered by where they were sent; of more the oldest are forgotten.
const BEGUN_MAX: usize = 16 * 1024;

/// The gateways, over time.
#[derive(Debug)]
pub struct Roll {
    /// For how long a trace that was begun is kept together.
    hold: u64,
    /// The oldest that counts first.
    sets: VecDeque<Set>,
    down: HashSet<SocketAddr>,
    begun: Begun,
}

/// The gateways from one moment on.
#[derive(Debug)]
struct Set {
    since: u64,
    /// Sorted.
    members: Vec<SocketAddr>,
}

/// Where a trace is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owned {
    pub by: SocketAddr,
    /// A part of it was sent to another.
    pub split: bool,
}

impl Roll {
    /// `hold`: how long gateways hold a trace.
    pub fn new(hold: Duration) -> Self {
        let begun = Begun::default();
        Self { hold: nanos(hold), sets: VecDeque::new(), down: HashSet::new(), begun }
    }

    /// The gateways as they are at `now`. Says whether anything changed.
    pub fn learn(&mut self, now: u64, mut members: Vec<SocketAddr>) -> bool {
        members.sort_unstable();
        members.dedup();
        self.prune(now);
        if self.sets.back().is_some_and(|set| set.members == members) {
            return false;
        }
        // What was to come has come to nothing.
        self.sets.pop_back_if(|set| set.since > now);
        let since = if self.sets.is_empty() { 0 } else { (now / nanos(EVERY) + 1) * nanos(EVERY) };
        if self.sets.back().is_none_or(|set| set.members != members) {
            self.sets.push_back(Set { since, members });
        }
        true
    }

    /// All that may still be sent to.
    pub fn members(&self) -> Vec<SocketAddr> {
        let mut all: Vec<_> = self.sets.iter().flat_map(|set| set.members.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Forgets gateways that no trace still held was begun with.
    pub fn prune(&mut self, now: u64) {
        let past = now.saturating_sub(self.hold);
        while self.sets.get(1).is_some_and(|next| next.since <= past) {
            self.sets.pop_front();
        }
        let members = self.members();
        self.down.retain(|gateway| members.contains(gateway));
    }

    /// A gateway can not be reached. Says whether that is new.
    pub fn failed(&mut self, gateway: SocketAddr) -> bool {
        self.down.insert(gateway)
    }

    /// It can again.
    pub fn recovered(&mut self, gateway: SocketAddr) {
        self.down.remove(&gateway);
    }

    pub fn down(&self) -> impl Iterator<Item = SocketAddr> {
        self.down.iter().copied()
    }

    /// Whether somebody else could be sent to.
    pub fn has_another(&self, than: SocketAddr) -> bool {
        self.members().into_iter().any(|gateway| gateway != than && !self.down.contains(&gateway))
    }

    /// Where to send spans of a trace, the earliest of which began at `start`. `None` before any gateway is known.
    pub fn owner(&mut self, now: u64, trace: TraceId, start: u64) -> Option<Owned> {
        let before = self.begun.find(now.saturating_sub(self.hold), trace);
        let is_there = |gateway: &SocketAddr| {
            !self.down.contains(gateway) && self.sets.iter().any(|set| set.members.contains(gateway))
        };
        if let Some(by) = before.filter(is_there) {
            return Some(Owned { by, split: false });
        }
        let by = self.by_score(self.set_at(start.clamp(now.saturating_sub(self.hold), now)), trace)?;
        self.begun.remember(now, trace, by);
        Some(Owned { by, split: before.is_some_and(|before| before != by) })
    }

    /// Where to send what belongs to no trace: always the same, whoever `sender` is.
    pub fn anybody(&self, now: u64, sender: u64) -> Option<SocketAddr> {
        let mut id = [0; 16];
        id[8..].copy_from_slice(&sender.to_be_bytes());
        self.by_score(self.set_at(now), TraceId(id))
    }

    /// The highest score among those that are well; among all, when none is.
    fn by_score(&self, set: Option<&Set>, trace: TraceId) -> Option<SocketAddr> {
        let latest = self.sets.back();
        let best = |members: &[SocketAddr], all: bool| {
            let well = members.iter().filter(|gateway| all || !self.down.contains(gateway));
            well.copied().max_by_key(|gateway| (score(trace, *gateway), *gateway))
        };
        let among = |set: Option<&Set>, all| set.and_then(|set| best(&set.members, all));
        among(set, false).or_else(|| among(latest, false)).or_else(|| among(set, true))
    }

    fn set_at(&self, time: u64) -> Option<&Set> {
        self.sets.iter().rev().find(|set| set.since <= time).or_else(|| self.sets.front())
    }
}

/// What a gateway bids for a trace. Every sidecar must come to the same, whatever its version: the numbers are
/// part of the protocol, and a test holds them.
fn score(trace: TraceId, gateway: SocketAddr) -> u64 {
    let [mut high, mut low] = [[0; 8]; 2];
    high.copy_from_slice(&trace.0[..8]);
    low.copy_from_slice(&trace.0[8..]);
    let address = match gateway.ip().to_canonical() {
        std::net::IpAddr::V4(ip) => u128::from(u32::from(ip)),
        std::net::IpAddr::V6(ip) => u128::from(ip),
    };
    let address =
        mix((address >> 64) as u64) ^ mix(address as u64 ^ u64::from(gateway.port()).rotate_left(48));
    mix(mix(address ^ u64::from_be_bytes(low)) ^ u64::from_be_bytes(high))
}

/// SplitMix64's finalizer: each bit of the input changes half of the output's.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Traces that were begun, and where.
#[derive(Debug, Default)]
struct Begun {
    at: HashMap<TraceId, (u64, SocketAddr), RandomState>,
    order: VecDeque<(u64, TraceId)>,
}

impl Begun {
    fn find(&mut self, past: u64, trace: TraceId) -> Option<SocketAddr> {
        while self.order.front().is_some_and(|(at, _)| *at < past) {
            self.forget_oldest();
        }
        self.at.get(&trace).map(|(_, gateway)| *gateway)
    }

    fn remember(&mut self, now: u64, trace: TraceId, gateway: SocketAddr) {
        if self.order.len() >= BEGUN_MAX {
            self.forget_oldest();
        }
        self.order.push_back((now, trace));
        self.at.insert(trace, (now, gateway));
    }

    fn forget_oldest(&mut self) {
        let Some((at, trace)) = self.order.pop_front() else { return };
        // It may have been remembered again since.
        if self.at.get(&trace).is_some_and(|(known, _)| *known == at) {
            self.at.remove(&trace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    /// Some time, on a boundary.
    const T: u64 = 1_795_347_880 * SECOND;
    const HOLD: Duration = Duration::from_secs(30);

    fn gateways(count: u8) -> Vec<SocketAddr> {
        (1..=count).map(|n| SocketAddr::from(([10, 0, 3, n], 4317))).collect()
    }

    fn roll(count: u8) -> Roll {
        let mut roll = Roll::new(HOLD);
        roll.learn(T, gateways(count));
        roll
    }

    fn trace(n: u64) -> TraceId {
        TraceId(((u128::from(mix(n)) << 64) | u128::from(mix(!n))).to_be_bytes())
    }

    fn owners(roll: &mut Roll, now: u64) -> Vec<SocketAddr> {
        (0..100_000).map(|n| roll.by_score(roll.set_at(now), trace(n)).unwrap()).collect()
    }

    #[test]
    fn ten_gateways_have_even_shares_within_five_percent() {
        let owners = owners(&mut roll(10), T);
        for gateway in gateways(10) {
            let share = owners.iter().filter(|owner| **owner == gateway).count();
            assert!((9_500..=10_500).contains(&share), "{gateway} has {share} of 100,000");
        }
    }

    #[test]
    fn one_more_takes_its_share_and_moves_nothing_else() {
        let (before, after) = (owners(&mut roll(10), T), owners(&mut roll(11), T));
        let moved: Vec<_> = before.iter().zip(&after).filter(|(a, b)| a != b).collect();
        assert!(
            (8_600..=9_600).contains(&moved.len()),
            "{} of 100,000 moved, 1/11 would be 9,091",
            moved.len()
        );
        assert!(moved.iter().all(|(_, to)| **to == gateways(11)[10]), "only to the new one");
    }

    /// Worked out apart from this code.
    const SCORES: [u64; 2] = [15_066_983_076_986_778_935, 18_319_618_610_463_314_407];

    #[test]
    fn the_scores_are_part_of_the_protocol() {
        let v6 = SocketAddr::new("2001:db8::1".parse().unwrap(), 4317);
        assert_eq!(score(trace(1), gateways(1)[0]), SCORES[0]);
        assert_eq!(score(trace(2), v6), SCORES[1]);
        let mapped = SocketAddr::new("::ffff:10.0.3.1".parse().unwrap(), 4317);
        assert_eq!(score(trace(1), mapped), SCORES[0], "the same address in other words");
    }

    #[test]
    fn a_change_counts_from_the_next_boundary_and_for_what_begins_after_it() {
        let mut roll = roll(3);
        assert!(!roll.learn(T + SECOND, gateways(3)), "nothing new");
        assert!(roll.learn(T + SECOND, gateways(4)));
        let fourth = gateways(4)[3];
        let its = (0..).map(trace).find(|&t| {
            let all = Set { since: 0, members: gateways(4) };
            roll.by_score(Some(&all), t) == Some(fourth)
        });
        let its = its.unwrap();
        let (early, late) = (T + 4 * SECOND, T + 5 * SECOND);
        let owner = |roll: &mut Roll, now, start| roll.owner(now, its, start).unwrap().by;
        assert_ne!(owner(&mut roll, early, early), fourth);
        // It stays where it was begun, and goes to the new one once that is long ago.
        assert_ne!(owner(&mut roll, late, late), fourth);
        assert_eq!(owner(&mut roll, late + 31 * SECOND, late + 31 * SECOND), fourth);
        // Nobody here has heard of it, but its span began before the change.
        let mut other = self::roll(3);
        other.learn(T + 3 * SECOND, gateways(4));
        assert_ne!(owner(&mut other, late + SECOND, early), fourth);
        let mut third = self::roll(3);
        third.learn(T + 2 * SECOND, gateways(4));
        assert_eq!(owner(&mut third, late + SECOND, late), fourth);
    }

    #[test]
    fn the_share_of_one_that_fails_moves_at_once_and_splits_are_told() {
        let mut roll = roll(3);
        let t = trace(7);
        let first = roll.owner(T, t, T).unwrap();
        assert!(!first.split);
        assert!(roll.failed(first.by) && !roll.failed(first.by));
        let second = roll.owner(T + 1, t, T).unwrap();
        assert!(second.by != first.by && second.split);
        assert_eq!(roll.owner(T + 2, t, T), Some(Owned { split: false, ..second }));
        // What the others have stays.
        let others: Vec<_> =
            (0..1000).map(trace).filter(|t| roll.by_score(roll.set_at(T), *t) != Some(first.by)).collect();
        let owners =
            |roll: &Roll| others.iter().map(|t| roll.by_score(roll.set_at(T), *t)).collect::<Vec<_>>();
        let before = owners(&roll);
        roll.recovered(first.by);
        let after: usize = owners(&roll).iter().zip(&before).filter(|(a, b)| a != b).count();
        assert!(after < others.len() / 2, "only what the recovered one wins back: {after}");
        gateways(3).into_iter().for_each(|gateway| {
            roll.failed(gateway);
        });
        assert!(roll.owner(T, trace(8), T).is_some(), "when all are down it is still somebody's to wait for");
        assert!(!roll.has_another(first.by));
    }

    #[test]
    fn gateways_that_left_are_forgotten_after_the_hold_time_and_memory_is_bounded() {
        let mut roll = roll(3);
        roll.learn(T + SECOND, gateways(2));
        roll.failed(gateways(3)[2]);
        assert_eq!(roll.members(), gateways(3));
        roll.prune(T + 34 * SECOND);
        assert_eq!(roll.members().len(), 3);
        roll.prune(T + 35 * SECOND);
        assert_eq!((roll.members(), roll.down().count()), (gateways(2), 0));
        (0..100_000).for_each(|n| {
            roll.owner(T + n, trace(n), T);
        });
        assert!(roll.begun.at.len() <= BEGUN_MAX && roll.begun.order.len() <= BEGUN_MAX);
        assert_eq!(Roll::new(HOLD).owner(T, trace(1), T), None, "nobody is known yet");
    }
}
