//! Two models against each other, over all jobs that both did, and what they are
//! made of: where two share their parts, those cannot be why they differ.

use results::Verdict;
use suite::models::MODELS;

use crate::findings::JobResults;

/// Two models.
#[derive(Debug)]
pub struct ModelPair {
    /// The one.
    pub one: &'static str,
    /// The other.
    pub other: &'static str,
    /// How often which verdict was given.
    pub summary: String,
    /// What they are made of, and what they share.
    pub made_of: String,
    /// The verdicts that tell a difference, the largest first.
    pub differences: Vec<String>,
}

/// Every two models that took part.
pub(crate) fn pairs(jobs: &[JobResults]) -> Vec<ModelPair> {
    let took_part = |model: &&&str| jobs.iter().any(|job| job.cell(model).is_some());
    let models: Vec<&'static str> = MODELS.iter().filter(took_part).copied().collect();
    let after = |(at, one): (usize, &&'static str)| {
        let one = *one;
        models[at + 1..]
            .iter()
            .map(move |other| (one, *other))
            .collect::<Vec<_>>()
    };
    let all = models.iter().enumerate().flat_map(after);
    all.map(|(one, other)| pair(jobs, one, other)).collect()
}

fn pair(jobs: &[JobResults], one: &'static str, other: &'static str) -> ModelPair {
    let judged = jobs
        .iter()
        .filter_map(|job| Some((job, job.verdict(one, other)?)));
    let judged: Vec<_> = judged.collect();
    let number = |wanted| {
        judged
            .iter()
            .filter(|(_, verdict)| *verdict == wanted)
            .count()
    };
    let (faster, slower) = (number(Verdict::Faster), number(Verdict::Slower));
    let same = number(Verdict::NoDifference);
    let summary = match judged.len() {
        0 => "cannot be told: no job of both has a verdict".to_owned(),
        all => format!(
            "of {all} jobs, {one} is faster in {faster}, {other} in {slower}, and {same} show \
             no difference"
        ),
    };
    let difference = |(job, verdict): &(&JobResults, Verdict)| {
        let (own, others) = (job.time(one)?, job.time(other)?);
        let (faster, times) = match verdict {
            Verdict::Faster => (one, others / own),
            Verdict::Slower => (other, own / others),
            Verdict::NoDifference => return None,
        };
        let label = format!("{} {}", job.workload(), job.label());
        let words = format!(
            "{label}: {faster} is {} as fast",
            crate::format::ratio(times)
        );
        Some((times, words))
    };
    let mut differences: Vec<_> = judged.iter().filter_map(difference).collect();
    differences.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    ModelPair {
        one,
        other,
        summary,
        made_of: made_of(one, other),
        differences: differences.into_iter().map(|(_, words)| words).collect(),
    }
}

/// What a model is made of: as in the README's table of the models.
fn parts(model: &str) -> &'static str {
    match model {
        "serial" => "does one thing after the other",
        "thread" => "has operating system threads: std's, rayon's pool, crossbeam-channel, ureq",
        "process" => "has child processes, started once and kept: ipc-channel, shared memory, ureq",
        "tokio" => "has tasks on tokio's multi-thread runtime: tokio, flume, hyper",
        "async-std" => {
            "has tasks on async-std's global executor: async-std, async-channel 1, surf over hyper"
        }
        "smol" => {
            "has tasks on an executor and threads of its own: smol, async-channel 2, hyper over \
             smol-hyper"
        }
        _ => "is unknown here",
    }
}

fn made_of(one: &str, other: &str) -> String {
    let parts = format!("{one} {}; {other} {}.", parts(one), parts(other));
    let shared = match (one, other) {
        ("async-std", "smol") => {
            " They share one engine: the crates of executor, reactor and blocking pool are the \
             same (async-executor, async-io, blocking). Where they differ, it is the \
             configuration, the channel or the HTTP client."
        }
        ("thread", "process") | ("serial", "thread" | "process") => {
            " They share their HTTP client, ureq."
        }
        ("tokio", "async-std" | "smol") => {
            " They share their HTTP library, hyper; executor, reactor, blocking pool and channels \
             are each one's own."
        }
        _ => "",
    };
    parts + shared
}
