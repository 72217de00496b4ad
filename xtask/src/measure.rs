//! One group, measured: all models in every round, in a new order each time.

use std::time::Duration;

use runner::tree;
use serde_json::Value;

use crate::bottleneck::{self, OriginAlone, Seen};
use crate::budget::{Allowance, Pace, Rounds};
use crate::child::Usage;
use crate::cold;
use crate::completion::Pool;
use crate::contestants::{Contestant, Means};
use crate::cores;
use crate::lab::{Interrupted, Lab, Run, Sight, Trouble};
use crate::outsider::Outsider;
use crate::plan::{Group, Mode};
use crate::results::{Cell, Resources, Status, Time};
use crate::statistics::{median, median_count, median_interval};

/// A cell while it is measured.
#[derive(Debug)]
pub struct Entry<'a> {
    contestant: &'a Contestant,
    trouble: Option<(Status, String)>,
    pace: Option<Pace>,
    samples: Vec<f64>,
    rounds: Vec<usize>,
    runs: Vec<Run>,
    /// How many of the runs each round gave.
    run_rounds: Vec<usize>,
    completions: Pool,
    sights: Vec<Sight>,
    outcome: Option<Value>,
}

impl<'a> Entry<'a> {
    /// Nothing is known yet, unless the model did not build.
    pub fn new(contestant: &'a Contestant) -> Self {
        let trouble = contestant.programs.as_ref().err();
        Self {
            contestant,
            trouble: trouble.map(|why| (Status::Failed, why.clone())),
            pace: None,
            samples: Vec::new(),
            rounds: Vec::new(),
            runs: Vec::new(),
            run_rounds: Vec::new(),
            completions: Pool::default(),
            sights: Vec::new(),
            outcome: None,
        }
    }

    /// The model's name.
    pub fn model(&self) -> &str {
        &self.contestant.model
    }

    /// The model whose jobs it does.
    pub fn original(&self) -> &str {
        self.contestant.original()
    }

    /// What one run takes, of those that have got through one.
    pub fn pace(&self) -> Option<Pace> {
        self.pace.filter(|_| self.trouble.is_none())
    }

    /// Does the job once, for its answer and its pace. Nothing is measured of
    /// who does not get through this.
    ///
    /// # Errors
    ///
    /// Only when interrupted: trouble with the cell is the cell's.
    pub fn try_out(
        &mut self,
        lab: &Lab,
        group: &Group,
        timeout: Duration,
    ) -> Result<(), Interrupted> {
        let Some(group) = self.contestant.group(group) else {
            return Ok(());
        };
        let Some(run) = self.run(lab, &group, true, timeout)? else {
            return Ok(());
        };
        let job = Duration::from_nanos(run.line.elapsed_ns);
        self.pace = Some(Pace {
            job,
            around: run.wall.saturating_sub(job),
            benched: self.outsider().is_none(),
        });
        self.outcome = Some(run.line.outcome);
        Ok(())
    }

    /// One round's part of this cell.
    fn round(
        &mut self,
        lab: &Lab,
        group: &Group,
        mode: &Mode,
        rounds: Rounds,
        number: u32,
    ) -> Result<(), Interrupted> {
        let (Some(pace), Some(group)) = (self.pace(), self.contestant.group(group)) else {
            return Ok(());
        };
        let group = &*group;
        let timeout = |expected: Duration| PATIENCE + expected * 10;
        let model = self.contestant.original();
        let long = timeout(pace.bench(mode));
        let bench = self.attempt(|means| match means {
            Means::Model(programs) => lab.bench(programs, (model, group), mode, long),
            // Its samples are the times of its runs: see below.
            Means::Outsider(_) => Ok(Vec::new()),
        })?;
        let short = timeout(pace.run());
        let first = self.runs.len();
        for _ in 0..rounds.runs + u32::from(!pace.benched) {
            if let Some(mut run) = self.run(lab, group, false, short)? {
                self.completions
                    .add(&std::mem::take(&mut run.line.completion_ns));
                self.outcome = Some(run.line.outcome.clone());
                self.runs.push(run);
            }
        }
        self.run_rounds.push(self.runs.len() - first);
        let walls = self.runs[first..].iter().map(|run| run.wall);
        let samples = match pace.benched {
            true => bench.unwrap_or_default(),
            false => walls.map(|wall| wall.as_nanos() as f64).collect(),
        };
        if !samples.is_empty() {
            self.rounds.push(samples.len());
            self.samples.extend(samples);
        }
        // One that does not wait to be looked at has to be looked at more often.
        if (number < rounds.memory || !pace.benched)
            && let Some(sight) = self.attempt(|means| match means {
                Means::Model(programs) => lab.look(programs, group, short),
                Means::Outsider(outsider) => lab.look_at_errand(outsider, group, short),
            })?
        {
            match self.sights.first_mut() {
                Some(seen) if !pace.benched => seen.join(&sight),
                _ => self.sights.push(sight),
            }
        }
        Ok(())
    }

