//! A comparison as its readers see it: the same rows, in words, for the
//! terminal, for Markdown and for the page.

pub(crate) mod completion;
pub(crate) mod latency;
pub(crate) mod remarks;
pub(crate) mod sweep;

use results::{Cell, Comparison, JobVerdicts, MIN_ROUNDS, Pair, Status};
use serde_json::Value;
use suite::Workload;

use crate::distinct::distinct;
use crate::findings::unranked;
use crate::format::{NONE, parameters, status, time};
use crate::metrics::{COLUMNS, Context, heads, least_important};
use crate::table::{Row, Table, Text};

/// The tables of one workload.
#[derive(Debug)]
pub(crate) struct WorkloadTables<'a> {
    pub(crate) workload: &'a str,
    /// What the job is, in one line.
    pub(crate) about: String,
    /// The model whose times the ratios are given to.
    reference: &'a str,
    /// The columns that are dropped first where there is no room.
    least_important: Vec<String>,
    /// One for each preset and variant.
    pub(crate) sections: Vec<Section<'a>>,
    /// When the job's items were done, where they have such a time.
    /// Below its main one: what took how long within its jobs.
    pub(crate) times: Vec<TimesTable>,
}

/// One job, and how each model did it, best first.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    /// `heavy`, or `heavy-racy`.
    pub(crate) label: &'a str,
    /// The model whose times the ratios are given to.
    reference: &'a str,
    /// The job's parameters.
    pub(crate) job: String,
    /// What to know about the job before reading its figures.
    pub(crate) remarks: Vec<String>,
    pub(crate) models: Vec<ModelRow<'a>>,
    /// The verdicts on every two of them.
    pub(crate) pairs: &'a [Pair],
}

/// One model at one job, or a custom command.
#[derive(Debug)]
pub(crate) struct ModelRow<'a> {
    pub(crate) cell: &'a Cell,
    /// The fastest of its section, or no different from it.
    pub(crate) best: bool,
    /// A text for each of [`COLUMNS`], or [`NONE`].
    texts: Vec<String>,
}

impl ModelRow<'_> {
    /// The text of a column.
    pub(crate) fn text(&self, head: &str) -> &str {
        let mut columns = COLUMNS.iter().zip(&self.texts);
        columns
            .find(|(column, _)| column.head == head)
            .map_or(NONE, |(_, text)| text)
    }

    /// Whether its figures stand.
    pub(crate) fn is_ok(&self) -> bool {
        self.cell.status == Status::Ok
    }

    /// How it came out, in words.
    pub(crate) fn status(&self) -> &'static str {
        status(self.cell.status)
    }

    /// Whether something went wrong.
    pub(crate) fn is_bad(&self) -> bool {
        !matches!(self.cell.status, Status::Ok | Status::Unsupported)
    }

    fn row(&self) -> Row {
        let interval = self.cell.time.as_ref().map_or(NONE.to_owned(), |interval| {
            format!("{} to {}", time(interval.low_ns), time(interval.high_ns))
        });
        let texts = COLUMNS.iter().zip(&self.texts).map(|(column, text)| {
            let is_time = column.head == "time";
            Text {
                key: (column.key)(self.cell),
                bad: is_time && self.is_bad(),
                title: if is_time {
                    interval.clone()
                } else {
                    String::new()
                },
                ..Text::from(&**text)
            }
        });
        Row {
            texts: texts.collect(),
            best: self.best,
        }
    }
}

impl Section<'_> {
    /// A row for each model.
    pub(crate) fn table(&self) -> Table {
        let rows = self.models.iter().map(ModelRow::row);
        Table {
            groups: vec![rows.collect()],
            ..Table::new(heads(self.reference), 1, true)
        }
    }
}

/// What the parts of a workload's jobs took.
#[derive(Debug)]
pub(crate) struct TimesTable {
    /// What the table is.
    pub(crate) title: &'static str,
    /// From when to when the clock runs, and how to read it.
    pub(crate) about: &'static str,
    pub(crate) table: Table,
}

impl WorkloadTables<'_> {
    /// All sections in one, with a column for their labels.
    pub(crate) fn table(&self) -> Table {
        let heads = std::iter::once("job".to_owned()).chain(heads(self.reference));
        let least: Vec<&str> = self.least_important.iter().map(String::as_str).collect();
        let mut table = Table::new(heads, 2, true).without_first(&least);
        for section in &self.sections {
            let mut rows: Vec<Row> = section.models.iter().map(ModelRow::row).collect();
            for row in &mut rows {
                row.texts.insert(0, section.label.into());
            }
            table.groups.push(rows);
        }
        table
    }

    /// Every row, with the label of its section.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&str, &ModelRow<'_>)> {
        let sections = self.sections.iter();
        sections.flat_map(|section| section.models.iter().map(|row| (section.label, row)))
    }

    /// Each cell without figures that says why, with the label of its section.
    pub(crate) fn reasons(&self) -> impl Iterator<Item = (&str, &ModelRow<'_>, &str)> {
        self.rows().filter_map(|(label, row)| {
            let reason = row.cell.reason.as_deref()?;
            Some((label, row, reason))
        })
    }
}

/// The tables of each workload, in the order of the data. The points of sweeps are
/// not in them: [`sweep`] has those.
pub(crate) fn tables(comparison: &Comparison) -> Vec<WorkloadTables<'_>> {
    let cells = comparison.cells.iter();
    let cells = cells.filter(|cell| cell.point.is_none());
    let names = distinct(cells.map(|cell| &*cell.workload)).into_iter();
    names.map(|name| table(comparison, name)).collect()
}

