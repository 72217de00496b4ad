//! How each claim is put to the test.

use std::collections::BTreeMap;

use results::{Kind, Models, Status};
use suite::{Job, Workload, primes};

use crate::findings::unit_costs::{self, Memory};
use crate::findings::{Finding, JobResults, smaller};
use crate::format::{count, memory, time};

/// Jobs of the presets on all cores.
fn of_workload<'a, 'b>(
    jobs: &'b [JobResults<'a>],
    workload: &'b str,
) -> impl Iterator<Item = &'b JobResults<'a>> {
    let jobs = jobs.iter().filter(move |job| job.workload() == workload);
    jobs.filter(|job| !job.is_point() && job.on_all_cores())
}

/// The job of a label. The finding that there is none, otherwise.
fn labelled<'a, 'b>(
    jobs: &'b [JobResults<'a>],
    workload: &str,
    label: &str,
) -> Result<&'b JobResults<'a>, Finding> {
    let found = jobs
        .iter()
        .find(|job| (job.workload(), job.label()) == (workload, label));
    found.ok_or_else(|| not_measured(&format!("{workload} {label}")))
}

fn not_measured(what: &str) -> Finding {
    Finding::new(None, format!("{what} was not measured"))
}

/// The findings of a test, or the one that says why there are none.
fn or_why(findings: Result<Vec<Finding>, Finding>) -> Vec<Finding> {
    findings.unwrap_or_else(|why| vec![why])
}

/// The models that do several things at once.
fn concurrent<'a>(job: &JobResults<'a>, models: Models) -> Vec<&'a str> {
    let mut names = job.models();
    names.retain(|name| !models.is_serial(name));
    names
}

/// Each model of one kind against each of another.
fn each(
    models: Models,
    [ones, others]: [Kind; 2],
    against: impl Fn(&str, &str) -> Finding,
) -> Vec<Finding> {
    let (ones, others) = (models.of_kind(ones), models.of_kind(others));
    let pairs = ones
        .iter()
        .flat_map(|one| others.iter().map(move |other| (one, other)));
    let findings: Vec<_> = pairs.map(|(one, other)| against(one, other)).collect();
    match findings.is_empty() {
        true => vec![Finding::new(None, "there are no two such models")],
        false => findings,
    }
}

pub(super) fn lost_updates(jobs: &[JobResults], models: Models) -> Vec<Finding> {
    lost_by(jobs, |job| concurrent(job, models))
}

pub(super) fn lost_by_threads(jobs: &[JobResults], models: Models) -> Vec<Finding> {
    lost_by(jobs, |_| models.of_kind(Kind::Thread))
}

fn lost_by<'a>(
    jobs: &[JobResults<'a>],
    models: impl Fn(&JobResults<'a>) -> Vec<&'a str>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut tried = false;
    let racy = of_workload(jobs, "counter").filter(|job| guard_is(job, "racy"));
    for job in racy.filter(|job| job.number("workers") > Some(1)) {
        for model in models(job) {
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
                found.push(Finding::new(Some(true), words));
            }
        }
    }
    match (found.is_empty(), tried) {
        (true, true) => vec![Finding::new(None, "no model lost one this time")],
        (true, false) => vec![not_measured("counter without a guard")],
        _ => found,
    }
}

fn guard_is(job: &JobResults, guard: &str) -> bool {
    job.parameter("guard").is_some_and(|value| value == guard)
}

/// What a counter's outcome says: updates lost, and the total.
fn tally(job: &JobResults, model: &str) -> Option<(u64, u64)> {
    let outcome = job.cell(model)?.outcome.as_ref()?;
    Some((
        outcome.get("lost")?.as_u64()?,
        outcome.get("total")?.as_u64()?,
    ))
}

pub(super) fn locked(jobs: &[JobResults], models: Models) -> Vec<Finding> {
    let mut findings = Vec::new();
    for job in of_workload(jobs, "counter").filter(|job| guard_is(job, "lock")) {
        let label = job.label();
        let wrong = job
            .cells
            .iter()
            .filter(|cell| cell.status == Status::WrongAnswer);
        let wrong = wrong.map(|cell| format!("{}: a wrong total ({label})", cell.model));
        findings.extend(wrong.map(|words| Finding::new(Some(false), words)));
        let counted = concurrent(job, models);
        let lost = |model: &&str| tally(job, model).is_some_and(|(lost, _)| lost > 0);
        for model in counted.iter().filter(|model| lost(model)) {
            findings.push(Finding::new(
                Some(false),
                format!("{model} lost some ({label})"),
            ));
        }
        if !counted.is_empty() {
            let words = format!("{} counted every update ({label})", counted.join(", "));
            findings.push(Finding::new(Some(!counted.iter().any(lost)), words));
        }
    }
    if findings.is_empty() {
        findings.push(not_measured("counter behind a lock"));
    }
    findings
}

