//! A comparison as its readers see it: the same rows, in words, for the
//! terminal, for Markdown and for the page.

pub mod completion;
pub mod remarks;
pub mod sweep;

use results::{Cell, Comparison, MIN_ROUNDS, Status};
use serde_json::Value;
use suite::Workload;

use crate::format::{count, memory, parameters, percent, ratio, status, time};
use crate::tables::completion::CompletionView;
use crate::words;

/// What a figure that is missing reads.
pub const NONE: &str = "-";

/// One workload: one table.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub workload: String,
    /// What the job is, in one line.
    pub about: String,
    /// One for each preset and variant.
    pub sections: Vec<Section>,
    /// When the job's items were done, where they have such a time.
    pub completion: Option<CompletionView>,
}

/// One job, and how each model did it, best first.
#[derive(Debug)]
pub struct Section {
    /// `heavy`, or `heavy-racy`.
    pub label: String,
    /// Whose numbers: `article` or `heavy`.
    pub preset: String,
    /// The job's parameters.
    pub job: String,
    /// What to know about the job before reading its figures.
    pub remarks: Vec<String>,
    /// The models.
    pub rows: Vec<Row>,
    /// How every two of them are to each other, in words.
    pub pairs: Vec<String>,
}

/// One model at one job. Every figure is text, or [`NONE`].
#[derive(Debug)]
pub struct Row {
    /// The model, or the contestant from outside.
    pub model: String,
    /// `ok`, `failed`, ...
    pub status: &'static str,
    /// Whether the figures stand.
    pub ok: bool,
    /// The fastest of its section, or one of those that nobody is faster than.
    pub best: bool,
    /// The median time of the job.
    pub time: String,
    /// From where to where its 95 % confidence interval goes.
    pub interval: String,
    /// The further end of from the median, as a part of it.
    pub spread: String,
    /// The median from a process's start to the end of its first job.
    pub cold: String,
    /// How many times the best's, marked with `≈` if that is no difference.
    pub to_best: String,
    /// How many times the serial model's.
    pub to_serial: String,
    /// Time on processors, user and system, of a whole process tree.
    pub cpu: String,
    /// The most memory of a whole process tree.
    pub memory: String,
    /// Context switches, voluntary and not.
    pub switches: String,
    /// The most threads.
    pub threads: String,
    /// The most processes.
    pub processes: String,
    /// What else is worth a word.
    pub notes: String,
    /// Why there are no figures.
    pub reason: Option<String>,
}

impl Row {
    /// The heads of the columns, in the order of [`Row::columns`].
    pub const HEADS: [&str; 12] = [
        "model",
        "time",
        "±",
        "cold",
        "to best",
        "to serial",
        "CPU",
        "memory",
        "switches (vol / inv)",
        "threads",
        "processes",
        "notes",
    ];

    /// The figures in the order of a table.
    pub fn columns(&self) -> [&str; 12] {
        [
            &self.model,
            &self.time,
            &self.spread,
            &self.cold,
            &self.to_best,
            &self.to_serial,
            &self.cpu,
            &self.memory,
            &self.switches,
            &self.threads,
            &self.processes,
            &self.notes,
        ]
    }
}

/// A table for each workload, in the order of the data. The points of sweeps are
/// not in them: [`crate::tables::sweep`] has those.
pub fn tables(comparison: &Comparison) -> Vec<Table> {
    let cells = comparison.cells.iter();
    let cells = cells.filter(|cell| cell.point.is_none());
    let names = distinct(cells.map(|cell| &*cell.workload));
    names
        .into_iter()
        .map(|name| table(comparison, name))
        .collect()
}

/// The table of one workload.
pub fn table(comparison: &Comparison, workload: &str) -> Table {
    let cells: Vec<_> = comparison.cells.iter().collect();
    let cells: Vec<_> = cells
        .into_iter()
        .filter(|cell| cell.workload == workload && cell.point.is_none())
        .collect();
    let baseline = comparison.models().baseline();
    let section = |label| {
        let cells = cells.iter().copied().filter(|cell| cell.label == label);
        let mut verdicts = comparison.verdicts.iter();
        let judged = verdicts.find(|of| of.workload == workload && of.label == label);
        let Comparison { self_check, .. } = comparison;
        section(
            label,
            cells.collect(),
            judged,
            self_check.is_none(),
            baseline,
        )
    };
    let sections: Vec<_> = distinct(cells.iter().map(|cell| &*cell.label))
        .into_iter()
        .map(section)
        .collect();
    let order = sections.iter().flat_map(|section| {
        let models = section.rows.iter();
        models.map(|row| (&*section.label, &*row.model))
    });
    let order: Vec<_> = order.collect();
    Table {
        completion: CompletionView::new(workload, &order, &cells),
        workload: workload.to_owned(),
        about: workload
            .parse::<Workload>()
            .map_or(String::new(), |known| known.about().to_owned()),
        sections,
    }
}

