//! Everything the fuzzer ever found, and the neighbourhood of it, without a fuzzer.

use hardway_fuzz::{TARGETS, Target};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Mutated inputs tried for each target.
const MUTATIONS: usize = 2_000;

fn inputs(folder: &str, target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(folder)
        .join(target);
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut inputs: Vec<_> = files
        .map(|file| (file.path(), fs::read(file.path()).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

fn run(target: Target, name: &str, input: &[u8], origin: &Path) {
    if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
        panic!(
            "{name} fails on {} ({})",
            origin.display(),
            input.escape_ascii()
        );
    }
}

#[test]
fn what_was_found_stays_mended() {
    for (name, target) in TARGETS {
        let corpus = inputs("corpus", name);
        assert!(!corpus.is_empty(), "{name} has no seed in corpus/{name}");
        for (origin, input) in corpus.into_iter().chain(inputs("artifacts", name)) {
            run(target, name, &input, &origin);
        }
    }
}

#[test]
fn and_so_does_what_is_near_it() {
    for (name, target) in TARGETS {
        let corpus = inputs("corpus", name);
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for _ in 0..MUTATIONS {
            let (origin, input) = &corpus[random.below(corpus.len())];
            let other = &corpus[random.below(corpus.len())].1;
            run(target, name, &mutated(&mut random, input, other), origin);
        }
    }
}

/// The same numbers in every run, so that a failure can be had again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

fn mutated(random: &mut Random, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(out.len() + 1);
        match random.below(4) {
            0 => out.insert(at, random.below(256) as u8),
            1 if at < out.len() => out[at] = random.below(256) as u8,
            2 => out.truncate(at),
            _ => {
                let from = random.below(other.len() + 1);
                out.splice(at.., other[from..].iter().copied());
            }
        }
    }
    out
}
