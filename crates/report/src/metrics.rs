//! The figures of a cell: the one list that tables, charts and rankings take
//! theirs from.

use results::{Cell, Comparison, Latency, Verdict};

use crate::format::{count, memory, ratio, time};

/// One figure of a cell.
pub(crate) struct Metric {
    /// What it is called, also in the page's address.
    pub(crate) name: &'static str,
    /// The same as a heading.
    pub(crate) title: &'static str,
    /// What it is, and how sure.
    pub(crate) about: &'static str,
    pub(crate) value: fn(&Cell) -> Option<f64>,
    /// Its range, if it has one: the 95 % interval of a time, else the least and the greatest
    /// run.
    pub(crate) interval: fn(&Cell) -> Option<[f64; 2]>,
    pub(crate) format: fn(f64) -> String,
    /// In which unit an axis has round figures.
    pub(crate) unit: f64,
}

/// The only one with verdicts.
pub(crate) const TIME: Metric = Metric {
    name: "time",
    title: "Time",
    about: "Median time of one job on a started model. Beneath each ratio is its interval, by the \
            verdicts; ≈ marks no difference to the best, and ? a verdict that is open.",
    value: Cell::median_ns,
    interval: |cell| cell.time.as_ref().map(|time| [time.low_ns, time.high_ns]),
    format: time,
    unit: 1.0,
};

pub(crate) const CPU: Metric = Metric {
    name: "CPU",
    title: "CPU",
    about: "Time on processors, user and system, of a whole process tree from start to end. These \
            are medians of a few runs: they have neither intervals nor verdicts, so small \
            differences mean nothing.",
    value: |cell| cell.cpu_ns().map(|ns| ns as f64),
    interval: |_| None,
    format: time,
    unit: 1.0,
};

pub(crate) const MEMORY: Metric = Metric {
    name: "memory",
    title: "Peak memory",
    about: "The most memory of a whole process tree, with shared pages once. It has neither \
            intervals nor verdicts, so small differences mean nothing.",
    value: |cell| cell.resources.peak_memory_bytes.map(|bytes| bytes as f64),
    interval: |_| None,
    format: |bytes| memory(bytes as u64),
    unit: 1024.0 * 1024.0,
};

pub(crate) const SWITCHES: Metric = Metric {
    name: "switches",
    title: "Context switches",
    about: "Context switches, voluntary and not, of a whole process tree from start to end. These \
            are medians of a few runs: they have neither intervals nor verdicts, so small \
            differences mean nothing.",
    value: |cell| cell.switches().map(|switches| switches as f64),
    interval: |_| None,
    format: |switches| count(switches as u64),
    unit: 1.0,
};

/// Only of what a load generator asked for.
pub(crate) const LATENCY: Metric = Metric {
    name: "p99",
    title: "Latency, p99",
    about: "What 99 of 100 requests took at most, from when each was due: the median of the runs, \
            with the least and the greatest. A server that did not keep up with the rate has none.",
    value: |cell| latency(cell).map(|latency| latency.p99_ns.median),
    interval: |cell| latency(cell).map(|latency| [latency.p99_ns.low, latency.p99_ns.high]),
    format: time,
    unit: 1.0,
};

fn latency(cell: &Cell) -> Option<&Latency> {
    cell.latency.as_ref().filter(|latency| latency.has_kept_up)
}

/// Only of what a load generator asked for.
pub(crate) const RATE: Metric = Metric {
    name: "requests/s",
    title: "Requests a second",
    about: "Requests a second that were answered: the median of the runs, with the least and the \
            greatest.",
    value: |cell| {
        cell.latency
            .as_ref()
            .map(|latency| latency.achieved_per_s.median)
    },
    interval: |cell| {
        let rate = cell.latency.as_ref()?.achieved_per_s;
        Some([rate.low, rate.high])
    },
    format: |rate| count(rate as u64),
    unit: 1.0,
};

impl Metric {
    /// The figure with its unit.
    pub(crate) fn text(&self, cell: &Cell) -> Option<String> {
        (self.value)(cell).map(self.format)
    }

    /// Whether it has verdicts.
    pub(crate) fn is_time(&self) -> bool {
        self.name == TIME.name
    }
}

/// A column of a job's table.
pub(crate) struct Column {
    pub(crate) head: &'static str,
    /// Nothing where there is no such figure.
    pub(crate) text: fn(&Cell, &Context) -> Option<String>,
    /// What the column is sorted by; a column of text has none: its text is it.
    pub(crate) key: fn(&Cell) -> Option<f64>,
}

/// What a cell's figures are held against, and what else there is to say of it.
pub(crate) struct Context {
    /// The best time of the job, of those that have ranks.
    pub(crate) best: Option<f64>,
    /// That of the model whose times the ratios are given to.
    pub(crate) reference: Option<f64>,
    /// How its time is to the best.
    pub(crate) to_best: Option<Verdict>,
    pub(crate) notes: String,
}