/// Whoever is compared with itself alone gets verdicts and is not `ranked`.
fn section(
    label: &str,
    mut cells: Vec<&Cell>,
    judged: Option<&results::JobVerdicts>,
    ranked: bool,
    baseline: Option<&str>,
) -> Section {
    let key = |cell: &Cell| cell.median_ns().unwrap_or(f64::INFINITY);
    cells.sort_by(|one, other| key(one).total_cmp(&key(other)));
    let best = cells.iter().find_map(|cell| cell.median_ns());
    let serial = cells.iter().find(|cell| Some(&*cell.model) == baseline);
    let scale = Scale {
        best,
        serial: serial.and_then(|cell| cell.median_ns()),
    };
    // A contestant from outside knows less about the job.
    let model = cells.iter().find(|cell| cell.command.is_none());
    let first = model.or(cells.first());
    let outsiders = remarks::outsiders(&cells);
    let mut remarks = first.map_or(Vec::new(), |cell| remarks::of_job(cell));
    remarks.extend(remarks::cpu_remark(&cells));
    let whole = !outsiders.is_empty();
    let own = own_parameters(&cells);
    let row = |cell: &&Cell| row(cell, &scale, whole, &own);
    let mut rows: Vec<Row> = cells.iter().map(row).collect();
    if let Some(judged) = judged {
        let models = cells.iter().filter(|_| ranked).map(|cell| &*cell.model);
        let ranks = judged.ranks(models);
        remarks.extend(rank_remark(judged, &ranks));
        let judge = |row| judged_row(row, judged, &ranks);
        rows = rows.into_iter().map(judge).collect();
    }
    remarks.extend(outsiders);
    Section {
        label: label.to_owned(),
        preset: first.map_or(String::new(), |cell| cell.preset.clone()),
        job: first.map_or(String::new(), |cell| parameters(&shared(&cell.job, &own))),
        remarks,
        rows,
        pairs: judged.map_or(Vec::new(), pairs),
    }
}

/// `ranks: 1 smol = tokio, 3 serial`: who ties shares one.
fn rank_remark(judged: &results::JobVerdicts, ranks: &[(usize, &str)]) -> Option<String> {
    if ranks.is_empty() {
        let few = judged.rounds < MIN_ROUNDS;
        return few.then(|| format!("no verdict: that takes {MIN_ROUNDS} rounds"));
    }
    let same = ranks.chunk_by(|one, other| one.0 == other.0);
    let same = same.map(|same| {
        let models: Vec<_> = same.iter().map(|(_, model)| *model).collect();
        format!("{} {}", same[0].0, models.join(" = "))
    });
    Some(format!("ranks: {}", same.collect::<Vec<_>>().join(", ")))
}

fn pairs(judged: &results::JobVerdicts) -> Vec<String> {
    let words = |pair: &results::Pair| {
        let results::Pair {
            model,
            other,
            judged,
        } = pair;
        format!("{model} against {other}: {}", words::judged(judged))
    };
    judged.pairs.iter().map(words).collect()
}

/// A row with what its verdicts add to it. `ranks` are those of its section.
fn judged_row(mut row: Row, judged: &results::JobVerdicts, ranks: &[(usize, &str)]) -> Row {
    if judged.drifts(&row.model) {
        let comma = if row.notes.is_empty() { "" } else { ", " };
        row.notes += &format!("{comma}drifting");
    }
    if let Some((_, best)) = ranks.first() {
        row.best = ranks.contains(&(1, &row.model));
        if judged.ties(&row.model, best) {
            row.to_best = format!("≈ {}", row.to_best);
        }
    }
    row
}

/// The parameters that are not the same for all models.
fn own_parameters(cells: &[&Cell]) -> Vec<String> {
    let Some((first, others)) = cells.split_first() else {
        return Vec::new();
    };
    let keys = first.job.as_object().into_iter().flatten();
    let differs =
        |key: &str, value: &Value| others.iter().any(|cell| cell.job.get(key) != Some(value));
    keys.filter(|(key, value)| differs(key, value))
        .map(|(key, _)| key.clone())
        .collect()
}

/// A job without what is not the same for all models.
fn shared(job: &Value, own: &[String]) -> Value {
    let mut job = job.clone();
    for key in own {
        job[key] = "(each its own)".into();
    }
    job
}

/// What a section's figures are held against.
struct Scale {
    best: Option<f64>,
    serial: Option<f64>,
}

fn row(cell: &Cell, scale: &Scale, beside_outsiders: bool, own_keys: &[String]) -> Row {
    let none = || NONE.to_owned();
    let or_none = |figure: Option<String>| figure.unwrap_or_else(none);
    let own = cell.median_ns();
    let to = |other: Option<f64>| or_none(own.zip(other).map(|(own, other)| ratio(own / other)));
    let figures = &cell.resources;
    let pair = |one: Option<u64>, other: Option<u64>| one.zip(other);
    let cpu = pair(figures.user_ns, figures.system_ns);
    let switches = pair(figures.voluntary_switches, figures.involuntary_switches);
    let (status, ok) = (status(cell.status), cell.status == Status::Ok);
    Row {
        model: cell.model.clone(),
        status,
        ok,
        best: own.is_some() && own == scale.best,
        time: own.map_or(status.to_owned(), time),
        interval: or_none(
            cell.time
                .as_ref()
                .map(|interval| format!("{} to {}", time(interval.low_ns), time(interval.high_ns))),
        ),
        spread: or_none(cell.time.as_ref().map(|time| {
            let low = time.median_ns - time.low_ns;
            let high = time.high_ns - time.median_ns;
            percent(low.max(high) / time.median_ns)
        })),
        cold: or_none(cell.cold.as_ref().map(|cold| time(cold.median_ns))),
        to_best: to(scale.best),
        to_serial: to(scale.serial),
        // Together: for a short run, the kernel only guesses how to split it.
        cpu: or_none(cpu.map(|(user, system)| time(user.saturating_add(system) as f64))),
        memory: or_none(figures.peak_memory_bytes.map(memory)),
        switches: or_none(switches.map(|(own, forced)| {
            format!("{} / {}", count(own), count(forced)) //
        })),
        threads: or_none(figures.threads.map(count)),
        processes: or_none(figures.processes.map(count)),
        notes: remarks::notes(cell, beside_outsiders, own_keys),
        reason: cell.reason.clone(),
    }
}

pub(crate) fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}
