//! Completion times: when the items of a job were done, over all its runs.
//!
//! The runs are those of fresh processes: each is a first job, which nothing has
//! warmed up. Percentiles are those of an HDR histogram (G. Tene) with three significant
//! digits: a figure is at most a thousandth above the true one. What an item's
//! clock starts with is the workload's own, and stands beside every table:
//! these are no latencies under a load that comes from outside.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use suite::Workload;

use crate::results::Cell;
use crate::units::{count, time};
use crate::view::Section;

/// Significant digits of the figures.
const DIGITS: u8 = 3;

/// Completion times of a job's items, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// How many items there were in all runs together.
    pub items: u64,
    /// How many runs.
    pub runs: u32,
    /// Half of the items took no longer.
    pub p50_ns: u64,
    /// Nine in ten.
    pub p90_ns: u64,
    /// Ninety-nine in a hundred.
    pub p99_ns: u64,
    /// All of them.
    pub max_ns: u64,
}

/// The items of all runs of a cell.
#[derive(Debug)]
pub struct Pool {
    times: Histogram<u64>,
    runs: u32,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            times: Histogram::new(DIGITS).expect("a number of digits that it takes"),
            runs: 0,
        }
    }
}

impl Pool {
    /// Adds the items of one run, in nanoseconds each; a run without any is none.
    pub fn add(&mut self, times: &[u64]) {
        for &time in times {
            let grown = self.times.record(time);
            grown.expect("there is room for times of any length");
        }
        self.runs += u32::from(!times.is_empty());
    }

    /// The figures, if there were any items.
    pub fn figures(&self) -> Option<Completion> {
        let at = |quantile| self.times.value_at_quantile(quantile);
        (self.runs > 0).then(|| Completion {
            items: self.times.len(),
            runs: self.runs,
            p50_ns: at(0.50),
            p90_ns: at(0.90),
            p99_ns: at(0.99),
            max_ns: self.times.max(),
        })
    }
}

/// The completion times of one workload, as its readers see them.
#[derive(Debug)]
pub struct CompletionView {
    /// What the table is.
    pub title: &'static str,
    /// From when to when an item's clock runs.
    pub clock: &'static str,
    /// The models, in the order of the workload's main table; the columns are
    /// [`CompletionView::HEADS`].
    pub rows: Vec<[String; 7]>,
}

impl CompletionView {
    /// The heads of the columns.
    pub const HEADS: [&str; 7] = ["job", "model", "items", "p50", "p90", "p99", "max"];

    /// The table below a workload's `sections`; none if no cell has such times.
    pub fn new(workload: &str, sections: &[Section], cells: &[&Cell]) -> Option<Self> {
        let workload = workload.parse::<Workload>().ok()?;
        let row = |label: &str, model: &str| {
            let mut cells = cells.iter();
            let cell = cells.find(|cell| cell.label == label && cell.model == model)?;
            let figures = cell.completion.as_ref()?;
            let ns = |ns: u64| time(ns as f64);
            Some([
                label.to_owned(),
                model.to_owned(),
                format!("{} in {}", count(figures.items), runs(figures.runs)),
                ns(figures.p50_ns),
                ns(figures.p90_ns),
                ns(figures.p99_ns),
                ns(figures.max_ns),
            ])
        };
        let rows = sections.iter().flat_map(|section| {
            let models = section.rows.iter();
            models.filter_map(|of| row(&section.label, &of.model))
        });
        let rows: Vec<_> = rows.collect();
        (!rows.is_empty()).then_some(Self {
            title: "completion time of an item, in fresh processes",
            clock: clock(workload),
            rows,
        })
    }
}

fn runs(number: u32) -> String {
    match number {
        1 => "1 run".to_owned(),
        number => format!("{number} runs"),
    }
}

/// From when to when an item's clock runs, as the suite has it.
fn clock(workload: Workload) -> &'static str {
    match workload {
        Workload::Fetch => "from the job's start, when all are asked, until the body is whole",
        Workload::Offload => {
            "from the job's start, when all are handed over, until the call is done"
        }
        Workload::Download => {
            "from when the model takes a file up, at most as many at once as the limit, until it is written"
        }
        _ => "from the job's start until it is done",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_all_runs_together_are_right_to_three_digits() {
        let mut pool = Pool::default();
        assert_eq!(pool.figures(), None);
        pool.add(&[]);
        assert_eq!(pool.figures(), None);
        // 1 to 1000 ms, in two runs.
        let ms = |ms: u64| ms * 1_000_000;
        let (odd, even): (Vec<_>, Vec<_>) = (1..=1000).map(ms).partition(|ns| ns % ms(2) > 0);
        pool.add(&odd);
        pool.add(&even);
        let figures = pool.figures().expect("a thousand items");
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
        let mut pool = Pool::default();
        pool.add(&[0]);
        let figures = pool.figures().expect("an item");
        assert_eq!((figures.p50_ns, figures.max_ns), (0, 0));
        pool.add(&[u64::MAX]);
        assert_eq!(pool.figures().expect("two items").max_ns, u64::MAX);
    }
}