/// What stands before a ratio to the best, where no difference is shown.
pub(crate) fn verdict_mark(to_best: Option<Verdict>) -> &'static str {
    match to_best {
        Some(Verdict::NoDifference) => "≈ ",
        Some(Verdict::CannotTell) => "? ",
        _ => "",
    }
}

fn times(cell: &Cell, other: Option<f64>) -> Option<String> {
    Some(ratio(cell.ranked_ns()? / other?))
}

/// The column of remarks on a cell.
pub(crate) const NOTES: &str = "notes";

/// The column of ratios to one model, whose name is shown.
const TO_REFERENCE: &str = "to reference";

/// The columns that are dropped first where a table is too wide, in this order: what stands
/// elsewhere too, and then what says the least about a model. Ratios to a model that was asked
/// for are not among them.
pub(crate) fn least_important(comparison: &Comparison) -> Vec<String> {
    let first = [
        NOTES,
        "with kernel",
        "processes",
        "threads",
        "cold",
        SWITCHES.name,
        "±",
    ];
    let first = first.iter().map(|&head| head.to_owned());
    let ratios = match comparison.run.reference {
        None => Some(to_reference(comparison.reference())),
        Some(_) => None,
    };
    let last = [CPU.name, MEMORY.name].map(str::to_owned);
    first.chain(ratios).chain(last).collect()
}

fn to_reference(reference: &str) -> String {
    format!("to {reference}")
}

/// The heads of [`COLUMNS`], with ratios to the model `reference`.
pub(crate) fn heads(reference: &str) -> impl Iterator<Item = String> {
    COLUMNS.iter().map(move |column| match column.head {
        TO_REFERENCE => to_reference(reference),
        head => head.to_owned(),
    })
}

/// The columns of a job's table: the first is the model, the last is text.
pub(crate) const COLUMNS: [Column; 13] = [
    Column {
        head: "model",
        text: |cell, _| Some(cell.model.clone()),
        key: |_| None,
    },
    Column {
        head: "time",
        text: |cell, _| {
            let status = || crate::format::status(cell.status).to_owned();
            Some(TIME.text(cell).unwrap_or_else(status))
        },
        key: Cell::median_ns,
    },
    Column {
        head: "±",
        text: |cell, _| {
            let time = cell.time.as_ref()?;
            Some(crate::format::percent(time.spread()))
        },
        key: |cell| cell.time.as_ref().map(results::Time::spread),
    },
    Column {
        head: "cold",
        text: |cell, _| cell.cold.as_ref().map(|cold| time(cold.median_ns)),
        key: |cell| cell.cold.as_ref().map(|cold| cold.median_ns),
    },
    Column {
        head: "to best",
        text: |cell, context| {
            let times = times(cell, context.best)?;
            Some(format!("{}{times}", verdict_mark(context.to_best)))
        },
        // All of a job's ratios go by the same time.
        key: Cell::median_ns,
    },
    Column {
        head: TO_REFERENCE,
        text: |cell, context| times(cell, context.reference),
        key: Cell::median_ns,
    },
    Column {
        head: CPU.name,
        text: |cell, _| CPU.text(cell),
        key: CPU.value,
    },
    Column {
        head: MEMORY.name,
        text: |cell, _| MEMORY.text(cell),
        key: MEMORY.value,
    },
    Column {
        head: "with kernel",
        text: |cell, _| cell.resources.peak_with_kernel_bytes.map(memory),
        key: |cell| {
            let bytes = cell.resources.peak_with_kernel_bytes;
            bytes.map(|bytes| bytes as f64)
        },
    },
    Column {
        head: SWITCHES.name,
        text: |cell, _| {
            let figures = &cell.resources;
            let (own, forced) = (figures.voluntary_switches?, figures.involuntary_switches?);
            Some(format!("{} / {}", count(own), count(forced)))
        },
        key: |cell| cell.resources.voluntary_switches.map(|own| own as f64),
    },
    Column {
        head: "threads",
        text: |cell, _| cell.resources.threads.map(count),
        key: |cell| cell.resources.threads.map(|threads| threads as f64),
    },
    Column {
        head: "processes",
        text: |cell, _| cell.resources.processes.map(count),
        key: |cell| cell.resources.processes.map(|processes| processes as f64),
    },
    Column {
        head: NOTES,
        text: |_, context| Some(context.notes.clone()),
        key: |_| None,
    },
];

#[cfg(test)]
mod tests {
    use results::fixture::{cell, scattered, steady};

    use super::*;

    #[test]
    fn every_column_of_figures_is_sorted_by_its_figure() {
        let measured = Cell {
            cold: Some(steady(2.0, 1)),
            ..scattered("primes", "heavy", "tokio", 1e6, (5, 0.0))
        };
        let empty = cell("primes", "heavy", "tokio");
        for Column { head, key, .. } in &COLUMNS {
            let is_text = ["model", "notes"].contains(head);
            assert_eq!(key(&measured).is_none(), is_text, "{head}");
            assert_eq!(key(&empty), None, "{head}");
        }
    }
}
