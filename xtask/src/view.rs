//! A comparison as its readers see it: the same rows, in words, for the
//! terminal, for Markdown and for the page.

use serde_json::Value;
use suite::{Job, Workload};

use crate::bottleneck;
use crate::completion::CompletionView;
use crate::judge::LEAST_ROUNDS;
use crate::plan::{BASELINE, plain};
use crate::results::{Cell, Comparison, Status};
use crate::units::{count, memory, percent, ratio, time};
use crate::{neighbours, verdicts};

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

/// Something that was found out beside the tables.
#[derive(Debug)]
pub struct Finding {
    /// What it is about.
    pub title: String,
    /// What it is.
    pub lines: Vec<String>,
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
/// not in them: [`crate::sweep_view`] has those.
pub fn tables(comparison: &Comparison) -> Vec<Table> {
    let cells = comparison.cells.iter();
    let cells = cells.filter(|cell| cell.point.is_none());
    let names = distinct(cells.map(|cell| &*cell.workload));
    names
        .into_iter()
        .map(|name| table(comparison, name))
        .collect()
}

/// What has changed since an earlier run, and what the comparison found in
/// itself.
pub fn findings(comparison: &Comparison) -> Vec<Finding> {
    let baseline = comparison.baseline.as_ref().map(|baseline| Finding {
        title: format!("Against {} ({:.12})", baseline.name, baseline.revision),
        lines: baseline.words(),
    });
    let self_check = comparison.self_check.as_ref().map(|check| Finding {
        title: "Self-check".to_owned(),
        lines: check.words(),
    });
    baseline.into_iter().chain(self_check).collect()
}

/// The table of one workload.
pub fn table(comparison: &Comparison, workload: &str) -> Table {
    let cells: Vec<_> = comparison.cells.iter().collect();
    let cells: Vec<_> = cells
        .into_iter()
        .filter(|cell| cell.workload == workload && cell.point.is_none())
        .collect();
    let section = |label| {
        let cells = cells.iter().copied().filter(|cell| cell.label == label);
        let mut verdicts = comparison.verdicts.iter();
        let judged = verdicts.find(|of| of.workload == workload && of.label == label);
        let Comparison { self_check, .. } = comparison;
        section(label, cells.collect(), judged, self_check.is_none())
    };
    let sections: Vec<_> = distinct(cells.iter().map(|cell| &*cell.label))
        .into_iter()
        .map(section)
        .collect();
    Table {
        completion: CompletionView::new(workload, &sections, &cells),
        workload: workload.to_owned(),
        about: workload
            .parse::<Workload>()
            .map_or(String::new(), |known| known.about().to_owned()),
        sections,
    }
}

/// The median of a cell, if it has one.
pub fn median(cell: &Cell) -> Option<f64> {
    cell.time.as_ref().map(|time| time.median_ns)
}

/// Whoever is compared with itself alone gets verdicts and is not `ranked`.
fn section(
    label: &str,
    mut cells: Vec<&Cell>,
    judged: Option<&verdicts::Section>,
    ranked: bool,
) -> Section {
    let key = |cell: &Cell| median(cell).unwrap_or(f64::INFINITY);
    cells.sort_by(|one, other| key(one).total_cmp(&key(other)));
    let best = cells.iter().find_map(|cell| median(cell));
    let serial = cells.iter().find(|cell| cell.model == BASELINE);
    let scale = Scale {
        best,
        serial: serial.and_then(|cell| median(cell)),
    };
    // A contestant from outside knows less about the job.
    let model = cells.iter().find(|cell| cell.command.is_none());
    let first = model.or(cells.first());
    let outsiders = outsiders(&cells);
    let mut remarks = first.map_or(Vec::new(), |cell| remarks(cell));
    remarks.extend(bottleneck::cpu_remark(&cells));
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
fn rank_remark(judged: &verdicts::Section, ranks: &[(usize, &str)]) -> Option<String> {
    if ranks.is_empty() {
        let few = judged.rounds < LEAST_ROUNDS;
        return few.then(|| format!("no verdict: that takes {LEAST_ROUNDS} rounds"));
    }
    let same = ranks.chunk_by(|one, other| one.0 == other.0);
    let same = same.map(|same| {
        let models: Vec<_> = same.iter().map(|(_, model)| *model).collect();
        format!("{} {}", same[0].0, models.join(" = "))
    });
    Some(format!("ranks: {}", same.collect::<Vec<_>>().join(", ")))
}

fn pairs(judged: &verdicts::Section) -> Vec<String> {
    let words = |pair: &verdicts::Pair| {
        let verdicts::Pair {
            model,
            other,
            judged,
        } = pair;
        format!("{model} against {other}: {}", judged.words())
    };
    judged.pairs.iter().map(words).collect()
}

/// A row with what its verdicts add to it. `ranks` are those of its section.
fn judged_row(mut row: Row, judged: &verdicts::Section, ranks: &[(usize, &str)]) -> Row {
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
    let own = median(cell);
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
        notes: notes(cell, beside_outsiders, own_keys),
        reason: cell.reason.clone(),
    }
}

/// A cell's status in words.
pub fn status(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::WrongAnswer => "wrong answer",
        Status::Failed => "failed",
        Status::Unsupported => "unsupported",
    }
}

/// `1 core`, `2 cores`.
pub fn cores(number: usize) -> String {
    match number {
        1 => "1 core".to_owned(),
        number => format!("{number} cores"),
    }
}

