//! Completion times: when the items of a job were done, over all its runs.
//!
//! The runs are those of fresh processes: each is a first job, which nothing has
//! warmed up. Percentiles are those of an HDR histogram (G. Tene) with three significant
//! digits: a figure is at most a thousandth above the true one. What an item's
//! clock starts with is the workload's own, and stands with every table:
//! these are no latencies under a load that comes from outside.

use hdrhistogram::Histogram;
use results::Completion;

/// Significant digits of the figures.
const DIGITS: u8 = 3;

/// The figures of the items of some runs, each with a time in nanoseconds, all
/// together. A run without any is none.
pub fn completion<'a>(runs: impl IntoIterator<Item = &'a [u64]>) -> Option<Completion> {
    let mut pool = Histogram::<u64>::new(DIGITS).expect("three digits are supported");
    let mut number = 0;
    for run in runs.into_iter().filter(|run| !run.is_empty()) {
        number += 1;
        for &time in run {
            pool.record(time).expect("it resizes itself");
        }
    }
    let at = |quantile| pool.value_at_quantile(quantile);
    (number > 0).then(|| Completion {
        items: pool.len(),
        runs: number,
        p50_ns: at(0.50),
        p90_ns: at(0.90),
        p99_ns: at(0.99),
        max_ns: pool.max(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_all_runs_together_are_right_to_three_digits() {
        assert_eq!(completion([]), None);
        assert_eq!(completion([&[][..]]), None);
        // 1 to 1000 ms, in two runs.
        let ms = |ms: u64| ms * 1_000_000;
        let (odd, even): (Vec<_>, Vec<_>) = (1..=1000).map(ms).partition(|ns| ns % ms(2) > 0);
        let figures = completion([&odd[..], &[], &even]).expect("a thousand items");
        assert_eq!((figures.items, figures.runs), (1000, 2));
        for (figure, right) in [
            (figures.p50_ns, ms(500)),
            (figures.p90_ns, ms(900)),
            (figures.p99_ns, ms(990)),
            (figures.max_ns, ms(1000)),
        ] {
            assert!(
                (right..=right + right / 1000).contains(&figure),
                "{figures:?}"
            );
        }
    }

    #[test]
    fn one_item_and_the_longest_time_are_figures_too() {
        let figures = completion([&[0][..]]).expect("an item");
        assert_eq!((figures.p50_ns, figures.max_ns), (0, 0));
        let figures = completion([&[0][..], &[u64::MAX]]).expect("two items");
        assert_eq!(figures.max_ns, u64::MAX);
    }
}
