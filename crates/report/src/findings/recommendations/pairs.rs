//! Two models against each other, over all jobs that both did, and what they are
//! made of: where two share their parts, those cannot be why they differ.

use results::{Kind, ModelInfo, Models, Verdict};

use crate::findings::JobResults;

/// Two models.
#[derive(Debug)]
pub struct ModelPair {
    /// The one.
    pub one: String,
    /// The other.
    pub other: String,
    /// How often which verdict was given.
    pub summary: String,
    /// What they are made of, and what they share.
    pub made_of: String,
    /// The verdicts that tell a difference, the largest first.
    pub differences: Vec<String>,
}

/// Every two models that took part.
pub(crate) fn pairs(jobs: &[JobResults], models: Models) -> Vec<ModelPair> {
    let took_part = |model: &&ModelInfo| jobs.iter().any(|job| job.cell(&model.name).is_some());
    let models: Vec<_> = models.iter().filter(took_part).collect();
    let all = models.iter().enumerate().flat_map(|(at, one)| {
        let others = models[at + 1..].iter();
        others.map(move |other| pair(jobs, one, other))
    });
    all.collect()
}

fn pair(jobs: &[JobResults], first: &ModelInfo, second: &ModelInfo) -> ModelPair {
    let (one, other) = (&*first.name, &*second.name);
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
    let (same, unknown) = (number(Verdict::NoDifference), number(Verdict::CannotTell));
    let summary = match judged.len() {
        0 => "cannot be told: no job of both has a verdict".to_owned(),
        all => format!(
            "of {all} jobs, {one} is faster in {faster}, {other} in {slower}; {same} show no \
             difference, and {unknown} cannot be told"
        ),
    };
    let difference = |(job, verdict): &(&JobResults, Verdict)| {
        let (own, others) = (job.time(one)?, job.time(other)?);
        let (faster, times) = match verdict {
            Verdict::Faster => (one, others / own),
            Verdict::Slower => (other, own / others),
            Verdict::NoDifference | Verdict::CannotTell => return None,
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
        one: one.to_owned(),
        other: other.to_owned(),
        summary,
        made_of: made_of(first, second),
        differences: differences.into_iter().map(|(_, words)| words).collect(),
    }
}

/// What a model's units are, and what it is made of.
fn parts(model: &ModelInfo) -> String {
    let verb = match model.kind {
        Kind::Serial => "does",
        Kind::Thread | Kind::Process | Kind::Task | Kind::Cluster => "has",
    };
    let ModelInfo { units, made_of, .. } = model;
    match &**made_of {
        "" => format!("{verb} {units}"),
        made_of => format!("{verb} {units}: {made_of}"),
    }
}

fn made_of(one: &ModelInfo, other: &ModelInfo) -> String {
    format!(
        "{} {}; {} {}.{}",
        one.name,
        parts(one),
        other.name,
        parts(other),
        shared(one, other)
    )
}

/// What both have, if anything.
fn shared(one: &ModelInfo, other: &ModelInfo) -> String {
    let tasks = [one, other].map(|model| model.kind) == [Kind::Task; 2];
    let engine = one.runtime.iter().filter(|own| other.runtime.contains(own));
    let engine: Vec<_> = engine.map(String::as_str).collect();
    if tasks && !engine.is_empty() {
        return format!(
            " They share one engine: the crates of executor, reactor and blocking pool are the \
             same ({}). Where they differ, it is the configuration, the channel or the HTTP client.",
            engine.join(", ")
        );
    }
    match one.http == other.http {
        true if tasks => format!(
            " They share their HTTP library, {}; executor, reactor, blocking pool and channels \
             are each one's own.",
            one.http
        ),
        true => format!(" They share their HTTP client, {}.", one.http),
        false => String::new(),
    }
}