    /// One job in a fresh process.
    fn run(
        &mut self,
        lab: &Lab,
        group: &Group,
        checked: bool,
        timeout: Duration,
    ) -> Result<Option<Run>, Interrupted> {
        self.attempt(|means| match means {
            Means::Model(programs) => lab.run(programs, group, checked, timeout),
            // That is over when it is checked, so the check costs it nothing.
            Means::Outsider(outsider) => lab.errand(outsider, group, timeout),
        })
    }

    /// The command, if it is none of the models.
    fn outsider(&self) -> Option<&Outsider> {
        match &self.contestant.programs {
            Ok(Means::Outsider(outsider)) => Some(outsider),
            _ => None,
        }
    }

    /// Does something with the contestant's programs, unless it is in trouble, and
    /// takes note if that is what comes of it.
    fn attempt<T>(
        &mut self,
        act: impl FnOnce(&Means) -> Result<T, Trouble>,
    ) -> Result<Option<T>, Interrupted> {
        let (None, Ok(means)) = (&self.trouble, &self.contestant.programs) else {
            return Ok(None);
        };
        match act(means) {
            Ok(done) => Ok(Some(done)),
            Err(Trouble::Interrupted) => Err(Interrupted),
            Err(Trouble::Cell(status, reason)) => {
                self.trouble = Some((status, reason));
                Ok(None)
            }
        }
    }

    /// The median of its time so far, unless it is in trouble.
    fn median(&self) -> Option<f64> {
        median(&self.samples).filter(|_| self.trouble.is_none())
    }

    /// What came of it; nothing if it was neither measured nor in trouble.
    fn cell(self, group: &Group, origin: OriginAlone) -> Option<Cell> {
        let resources = resources(&self.runs, &self.sights);
        let command = self.outsider().map(|outsider| outsider.command.clone());
        let job = self.contestant.group(group)?.job();
        let cold = cold::time(&self.runs, &self.run_rounds);
        let start_ns = cold::start_ns(&self.runs);
        let origin_cpu_ns = bottleneck::cpu_ns(&self.runs);
        let (status, reason, time) = match self.trouble {
            Some((status, reason)) => (status, Some(reason), None),
            None => (Status::Ok, None, Some(time(self.samples, self.rounds)?)),
        };
        let ok = status == Status::Ok;
        let bound = time.as_ref().and_then(|time| {
            let seen = Seen {
                job_ns: time.median_ns,
                floor_ns: origin.floor_ns,
                busy: bottleneck::busy(&self.runs, cores::of_origin(group.cores)),
            };
            bottleneck::of(&job, self.outcome.as_ref(), &seen)
        });
        Some(Cell {
            workload: group.workload.name().to_owned(),
            preset: group.preset.name().to_owned(),
            variant: group.variant_name().map(str::to_owned),
            point: group.point.clone(),
            cores: group.cores,
            label: group.label(),
            model: self.contestant.model.clone(),
            command,
            job: job.to_json(),
            status,
            reason,
            scaled: group.divisor > 1,
            divisor: group.divisor,
            time,
            cold: cold.filter(|_| ok),
            start_ns: start_ns.filter(|_| ok),
            completion: self.completions.figures().filter(|_| ok),
            resources: match status {
                Status::Ok => resources,
                // Half a measurement would look like a whole one.
                _ => Resources::default(),
            },
            outcome: self.outcome.filter(|outcome| !outcome.is_null()),
            origin_ceiling_ns: origin.ceiling.map(nanoseconds),
            origin_cpu_ns: origin_cpu_ns.filter(|_| ok),
            origin_bound: bound.is_some(),
            origin_bound_by: bound,
        })
    }
}

