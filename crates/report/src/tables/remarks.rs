//! What to know of a job and of a cell before reading its figures.

use results::{Cell, Pair, Status, Verdict};
use suite::{Job, Phases, Workload, setting_text};

use crate::format::{count, counted, kept_to, ratio, status, time};
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
        let whose = if cell.from_runs && cell.is_job_time() {
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
            "times exclude the wait of {wait} that the job asks for"
        ));
    }
    if job.as_ref().is_some_and(Job::is_control) {
        remarks.push("a control: models of tasks run the same code here".to_owned());
    }
    let scatter = job.as_ref().filter(|_| cell.cores != Some(1));
    remarks.extend(scatter.and_then(Job::scatter).map(str::to_owned));
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

/// Whether a cell's job is that of `common`, but that each model has its own channel.
pub(crate) fn has_own_channel(cell: &Cell, common: &Cell) -> bool {
    let mut job = cell.job.clone();
    match job.get_mut("channel") {
        Some(channel) if channel == "own" => *channel = "common".into(),
        _ => return false,
    }
    job == common.job && cell.cores == common.cores
}

/// How much of the models' difference is their channels, and how much their executors:
/// `common` has the cells over one channel, with the verdicts on their `pairs`, and `own`
/// those over each model's own.
pub(crate) fn channels(own: &[&Cell], common: &[&Cell], pairs: &[Pair]) -> Option<String> {
    let both = common.iter().filter_map(|cell| {
        let mut own = own.iter().filter(|own| own.model == cell.model);
        Some((&*cell.model, own.next()?.median_ns()?, cell.median_ns()?))
    });
    let both: Vec<(&str, f64, f64)> = both.collect();
    let spread = |time: fn(&(&str, f64, f64)) -> f64| {
        let times = || both.iter().map(time);
        times().fold(0.0, f64::max) / times().fold(f64::INFINITY, f64::min)
    };
    let channel =
        |(model, own, common): &(&str, f64, f64)| format!("{model} {}", ratio(own / common));
    let differ = |pair: &Pair| matches!(pair.judged.verdict, Verdict::Faster | Verdict::Slower);
    let executors = match pairs.iter().any(differ) {
        true => "so the executors differ",
        false => "and no two executors are shown to differ",
    };
    (both.len() > 1).then(|| {
        format!(
            "all models use one channel here: the slowest takes {} the time of the fastest, \
             {executors}; with each model's own channel, {}; time over its own by that over this \
             one: {}",
            ratio(spread(|(_, _, common)| *common)),
            ratio(spread(|(_, own, _)| *own)),
            both.iter().map(channel).collect::<Vec<_>>().join(", ")
        )
    })
}

/// Why there are no ratios to the model `reference`, whose cell this is, if there are none.
pub(crate) fn no_reference(reference: &str, cell: Option<&Cell>) -> Option<String> {
    let why = match cell {
        None => "it was not measured",
        Some(cell) if cell.ranked_ns().is_some() => return None,
        Some(cell) if cell.status == Status::Ok => "it has no time that can be ranked",
        Some(cell) => status(cell.status),
    };
    Some(format!("no ratios to {reference}: {why}"))
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
    if cells.iter().any(|cell| !cell.is_job_time()) {
        remarks.push(
            "a custom command's time is that of a whole process; for the models, that is in the notes"
                .to_owned(),
        );
    }
    remarks
}

/// What it cost to start a job's units and to join them, where that is a tenth of its time
/// or more.
fn phases(cell: &Cell) -> Option<String> {
    let phases = cell.outcome.as_ref()?.get("phases")?;
    let phases: Phases = serde_json::from_value(phases.clone()).ok()?;
    let Phases {
        start_ns: start,
        work_ns: work,
        join_ns: join,
    } = phases;
    let units = start.saturating_add(join);
    (units > 0 && units >= work / 9).then(|| {
        let [start, work, join] = [start, work, join].map(|part| time(part as f64));
        format!("one run: start {start}, work {work}, join {join}")
    })
}

