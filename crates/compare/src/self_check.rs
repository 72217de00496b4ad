//! The contestants and jobs of a comparison that checks itself.

use analysis::self_check::{SLOWED, SLOWED_BY, TWIN};
use lab::case::Case;
use suite::{Job, Preset, primes};

use crate::contestants::{Contestant, CopyOf};

/// Each of `originals` and its copies.
pub fn contestants(originals: Vec<Contestant>) -> Vec<Contestant> {
    let copy = |original: &Contestant, suffix: &str, case| Contestant {
        model: format!("{}{suffix}", original.model),
        copy: Some(CopyOf {
            model: original.model.clone(),
            case,
        }),
        ..original.clone()
    };
    let mut all = Vec::new();
    for (at, original) in originals.into_iter().enumerate() {
        let twin = copy(&original, TWIN, |case| Some(case.clone()));
        let slowed = (at == 0).then(|| copy(&original, SLOWED, slowed));
        all.extend([original, twin].into_iter().chain(slowed));
    }
    all
}

/// Keeps the job whose slowed copy has to be found at its full size: five percent of a
/// few milliseconds would be lost in noise.
pub(crate) fn keep_whole(cases: &mut [Case]) {
    for case in cases {
        case.whole |= slowed(case).is_some();
    }
}

/// The job of `case` with [`SLOWED_BY`] times the work, for the one job whose work is
/// known.
///
/// Most divisions are those of primes, √n each, so the divisions of a range grow as
/// `end^1.5 - start^1.5`: the longer range has five percent more divisions, not
/// numbers.
fn slowed(case: &Case) -> Option<Case> {
    let Job::Primes(job) = case.job() else {
        return None;
    };
    if case.preset != Preset::Heavy {
        return None;
    }
    let divisions = |number: u64| (number as f64).powf(1.5);
    let (start, end) = (divisions(job.start), divisions(job.end));
    let end = (start + (end - start) * SLOWED_BY).powf(1.0 / 1.5);
    let job = primes::Job {
        end: end.round() as u64,
        ..job
    };
    Some(Case {
        full: Job::Primes(job),
        divisor: 1,
        ..case.clone()
    })
}

#[cfg(test)]
mod tests {
    use suite::Workload;

    use super::*;
    use crate::plan;

    #[test]
    fn the_slowed_copy_has_five_percent_more_to_do() {
        let cases = plan::cases(&[Workload::Primes], &Preset::ALL, &[], true);
        let [article, heavy] = &cases.expect("presets make sense")[..] else {
            panic!("two presets");
        };
        assert!(slowed(article).is_none());
        for divisor in [4, 16] {
            let case = Case {
                divisor,
                ..heavy.clone()
            };
            let divisions = |case: &Case| match case.job() {
                Job::Primes(job) => (job.start..job.end).map(divisions).sum::<u64>(),
                other => panic!("{other:?}"),
            };
            let more = slowed(&case).expect("primes can be slowed");
            let ratio = divisions(&more) as f64 / divisions(&case) as f64;
            assert!((ratio - SLOWED_BY).abs() < 2e-3, "{ratio}");
        }
    }

    /// How many divisions `suite::primes::is_prime` makes of a number that large.
    fn divisions(number: u64) -> u64 {
        if number.is_multiple_of(2) {
            return 1;
        }
        let odd = (3..=number.isqrt()).step_by(2);
        let mut made = 0;
        for divisor in odd {
            made += 1;
            if number.is_multiple_of(divisor) {
                break;
            }
        }
        made
    }
}