/// Whether each model of a kind is faster than the baseline, on more than one core.
fn parallel(jobs: &[JobResults], models: Models, kind: Kind) -> Vec<Finding> {
    let job = match labelled(jobs, "primes", "heavy") {
        Ok(job) => job,
        Err(why) => return vec![why],
    };
    let baseline = models.baseline().unwrap_or_default();
    let of_model = |model: &str| {
        let threads = job.cell(model).and_then(|cell| cell.resources.threads);
        let processes = job.cell(model).and_then(|cell| cell.resources.processes);
        // On a single core nothing is parallel, whatever the model.
        match threads.max(processes).is_some_and(|units| units < 2) {
            true => Finding::new(None, format!("{model} had a single thread")),
            false => job.faster(model, baseline),
        }
    };
    models.of_kind(kind).into_iter().map(of_model).collect()
}

pub(super) fn threads_cpu(jobs: &[JobResults], models: Models) -> Vec<Finding> {
    let negated = |finding: Finding| Finding {
        holds: finding.holds.map(|faster| !faster),
        ..finding
    };
    let in_parallel = parallel(jobs, models, Kind::Thread);
    in_parallel.into_iter().map(negated).collect()
}

pub(super) fn processes_cpu(jobs: &[JobResults], models: Models) -> Vec<Finding> {
    parallel(jobs, models, Kind::Process)
}

pub(super) fn prime_count(jobs: &[JobResults], _: Models) -> Vec<Finding> {
    const RANGE: (u64, u64) = (1_000_000, 1_000_500);
    const SAID: u64 = 47;
    let there_are = primes::count(RANGE.0..RANGE.1);
    let words = format!("there are {there_are}");
    let mut findings = vec![Finding::new(Some(there_are == SAID), words)];
    let in_range = |job: &&JobResults| {
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
    findings.extend(counts.into_iter().map(|(counted, models)| {
        let words = format!("{} counted {counted}", models.join(", "));
        Finding::new(Some(counted == SAID), words)
    }));
    findings
}

pub(super) fn fetch(jobs: &[JobResults], models: Models) -> Vec<Finding> {
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
            Finding::new(holds, format!("{model} took {}", time(median)))
        };
        let models = concurrent(job, models);
        if models.is_empty() {
            return Err(not_measured("fetch by a concurrent model"));
        }
        let mut findings = vec![Finding::new(Some(true), words)];
        findings.extend(models.into_iter().map(of_model));
        Ok(findings)
    }))
}

pub(super) fn offload(jobs: &[JobResults], models: Models) -> Vec<Finding> {
    const BEATS: u64 = 5;
    let handed_over = |job: &&JobResults| {
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
        Some(Finding::new(Some(gap < call / 2), words))
    };
    let gaps: Vec<_> = concurrent(job, models)
        .into_iter()
        .filter_map(gap)
        .collect();
    match gaps.is_empty() {
        true => vec![not_measured("the gap between two beats")],
        false => gaps,
    }
}

/// The article's download, with its own limits where they were measured.
fn images<'a, 'b>(jobs: &'b [JobResults<'a>]) -> Result<&'b JobResults<'a>, Finding> {
    labelled(jobs, "download", "article-own-limits")
        .or_else(|_| labelled(jobs, "download", "article"))
}

const TASKS_TO_THREADS: [Kind; 2] = [Kind::Task, Kind::Thread];
const TASKS_TO_PROCESSES: [Kind; 2] = [Kind::Task, Kind::Process];
const THREADS_TO_PROCESSES: [Kind; 2] = [Kind::Thread, Kind::Process];
const PROCESSES_TO_THREADS: [Kind; 2] = [Kind::Process, Kind::Thread];

pub(super) fn images_time(jobs: &[JobResults], models: Models) -> Vec<Finding> {
    or_why(images(jobs).map(|job| {
        let faster = |one: &str, other: &str| job.faster(one, other);
        let mut findings = each(models, TASKS_TO_PROCESSES, faster);
        findings.extend(each(models, PROCESSES_TO_THREADS, faster));
        let bound = job.cells.iter().filter(|cell| cell.origin_bound);
        let bound: Vec<_> = bound.map(|cell| &*cell.model).collect();
        if !bound.is_empty() {
            let words = format!(
                "the origin, or its link, set the time of {}",
                bound.join(", ")
            );
            // Words to the others' figures, that decide nothing.
            findings.push(Finding::new(Some(true), words));
        }
        findings
    }))
}

pub(super) fn images_memory(jobs: &[JobResults], models: Models) -> Vec<Finding> {
    or_why(images(jobs).map(|job| {
        let smaller = |one: &str, other: &str| job.smaller(one, other);
        let mut findings = each(models, TASKS_TO_THREADS, smaller);
        findings.extend(each(models, THREADS_TO_PROCESSES, smaller));
        findings
    }))
}

pub(super) fn switch(jobs: &[JobResults], models: Models) -> Vec<Finding> {
    let Some(ring) = unit_costs::ring(jobs) else {
        return vec![not_measured("ping-pong")];
    };
    let faster = |one: &str, other: &str| ring.faster(one, other);
    let mut findings = each(models, TASKS_TO_THREADS, faster);
    findings.extend(each(models, THREADS_TO_PROCESSES, faster));
    let concurrent = [Kind::Process, Kind::Thread, Kind::Task];
    let concurrent = concurrent.into_iter().flat_map(|kind| models.of_kind(kind));
    let passes = concurrent.filter_map(|model| {
        let ns = unit_costs::of(jobs, model).pass_ns?;
        Some(format!("{model} {}", time(ns)))
    });
    let passes: Vec<_> = passes.collect();
    if !passes.is_empty() {
        // Words to the others' figures, that decide nothing.
        let words = format!("a single pass: {}", passes.join(", "));
        findings.push(Finding::new(Some(true), words));
    }
    findings
}

