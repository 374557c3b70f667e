//! A trace let go as a pattern says leaves as it would if all were worked out.

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::LOOK_UPS;
use super::make::*;
use crate::join::{Join, Leaving, Scope, Settings};
use crate::model::{Origin, Time};

const SERVICES: [&str; 3] = ["shop", "stock", "mail"];
/// What each service does for a trace: a server span and three below it, the last of them a call of the next.
const EACH: u64 = 4;

/// Requests, each so many milliseconds after the one before.
type Requests = Vec<(u64, Vec<Span>)>;

/// A trace as most are: three services, whose requests come in any order; siblings mostly begin in the same.
fn usual(trace: u64, rng: &mut SmallRng) -> Requests {
    let part = |service: u64| -> Vec<Span> {
        let server = 1 + service * EACH;
        let nth = |nth: u64, start: u64| match nth {
            0 => Span { start, ..span(trace, server, server - 1).named("serve").kind(SERVER) },
            3 => Span { start, ..span(trace, server + 3, server).named("call").kind(CLIENT) },
            nth => Span { start, ..span(trace, server + nth, server).named("work") },
        };
        let mut start = |n| if rng.random_ratio(1, 30) { rng.random_range(0..4) } else { n };
        (0..EACH).map(|n| nth(n, start(n)).of(SERVICES[service as usize])).collect()
    };
    let mut requests: Requests = (0..3).map(part).map(|spans| (0, spans)).collect();
    requests.shuffle(rng);
    requests.iter_mut().for_each(|(after, _)| *after = rng.random_range(0..4));
    requests
}

/// One in some is not as most are: at first in how it comes, then in what it is.
fn odd(mut requests: Requests, trace: u64, rng: &mut SmallRng, kinds: usize) -> Requests {
    let which = rng.random_range(0..requests.len());
    let (after, spans) = &mut requests[which];
    let nth = rng.random_range(0..spans.len());
    match rng.random_range(0..kinds) {
        0 => *after = 6,
        1 => spans.push(spans[nth].clone()),
        2 => spans.swap(0, 3),
        3 => {
            let rest = spans.split_off(2);
            requests.push((1, rest));
        }
        4 => spans.iter_mut().filter(|span| span.parent == 0).for_each(|root| root.zero_parent = true),
        5 => spans[nth].attributes.push(("langfuse.trace.name", "said".to_owned())),
        IN_HOW_IT_COMES => drop(spans.remove(nth)),
        7 => spans.push(span(trace, 50, spans[0].id).named("work").of(SERVICES[which])),
        8 => spans[nth].parent = spans[nth].id,
        9 => spans[nth].parent = 99,
        10 => spans[nth].service = SERVICES[(which + 1) % 3],
        11 => spans[nth].name = "something new".to_owned(),
        _ => {
            // A child that comes when its trace has left.
            let late = span(trace, 60, spans[nth].id).named("late").of(SERVICES[which]);
            requests.push((40, vec![late]));
        }
    }
    requests
}

/// So many are odd in how they come alone.
const IN_HOW_IT_COMES: usize = 6;
const ALL: usize = 13;

/// All that leaves by then, and how many look-ups that took; `plain` has everything worked out.
fn leave(join: &mut Join, until: Time, plain: bool) -> (Vec<Leaving>, u64) {
    let (mut left, before) = (Vec::new(), LOOK_UPS.get());
    while let Some(due) = join.next_due().filter(|&due| due <= until) {
        if plain {
            join.patterns = join.patterns.unlearned();
        }
        left.extend(join.leave(due));
    }
    (left, LOOK_UPS.get() - before)
}

/// Feeds the same to two joins, one of which never recalls a pattern. Returns look-ups of both once all is known and
/// while nothing odd but how traces come changes that.
fn check(seed: u64, scope: Scope) -> (u64, u64) {
    const KNOWN: u64 = 1200;
    const ODD: u64 = 2400;
    const TRACES: u64 = 3000;
    let settings = Settings { scope, context: true, mend: true, ..settings() };
    let (mut ours, mut plain) = (Join::new(settings.clone(), 1), Join::new(settings, 1));
    let (mut rng, mut now, mut took) = (SmallRng::seed_from_u64(seed), 0, (0, 0));
    for trace in 1..=TRACES {
        let requests = usual(trace, &mut rng);
        let kinds = if trace > ODD { ALL } else { IN_HOW_IT_COMES };
        let is_odd = trace > KNOWN && rng.random_ratio(1, 20);
        let requests = if is_odd { odd(requests, trace, &mut rng, kinds) } else { requests };
        for (after, spans) in requests {
            now += after;
            let (mine, worked_out) = (leave(&mut ours, ms(now), false), leave(&mut plain, ms(now), true));
            assert!(mine.0.iter().map(essence).eq(worked_out.0.iter().map(essence)), "seed {seed}, {trace}");
            if (KNOWN..ODD).contains(&trace) {
                took = (took.0 + mine.1, took.1 + worked_out.1);
            }
            let leaving = mine.0.into_iter().zip(worked_out.0);
            leaving.for_each(|(one, other)| {
                ours.recycle(one);
                plain.recycle(other);
            });
            for join in [&mut ours, &mut plain] {
                give(join, ms(now), &Origin::anonymous(), &spans);
            }
        }
        now += 30;
    }
    let (mine, worked_out) =
        (leave(&mut ours, ms(now + 100_000), false), leave(&mut plain, ms(now + 100_000), true));
    assert!(mine.0.iter().map(essence).eq(worked_out.0.iter().map(essence)));
    assert!(ours.shapes().eq(plain.shapes()), "both have learned the same");
    took
}

#[test]
fn what_a_pattern_lets_go_is_what_working_it_out_would() {
    for seed in 0..4 {
        let (ours, plain) = check(seed, Scope::Trace);
        assert!(ours * 3 < plain, "most traces are known: {ours} look-ups in place of {plain}");
        check(seed, Scope::Local);
    }
}

#[test]
fn what_is_learned_is_bounded_however_many_ways_there_are() {
    let (mut join, mut rng) = (Join::new(settings(), 1), SmallRng::seed_from_u64(7));
    let mut most = 0;
    for trace in 0..20_000u64 {
        let spans = usual(trace + 1, &mut rng).into_iter().flat_map(|(_, spans)| spans);
        let mut spans: Vec<Span> = spans.collect();
        if trace > 3000 {
            spans.shuffle(&mut rng);
        }
        give(&mut join, ms(trace * 20), &Origin::anonymous(), &spans);
        leave(&mut join, ms(trace * 20 + 10), false);
        most = most.max(join.patterns.bytes());
    }
    assert!((10_000..200_000).contains(&most), "{most} bytes");
}
