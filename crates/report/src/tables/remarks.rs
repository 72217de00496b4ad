//! What to know of a job and of a cell before reading its figures.

use results::{Cell, Status};
use suite::{Job, Workload, setting_text};

use crate::format::{count, counted, kept_to, time};
use crate::words;

/// What to know of a job.
pub(crate) fn of_job(cell: &Cell) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(cores) = cell.cores {
        remarks.push(kept_to(cores));
    }
    if cell.scaled {
        remarks.push(format!("scaled to 1/{} to fit the time", cell.divisor));
    }
    if let Some(time) = &cell.time {
        let rounds = counted(time.rounds.len(), "round");
        let whose = if cell.from_runs && cell.is_model() {
            ", each a fresh process's one job"
        } else {
            ""
        };
        remarks.push(format!(
            "{} samples in {rounds}{whose}",
            time.samples_ns.len()
        ));
    }
    if let Some(ceiling) = cell.origin_ceiling_ns {
        remarks.push(format!("the origin alone takes {}", time(ceiling as f64)));
    }
    let workload = cell.workload.parse::<Workload>().ok();
    let job = workload.and_then(|known| known.job_from_json(cell.job.clone()).ok());
    if let Some(wait) = job.as_ref().map(Job::wait)
        && !wait.is_zero()
    {
        let wait = time(wait.as_nanos() as f64);
        remarks.push(format!(
            "times are without the wait of {wait} that is the job"
        ));
    }
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

/// What the custom commands are, and how to read their figures.
pub(crate) fn custom_commands(cells: &[&Cell]) -> Vec<String> {
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
            "a custom command's time is a whole process, start included: the models' are in the notes"
                .to_owned(),
        );
    }
    remarks
}

/// What a job's outcome tells in addition to its answer; and in a section with
/// custom commands, the figure that models have in common with them.
pub(crate) fn notes(cell: &Cell, has_custom_commands: bool, own_keys: &[String]) -> Vec<String> {
    if cell.status != Status::Ok {
        return Vec::new();
    }
    let number = |key: &str| cell.outcome.as_ref()?.get(key)?.as_u64();
    let of_job = |key: &String| Some(format!("{key}={}", setting_text(cell.job.get(key)?)));
    let mut notes: Vec<String> = own_keys.iter().filter_map(of_job).collect();
    if let Some(wall) = cell.resources.wall_ns
        && has_custom_commands
        && cell.is_model()
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
    if let Some(standing) = number("standing_ns").filter(|&standing| standing > 0) {
        notes.push(format!("all stand after {}", time(standing as f64)));
    }
    if let Some(late) = number("latest_ns") {
        notes.push(format!("latest {} late", time(late as f64)));
    }
    if cell.mostly_clock {
        notes.push(format!("{}: not ranked", words::mostly_clock()));
    }
    notes.extend(
        cell.origin_bound_by
            .map(|bound| words::server_bound(bound).to_owned()),
    );
    // The cost of one of many is the figure to compare with other benchmarks.
    let workload = cell.workload.parse::<Workload>().ok();
    let each = workload.and_then(Workload::each);
    let each = each.and_then(|(key, of_what)| Some((number(key)?, of_what)));
    if let (Some((all @ 1.., of_what)), Some(median)) = (each, cell.median_ns()) {
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
    notes.extend(background_load(cell));
    if cell.resources.peak_memory_bytes.is_none()
        && let Some(why) = &cell.resources.memory_method
    {
        notes.push(format!("no memory: {why}"));
    }
    notes
}

/// What the origin's processors did for the jobs of a table.
pub(crate) fn cpu_remark(cells: &[&Cell]) -> Option<String> {
    let figures = || cells.iter().filter_map(|cell| cell.origin_cpu_ns);
    let (least, most) = (figures().min()?, figures().max()?);
    let [least, most] = [least, most].map(|ns| time(ns as f64));
    let range = if least == most {
        least
    } else {
        format!("{least} to {most}")
    };
    Some(format!("the origin's CPU time is {range} a job"))
}

/// In how many rounds of the cell others used the machine, if there are any.
pub(crate) fn background_load(cell: &Cell) -> Option<String> {
    let (rounds, noisy) = (cell.rounds()?, cell.disturbed);
    (noisy > 0).then(|| format!("background load in {noisy} of {rounds} rounds"))
}
