//! Runs every target with its seeds and with mutations of them, the same ones each time, within what a test may take.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{TARGETS, Target};

/// Of one target. A slow machine tries fewer mutations, but all seeds.
const TIME: Duration = Duration::from_millis(1500);
const MUTATIONS: usize = 2000;
const LONGEST: usize = 16 * 1024;

/// Words that lead deeper into several of the forms.
const WORDS: [&[u8]; 16] = [
    b"",
    b"\0",
    b"\n",
    b"/",
    b"../",
    b".wh.",
    b".wh..wh..opq",
    b"ustar\0",
    b"ustar  \0",
    b"18446744073709551615",
    b"-1",
    b"null",
    b"[]",
    b"\"",
    b"\xff\xff\xff\xff",
    b"\x80\x00\x00\x00",
];

fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let entries = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut seeds: Vec<(PathBuf, Vec<u8>)> = entries
        .map(|entry| entry.expect("a seed").path())
        .map(|path| (path.clone(), std::fs::read(path).expect("a seed")))
        .collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{} is empty", directory.display());
    seeds
}

/// Xorshift: small, the same everywhere, and as random as this needs.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % bound.max(1) as u64).expect("small")
    }

    /// A few changes of one input, with pieces of another.
    fn mutated(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let end = at + self.below((bytes.len() - at).min(64));
            match self.below(7) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = self.roll() as u8,
                2 => drop(bytes.drain(at..end)),
                3 => drop(bytes.splice(at..at, WORDS[self.below(WORDS.len())].iter().copied())),
                4 => {
                    let from = self.below(other.len());
                    let to = from + self.below((other.len() - from).min(512));
                    drop(bytes.splice(at..end, other[from..to].iter().copied()));
                }
                5 => bytes.truncate(at),
                _ => {
                    let word = WORDS[self.below(WORDS.len())];
                    let end = (at + word.len()).min(bytes.len());
                    bytes[at..end].copy_from_slice(&word[..end - at]);
                }
            }
        }
        bytes.truncate(LONGEST);
        bytes
    }
}

fn check(target: &str) {
    let (_, try_out): (&str, Target) =
        TARGETS.into_iter().find(|(name, _)| *name == target).expect("a target of that name");
    let seeds = seeds(target);
    seeds.iter().for_each(|(_, seed)| try_out(seed));
    let started = Instant::now();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut tried = 0;
    while tried < MUTATIONS && started.elapsed() < TIME {
        let (input, other) = (&seeds[dice.below(seeds.len())].1, &seeds[dice.below(seeds.len())].1);
        let bytes = dice.mutated(input, other);
        if let Err(panic) = std::panic::catch_unwind(|| try_out(&bytes)) {
            eprintln!("target {target}, mutation {tried}: b\"{}\"", bytes.escape_ascii());
            std::panic::resume_unwind(panic);
        }
        tried += 1;
    }
    println!("{target}: {} seeds and {tried} mutations in {} ms", seeds.len(), started.elapsed().as_millis());
}

/// One test for each target.
macro_rules! targets {
    ($($target:ident),*) => {
        $(#[test] fn $target() { check(stringify!($target)) })*

        #[test]
        fn every_target_is_tried() {
            assert_eq!(TARGETS.map(|(name, _)| name), [$(stringify!($target)),*]);
        }
    };
}

targets!(
    answer,
    archive,
    compressed,
    config,
    credentials,
    dns,
    frames,
    logindex,
    manifest,
    reference,
    tar,
    unpack,
    users
);
