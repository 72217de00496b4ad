//! What a sweep came to: a curve for each model, and where one overtakes another.

use results::{Cell, Crossover, Curve, CurvePoint, JobVerdicts, Point, Sweep};
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
        add(&mut sweeps[at], cell, value);
    }
    for sweep in &mut sweeps {
        let judged = |value: &Value| {
            let at_value = |cell: &&Cell| {
                let point = cell.point.as_ref();
                sweep.has(cell) && point.is_some_and(|point| point.value == *value)
            };
            let cell = cells.iter().find(at_value)?;
            verdicts.iter().find(|section| section.is_of(cell))
        };
        let faster = |one: &Curve, other: &Curve, value: &Value| {
            judged(value)?.is_faster(&one.model, &other.model)
        };
        sweep.crossovers = crossovers(&sweep.curves, &sweep.values, faster);
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
        curves: Vec::new(),
        crossovers: Vec::new(),
    }
}

fn add(sweep: &mut Sweep, cell: &Cell, value: &Value) {
    if !sweep.values.contains(value) {
        sweep.values.push(value.clone());
    }
    let point = curve_point(cell, value);
    let mut known = sweep.curves.iter_mut();
    match known.find(|curve| curve.model == cell.model) {
        Some(curve) => curve.points.push(point),
        None => sweep.curves.push(Curve {
            model: cell.model.clone(),
            points: vec![point],
        }),
    }
}

/// Every pair of models, along the values. `faster` tells whether the one is faster
/// than the other, where that is not open.
fn crossovers(
    curves: &[Curve],
    values: &[Value],
    faster: impl Fn(&Curve, &Curve, &Value) -> Option<bool>,
) -> Vec<Crossover> {
    let mut found = Vec::new();
    for (at, one) in curves.iter().enumerate() {
        for other in &curves[at + 1..] {
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
                        model: model.model.clone(),
                        overtakes: overtakes.model.clone(),
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

fn curve_point(cell: &Cell, value: &Value) -> CurvePoint {
    let time = cell.time.as_ref();
    let (user, system) = (cell.resources.user_ns, cell.resources.system_ns);
    let cpu = user.zip(system);
    CurvePoint {
        value: value.clone(),
        status: cell.status,
        reason: cell.reason.clone(),
        median_ns: time.map(|time| time.median_ns),
        low_ns: time.map(|time| time.low_ns),
        high_ns: time.map(|time| time.high_ns),
        peak_memory_bytes: cell.resources.peak_memory_bytes,
        cpu_ns: cpu.map(|(user, system)| user.saturating_add(system)),
    }
}

#[cfg(test)]
mod tests {
    use results::Status;

    use super::*;

    /// A curve of these medians; a gap where there is none.
    fn curve(model: &str, medians: &[f64]) -> Curve {
        let point = |(at, &median): (usize, &f64)| {
            let median = Some(median).filter(|median| median.is_finite());
            CurvePoint {
                value: at.into(),
                status: median.map_or(Status::Unsupported, |_| Status::Ok),
                reason: None,
                median_ns: median,
                low_ns: median,
                high_ns: median,
                peak_memory_bytes: None,
                cpu_ns: None,
            }
        };
        Curve {
            model: model.to_owned(),
            points: medians.iter().enumerate().map(point).collect(),
        }
    }

    fn found(curves: &[Curve]) -> Vec<(String, String, Value, Value)> {
        let values: Vec<Value> = (0..6).map(Value::from).collect();
        // Up to 2 are no difference.
        let faster = |one: &Curve, other: &Curve, value: &Value| {
            let median = |curve: &Curve| curve.at(value)?.median_ns;
            let difference = median(other)? - median(one)?;
            (difference.abs() > 2.0).then_some(difference > 0.0)
        };
        let found = crossovers(curves, &values, faster).into_iter();
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
        let flat = curve("flat", &[10.0; 5]);
        let bowl = curve("bowl", &[20.0, 5.0, 4.0, 5.0, 20.0]);
        let both = [
            crossing("bowl", "flat", 0, 1),
            crossing("flat", "bowl", 3, 4),
        ];
        assert_eq!(found(&[flat, bowl]), both);
    }

    #[test]
    fn where_there_is_no_difference_nobody_overtakes() {
        let flat = curve("flat", &[10.0; 5]);
        // No difference all along; or back on the same side after that.
        for medians in [[9.0, 11.0, 8.0, 12.0, 10.0], [5.0, 11.0, 12.0, 8.0, 5.0]] {
            assert!(found(&[flat.clone(), curve("noisy", &medians)]).is_empty());
        }
        // From one side to the other, and unclear between them.
        let slow = curve("slow", &[5.0, 9.0, 11.0, 12.0, 20.0]);
        assert_eq!(found(&[flat, slow]), [crossing("flat", "slow", 0, 4)]);
    }

    #[test]
    fn a_curve_that_ends_overtakes_nobody_afterwards() {
        let flat = curve("flat", &[10.0; 5]);
        let short = curve("short", &[5.0, 5.0, f64::NAN, f64::NAN, f64::NAN]);
        assert!(found(&[flat, short]).is_empty());
    }
}
