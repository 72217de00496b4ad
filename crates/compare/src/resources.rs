//! What fresh processes took, over all runs of one contestant.

use analysis::statistics::median_count;
use lab::run::{Peaks, Run};
use lab::rusage::Usage;
use results::Resources;
use runner::tree;
use suite::completion::nanoseconds;

/// The figures of fresh processes, from `runs` that were not observed and from what
/// was `observed` in others.
pub fn resources(runs: &[Run], observed: &[Peaks]) -> Resources {
    let number = runs.len() as u32;
    let cpu = cpu(runs.iter().map(|run| run.usage));
    let runs = |figure: fn(&Run) -> u64| median_count(runs.iter().map(figure));
    let of_observed = |figure: fn(&Peaks) -> Option<u64>| observed.iter().filter_map(figure);
    let memory = median_count(of_observed(|peaks| peaks.memory));
    let method = match memory {
        Some(_) => "pss",
        None if observed.is_empty() => "not looked at",
        None if tree::pss_bytes(&[std::process::id()]).is_none() => "this system does not tell PSS",
        None => "it had ended before it could be looked at",
    };
    Resources {
        wall_ns: runs(|run| nanoseconds(run.wall)),
        user_ns: cpu.map(|(user, _)| user),
        system_ns: cpu.map(|(_, system)| system),
        peak_memory_bytes: memory,
        peak_with_kernel_bytes: median_count(of_observed(Peaks::with_kernel)),
        memory_method: Some(method.to_owned()),
        own_peak_memory_bytes: median_count(of_observed(|peaks| peaks.own_memory)),
        voluntary_switches: runs(|run| run.usage.voluntary),
        involuntary_switches: runs(|run| run.usage.involuntary),
        threads: of_observed(|peaks| peaks.threads).max(),
        // None if nothing was seen at all.
        processes: of_observed(|peaks| Some(peaks.processes).filter(|&seen| seen > 0)).max(),
        runs: number,
    }
}

/// User and system time: together the median of the runs, split as all runs
/// together are.
///
/// The kernel knows the sum exactly, but guesses the split from where its clock
/// ticks found the program: a run of milliseconds comes out as all user or all
/// system. The medians of both would then add up to anything.
fn cpu(runs: impl Iterator<Item = Usage> + Clone) -> Option<(u64, u64)> {
    let both = |usage: Usage| nanoseconds(usage.user + usage.system);
    let median = median_count(runs.clone().map(both))?;
    let all: u64 = runs.clone().map(both).sum();
    let user: u64 = runs.map(|usage| nanoseconds(usage.user)).sum();
    let user = if all == 0 {
        0
    } else {
        (median as f64 * user as f64 / all as f64) as u64
    };
    Some((user, median.saturating_sub(user)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn processor_time_survives_a_split_that_is_a_guess() {
        let usage = |user, system| Usage {
            user: Duration::from_millis(user),
            system: Duration::from_millis(system),
            ..Usage::default()
        };
        // Five runs of 3 ms, a sixth of 9 ms: two in three of their ticks user.
        let runs = [(3, 0), (0, 3), (3, 0), (0, 3), (3, 0), (7, 2)];
        let runs = runs.map(|(user, system)| usage(user, system));
        let cpu = cpu(runs.into_iter()).expect("there are runs");
        assert_eq!(cpu, (2_000_000, 1_000_000));
        assert_eq!(super::cpu([usage(0, 0)].into_iter()), Some((0, 0)));
        assert_eq!(super::cpu([].into_iter()), None);
    }
}
