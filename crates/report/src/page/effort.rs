//! Development effort as the page shows it.

use std::collections::BTreeMap;

use results::{AGAIN, Build, Effort, OfModel};

use crate::format::{NONE, count, time};

/// What it takes to make each model, in words.
#[derive(Debug)]
pub(crate) struct EffortTables {
    /// What was counted.
    pub(crate) revision: String,
    /// One for each model.
    pub(crate) rows: Vec<Row>,
    /// Whether any was built for its time.
    pub(crate) built: bool,
    /// How many cores there were for that.
    pub(crate) cores: usize,
    /// How often each was built again.
    pub(crate) again: usize,
    /// The models, and lines of code of each workload in each of them.
    pub(crate) models: Vec<String>,
    /// A workload's name, and a number for each model.
    pub(crate) workloads: Vec<(String, Vec<String>)>,
    /// The models that did not build, and why.
    pub(crate) failed: Vec<(String, String)>,
}

/// One model.
#[derive(Debug)]
pub(crate) struct Row {
    /// The model.
    pub(crate) model: String,
    /// Lines of code of its jobs.
    pub(crate) of_workloads: String,
    /// Of all its files.
    pub(crate) lines: String,
    /// How often it says `unsafe`.
    pub(crate) unsafes: String,
    /// Packages from elsewhere.
    pub(crate) dependencies: String,
    /// Built from nothing.
    pub(crate) cold: String,
    /// The same, in nanoseconds, to sort by.
    pub(crate) cold_key: Option<f64>,
    /// Built again, the median.
    pub(crate) incremental: String,
    /// The same, in nanoseconds, to sort by.
    pub(crate) again_key: Option<f64>,
}

impl EffortTables {
    /// Of what was counted and measured.
    pub(crate) fn of(effort: &Effort) -> Self {
        let mut workloads: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut order: Vec<&str> = Vec::new();
        for (at, of) in effort.models.iter().enumerate() {
            for (workload, lines) in &of.size.workload_lines {
                let row = workloads.entry(workload).or_insert_with(|| {
                    order.push(workload);
                    vec![NONE.to_owned(); effort.models.len()]
                });
                row[at] = count(*lines as u64);
            }
        }
        let builds = || effort.models.iter().filter_map(|of| of.build.as_ref());
        let why = |of: &OfModel| Some((of.model.clone(), of.build.as_ref()?.failed.clone()?));
        Self {
            revision: effort.revision.clone(),
            rows: effort.models.iter().map(row).collect(),
            built: builds().next().is_some(),
            cores: builds().next().map_or(0, |build| build.cores),
            again: AGAIN,
            models: effort.models.iter().map(|of| of.model.clone()).collect(),
            workloads: order
                .into_iter()
                .map(|workload| (workload.to_owned(), workloads[workload].clone()))
                .collect(),
            failed: effort.models.iter().filter_map(why).collect(),
        }
    }
}

fn row(of: &OfModel) -> Row {
    let size = &of.size;
    let of_workloads: usize = size.workload_lines.iter().map(|(_, lines)| lines).sum();
    let number = |number: usize| count(number as u64);
    let or_none = |ns: Option<f64>| match (&of.build, ns) {
        (Some(build), None) if build.failed.is_some() => "failed".to_owned(),
        (_, ns) => ns.map_or_else(|| NONE.to_owned(), time),
    };
    let build = of.build.as_ref();
    let cold = build.and_then(|build| build.cold_ns).map(|ns| ns as f64);
    let again = build.and_then(Build::incremental_median_ns);
    Row {
        model: of.model.clone(),
        of_workloads: number(of_workloads),
        lines: number(size.lines),
        unsafes: number(size.unsafes),
        dependencies: number(size.dependencies),
        cold: or_none(cold),
        cold_key: cold,
        incremental: or_none(again),
        again_key: again,
    }
}
