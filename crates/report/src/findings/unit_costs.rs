//! What one unit of a model costs: a thread, a child process, a task.

use crate::findings::JobResults;

/// What one unit of a model costs, as far as that was measured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct UnitCosts {
    /// The model.
    pub(crate) model: String,
    /// Memory of a unit that waits.
    pub(crate) memory: Option<Memory>,
    /// The same with what the kernel holds for it.
    pub(crate) with_kernel: Option<Memory>,
    /// From one to the next in a ring, in nanoseconds.
    pub(crate) pass_ns: Option<f64>,
    /// From a process's start until that ring can begin, in nanoseconds. Children
    /// stand by then; threads and tasks are a part of the job.
    pub(crate) start_ns: Option<u64>,
}

/// What a unit adds to a process that has many of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Memory {
    /// Bytes for each unit more.
    pub(crate) bytes: f64,
    /// Between this number of units ...
    pub(crate) from: u64,
    /// ... and this one. Equal if there was only one number of them: then the bytes
    /// are those of all the program, and a unit has less.
    pub(crate) to: u64,
    /// In which workload.
    pub(crate) workload: &'static str,
}

/// The ring that passes are taken from: that with the most units, of the presets.
pub(crate) fn ring<'a, 'b>(jobs: &'b [JobResults<'a>]) -> Option<&'b JobResults<'a>> {
    let rings = jobs.iter().filter(|job| job.workload() == "ping-pong");
    let rings = rings.filter(|job| !job.is_point() && job.on_all_cores());
    rings.max_by_key(|job| job.number("units"))
}

/// What a unit of `model` costs.
///
/// Memory is the slope between the fewest and the most units of `sleepers` that
/// were measured: what does not grow with them is not theirs. Where there was only
/// one number of these, as a model does no more, it is that of the units of a ring.
/// A pass is the time of the job of [`ring`] by its passes.
pub(crate) fn of(jobs: &[JobResults], model: &str) -> UnitCosts {
    let passes = ring(jobs).and_then(|job| Some(job.time(model)? / job.number("passes")? as f64));
    UnitCosts {
        model: model.to_owned(),
        memory: memory(jobs, model, |job, model| job.memory(model)),
        with_kernel: memory(jobs, model, |job, model| job.memory_with_kernel(model)),
        pass_ns: passes.filter(|ns| ns.is_finite()),
        start_ns: ring(jobs).and_then(|job| job.cell(model)?.start_ns),
    }
}

/// A figure of memory of a job, by a model.
type Figure = fn(&JobResults, &str) -> Option<u64>;

fn memory(jobs: &[JobResults], model: &str, figure: Figure) -> Option<Memory> {
    let slopes = ["sleepers", "ping-pong"].map(|workload| slope(jobs, model, workload, figure));
    let slopes = slopes.iter().flatten();
    let grown = slopes.clone().find(|memory| memory.from < memory.to);
    grown.or(slopes.clone().next()).copied()
}

fn slope(
    jobs: &[JobResults],
    model: &str,
    workload: &'static str,
    figure: Figure,
) -> Option<Memory> {
    let of_workload = |job: &&JobResults| job.workload() == workload && job.on_all_cores();
    let size = |job: &JobResults| Some((job.number("units")?, figure(job, model)?));
    let mut sizes: Vec<_> = jobs.iter().filter(of_workload).filter_map(size).collect();
    sizes.retain(|&(units, _)| units > 0);
    sizes.sort_unstable();
    let (&(from, less), &(to, more)) = (sizes.first()?, sizes.last()?);
    let bytes = if from == to {
        less as f64 / from as f64
    } else {
        (more as f64 - less as f64).max(0.0) / (to - from) as f64
    };
    Some(Memory {
        bytes,
        from,
        to,
        workload,
    })
}
