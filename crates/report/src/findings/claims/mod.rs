//! What the article that the suite comes from says of Python, held against what was
//! measured here. Every answer comes from the data by the rule that stands with it.
//!
//! A claim is one or more findings. It holds if all of them do; it does not if one
//! does not; and otherwise it cannot be told.
//!
//! Where a run has contestants in Python, each claim is put to the test with these, too, by
//! interpreters: threads, processes and asyncio are in the place of the models of that kind.

mod python;
mod rules;

pub use python::InPython;
use python::PythonJobs;
pub(crate) use python::summary;
use results::{Comparison, Kind, Models};
use rules::*;

use crate::findings::{self, Finding, JobResults, machines};

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is so here, too.
    Holds,
    /// It is not.
    DoesNotHold,
    /// The data do not say.
    CannotBeTold,
}

impl Answer {
    /// In words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::DoesNotHold => "does not hold",
            Self::CannotBeTold => "cannot be told",
        }
    }

    /// All findings together.
    fn of(findings: &[Finding]) -> Self {
        let holds = |wanted| findings.iter().filter(move |one| one.holds == wanted);
        if holds(Some(false)).next().is_some() {
            Self::DoesNotHold
        } else if findings.is_empty() || holds(None).next().is_some() {
            Self::CannotBeTold
        } else {
            Self::Holds
        }
    }
}

/// One claim, and what became of it.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Its name, as an anchor.
    pub id: &'static str,
    /// What the article says of Python, or what this project asks in addition.
    pub python: &'static str,
    /// By which rule it is answered.
    pub rule: String,
    /// Whether it is so here.
    pub answer: Answer,
    /// By which figures, or why it cannot be told.
    pub measured: Vec<String>,
    /// Which workload has the figures.
    pub workload: &'static str,
    /// The same with Python itself, by each interpreter that was measured at that.
    pub in_python: Vec<InPython>,
}

/// How a claim is put to the test.
type Test = fn(&[JobResults], Models) -> Vec<Finding>;

/// All claims.
pub fn claims(comparison: &Comparison) -> Vec<Claim> {
    let jobs = findings::all(comparison);
    let models = comparison.models();
    let in_python = PythonJobs::of(comparison);
    let claim = |&(id, workload, python, rule, test): &(_, _, _, _, Test)| {
        let findings = test(&jobs, models);
        Claim {
            id,
            python,
            rule: named(rule, models),
            answer: Answer::of(&findings),
            measured: findings.into_iter().map(|one| one.words).collect(),
            workload,
            in_python: in_python
                .iter()
                .filter_map(|jobs| jobs.answer(id, workload, rule, test))
                .collect(),
        }
    };
    let of_machines = machines::pays(comparison, &jobs).map(|pays| Claim {
        id: "another-machine",
        python: "(Not the article's.) From some size of a share on, another machine pays.",
        rule: named(machines::RULE, models),
        answer: Answer::of(&[Finding::new(pays.holds, "")]),
        measured: pays.sentences,
        workload: machines::WORKLOAD,
        in_python: Vec::new(),
    });
    CLAIMS.iter().map(claim).chain(of_machines).collect()
}

/// A rule with the names of the models in it: `{tasks}` stands for all whose units are
/// tasks, `{tasks'}` for what is theirs, and so on.
fn named(rule: &str, models: Models) -> String {
    let tasks = models.of_kind(Kind::Task);
    let theirs: Vec<String> = tasks.iter().map(|name| format!("{name}'s")).collect();
    let theirs: Vec<&str> = theirs.iter().map(String::as_str).collect();
    rule.replace("{tasks}", &listed(&tasks))
        .replace("{tasks'}", &listed(&theirs))
        .replace("{threads}", &listed(&models.of_kind(Kind::Thread)))
        .replace("{processes}", &listed(&models.of_kind(Kind::Process)))
        .replace("{baseline}", models.baseline().unwrap_or_default())
}

