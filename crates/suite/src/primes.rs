//! `primes`: how many n in a range are prime, by trial division, over a pool.
//!
//! Shows what a model does with work that needs nothing but a core.

use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Invalid, Preset, WrongAnswer};

/// Which range, and how many search it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The first number.
    pub start: u64,
    /// One past the last number.
    pub end: u64,
    /// Units in the pool.
    pub workers: usize,
    /// Numbers that a unit takes at a time; 0: as many as the model finds good.
    #[serde(default)]
    pub share: u64,
}

/// How many were prime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Primes in `start..end`.
    pub count: u64,
}

/// Whether `n` is prime, by trial division up to its square root.
///
/// Every model calls this very function: they differ in how they spread the
/// numbers, not in how they divide.
pub fn is_prime(n: u64) -> bool {
    if n < 4 {
        return n >= 2;
    }
    if n.is_multiple_of(2) {
        return false;
    }
    let mut divisor = 3;
    // `divisor * divisor <= n`, put so that it cannot overflow; the compiler
    // gets quotient and remainder from one division.
    while divisor <= n / divisor {
        if n.is_multiple_of(divisor) {
            return false;
        }
        divisor += 2;
    }
    true
}

/// How many of `numbers` are prime.
pub fn count(numbers: Range<u64>) -> u64 {
    numbers.filter(|&n| is_prime(n)).count() as u64
}

impl Job {
    /// Chunks a worker. There are several, so that a worker that is slowed down
    /// leaves work to the others: a bigger n takes longer, and other programs
    /// use the cores too.
    const CHUNKS_A_WORKER: u64 = 64;

    /// But into none that takes less than a few microseconds.
    const LEAST_CHUNK: u64 = 64;

    /// The most shares, where the job says how large each is: some models have a list of them.
    const MOST_SHARES: u64 = 1_000_000;

    pub(crate) fn preset(preset: Preset) -> Self {
        let (start, end) = match preset {
            Preset::Article => (1_000_000, 1_000_500),
            Preset::Heavy => (1_000_000, 1_500_000),
        };
        Self {
            start,
            end,
            workers: 4,
            share: 0,
        }
    }

    /// The range in chunks for the workers to claim, in order, none empty: of the size that
    /// the job asks for, if it does.
    pub fn chunks(&self) -> impl ExactSizeIterator<Item = Range<u64>> + Clone + use<> {
        let (start, end) = (self.start, self.end);
        let pieces = self.workers as u64 * Self::CHUNKS_A_WORKER;
        let size = match self.share {
            0 => (end - start).div_ceil(pieces).max(Self::LEAST_CHUNK),
            share => share,
        };
        let chunks = (end - start).div_ceil(size) as usize;
        (0..chunks).map(move |chunk| {
            let first = start + chunk as u64 * size;
            first..(first + size).min(end)
        })
    }

    pub(crate) fn units(&self) -> usize {
        self.workers
    }

    pub(crate) fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("workers", self.workers as u64, 1, 10_000)?;
        Invalid::unless_within("start", self.start, 0, 1_000_000_000_000)?;
        Invalid::unless_within(
            "end",
            self.end,
            self.start, // an empty range is a fair question
            self.start + 1_000_000_000,
        )?;
        let least = match self.share {
            0 => 0,
            _ => (self.end - self.start).div_ceil(Self::MOST_SHARES),
        };
        Invalid::unless_within("share", self.share, least, 1_000_000_000)
    }

    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        Self {
            end: self.start + (self.end - self.start) / divisor,
            ..self.clone()
        }
    }

    /// The true count and no other. It is found by a sieve, so that a mistake
    /// in the trial division could not hide.
    pub fn check(&self, outcome: &Outcome) -> Result<(), WrongAnswer> {
        let true_count = sieve(self.start..self.end);
        WrongAnswer::unless(
            outcome.count == true_count,
            "count",
            outcome.count,
            true_count,
        )
    }

    pub(crate) fn summary(&self, outcome: &Outcome, _elapsed: Duration) -> String {
        format!("{} primes in {}..{}", outcome.count, self.start, self.end)
    }
}

/// Counts the primes of a range with a segmented sieve of Eratosthenes.
fn sieve(range: Range<u64>) -> u64 {
    const SEGMENT: u64 = 1 << 20;
    let root = range.end.isqrt();
    let mut composite = vec![false; root as usize + 1];
    let mut small = Vec::new();
    for n in 2..=root {
        if composite[n as usize] {
            continue;
        }
        small.push(n);
        for multiple in (n * n..=root).step_by(n as usize) {
            composite[multiple as usize] = true;
        }
    }
    let mut count = 0;
    let mut first = range.start.max(2);
    while first < range.end {
        let last = (first + SEGMENT).min(range.end);
        let mut composite = vec![false; (last - first) as usize];
        for &prime in &small {
            let multiples = (first.div_ceil(prime) * prime).max(prime * prime);
            for multiple in (multiples..last).step_by(prime as usize) {
                composite[(multiple - first) as usize] = true;
            }
        }
        count += composite.iter().filter(|&&composite| !composite).count() as u64;
        first = last;
    }
    count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_article_counted_47_where_39_are_prime() {
        assert_eq!(count(1_000_000..1_000_500), 39);
        assert_eq!(sieve(1_000_000..1_000_500), 39);
    }

    #[test]
    fn small_numbers() {
        let primes: Vec<u64> = (0..30).filter(|&n| is_prime(n)).collect();
        assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert_eq!(sieve(0..30), 10);
    }

    #[test]
    fn shares_are_not_too_many() {
        let job = |share| Job {
            start: 7,
            end: 7 + 10_000_000,
            workers: 1,
            share,
        };
        for share in [0, 10, 1_000_000_000] {
            job(share).validate().expect("it makes sense");
        }
        let refused = job(9).validate().expect_err("more than a million shares");
        assert!(refused.to_string().contains("from 10"), "{refused}");
    }

    proptest! {
        #[test]
        fn trial_division_agrees_with_the_sieve(start in 0u64..3_000_000, width in 0u64..3_000) {
            prop_assert_eq!(count(start..start + width), sieve(start..start + width));
        }

        #[test]
        fn chunks_cover_the_range_once(
            start in 0u64..1_000,
            width in 0u64..5_000,
            workers in 1usize..40,
            share in 0u64..200,
        ) {
            let job = Job { start, end: start + width, workers, share };
            let mut next = start;
            for chunk in job.chunks() {
                prop_assert_eq!(chunk.start, next);
                prop_assert!(chunk.start < chunk.end);
                next = chunk.end;
                let size = chunk.end - chunk.start;
                prop_assert!(share == 0 || size == share || next == job.end && size < share);
            }
            prop_assert_eq!(next, start + width);
        }
    }
}
