//! The contestants and jobs of a comparison with itself.

use analysis::self_check::{SLOWED, SLOWED_BY, TWIN};
use lab::case::Case;
use suite::{Job, Preset, primes};

use crate::contestants::{Contestant, CopyOf};

/// Each of `originals` and its copies.
pub fn contestants(originals: Vec<Contestant>) -> Vec<Contestant> {
    let copy = |original: &Contestant, mark: &str| Contestant {
        model: format!("{}{mark}", original.model),
        copy: Some(CopyOf {
            model: original.model.clone(),
            slowed: mark == SLOWED,
        }),
        ..original.clone()
    };
    let mut all = Vec::new();
    for (place, original) in originals.into_iter().enumerate() {
        let twin = copy(&original, TWIN);
        let slowed = (place == 0).then(|| copy(&original, SLOWED));
        all.extend([original, twin].into_iter().chain(slowed));
    }
    all
}

/// Sees that the job whose slowed copy has to be found is not made smaller: of
/// five percent of a few milliseconds, the machine's own restlessness is too much.
pub fn keep_whole(groups: &mut [Case]) {
    for group in groups {
        group.whole |= slowed(group).is_some();
    }
}

/// The job of `group` with [`SLOWED_BY`] times the work, if it is the one job in
/// which that can be said to be known.
///
/// Most divisions are those of primes, √n each, so a range's are as
/// `end^1.5 - start^1.5`: the longer range has five percent more of these, and
/// not of numbers.
pub fn slowed(group: &Case) -> Option<Case> {
    let Job::Primes(job) = group.job() else {
        return None;
    };
    if group.preset != Preset::Heavy {
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
        ..group.clone()
    })
}

#[cfg(test)]
mod tests {
    use suite::Workload;

    use super::*;
    use crate::plan;

    #[test]
    fn the_slowed_copy_has_five_percent_more_to_do() {
        let groups = plan::cases(&[Workload::Primes], &Preset::ALL, &[]);
        let [article, heavy] = &groups.expect("presets make sense")[..] else {
            panic!("two presets");
        };
        assert!(slowed(article).is_none());
        for divisor in [4, 16] {
            let group = Case {
                divisor,
                ..heavy.clone()
            };
            let divisions = |group: &Case| match group.job() {
                Job::Primes(job) => (job.start..job.end).map(divisions).sum::<u64>(),
                other => panic!("{other:?}"),
            };
            let more = slowed(&group).expect("primes can be slowed");
            let ratio = divisions(&more) as f64 / divisions(&group) as f64;
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
