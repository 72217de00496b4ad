//! What one run of a program gives.

use std::time::Duration;

use runner::{Report, tree};
use serde_json::Value;
use suite::completion::nanoseconds;

use crate::child::Finished;
use crate::kernel_memory::KernelMemory;
use crate::rusage::Usage;

/// One job in a process of its own.
#[derive(Debug, Clone)]
pub struct Run {
    /// From before the process's start to its end.
    pub wall: Duration,
    /// What it and its children used.
    pub usage: Usage,
    /// The job alone; of a program that does not tell, all of `wall`.
    pub elapsed_ns: u64,
    /// The job's answer, without the completion times.
    pub outcome: Value,
    /// The completion time of each of its items, if they have one.
    pub completion_ns: Vec<u64>,
    /// From the process's start to its own first line.
    pub launch_ns: Option<u64>,
    /// Starting the model.
    pub start_ns: Option<u64>,
    /// The origin's processor time for the job.
    pub origin_cpu_ns: Option<u64>,
}

impl Run {
    /// A run of a program that does not say what its job has taken: then its job
    /// is all that it does.
    pub fn whole(done: &Finished, outcome: Value) -> Self {
        Self {
            wall: done.wall,
            usage: done.usage,
            elapsed_ns: nanoseconds(done.wall),
            outcome,
            completion_ns: Vec::new(),
            launch_ns: None,
            start_ns: None,
            origin_cpu_ns: None,
        }
    }

    /// A run of a model's program, with what it printed.
    pub(crate) fn reported(done: &Finished, report: Report) -> serde_json::Result<Self> {
        let mut outcome = report.outcome;
        let fields = outcome.as_object_mut();
        let times = fields.and_then(|outcome| outcome.shift_remove("completion_ns"));
        Ok(Self {
            wall: done.wall,
            usage: done.usage,
            elapsed_ns: report.elapsed_ns,
            completion_ns: times.map_or(Ok(Vec::new()), serde_json::from_value)?,
            outcome,
            launch_ns: report.launch_ns,
            start_ns: report.start_ns,
            origin_cpu_ns: report.origin_cpu_ns,
        })
    }
}

/// The most that a process tree had while it did a job.
#[derive(Debug, Clone, Default)]
pub struct Peaks {
    /// The most memory at once, where the system tells.
    pub memory: Option<u64>,
    /// The most that [the kernel held](crate::kernel_memory) for them, where the system
    /// tells.
    pub kernel: Option<u64>,
    /// The most memory, by the process's own account.
    pub own_memory: Option<u64>,
    /// The most threads at once, where the system tells.
    pub threads: Option<u64>,
    /// The most processes at once.
    pub processes: u64,
}

impl Peaks {
    /// Counts processes and their threads, and what the kernel holds for them.
    pub(crate) fn count(&mut self, pids: &[u32], kernel: KernelMemory) {
        self.kernel = self.kernel.max(kernel.bytes(pids));
        self.processes = self.processes.max(pids.len() as u64);
        self.threads = self.threads.max(tree::threads(pids));
    }

    /// Takes the greater of each figure of two runs.
    ///
    /// A program that does not wait to be sampled shows a part in each run.
    pub fn join(&mut self, other: &Peaks) {
        self.memory = self.memory.max(other.memory);
        self.kernel = self.kernel.max(other.kernel);
        self.own_memory = self.own_memory.max(other.own_memory);
        self.threads = self.threads.max(other.threads);
        self.processes = self.processes.max(other.processes);
    }

    /// The most memory with what the kernel held. The two are sampled at different times,
    /// as PSS takes long to read; but what has many units has the most of both with all of
    /// them.
    pub fn with_kernel(&self) -> Option<u64> {
        Some(self.memory? + self.kernel?)
    }

    /// Samples the memory of these processes, all together.
    pub(crate) fn sample_memory(&mut self, pids: &[u32]) {
        self.memory = self.memory.max(tree::pss_bytes(pids));
    }
}