/// What a job's outcome tells in addition to its answer; and in a section with
/// programs that are timed as a whole, the figure that models have in common with them.
pub(crate) fn notes(cell: &Cell, has_whole_processes: bool, own_keys: &[String]) -> Vec<String> {
    if cell.status != Status::Ok {
        return Vec::new();
    }
    let number = |key: &str| cell.outcome.as_ref()?.get(key)?.as_u64();
    let of_job = |key: &String| Some(format!("{key}={}", setting_text(cell.job.get(key)?)));
    let mut notes: Vec<String> = own_keys.iter().filter_map(of_job).collect();
    if let Some(wall) = cell.resources.wall_ns
        && has_whole_processes
        && cell.is_model()
    {
        notes.push(format!("whole process {}", time(wall as f64)));
    }
    if let Some(command) = cell.command.as_ref().filter(|_| !cell.answers) {
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
        notes.push(format!("all started after {}", time(standing as f64)));
    }
    notes.extend(phases(cell));
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
    notes.extend(throttled(cell));
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

/// In how many rounds of the cell a CPU quota stopped it, if in any.
pub(crate) fn throttled(cell: &Cell) -> Option<String> {
    let (rounds, throttled) = (cell.rounds()?, cell.throttled);
    (throttled > 0).then(|| format!("stopped by the CPU quota in {throttled} of {rounds} rounds"))
}

#[cfg(test)]
mod tests {
    use results::{Judged, fixture};
    use serde_json::json;
    use suite::Preset;

    use super::*;

    #[test]
    fn starting_and_joining_is_told_where_it_is_a_part_of_the_time() {
        let mut cell = fixture::cell("exchange", "article", "thread");
        let mut told = |start: u64, work: u64, join: u64| {
            cell.outcome = Some(json!({
                "phases": {"start_ns": start, "work_ns": work, "join_ns": join}
            }));
            notes(&cell, false, &[])
                .into_iter()
                .find(|note| note.starts_with("one run"))
        };
        let words = "one run: start 8.00 µs, work 90.0 µs, join 2.00 µs".to_owned();
        assert_eq!(told(8_000, 90_000, 2_000), Some(words));
        assert_eq!(told(8_000, 100_000, 2_000), None);
        assert_eq!(told(0, 0, 0), None);
    }

    #[test]
    fn rounds_that_a_quota_has_stopped_are_counted() {
        let mut cell = fixture::cell("primes", "heavy", "tokio");
        cell.time = Some(fixture::steady(1e6, 10));
        let right = "stopped by the CPU quota in 2 of 10 rounds".to_owned();
        assert!(!notes(&cell, false, &[]).contains(&right));
        cell.throttled = 2;
        assert!(notes(&cell, false, &[]).contains(&right));
    }

    #[test]
    fn the_channel_is_told_from_the_executor() {
        let cells = |channel: &str, times: [u64; 2]| {
            ["tokio", "smol"].map(|model| {
                let mut cell = fixture::cell("pipeline", "heavy", model);
                cell.job = Workload::Pipeline.job(Preset::Heavy).to_json();
                cell.job["channel"] = channel.into();
                let time = times[usize::from(model == "smol")];
                cell.time = Some(fixture::steady(time as f64, 5));
                cell
            })
        };
        let own = cells("own", [300, 100]);
        let common = cells("common", [150, 100]);
        assert!(has_own_channel(&own[0], &common[1]));
        assert!(!has_own_channel(&common[0], &common[1]));
        let own: Vec<&Cell> = own.iter().collect();
        let common: Vec<&Cell> = common.iter().collect();
        let pair = |verdict| Pair {
            model: "tokio".to_owned(),
            other: "smol".to_owned(),
            judged: Judged {
                verdict,
                ..fixture::judged(1.5)
            },
        };
        let told = channels(&own, &common, &[pair(Verdict::CannotTell)]);
        let told = told.expect("there are two models");
        for part in [
            "takes 1.50×",
            "no two executors are shown to differ",
            "own channel, 3.00×",
            "tokio 2.00×",
            "smol 1.00×",
        ] {
            assert!(told.contains(part), "no {part} in {told}");
        }
        let told = channels(&own, &common, &[pair(Verdict::Slower)]).expect("the same two");
        assert!(told.contains("so the executors differ"), "{told}");
        assert_eq!(channels(&own[..1], &common, &[]), None);
    }

    #[test]
    fn a_control_is_called_one() {
        for (workload, is_control) in [(Workload::Primes, true), (Workload::Exchange, false)] {
            let mut cell = fixture::cell(workload.name(), "heavy", "tokio");
            cell.job = workload.job(Preset::Heavy).to_json();
            let told = of_job(&cell).iter().any(|note| note.contains("a control"));
            assert_eq!(told, is_control, "{workload}");
        }
    }
}
