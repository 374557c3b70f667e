//! A short smoke of every fuzz target, on stable: its corpus, and mutations of it, through the property the
//! target asserts. libFuzzer finds new paths; this keeps the old ones and the properties themselves alive.

use std::path::Path;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngCore, SeedableRng};
use tokio::time::Instant;

use crate::harness::root;

#[path = "../../fuzz/src/lib.rs"]
pub mod properties;

/// Time for mutations. What is found depends on nothing else: the seed stands.
const SMOKE: Duration = Duration::from_secs(2);
const LEN_MAX: usize = 16 * 1024;

fn smoke(target: &str, check: fn(&[u8])) {
    let corpus = corpus(&root().join("fuzz/corpus").join(target));
    corpus.iter().for_each(|input| tried(target, input, check));
    let mut rng = SmallRng::seed_from_u64(1);
    let began = Instant::now();
    while began.elapsed() < SMOKE {
        tried(target, &mutated(&corpus, &mut rng), check);
    }
}

/// A failure shows the input that made it.
fn tried(target: &str, input: &[u8], check: fn(&[u8])) {
    let outcome = std::panic::catch_unwind(|| check(input));
    assert!(outcome.is_ok(), "`{target}` fails, as said above, on b\"{}\"", input.escape_ascii());
}

fn corpus(directory: &Path) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", directory.display());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// One of the corpus with a few bytes changed, taken out, put in, doubled or taken from another.
fn mutated(corpus: &[Vec<u8>], rng: &mut SmallRng) -> Vec<u8> {
    let mut input = corpus.choose(rng).unwrap().clone();
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(0..=input.len());
        let to = (at + rng.random_range(1..9)).min(input.len());
        match rng.random_range(0..6) {
            0 => input[at..to].iter_mut().for_each(|byte| *byte = rng.random()),
            1 => input[at..to].iter_mut().for_each(|byte| *byte ^= 1 << rng.random_range(0..8)),
            2 => drop(input.drain(at..to)),
            3 => {
                let mut new = vec![0; rng.random_range(1..9)];
                rng.fill_bytes(&mut new);
                drop(input.splice(at..at, new));
            }
            4 => {
                let piece = input[at..(at + 64).min(input.len())].to_vec();
                drop(input.splice(at..at, piece));
            }
            _ => {
                let other = corpus.choose(rng).unwrap();
                let from = rng.random_range(0..=other.len());
                let piece = other[from..].to_vec();
                drop(input.splice(at.., piece));
            }
        }
    }
    input.truncate(LEN_MAX);
    input
}

macro_rules! targets {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            smoke(stringify!($target), properties::$target::check);
        })*

        /// A target that is not here would never run.
        #[test]
        fn every_target_is_smoked() {
            let mut here = [$(concat!(stringify!($target), ".rs")),*];
            here.sort_unstable();
            let files = std::fs::read_dir(root().join("fuzz/fuzz_targets")).unwrap();
            let mut there: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
            there.sort();
            assert_eq!(there, here);
        }
    };
}

targets! { walk splice json_to_protobuf reply frames inflate upstream_reply config rules }