/// The tables of one workload.
pub(crate) fn table<'a>(comparison: &'a Comparison, workload: &'a str) -> WorkloadTables<'a> {
    let of_workload = |cell: &&Cell| cell.workload == workload && cell.point.is_none();
    let cells: Vec<&Cell> = comparison.cells.iter().filter(of_workload).collect();
    let section = |label| {
        let cells = cells.iter().copied().filter(|cell| cell.label == label);
        let mut verdicts = comparison.verdicts.iter();
        let judged = verdicts.find(|of| of.workload == workload && of.label == label);
        // Models that are compared with themselves get verdicts and no ranks.
        let is_ranked = comparison.self_check.is_none();
        section(label, cells.collect(), judged, is_ranked, comparison)
    };
    let labels = distinct(cells.iter().map(|cell| &*cell.label));
    let mut sections: Vec<_> = labels.into_iter().map(section).collect();
    for section in &mut sections {
        let own = |cell: &&Cell| remarks::has_own_channel(cell, section.models[0].cell);
        let own: Vec<&Cell> = cells.iter().copied().filter(own).collect();
        let common: Vec<&Cell> = section.models.iter().map(|row| row.cell).collect();
        let remark = remarks::channels(&own, &common, section.pairs);
        section.remarks.extend(remark);
    }
    let in_order = sections.iter().flat_map(|section| &section.models);
    WorkloadTables {
        times: [
            completion::table(workload, in_order.clone().map(|row| row.cell)),
            latency::table(in_order.map(|row| row.cell)),
        ]
        .into_iter()
        .flatten()
        .collect(),
        workload,
        reference: comparison.reference(),
        least_important: least_important(comparison),
        about: workload
            .parse::<Workload>()
            .map_or(String::new(), |known| known.about().to_owned()),
        sections,
    }
}

fn section<'a>(
    label: &'a str,
    mut cells: Vec<&'a Cell>,
    judged: Option<&'a JobVerdicts>,
    is_ranked: bool,
    comparison: &'a Comparison,
) -> Section<'a> {
    let key = |cell: &Cell| cell.median_ns().unwrap_or(f64::INFINITY);
    cells.sort_by(|one, other| key(one).total_cmp(&key(other)));
    let best = cells.iter().find_map(|cell| cell.ranked_ns());
    let (known, reference) = (comparison.models(), comparison.reference());
    let of_reference = cells.iter().find(|cell| cell.model == reference);
    let of_reference = of_reference.copied();
    // A custom command knows less about the job.
    let model = cells.iter().find(|cell| cell.is_model());
    let first = model.or(cells.first());
    let custom_commands = remarks::custom_commands(&cells);
    let has_whole_processes = cells.iter().any(|cell| !cell.is_job_time());
    let own = own_parameters(&cells);
    let unranked = first.and_then(|cell| unranked(cell));
    let is_ranked = is_ranked && unranked.is_none();
    let models = cells.iter().filter(|_| is_ranked).map(|cell| &*cell.model);
    let ranks = judged.map_or(Vec::new(), |judged| judged.ranks(models));
    let ranked_best = judged.map_or(Vec::new(), |judged| judged.best(&ranks));
    let row = |cell: &&'a Cell| {
        let mut notes = remarks::notes(cell, has_whole_processes, &own);
        let own_note = known
            .find(&cell.model)
            .and_then(|model| model.notes.get(&cell.workload));
        notes.extend(own_note.filter(|_| cell.status == Status::Ok).cloned());
        if judged.is_some_and(|judged| judged.drifts(&cell.model)) {
            notes.push("drifting".to_owned());
        }
        let of_best = ranks.first().zip(judged);
        let context = Context {
            best,
            reference: of_reference.and_then(Cell::ranked_ns),
            to_best: of_best.and_then(|((_, best), judged)| judged.verdict(&cell.model, best)),
            notes: notes.join(", "),
        };
        let texts = COLUMNS.iter().map(|column| (column.text)(cell, &context));
        ModelRow {
            cell,
            // Without a verdict, a short time shows nothing.
            best: ranked_best.contains(&&*cell.model),
            texts: texts
                .map(|text| text.unwrap_or_else(|| NONE.to_owned()))
                .collect(),
        }
    };
    let models = cells.iter().map(row).collect();
    let mut remarks = first.map_or(Vec::new(), |cell| remarks::of_job(cell));
    remarks.extend(remarks::cpu_remark(&cells));
    remarks.extend(match unranked {
        Some(why) => Some(format!("not ranked: {why}")),
        None => judged.and_then(|judged| rank_remark(judged, &ranks)),
    });
    // The baseline's absence shows by itself: only another one was asked for.
    if comparison.run.reference.is_some() {
        remarks.extend(remarks::no_reference(reference, of_reference));
    }
    remarks.extend(custom_commands);
    Section {
        label,
        reference,
        job: first.map_or(String::new(), |cell| parameters(&shared(&cell.job, &own))),
        remarks,
        models,
        pairs: judged.map_or(&[], |judged| &judged.pairs),
    }
}

/// `ranks: 1 smol, tokio; 3 serial`, and whether the first can be told apart.
fn rank_remark(judged: &JobVerdicts, ranks: &[(usize, &str)]) -> Option<String> {
    if ranks.is_empty() {
        let few = judged.rounds < MIN_ROUNDS;
        return few.then(|| format!("no verdict: that takes {MIN_ROUNDS} rounds"));
    }
    let same = ranks.chunk_by(|one, other| one.0 == other.0);
    let same = same.map(|same| {
        let models: Vec<_> = same.iter().map(|(_, model)| *model).collect();
        format!("{} {}", same[0].0, models.join(", "))
    });
    let ranks_text = same.collect::<Vec<_>>().join("; ");
    let best = match judged.best(ranks).is_empty() {
        true => ", and which of the first is best cannot be told",
        false => "",
    };
    Some(format!("ranks: {ranks_text}{best}"))
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
