//! How far two comparisons agree on which model is faster.

use results::{Agreement, Cell, Comparison, JobAgreement, PairInBoth};
use suite::unranked;

use crate::baseline::difference;
use crate::statistics::median;

/// Holds the verdicts of two comparisons against each other. Only models whose job was
/// the same in both are compared, and no job that may not be ranked.
pub fn agreement(first: &Comparison, second: &Comparison) -> Agreement {
    let both = [first, second];
    let mut agreement = Agreement::default();
    let (of_first, of_second) = (first.jobs(), second.jobs());
    for cells in &of_first {
        let title = title(cells[0]);
        let mut others = of_second.iter();
        let Some(others) = others.find(|others| others[0].is_same_job(cells[0])) else {
            agreement.left_out.push(only_in(&title, first));
            continue;
        };
        match job_agreement(both, [cells, others], &mut agreement.left_out) {
            Ok(job) => agreement.jobs.push(job),
            Err(why) => agreement.left_out.push(format!("{title}: {why}")),
        }
    }
    let is_new = |cell: &Cell| !of_first.iter().any(|job| job[0].is_same_job(cell));
    let new = of_second.iter().filter(|job| is_new(job[0]));
    let new = new.map(|job| only_in(&title(job[0]), second));
    agreement.left_out.extend(new);
    agreement
}

/// What both comparisons found at one job, whose cells are given for each of them. Adds
/// models and pairs that cannot be compared to `left_out`.
///
/// # Errors
///
/// Why none can be.
fn job_agreement(
    both: [&Comparison; 2],
    [cells, others]: [&[&Cell]; 2],
    left_out: &mut Vec<String>,
) -> Result<JobAgreement, String> {
    let of = cells[0];
    if let Some(why) = unranked(&of.workload, &of.job) {
        return Err(format!("not ranked: {why}"));
    }
    let mut unlike = Grouped::default();
    let mut models = Vec::new();
    for cell in cells {
        match find(others, &cell.model) {
            None => unlike.add(format!("only in {}", both[0].run.name), &cell.model),
            Some(other) => match difference(cell, other) {
                Some(other) => unlike.add(format!("another job, {other}"), &cell.model),
                None => models.push(&*cell.model),
            },
        }
    }
    for other in others {
        if find(cells, &other.model).is_none() {
            unlike.add(format!("only in {}", both[1].run.name), &other.model);
        }
    }
    let mut pairs = Vec::new();
    for (at, &model) in models.iter().enumerate() {
        for &other in &models[at + 1..] {
            let judged = both.map(|comparison| {
                let verdicts = comparison.verdicts_of(&of.workload, &of.label)?;
                verdicts.between(model, other)
            });
            let judged_in = match judged {
                [Some(first), Some(second)] => {
                    pairs.push(PairInBoth {
                        model: model.to_owned(),
                        other: other.to_owned(),
                        first,
                        second,
                    });
                    continue;
                }
                [Some(_), None] => both[0],
                [None, Some(_)] => both[1],
                [None, None] => continue,
            };
            let why = format!("a verdict only in {}", judged_in.run.name);
            unlike.add(why, &format!("{model} and {other}"));
        }
    }
    let distances = pairs.iter().map(distance).collect::<Vec<_>>();
    left_out.extend(unlike.sentences(&title(of)));
    let distance = median(&distances).ok_or("no pair has a verdict in both")?;
    Ok(JobAgreement {
        workload: of.workload.clone(),
        label: of.label.clone(),
        pairs,
        factor: distance.exp(),
    })
}

/// |ln(ratio / ratio)|: the same in both directions, and for the opposite pair.
fn distance(pair: &PairInBoth) -> f64 {
    (pair.first.ratio / pair.second.ratio).ln().abs()
}

fn find<'a>(cells: &[&'a Cell], model: &str) -> Option<&'a Cell> {
    cells.iter().copied().find(|cell| cell.model == model)
}

fn title(cell: &Cell) -> String {
    format!("{} {}", cell.workload, cell.label)
}

fn only_in(title: &str, comparison: &Comparison) -> String {
    format!("{title}: only in {}", comparison.run.name)
}

/// What is left out for the same reason.
#[derive(Default)]
struct Grouped(Vec<(String, Vec<String>)>);

