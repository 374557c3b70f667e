//! A lane's whole journey, without threads, sockets or time: requests in, batches out.
//!
//! What is asked here is the promise of the join end to end: however a trace is split over services,
//! exports and sidecars, and in whatever order the pieces come, the same bytes go out.

pub mod lane;
mod seen;
mod trace;

use proptest::prelude::*;

use lane::Lane;
use trace::{Node, body, of_service, tree};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_split_over_services_exports_and_sidecars_joins_alike(
        spans in tree(),
        order in prop::collection::vec(any::<u32>(), 24),
        cuts in prop::collection::vec(any::<bool>(), 24),
    ) {
        let whole = Lane::gateway().give(body(&spans)).drain();

        let shuffled = shuffle(&spans, &order);
        let mut gateway = Lane::gateway();
        for export in split(&shuffled, &cuts) {
            gateway = gateway.give(body(&export));
        }
        prop_assert_eq!(&gateway.drain(), &whole, "in exports of any size and order");

        let mut sidecars: Vec<Vec<u8>> = Vec::new();
        for service in 0..trace::SERVICES {
            let mut sidecar = Lane::sidecar();
            for export in split(&of_service(&shuffled, service), &cuts) {
                sidecar = sidecar.give(body(&export));
            }
            sidecars.extend(sidecar.drain());
        }
        let mut gateway = Lane::gateway();
        for part in shuffle(&sidecars, &order) {
            gateway = gateway.give(part);
        }
        prop_assert_eq!(&gateway.drain(), &whole, "through a sidecar for each service");
    }
}

/// The same in the order of these numbers.
fn shuffle<T: Clone>(all: &[T], order: &[u32]) -> Vec<T> {
    let mut keyed: Vec<_> = order.iter().cycle().zip(all.iter().cloned()).collect();
    keyed.sort_by_key(|(key, _)| **key);
    keyed.into_iter().map(|(_, one)| one).collect()
}

/// One after the other in exports that end where a cut is.
fn split(spans: &[Node], cuts: &[bool]) -> Vec<Vec<Node>> {
    let mut exports = vec![Vec::new()];
    for (span, cut) in spans.iter().zip(cuts.iter().cycle()) {
        if let Some(last) = exports.last_mut() {
            last.push(span.clone());
        }
        if *cut {
            exports.push(Vec::new());
        }
    }
    exports.retain(|export| !export.is_empty());
    exports
}