/// What it means that models are kept to some cores.
pub fn kept_to(number: usize) -> String {
    format!("kept to {}, with one worker thread a core", cores(number))
}

/// Parameters as `--set` takes them; long lists in short.
pub fn parameters(job: &Value) -> String {
    const LONGEST: usize = 40;
    let keys = job.as_object().into_iter().flatten();
    let known = keys.filter(|(_, value)| !value.is_null() && !plain(value).is_empty());
    let shown = known.map(|(key, value)| match value {
        Value::Array(list) if plain(value).len() > LONGEST => {
            format!("{key}=({} values)", list.len())
        }
        _ => format!("{key}={}", plain(value)),
    });
    shown.collect::<Vec<_>>().join(" ")
}

fn remarks(cell: &Cell) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(cores) = cell.cores {
        remarks.push(kept_to(cores));
    }
    if cell.scaled {
        remarks.push(format!("scaled to 1/{} to fit the time", cell.divisor));
    }
    if let Some(rounds) = cell.time.as_ref().map(|time| time.rounds.len()) {
        let samples = cell.time.as_ref().map_or(0, |time| time.samples_ns.len());
        let rounds = if rounds == 1 {
            "1 round".to_owned()
        } else {
            format!("{rounds} rounds")
        };
        let whose = match cell.from_runs && cell.command.is_none() {
            true => ", each a fresh process's one job",
            false => "",
        };
        remarks.push(format!("{samples} samples in {rounds}{whose}"));
    }
    if let Some(ceiling) = cell.origin_ceiling_ns {
        remarks.push(format!("the origin alone takes {}", time(ceiling as f64)));
    }
    let workload = cell.workload.parse::<Workload>().ok();
    let job = workload.and_then(|known| known.job_from_json(cell.job.clone()).ok());
    if let Some(Job::Fetch(fetch)) = job
        && fetch.urls.is_empty()
    {
        remarks.push(format!(
            "the slowest answer takes {}, all in turn {}",
            time(fetch.slowest().as_nanos() as f64),
            time(fetch.sum().as_nanos() as f64)
        ));
    }
    remarks
}

/// What the contestants from outside are, and how to read their figures.
fn outsiders(cells: &[&Cell]) -> Vec<String> {
    const LONGEST: usize = 200;
    let commands = cells.iter().filter_map(|cell| {
        let command = cell.command.as_ref()?;
        let mut shown: String = command.chars().take(LONGEST).collect();
        if shown.len() < command.len() {
            shown.push('…');
        }
        Some(format!("{} is `{shown}`", cell.model))
    });
    let mut remarks: Vec<_> = commands.collect();
    if !remarks.is_empty() {
        remarks.push(
            "a contestant's time is a whole process, start included: the models' are in the notes"
                .to_owned(),
        );
    }
    remarks
}

/// What a job's outcome tells beside its answer; and in a section with contestants
/// from outside, the figure that models have in common with them.
fn notes(cell: &Cell, beside_outsiders: bool, own_keys: &[String]) -> String {
    if cell.status != Status::Ok {
        return String::new();
    }
    let number = |key: &str| cell.outcome.as_ref()?.get(key)?.as_u64();
    let of_job = |key: &String| Some(format!("{key}={}", plain(cell.job.get(key)?)));
    let mut notes: Vec<String> = own_keys.iter().filter_map(of_job).collect();
    if let Some(wall) = cell.resources.wall_ns
        && beside_outsiders
        && cell.command.is_none()
    {
        notes.push(format!("whole process {}", time(wall as f64)));
    }
    if let Some(command) = &cell.command {
        notes.push("timed with its start".to_owned());
        if cell.outcome.is_none() {
            notes.push("its answer was not checked".to_owned());
        }
        if cell.scaled && !command.contains('{') {
            notes.push("it does not know that the job is scaled".to_owned());
        }
    }
    let racy = cell.job.get("guard").is_some_and(|guard| guard == "racy");
    if let Some(lost) = number("lost").filter(|_| racy) {
        notes.push(format!("{} lost", count(lost)));
    }
    if let Some(gap) = number("longest_gap_ns") {
        notes.push(format!("longest gap {}", time(gap as f64)));
    }
    if let Some(peak) = number("peak_in_flight") {
        notes.push(format!("{} in flight", count(peak)));
    }
    if let Some(late) = number("latest_ns") {
        notes.push(format!("latest {} late", time(late as f64)));
    }
    notes.extend(cell.origin_bound_by.map(|bound| bound.words().to_owned()));
    // What one of many costs is what people know by heart.
    let each = match &*cell.workload {
        "ping-pong" => number("passes").map(|passes| (passes, "a pass")),
        "echo" => number("messages").map(|messages| (messages, "a message")),
        _ => None,
    };
    if let (Some((all @ 1.., of_what)), Some(median)) = (each, median(cell)) {
        notes.push(format!("{} {of_what}", time(median / all as f64)));
    }
    for spoiled in ["unreadable", "broken"] {
        let outcome = cell.outcome.as_ref();
        let files = outcome.and_then(|outcome| outcome.get(spoiled)?.as_array());
        match files.map_or(0, Vec::len) {
            0 => {}
            files => notes.push(format!("{files} {spoiled}")),
        }
    }
    notes.extend(neighbours::note(cell));
    if cell.resources.peak_memory_bytes.is_none()
        && let Some(why) = &cell.resources.memory_method
    {
        notes.push(format!("no memory: {why}"));
    }
    notes.join(", ")
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}