pub(super) fn unit_memory(jobs: &[JobResults], models: Models) -> Vec<Finding> {
    let cost = |model: &str| unit_costs::of(jobs, model).memory;
    let against = |one: &str, other: &str| {
        let (Some(own), Some(others)) = (cost(one), cost(other)) else {
            return not_measured(&format!("the memory of sleepers in {one} and {other}"));
        };
        // A bound from above says enough only of the larger one's side.
        if own.from == own.to {
            let words = format!("{one} was measured with one number of sleepers alone");
            return Finding::new(None, words);
        }
        let text = |bytes: f64| format!("{} each", memory(bytes as u64));
        let named = |model: &str, memory: Memory| match memory.workload {
            "sleepers" => model.to_owned(),
            _ => format!("{model} (in a ring)"),
        };
        let (one, other) = (named(one, own), named(other, others));
        let finding = smaller((&one, own.bytes), (&other, others.bytes), text);
        match others.from == others.to {
            false => finding,
            true => Finding::new(
                finding.holds.filter(|smaller| !smaller),
                format!("{} ({other} with all of its programs)", finding.words),
            ),
        }
    };
    let mut findings = each(models, TASKS_TO_THREADS, against);
    findings.extend(each(models, THREADS_TO_PROCESSES, against));
    findings
}

pub(super) fn rule_threads(jobs: &[JobResults], models: Models) -> Vec<Finding> {
    let fewest = |workload, size: fn(&JobResults) -> Option<u64>| {
        let sized = of_workload(jobs, workload).filter_map(|job| Some((size(job)?, job)));
        let Some((size, job)) = sized.min_by_key(|&(size, _)| size) else {
            return vec![not_measured(workload)];
        };
        let mut others = concurrent(job, models);
        let threads = models.of_kind(Kind::Thread);
        others.retain(|model| !threads.contains(model));
        let not_beaten = |(other, thread): (&str, &str)| {
            let finding = job.faster(other, thread);
            let holds = finding.holds.map(|faster| !faster);
            let words = format!("{workload} with {}: {}", count(size), finding.words);
            Finding::new(holds, words)
        };
        let pairs = threads
            .iter()
            .flat_map(|thread| others.iter().map(move |other| (*other, *thread)));
        match others.is_empty() {
            true => vec![not_measured(workload)],
            false => pairs.map(not_beaten).collect(),
        }
    };
    let mut findings = fewest("echo", |job| job.number("connections"));
    findings.extend(fewest("fetch", |job| {
        let delays = job.parameter("delays_ms")?.as_array()?;
        Some(delays.len() as u64).filter(|&number| number > 0)
    }));
    findings
}

pub(super) fn rule_processes(jobs: &[JobResults], models: Models) -> Vec<Finding> {
    let against = |workload: &str| match labelled(jobs, workload, "heavy") {
        Ok(job) => each(models, PROCESSES_TO_THREADS, |one, other| {
            let finding = job.faster(one, other);
            Finding::new(finding.holds, format!("{workload}: {}", finding.words))
        }),
        Err(why) => vec![why],
    };
    ["primes", "thumbnails"].map(against).concat()
}

pub(super) fn rule_asyncio(jobs: &[JobResults], models: Models) -> Vec<Finding> {
    let most = of_workload(jobs, "echo").max_by_key(|job| job.number("connections"));
    let Some(job) = most else {
        return vec![not_measured("echo")];
    };
    let mut findings = each(models, TASKS_TO_THREADS, |one, other| {
        job.faster(one, other)
    });
    let idle = |job: &&JobResults| job.number("idle") > Some(0);
    let most = of_workload(jobs, "serve").filter(idle);
    let Some(job) = most.max_by_key(|job| job.number("idle")) else {
        return findings; // results may have only one of the two
    };
    findings.extend(each(models, TASKS_TO_THREADS, |one, other| {
        job.smaller(one, other)
    }));
    findings
}

pub(super) fn rule_waiting(jobs: &[JobResults], models: Models) -> Vec<Finding> {
    let threads = models.of_kind(Kind::Thread);
    let did = |job: &&JobResults| threads.iter().any(|thread| job.time(thread).is_some());
    let sleepers = of_workload(jobs, "sleepers").filter(did);
    let Some(job) = sleepers.max_by_key(|job| job.number("units")) else {
        return vec![not_measured(&format!("sleepers by {}", threads.join(", ")))];
    };
    let mut findings = each(models, TASKS_TO_THREADS, |one, other| {
        job.faster(one, other)
    });
    findings.extend(each(models, TASKS_TO_THREADS, |one, other| {
        job.smaller(one, other)
    }));
    findings
}
