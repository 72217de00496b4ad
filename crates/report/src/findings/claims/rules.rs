//! How each claim is put to the test.

use std::collections::BTreeMap;

use results::Status;
use suite::models::BASELINE;
use suite::primes;
use suite::{Job, Workload};

use crate::findings::unit_costs;
use crate::findings::unit_costs::Memory;
use crate::findings::{Evidence, Statement, smaller};
use crate::format::{count, memory, time};

/// The models that take asyncio's place.
const TASKS: [&str; 3] = ["tokio", "async-std", "smol"];

/// Jobs of the presets on all cores.
fn of_workload<'a, 'b>(
    jobs: &'b [Evidence<'a>],
    workload: &'b str,
) -> impl Iterator<Item = &'b Evidence<'a>> {
    let jobs = jobs.iter().filter(move |job| job.workload() == workload);
    jobs.filter(|job| !job.is_point() && job.on_all_cores())
}

/// The job of a label. The statement that there is none, otherwise.
fn labelled<'a, 'b>(
    jobs: &'b [Evidence<'a>],
    workload: &str,
    label: &str,
) -> Result<&'b Evidence<'a>, Statement> {
    let found = jobs
        .iter()
        .find(|job| (job.workload(), job.label()) == (workload, label));
    found.ok_or_else(|| not_measured(&format!("{workload} {label}")))
}

fn not_measured(what: &str) -> Statement {
    Statement::new(None, format!("{what} was not measured"))
}

/// The statements of a test, or the one that says why there are none.
fn or_why(statements: Result<Vec<Statement>, Statement>) -> Vec<Statement> {
    statements.unwrap_or_else(|why| vec![why])
}

/// The models that do several things at once.
fn concurrent<'a>(job: &Evidence<'a>) -> Vec<&'a str> {
    let mut models = job.models();
    models.retain(|model| *model != BASELINE);
    models
}

pub(super) fn lost_updates(jobs: &[Evidence]) -> Vec<Statement> {
    let mut found = Vec::new();
    let mut tried = false;
    let racy = of_workload(jobs, "counter").filter(|job| guard_is(job, "racy"));
    for job in racy.filter(|job| job.number("workers") > Some(1)) {
        for model in concurrent(job) {
            let Some((lost, total)) = tally(job, model) else {
                continue;
            };
            tried = true;
            if lost > 0 {
                let all = lost.saturating_add(total);
                let words = format!(
                    "{model} lost {} of {} ({})",
                    count(lost),
                    count(all),
                    job.label()
                );
                found.push(Statement::new(Some(true), words));
            }
        }
    }
    match (found.is_empty(), tried) {
        (true, true) => vec![Statement::new(None, "nobody lost one this time")],
        (true, false) => vec![not_measured("counter without a guard")],
        _ => found,
    }
}

fn guard_is(job: &Evidence, guard: &str) -> bool {
    job.parameter("guard").is_some_and(|value| value == guard)
}

/// What a counter's outcome says: updates lost, and the total.
fn tally(job: &Evidence, model: &str) -> Option<(u64, u64)> {
    let outcome = job.cell(model)?.outcome.as_ref()?;
    Some((
        outcome.get("lost")?.as_u64()?,
        outcome.get("total")?.as_u64()?,
    ))
}

pub(super) fn locked(jobs: &[Evidence]) -> Vec<Statement> {
    let mut statements = Vec::new();
    for job in of_workload(jobs, "counter").filter(|job| guard_is(job, "lock")) {
        let label = job.label();
        let wrong = job
            .cells
            .iter()
            .filter(|cell| cell.status == Status::WrongAnswer);
        let wrong = wrong.map(|cell| format!("{}: a wrong total ({label})", cell.model));
        statements.extend(wrong.map(|words| Statement::new(Some(false), words)));
        let counted = concurrent(job);
        let lost = |model: &&str| tally(job, model).is_some_and(|(lost, _)| lost > 0);
        for model in counted.iter().filter(|model| lost(model)) {
            statements.push(Statement::new(
                Some(false),
                format!("{model} lost some ({label})"),
            ));
        }
        if !counted.is_empty() {
            let words = format!("{} counted every update ({label})", counted.join(", "));
            statements.push(Statement::new(Some(!counted.iter().any(lost)), words));
        }
    }
    if statements.is_empty() {
        statements.push(not_measured("counter behind a lock"));
    }
    statements
}

fn parallel(jobs: &[Evidence], model: &str) -> Result<Statement, Statement> {
    let job = labelled(jobs, "primes", "heavy")?;
    let threads = job.cell(model).and_then(|cell| cell.resources.threads);
    let processes = job.cell(model).and_then(|cell| cell.resources.processes);
    // On a single core nothing is parallel, whatever the model.
    if threads.max(processes).is_some_and(|units| units < 2) {
        let words = format!("{model} had a single thread");
        return Err(Statement::new(None, words));
    }
    Ok(job.faster(model, "serial"))
}

pub(super) fn threads_cpu(jobs: &[Evidence]) -> Vec<Statement> {
    let in_parallel = parallel(jobs, "thread");
    or_why(in_parallel.map(|statement| {
        let holds = statement.holds.map(|faster| !faster);
        vec![Statement { holds, ..statement }]
    }))
}