/// The figures of fresh processes: of `runs` that nobody looked at, and of what
/// was seen in others.
pub fn resources(runs: &[Run], sights: &[Sight]) -> Resources {
    let number = runs.len() as u32;
    let cpu = cpu(runs.iter().map(|run| run.usage));
    let runs = |figure: fn(&Run) -> u64| median_count(runs.iter().map(figure));
    let looks = |figure: fn(&Sight) -> Option<u64>| sights.iter().filter_map(figure);
    let memory = median_count(looks(|sight| sight.memory));
    let method = match memory {
        Some(_) => "pss",
        None if sights.is_empty() => "not looked at",
        None if tree::pss_bytes(&[std::process::id()]).is_none() => "this system does not tell PSS",
        None => "it had ended before it could be looked at",
    };
    Resources {
        wall_ns: runs(|run| nanoseconds(run.wall)),
        user_ns: cpu.map(|(user, _)| user),
        system_ns: cpu.map(|(_, system)| system),
        peak_memory_bytes: memory,
        memory_method: Some(method.to_owned()),
        own_peak_memory_bytes: median_count(looks(|sight| sight.own_memory)),
        voluntary_switches: runs(|run| run.usage.voluntary),
        involuntary_switches: runs(|run| run.usage.involuntary),
        threads: looks(|sight| sight.threads).max(),
        // None if nothing was seen at all.
        processes: looks(|sight| Some(sight.processes).filter(|&seen| seen > 0)).max(),
        runs: number,
    }
}

/// Beyond ten times what a run took before, it hangs: and this long for a
/// machine that has stalled altogether.
const PATIENCE: Duration = Duration::from_secs(20);

/// A group while it is measured: one job, and an entry for each model.
#[derive(Debug)]
pub struct Contest<'a> {
    /// The job.
    pub group: Group,
    /// The models, in the order asked for.
    pub entries: Vec<Entry<'a>>,
    /// What it will do.
    pub rounds: Rounds,
    /// How long the origin alone takes for the job's requests.
    pub ceiling: Option<Duration>,
}

impl Contest<'_> {
    /// The paces of those that got through their first run.
    pub fn paces(&self) -> Vec<Pace> {
        self.entries.iter().filter_map(Entry::pace).collect()
    }

    /// What all its rounds are expected to take.
    pub fn cost(&self, mode: &Mode) -> Duration {
        self.rounds.cost(&self.paces(), mode)
    }

    /// Does rounds as far as `allowance` goes, calling `doing` with the model and
    /// the round before each step. Gives the number of rounds done.
    ///
    /// # Errors
    ///
    /// When interrupted: what was measured until then stays.
    pub fn measure(
        &mut self,
        lab: &Lab,
        mode: &Mode,
        random: &mut fastrand::Rng,
        allowance: &mut Allowance,
        mut doing: impl FnMut(&str, u32),
    ) -> Result<u32, Interrupted> {
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        // Whatever was planned: if all is faster than that, there is time for more.
        for number in 0..mode.most_rounds {
            if !allowance.next_round(number < self.rounds.number) {
                return Ok(number);
            }
            random.shuffle(&mut order);
            for &entry in &order {
                let entry = &mut self.entries[entry];
                doing(entry.model(), number + 1);
                let group = self.group.of(entry.original());
                entry.round(lab, &group, mode, self.rounds, number)?;
            }
        }
        Ok(mode.most_rounds)
    }

    /// What came of it.
    pub fn cells(self) -> Vec<Cell> {
        let medians = self.entries.iter().filter_map(Entry::median);
        let origin = OriginAlone::new(self.ceiling, medians);
        let cell = |entry: Entry| {
            let group = self.group.of(entry.original());
            entry.cell(&group, origin)
        };
        self.entries.into_iter().filter_map(cell).collect()
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
    let user = match all {
        0 => 0,
        all => (median as f64 * user as f64 / all as f64) as u64,
    };
    Some((user, median.saturating_sub(user)))
}

/// Samples and their median.
pub(crate) fn time(samples: Vec<f64>, rounds: Vec<usize>) -> Option<Time> {
    let (low_ns, high_ns) = median_interval(&samples)?;
    Some(Time {
        median_ns: median(&samples)?,
        low_ns,
        high_ns,
        samples_ns: samples,
        rounds,
    })
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
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
