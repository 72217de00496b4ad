//! What a sweep came to: its values, and where one model overtakes another.

use results::{Cell, Crossover, JobVerdicts, Point, Sweep};
use serde_json::Value;

/// The sweeps whose points are among `cells`, as `verdicts` judge these.
pub fn sweeps(cells: &[Cell], verdicts: &[JobVerdicts]) -> Vec<Sweep> {
    let mut sweeps: Vec<Sweep> = Vec::new();
    for cell in cells {
        let Some(Point { key, value }) = &cell.point else {
            continue;
        };
        let known = sweeps.iter().position(|sweep| sweep.has(cell));
        let at = known.unwrap_or_else(|| {
            sweeps.push(empty(cell, key));
            sweeps.len() - 1
        });
        if !sweeps[at].values.contains(value) {
            sweeps[at].values.push(value.clone());
        }
    }
    for sweep in &mut sweeps {
        let judged = |value: &Value| {
            let is_at = |cell: &&Cell| cell.point.as_ref().is_some_and(|at| at.value == *value);
            let cell = cells.iter().filter(|cell| sweep.has(cell)).find(is_at)?;
            verdicts.iter().find(|section| section.is_of(cell))
        };
        let faster = |one: &str, other: &str, value: &Value| judged(value)?.is_faster(one, other);
        sweep.crossovers = crossovers(&sweep.models(cells), &sweep.values, faster);
    }
    sweeps
}

fn empty(cell: &Cell, key: &str) -> Sweep {
    let mut job = cell.job.clone();
    if let Some(job) = job.as_object_mut() {
        job.shift_remove(key);
    }
    Sweep {
        workload: cell.workload.clone(),
        key: key.to_owned(),
        job,
        divisor: cell.divisor,
        cores: cell.cores,
        values: Vec::new(),
        crossovers: Vec::new(),
    }
}

/// Every pair of models, along the values. `faster` tells whether the one is faster
/// than the other, where that is not open.
fn crossovers(
    models: &[&str],
    values: &[Value],
    faster: impl Fn(&str, &str, &Value) -> Option<bool>,
) -> Vec<Crossover> {
    let mut found = Vec::new();
    for (at, &one) in models.iter().enumerate() {
        for &other in &models[at + 1..] {
            let mut last: Option<(bool, &Value)> = None;
            for value in values {
                let Some(faster) = faster(one, other, value) else {
                    continue;
                };
                if let Some((was_faster, after)) = last
                    && was_faster != faster
                {
                    let (model, overtakes) = if faster { (one, other) } else { (other, one) };
                    found.push(Crossover {
                        model: model.to_owned(),
                        overtakes: overtakes.to_owned(),
                        after: after.clone(),
                        before: value.clone(),
                    });
                }
                last = Some((faster, value));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model's medians at the values from 0 on, where it has any.
    type Line<'a> = (&'a str, Vec<f64>);

    fn found(lines: &[Line]) -> Vec<(String, String, Value, Value)> {
        let values: Vec<Value> = (0..6).map(Value::from).collect();
        let models: Vec<&str> = lines.iter().map(|(model, _)| *model).collect();
        let median = |model: &str, value: &Value| {
            let (_, medians) = lines.iter().find(|(known, _)| *known == model)?;
            medians.get(value.as_u64()? as usize)
        };
        // Up to 2 are no difference.
        let faster = |one: &str, other: &str, value: &Value| {
            let difference = median(other, value)? - median(one, value)?;
            (difference.abs() > 2.0).then_some(difference > 0.0)
        };
        let found = crossovers(&models, &values, faster).into_iter();
        found
            .map(|c| (c.model, c.overtakes, c.after, c.before))
            .collect()
    }

    fn crossing(
        model: &str,
        other: &str,
        after: u64,
        before: u64,
    ) -> (String, String, Value, Value) {
        (model.into(), other.into(), after.into(), before.into())
    }

    #[test]
    fn one_overtakes_another_in_both_directions() {
        let flat = ("flat", vec![10.0; 5]);
        let bowl = ("bowl", vec![20.0, 5.0, 4.0, 5.0, 20.0]);
        let both = [
            crossing("bowl", "flat", 0, 1),
            crossing("flat", "bowl", 3, 4),
        ];
        assert_eq!(found(&[flat, bowl]), both);
    }

    #[test]
    fn where_there_is_no_difference_no_model_overtakes() {
        let flat = ("flat", vec![10.0; 5]);
        // No difference all along; or back on the same side after that.
        for medians in [[9.0, 11.0, 8.0, 12.0, 10.0], [5.0, 11.0, 12.0, 8.0, 5.0]] {
            assert!(found(&[flat.clone(), ("noisy", medians.to_vec())]).is_empty());
        }
        // From one side to the other, and unclear between them.
        let slow = ("slow", vec![5.0, 9.0, 11.0, 12.0, 20.0]);
        assert_eq!(found(&[flat, slow]), [crossing("flat", "slow", 0, 4)]);
    }

    #[test]
    fn a_line_that_ends_overtakes_none_afterwards() {
        let flat = ("flat", vec![10.0; 5]);
        let short = ("short", vec![5.0, 5.0]);
        assert!(found(&[flat, short]).is_empty());
    }
}