impl Grouped {
    fn add(&mut self, why: String, what: &str) {
        match self.0.iter_mut().find(|(known, _)| *known == why) {
            Some((_, group)) => group.push(what.to_owned()),
            None => self.0.push((why, vec![what.to_owned()])),
        }
    }

    fn sentences(self, title: &str) -> impl Iterator<Item = String> {
        let groups = self.0.into_iter();
        groups.map(move |(why, what)| format!("{title}: {}: {why}", what.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use results::fixture::Builder;
    use serde_json::json;

    use super::*;

    fn named(name: &str, builder: Builder) -> Comparison {
        let named = builder.of_run(|comparison| comparison.run.name = name.to_owned());
        named.build()
    }

    #[test]
    fn a_pair_is_opposite_and_what_differs_is_left_out() {
        let two = |tokio, smol| [("tokio", tokio), ("smol", smol)];
        let primes = json!({"end": 9});
        let racy = json!({"guard": "racy", "workers": 2, "increments": 4});
        let then = Builder::new()
            .job("counter", "heavy-racy", racy.clone(), &two(1.0, 2.0))
            .job(
                "primes",
                "heavy",
                primes.clone(),
                &[
                    ("serial", 4.0),
                    ("tokio", 1.0),
                    ("smol", 2.0),
                    ("thread", 3.0),
                ],
            )
            .job("fetch", "heavy", json!({}), &two(1.0, 1.0))
            .job("echo", "heavy", json!({"bytes": 1}), &two(1.0, 2.0));
        // Other models first: the pairs are the other way round here.
        let now = Builder::new()
            .job("counter", "heavy-racy", racy.clone(), &two(2.0, 1.0))
            .job(
                "primes",
                "heavy",
                primes,
                &[
                    ("process", 1.0),
                    ("smol", 1.0),
                    ("tokio", 1.5),
                    ("serial", 4.0),
                ],
            )
            .job_in_rounds("fetch", "heavy", json!({}), &two(1.0, 1.0), 2)
            .job("echo", "heavy", json!({"bytes": 2}), &two(2.0, 1.0))
            .job("files", "heavy", json!({}), &[("tokio", 1.0)]);
        let (then, now) = (named("then", then), named("now", now));
        let found = agreement(&then, &now);

        assert_eq!((found.pairs(), found.opposite()), (3, 1));
        let [job] = &found.jobs[..] else {
            panic!("{:?}", found.jobs)
        };
        let opposite: Vec<_> = job.opposite().collect();
        let (pair, first, second) = (
            opposite[0],
            opposite[0].first.ratio,
            opposite[0].second.ratio,
        );
        assert_eq!([&*pair.model, &*pair.other], ["tokio", "smol"]);
        assert_eq!((first, second), (0.5, 1.5));
        // The ratios of the pairs were 4, 2 and 1/2, and are 8/3, 4 and 3/2.
        assert!((job.factor - 2.0).abs() < 1e-12, "{}", job.factor);
        let chance = unranked("counter", &racy).expect("it is racy");
        assert_eq!(
            found.left_out,
            [
                &*format!("counter heavy-racy: not ranked: {chance}"),
                "primes heavy: thread: only in then",
                "primes heavy: process: only in now",
                "fetch heavy: tokio and smol: a verdict only in then",
                "fetch heavy: no pair has a verdict in both",
                "echo heavy: tokio, smol: another job, bytes = 1 and not 2",
                "echo heavy: no pair has a verdict in both",
                "files heavy: only in now",
            ]
        );
    }

    #[test]
    fn a_comparison_agrees_with_itself_and_what_only_one_shows_is_not_opposite() {
        let job = |tokio, smol| {
            let times = [("tokio", tokio), ("smol", smol)];
            named(
                "run",
                Builder::new().job("primes", "heavy", json!({}), &times),
            )
        };
        let (faster, equal) = (job(1.0, 1.5), job(1.0, 1.0));
        for (other, factor) in [(&faster, 1.0), (&equal, 1.5)] {
            let found = agreement(&faster, other);
            assert_eq!((found.pairs(), found.opposite()), (1, 0));
            assert!((found.jobs[0].factor - factor).abs() < 1e-12);
            assert!(found.left_out.is_empty(), "{:?}", found.left_out);
        }
    }
}
