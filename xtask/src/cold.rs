//! Cold: what a job takes from a process's start to the end of its first job.
//!
//! It is the sum of three parts that the model's program tells of: from when it
//! was started to its own first line, starting the model, and the job. What the
//! program does in between for the sake of being measured (it asks the origin for
//! a list, and checks the answer) is in none of them.

use crate::lab::Run;
use crate::measure;
use crate::results::Time;
use crate::statistics::median_count;

/// The cold times of fresh processes, so many of each round; none if one of them
/// does not tell, as no contestant from outside does.
pub fn time(runs: &[Run], rounds: &[usize]) -> Option<Time> {
    let cold = |run: &Run| Some((start(run)? + run.line.elapsed_ns) as f64);
    let samples: Vec<f64> = runs.iter().map(cold).collect::<Option<_>>()?;
    let rounds = rounds.iter().copied().filter(|&runs| runs > 0);
    measure::time(samples, rounds.collect())
}

/// The median of what it takes until the job can begin.
pub fn start_ns(runs: &[Run]) -> Option<u64> {
    let starts: Vec<u64> = runs.iter().map(start).collect::<Option<_>>()?;
    median_count(starts)
}

fn start(run: &Run) -> Option<u64> {
    Some(run.line.launch_ns? + run.line.start_ns?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::child::Usage;
    use crate::lab::Line;

    fn run(launch_ns: Option<u64>, elapsed_ns: u64) -> Run {
        Run {
            wall: Duration::from_secs(1),
            usage: Usage::default(),
            line: Line {
                elapsed_ns,
                outcome: Value::Null,
                completion_ns: Vec::new(),
                launch_ns,
                start_ns: Some(20),
                origin_cpu_ns: None,
                peak_memory_bytes: None,
                threads: None,
            },
        }
    }

    #[test]
    fn cold_is_launch_and_start_and_job_by_rounds() {
        let runs = [run(Some(1), 100), run(Some(3), 300), run(Some(2), 200)];
        let cold = time(&runs, &[2, 0, 1]).expect("three runs");
        assert_eq!(cold.samples_ns, [121.0, 323.0, 222.0]);
        assert_eq!(cold.rounds, [2, 1]);
        assert_eq!(
            (cold.low_ns, cold.median_ns, cold.high_ns),
            (121.0, 222.0, 323.0)
        );
        assert_eq!(start_ns(&runs), Some(22));
    }

    #[test]
    fn who_does_not_tell_has_no_cold_time() {
        let runs = [run(Some(1), 100), run(None, 100)];
        assert_eq!(time(&runs, &[2]), None);
        assert_eq!(start_ns(&runs), None);
        assert_eq!(time(&[], &[]), None);
    }
}