pub(super) fn processes_cpu(jobs: &[Evidence]) -> Vec<Statement> {
    or_why(parallel(jobs, "process").map(|statement| vec![statement]))
}

pub(super) fn prime_count(jobs: &[Evidence]) -> Vec<Statement> {
    const RANGE: (u64, u64) = (1_000_000, 1_000_500);
    const SAID: u64 = 47;
    let there_are = primes::count(RANGE.0..RANGE.1);
    let words = format!("there are {there_are}");
    let mut statements = vec![Statement::new(Some(there_are == SAID), words)];
    let in_range = |job: &&Evidence| {
        (job.number("start"), job.number("end")) == (Some(RANGE.0), Some(RANGE.1))
    };
    let mut counts: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for job in of_workload(jobs, "primes").filter(in_range) {
        for model in job.models() {
            let outcome = job.cell(model).and_then(|cell| cell.outcome.as_ref());
            if let Some(counted) = outcome.and_then(|outcome| outcome.get("count")?.as_u64()) {
                counts.entry(counted).or_default().push(model);
            }
        }
    }
    statements.extend(counts.into_iter().map(|(counted, models)| {
        let words = format!("{} counted {counted}", models.join(", "));
        Statement::new(Some(counted == SAID), words)
    }));
    statements
}

pub(super) fn fetch(jobs: &[Evidence]) -> Vec<Statement> {
    const ABOVE: f64 = 1.1;
    or_why(labelled(jobs, "fetch", "article").and_then(|job| {
        let asked = job.cells[0].job.clone();
        let asked = Workload::Fetch.job_from_json(asked).ok();
        let Some(Job::Fetch(asked)) = asked.filter(|_| job.parameter("delays_ms").is_some()) else {
            return Err(not_measured("a fetch with known delays"));
        };
        if !asked.urls.is_empty() {
            return Err(not_measured("a fetch with known delays"));
        }
        let slowest = asked.slowest().as_nanos() as f64;
        let words = format!(
            "the slowest answer takes {}, all in turn {}",
            time(slowest),
            time(asked.sum().as_nanos() as f64)
        );
        let of_model = |model: &str| {
            let taken = job.cell(model).and_then(|cell| cell.time.as_ref());
            let holds = taken.and_then(|time| match (time.low_ns, time.high_ns) {
                (_, high) if high <= slowest * ABOVE => Some(true),
                (low, _) if low > slowest * ABOVE => Some(false),
                _ => None,
            });
            let median = job.time(model).unwrap_or(f64::NAN);
            Statement::new(holds, format!("{model} took {}", time(median)))
        };
        let models = concurrent(job);
        if models.is_empty() {
            return Err(not_measured("fetch by a concurrent model"));
        }
        let mut statements = vec![Statement::new(Some(true), words)];
        statements.extend(models.into_iter().map(of_model));
        Ok(statements)
    }))
}

pub(super) fn offload(jobs: &[Evidence]) -> Vec<Statement> {
    const BEATS: u64 = 5;
    let handed_over = |job: &&Evidence| {
        let call = job.number("call_ms").unwrap_or(0);
        let beat = job.number("heartbeat_ms").unwrap_or(u64::MAX);
        let pool = job.parameter("place").is_some_and(|place| place == "pool");
        pool && call / BEATS >= beat
    };
    let Some(job) = of_workload(jobs, "offload").find(handed_over) else {
        return vec![not_measured("a call of five beats that is handed over")];
    };
    let call = job.number("call_ms").unwrap_or(0).saturating_mul(1_000_000);
    let gap = |model: &str| {
        let outcome = job.cell(model)?.outcome.as_ref()?;
        let gap = outcome.get("longest_gap_ns")?.as_u64()?;
        let words = format!(
            "{model}'s longest gap was {}, during calls of {}",
            time(gap as f64),
            time(call as f64)
        );
        Some(Statement::new(Some(gap < call / 2), words))
    };
    let gaps: Vec<_> = concurrent(job).into_iter().filter_map(gap).collect();
    match gaps.is_empty() {
        true => vec![not_measured("the gap between two beats")],
        false => gaps,
    }
}

/// The article's download, with its own limits where they were measured.
fn images<'a, 'b>(jobs: &'b [Evidence<'a>]) -> Result<&'b Evidence<'a>, Statement> {
    labelled(jobs, "download", "article-own-limits")
        .or_else(|_| labelled(jobs, "download", "article"))
}

/// Each of [`TASKS`] against `others`, and then what else there is.
fn tasks_first(against: impl Fn(&str) -> Statement, then: Option<Statement>) -> Vec<Statement> {
    TASKS.into_iter().map(against).chain(then).collect()
}

pub(super) fn images_time(jobs: &[Evidence]) -> Vec<Statement> {
    or_why(images(jobs).map(|job| {
        let then = job.faster("process", "thread");
        let mut statements = tasks_first(|task| job.faster(task, "process"), Some(then));
        let bound = job.cells.iter().filter(|cell| cell.origin_bound);
        let bound: Vec<_> = bound.map(|cell| &*cell.model).collect();
        if !bound.is_empty() {
            let words = format!(
                "the origin, or its link, set the time of {}",
                bound.join(", ")
            );
            // Words to the others' figures, that decide nothing.
            statements.push(Statement::new(Some(true), words));
        }
        statements
    }))
}

