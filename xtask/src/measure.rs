//! One group, measured: all models in every round, in a new order each time.

use std::time::Duration;

use runner::tree;
use serde_json::Value;

use crate::bottleneck::{self, OriginAlone, Seen};
use crate::budget::{self, Course, Pace};
use crate::child::Usage;
use crate::cold;
use crate::completion::Completion;
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
        runs: u32,
        number: u32,
    ) -> Result<(), Interrupted> {
        let (Some(pace), Some(group)) = (self.pace(), self.contestant.group(group)) else {
            return Ok(());
        };
        let group = &*group;
        let patience = pace.patience(mode);
        let model = self.contestant.original();
        let bench = self.attempt(|means| match means {
            Means::Model(programs) if pace.benched => {
                lab.bench(programs, (model, group), mode, patience.bench)
            }
            // Its samples are the times of its runs: see below.
            _ => Ok(Vec::new()),
        })?;
        let first = self.runs.len();
        for _ in 0..runs + u32::from(!pace.benched) {
            if let Some(run) = self.run(lab, group, false, patience.run)? {
                self.outcome = Some(run.line.outcome.clone());
                self.runs.push(run);
            }
        }
        self.run_rounds.push(self.runs.len() - first);
        let jobs = self.runs[first..].iter().map(|run| run.line.elapsed_ns);
        let samples = match pace.benched {
            true => bench.unwrap_or_default(),
            false => jobs.map(|ns| ns as f64).collect(),
        };
        if !samples.is_empty() {
            self.rounds.push(samples.len());
            self.samples.extend(samples);
        }
        // One that does not wait to be looked at has to be looked at more often.
        let hasty = self.outsider().is_some();
        if (number < mode.memory_runs || hasty)
            && let Some(sight) = self.attempt(|means| match means {
                Means::Model(programs) => lab.look(programs, group, patience.run),
                Means::Outsider(outsider) => lab.look_at_errand(outsider, group, patience.run),
            })?
        {
            self.sights.push(sight);
        }
        Ok(())
    }

    /// How much has been measured of it so far.
    fn mark(&self) -> Mark {
        Mark {
            samples: self.samples.len(),
            rounds: self.rounds.len(),
            run_rounds: self.run_rounds.len(),
            runs: self.runs.len(),
            sights: self.sights.len(),
        }
    }

    /// Drops what was measured between two marks.
    fn forget(&mut self, from: &Mark, to: &Mark) {
        self.samples.drain(from.samples..to.samples);
        self.rounds.drain(from.rounds..to.rounds);
        self.run_rounds.drain(from.run_rounds..to.run_rounds);
        self.runs.drain(from.runs..to.runs);
        self.sights.drain(from.sights..to.sights);
    }

    /// What was seen of it. Of a program that does not wait to be looked at, each
    /// look shows a part: they count as one, with the most of all.
    fn seen(&self) -> Vec<Sight> {
        let mut sights = self.sights.clone();
        if self.outsider().is_some()
            && let [first, others @ ..] = &mut sights[..]
        {
            others.iter().for_each(|other| first.join(other));
            sights.truncate(1);
        }
        sights
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
    fn cell(&self, group: &Group, origin: OriginAlone) -> Option<Cell> {
        let resources = resources(&self.runs, &self.seen());
        let command = self.outsider().map(|outsider| outsider.command.clone());
        let job = self.contestant.group(group)?.job();
        let from_runs = self.pace.is_some_and(|pace| !pace.benched);
        let cold = cold::time(&self.runs, &self.run_rounds);
        let start_ns = cold::start_ns(&self.runs);
        let items = self.runs.iter().map(|run| &*run.line.completion_ns);
        let completion = Completion::of(items);
        let origin_cpu_ns = bottleneck::cpu_ns(&self.runs);
        let (status, reason, time) = match &self.trouble {
            Some((status, reason)) => (*status, Some(reason.clone()), None),
            None => (Status::Ok, None, Some(time(&self.samples, &self.rounds)?)),
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
            from_runs,
            cold: cold.filter(|_| ok),
            start_ns: start_ns.filter(|_| ok),
            completion: completion.filter(|_| ok),
            resources: match status {
                Status::Ok => resources,
                // Half a measurement would look like a whole one.
                _ => Resources::default(),
            },
            outcome: self.outcome.clone().filter(|outcome| !outcome.is_null()),
            disturbed: 0,
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

/// A job that takes this long has no bench.
const LONG: Duration = Duration::from_millis(250);

/// A group while it is measured: one job, and an entry for each model.
#[derive(Debug)]
pub struct Contest<'a> {
    /// The job.
    pub group: Group,
    /// The models, in the order asked for.
    pub entries: Vec<Entry<'a>>,
    /// Runs a model and round.
    pub runs: u32,
    /// How long the origin alone takes for the job's requests.
    pub ceiling: Option<Duration>,
    /// Rounds that others disturbed, and that stand all the same.
    pub disturbed: u32,
}

/// How much has been measured of an entry, by the lengths of its lists.
#[derive(Debug)]
pub struct Mark {
    samples: usize,
    rounds: usize,
    run_rounds: usize,
    runs: usize,
    sights: usize,
}

impl Contest<'_> {
    /// The paces of those that got through their first run.
    pub fn paces(&self) -> Vec<Pace> {
        self.entries.iter().filter_map(Entry::pace).collect()
    }

    /// Where even the fastest model takes a quarter of a second, a bench's ten jobs a
    /// round would be most of a comparison, and its warming up would change nothing.
    /// Then times are those of fresh processes' jobs: for all models of the group, as
    /// the first job on a started model is not quite any other.
    pub fn choose_bench(&mut self) {
        let long = self.paces().iter().all(|pace| pace.job >= LONG);
        for entry in &mut self.entries {
            let model = entry.outsider().is_none();
            if let Some(pace) = &mut entry.pace {
                pace.benched = model && !long;
            }
        }
    }

    /// What it will do: nothing more, if nobody takes part.
    pub fn course(&self, mode: &Mode) -> Course {
        let paces = self.paces();
        Course {
            done: if paces.is_empty() {
                mode.most_rounds
            } else {
                0
            },
            round: budget::round(&paces, mode),
        }
    }

    /// One round: each entry's part of it, in a new order. Calls `doing` with the
    /// model before each.
    ///
    /// # Errors
    ///
    /// When interrupted: what was measured until then stays.
    pub fn round(
        &mut self,
        lab: &Lab,
        mode: &Mode,
        random: &mut fastrand::Rng,
        number: u32,
        mut doing: impl FnMut(&str),
    ) -> Result<(), Interrupted> {
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        random.shuffle(&mut order);
        for entry in order {
            let entry = &mut self.entries[entry];
            doing(entry.model());
            let group = self.group.of(entry.original());
            entry.round(lab, &group, mode, self.runs, number)?;
        }
        Ok(())
    }

    /// How much has been measured of each entry so far.
    pub fn marks(&self) -> Vec<Mark> {
        self.entries.iter().map(Entry::mark).collect()
    }

    /// Drops what was measured between two moments.
    pub fn forget(&mut self, from: &[Mark], to: &[Mark]) {
        for (entry, (from, to)) in self.entries.iter_mut().zip(from.iter().zip(to)) {
            entry.forget(from, to);
        }
    }

    /// What has come of it so far.
    pub fn cells(&self) -> Vec<Cell> {
        let medians = self.entries.iter().filter_map(Entry::median);
        let origin = OriginAlone::new(self.ceiling, medians);
        let cell = |entry: &Entry| {
            let group = self.group.of(entry.original());
            let mut cell = entry.cell(&group, origin)?;
            let rounds = cell.time.as_ref().map_or(0, |time| time.rounds.len());
            cell.disturbed = self.disturbed.min(rounds as u32);
            Some(cell)
        };
        self.entries.iter().filter_map(cell).collect()
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
pub(crate) fn time(samples: &[f64], rounds: &[usize]) -> Option<Time> {
    let (low_ns, high_ns) = median_interval(samples)?;
    Some(Time {
        median_ns: median(samples)?,
        low_ns,
        high_ns,
        samples_ns: samples.to_owned(),
        rounds: rounds.to_owned(),
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