/// `tokio, async-std and smol`.
fn listed(names: &[&str]) -> String {
    match names {
        [] => "no model".to_owned(),
        [one] => (*one).to_owned(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

/// Anchor, workload, what the article says, the rule, and the test.
const CLAIMS: [(&str, &str, &str, &str, Test); 15] = [
    (
        "lost-updates",
        "counter",
        "Threads that count without a lock lose updates.",
        "Holds if any model with several workers lost one. That none was lost proves nothing.",
        lost_updates,
    ),
    (
        "locked",
        "counter",
        "With a lock, none is lost.",
        "Holds if every model's total was right behind the lock.",
        locked,
    ),
    (
        "threads-cpu",
        "primes",
        "Threads do not run work for the CPU in parallel: the interpreter's lock lets one run at a time.",
        "Does not hold if {threads} is faster than {baseline} on more than one core.",
        threads_cpu,
    ),
    (
        "processes-cpu",
        "primes",
        "Processes do.",
        "Holds if {processes} is faster than {baseline} on more than one core.",
        processes_cpu,
    ),
    (
        "primes",
        "primes",
        "There are 47 primes from 1,000,000 to 1,000,500.",
        "They are counted while this page is made; the models' counts stand next to it.",
        prime_count,
    ),
    (
        "fetch",
        "fetch",
        "Concurrent fetches take as long as the slowest.",
        "Holds if every concurrent model's interval ends within a tenth above the slowest answer; \
         does not hold if one begins above that.",
        fetch,
    ),
    (
        "offload",
        "offload",
        "Blocking work that is handed over does not stall the loop.",
        "Holds if no concurrent model's longest gap between two beats reaches half a call. \
         A call has to be five beats long at least.",
        offload,
    ),
    (
        "images-time",
        "download",
        "100 images at 100 Mbit/s: asyncio takes 5.2 s, processes 8.7 s, threads 12.3 s.",
        "The order holds if {tasks} are each faster than {processes}, and {processes} is \
         faster than {threads}, with the article's own limits where they were measured.",
        images_time,
    ),
    (
        "images-memory",
        "download",
        "The same images: asyncio takes 65 MB, threads 85 MB, processes 210 MB.",
        "The order holds if {tasks} each take less than {threads}, and {threads} less \
         than {processes}. Less than a tenth is no difference.",
        images_memory,
    ),
    (
        "switch",
        "ping-pong",
        "A switch costs least between coroutines, more between threads, and most between processes.",
        "Holds if a token goes round the largest ring faster through {tasks'} \
         tasks than through threads, and faster through threads than through processes.",
        switch,
    ),
    (
        "memory",
        "sleepers",
        "A unit costs least memory as a coroutine, more as a thread, and most as a process.",
        "Holds if one more sleeper takes less in {tasks} than in {threads}, and less \
         in {threads} than in {processes}: the slope from the fewest to the most that were measured, of \
         sleepers or, where a model did only one number of these, of units in a ring. \
         Less than a tenth is no difference.",
        unit_memory,
    ),
    (
        "rule-threads",
        "echo",
        "Choose threads for I/O with few connections.",
        "Holds if no model is faster than {threads} at the fewest connections of echo, and at the fewest \
         requests of fetch.",
        rule_threads,
    ),
    (
        "rule-processes",
        "primes",
        "Choose processes for work for the CPU.",
        "Holds if {processes} is faster than {threads} at primes and thumbnails: threads that are as fast \
         leave no reason for it.",
        rule_processes,
    ),
    (
        "rule-asyncio",
        "echo",
        "Choose asyncio for many connections.",
        "Holds if {tasks} are each faster than {threads} at the most connections \
         of echo, and take less memory with the most idle connections of serve, where \
         that was measured.",
        rule_asyncio,
    ),
    (
        "rule-asyncio-waiting",
        "sleepers",
        "Choose asyncio for much that waits.",
        "Holds if {tasks} are each faster than {threads}, and take less memory, with \
         the most sleepers that {threads} was measured with.",
        rule_waiting,
    ),
];