pub(super) fn images_memory(jobs: &[Evidence]) -> Vec<Statement> {
    or_why(images(jobs).map(|job| {
        let then = job.smaller("thread", "process");
        tasks_first(|task| job.smaller(task, "thread"), Some(then))
    }))
}

pub(super) fn switch(jobs: &[Evidence]) -> Vec<Statement> {
    let Some(ring) = unit_costs::ring(jobs) else {
        return vec![not_measured("ping-pong")];
    };
    let then = ring.faster("thread", "process");
    let mut statements = tasks_first(|task| ring.faster(task, "thread"), Some(then));
    let passes = ["process", "thread"]
        .into_iter()
        .chain(TASKS)
        .filter_map(|model| {
            let ns = unit_costs::of(jobs, model).pass_ns?;
            Some(format!("{model} {}", time(ns)))
        });
    let passes: Vec<_> = passes.collect();
    if !passes.is_empty() {
        // Words to the others' figures, that decide nothing.
        let words = format!("a single pass: {}", passes.join(", "));
        statements.push(Statement::new(Some(true), words));
    }
    statements
}

pub(super) fn unit_memory(jobs: &[Evidence]) -> Vec<Statement> {
    let cost = |model: &str| unit_costs::of(jobs, model).memory;
    let against = |one: &str, other: &str| {
        let (Some(own), Some(others)) = (cost(one), cost(other)) else {
            return not_measured(&format!("the memory of sleepers in {one} and {other}"));
        };
        // A bound from above says enough only of the larger one's side.
        if own.from == own.to {
            let words = format!("{one} was measured with one number of sleepers alone");
            return Statement::new(None, words);
        }
        let text = |bytes: f64| format!("{} each", memory(bytes as u64));
        let named = |model: &str, memory: Memory| match memory.workload {
            "sleepers" => model.to_owned(),
            _ => format!("{model} (in a ring)"),
        };
        let (one, other) = (named(one, own), named(other, others));
        let statement = smaller((&one, own.bytes), (&other, others.bytes), text);
        match others.from == others.to {
            false => statement,
            true => Statement::new(
                statement.holds.filter(|smaller| !smaller),
                format!("{} ({other} with all of its programs)", statement.words),
            ),
        }
    };
    let then = against("thread", "process");
    tasks_first(|task| against(task, "thread"), Some(then))
}

pub(super) fn rule_threads(jobs: &[Evidence]) -> Vec<Statement> {
    let fewest = |workload, size: fn(&Evidence) -> Option<u64>| {
        let sized = of_workload(jobs, workload).filter_map(|job| Some((size(job)?, job)));
        let Some((size, job)) = sized.min_by_key(|&(size, _)| size) else {
            return vec![not_measured(workload)];
        };
        let mut others = concurrent(job);
        others.retain(|model| *model != "thread");
        let not_beaten = |other: &str| {
            let statement = job.faster(other, "thread");
            let holds = statement.holds.map(|faster| !faster);
            let words = format!("{workload} with {}: {}", count(size), statement.words);
            Statement::new(holds, words)
        };
        match others.is_empty() {
            true => vec![not_measured(workload)],
            false => others.into_iter().map(not_beaten).collect(),
        }
    };
    let mut statements = fewest("echo", |job| job.number("connections"));
    statements.extend(fewest("fetch", |job| {
        let delays = job.parameter("delays_ms")?.as_array()?;
        Some(delays.len() as u64).filter(|&number| number > 0)
    }));
    statements
}

pub(super) fn rule_processes(jobs: &[Evidence]) -> Vec<Statement> {
    let against = |workload: &str| match labelled(jobs, workload, "heavy") {
        Ok(job) => {
            let statement = job.faster("process", "thread");
            Statement::new(statement.holds, format!("{workload}: {}", statement.words))
        }
        Err(why) => why,
    };
    ["primes", "thumbnails"].map(against).to_vec()
}

pub(super) fn rule_asyncio(jobs: &[Evidence]) -> Vec<Statement> {
    let most = of_workload(jobs, "echo").max_by_key(|job| job.number("connections"));
    let Some(job) = most else {
        return vec![not_measured("echo")];
    };
    tasks_first(|task| job.faster(task, "thread"), None)
}

pub(super) fn rule_waiting(jobs: &[Evidence]) -> Vec<Statement> {
    let did = |job: &&Evidence| {
        job.cell("thread")
            .is_some_and(|cell| cell.median_ns().is_some())
    };
    let sleepers = of_workload(jobs, "sleepers").filter(did);
    let Some(job) = sleepers.max_by_key(|job| job.number("units")) else {
        return vec![not_measured("sleepers by thread")];
    };
    let mut statements = tasks_first(|task| job.faster(task, "thread"), None);
    statements.extend(tasks_first(|task| job.smaller(task, "thread"), None));
    statements
}
