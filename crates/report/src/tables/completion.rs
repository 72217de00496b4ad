//! Completion times as their readers see them.

use results::Cell;
use suite::Workload;

use crate::format::{count, time};

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

    /// The table below a workload's main one, whose labels and models are given in its
    /// `order`; none if no cell has such times.
    pub fn new(workload: &str, order: &[(&str, &str)], cells: &[&Cell]) -> Option<Self> {
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
        let rows = order.iter().filter_map(|&(label, model)| row(label, model));
        let rows: Vec<_> = rows.collect();
        (!rows.is_empty()).then_some(Self {
            title: "completion time of an item, in fresh processes",
            clock: workload.completion_clock()?,
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
