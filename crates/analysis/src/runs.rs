//! Compares stored runs with one of them.

use results::{Cell, CellOfRuns, Change, ComparedRuns, Comparison, PlaceOfRun, StoredRun};
use suite::Invalid;

use crate::Rules;
use crate::baseline::{
    built, change_unless_same, changed_command, difference, differences, judge, versions,
};

/// Compares every one of `runs` with the first, with the verdicts of
/// [`baseline`](crate::baseline); each has the name that it is called by, and no two have
/// the same one. Runs of two machines, modes or days can be compared: what differs is
/// named.
///
/// # Errors
///
/// When a run has no job and model of the first, or only jobs with other parameters.
///
/// # Panics
///
/// Without any run.
pub fn compare(
    runs: &[(String, Comparison)],
    rules: Rules,
    fail_above: Option<f64>,
) -> Result<ComparedRuns, Invalid> {
    let (name, reference) = &runs[0];
    for (other, comparison) in &runs[1..] {
        comparable(name, reference, comparison).map_err(|why| Invalid::new("run", other, why))?;
    }
    let stored = runs.iter().map(|(name, comparison)| {
        let differences = all_differences(reference, comparison);
        StoredRun::of(name, comparison, differences)
    });
    let mut cells = union(runs);
    for (run, (other, comparison)) in runs.iter().enumerate() {
        for job in comparison.jobs() {
            let names = [name, other].map(|name| format!("in {name}"));
            let judged = (run > 0).then(|| judge(reference, &job, [&names[0], &names[1]], rules));
            let mut judged = judged.into_iter().flatten();
            for cell in job {
                let (judged, not_compared) = match judged.next() {
                    Some(Ok(judged)) => (Some(judged), None),
                    Some(Err(why)) => (None, Some(why)),
                    None => (None, None),
                };
                let of_runs = cells.iter_mut().find(|of_runs| is_of(of_runs, cell));
                if let Some(of_runs) = of_runs {
                    let median_ns = cell.median_ns();
                    let is_timed = median_ns.or(of_runs.places[0].median_ns).is_some();
                    of_runs.places[run] = PlaceOfRun {
                        median_ns,
                        judged,
                        // A cell without a time in both runs needs no reason.
                        not_compared: not_compared.filter(|_| is_timed),
                        vanished: false,
                    };
                }
            }
        }
    }
    for then in &reference.cells {
        if let Some(of_runs) = cells.iter_mut().find(|of_runs| is_of(of_runs, then)) {
            for (place, (_, run)) in of_runs.places.iter_mut().zip(runs) {
                place.vanished = has_vanished(then, run);
            }
        }
    }
    Ok(ComparedRuns {
        runs: stored.collect(),
        fail_above,
        cells,
    })
}

/// Whether two runs have anything to compare; or why not.
fn comparable(name: &str, reference: &Comparison, other: &Comparison) -> Result<(), String> {
    let mut unlike = None;
    for cell in &other.cells {
        let is_same = |of: &&Cell| of.is_same_job(cell) && of.model == cell.model;
        let Some(of_reference) = reference.cells.iter().find(is_same) else {
            continue;
        };
        match difference(of_reference, cell) {
            None => return Ok(()),
            Some(parameter) => {
                unlike.get_or_insert(format!("{} {}: {parameter}", cell.workload, cell.label));
            }
        }
    }
    Err(match unlike {
        None => format!("has no job and model of {name}"),
        Some(parameter) => format!("has only jobs with other parameters than {name}: {parameter}"),
    })
}

/// Whether a cell that has a time has vanished from another run: that one has the job, and
/// no time of this model, or not even this custom command. Which models take part is a
/// choice.
fn has_vanished(then: &Cell, run: &Comparison) -> bool {
    let job = || run.cells.iter().filter(|cell| cell.is_same_job(then));
    let same = job().find(|cell| cell.model == then.model);
    let is_missing = match same {
        Some(cell) => cell.time.is_none(),
        None => !then.is_model() && job().next().is_some(),
    };
    then.time.is_some() && is_missing
}

/// The custom commands that have changed.
fn commands(then: &Comparison, now: &Comparison) -> Vec<Change> {
    let mut changes = Vec::new();
    for cell in &now.cells {
        let same = |of: &&Cell| of.is_same_job(cell) && of.model == cell.model;
        let earlier = then.cells.iter().find(same);
        let change = earlier.and_then(|earlier| changed_command(earlier, cell));
        changes.extend(change.filter(|change| !changes.contains(change)));
    }
    changes
}

/// That only one of two runs has its build settings recorded.
fn build_unknown(then: &Comparison) -> Vec<Change> {
    let [from, to] = match then.build.is_empty() {
        true => ["not known", "known"],
        false => ["known", "not known"],
    };
    let change = change_unless_same("flags and profile", from, to);
    change.into_iter().collect()
}

/// What may be behind a difference between two runs: unlike those that `--baseline`
/// compares, they may be of two machines.
fn all_differences(then: &Comparison, now: &Comparison) -> Vec<Change> {
    let day = |run: &Comparison| run.run.started.split(' ').next().unwrap_or("").to_owned();
    let machine =
        |what, of: fn(&Comparison) -> String| change_unless_same(what, &of(then), &of(now));
    let own = [
        change_unless_same("day", &day(then), &day(now)),
        machine("processor", |of| of.host.cpu.clone()),
        machine("run on", |of| of.host.cores_words()),
        machine("worker threads", |of| of.run.threads.to_string()),
        machine("blocking threads", |of| of.run.blocking_threads.to_string()),
    ];
    let own = own.into_iter().flatten();
    own.chain(differences(then, now))
        .chain(versions(&then.versions, &now.versions))
        .chain(built(&then.build, &now.build).unwrap_or_else(|_| build_unknown(then)))
        .chain(commands(then, now))
        .collect()
}

/// Every cell that any of the runs has. Its places are filled in later: until then they say
/// that it was not measured.
fn union(runs: &[(String, Comparison)]) -> Vec<CellOfRuns> {
    let mut cells: Vec<CellOfRuns> = Vec::new();
    let places = runs.iter().map(|(name, _)| PlaceOfRun {
        not_compared: Some(format!("it was not measured in {name}")),
        ..PlaceOfRun::default()
    });
    let places: Vec<PlaceOfRun> = places.collect();
    for cell in runs.iter().flat_map(|(_, run)| &run.cells) {
        if !cells.iter().any(|known| is_of(known, cell)) {
            cells.push(CellOfRuns {
                workload: cell.workload.clone(),
                label: cell.label.clone(),
                model: cell.model.clone(),
                places: places.clone(),
            });
        }
    }
    // Cells that only a later run has stand with their job.
    let jobs: Vec<_> = cells
        .iter()
        .map(|cell| (cell.workload.clone(), cell.label.clone()))
        .collect();
    cells.sort_by_key(|cell| {
        let is_same =
            |job: &(String, String)| (&*job.0, &*job.1) == (&*cell.workload, &*cell.label);
        jobs.iter().position(is_same)
    });
    cells
}

fn is_of(of_runs: &CellOfRuns, cell: &Cell) -> bool {
    cell.is_of(&of_runs.workload, &of_runs.label) && of_runs.model == cell.model
}
