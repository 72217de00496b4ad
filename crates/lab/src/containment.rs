//! Programs that are not this project's. They may leave their process group, where a
//! signal to the group does not reach them, and they do not say when they use the
//! most memory.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use runner::tree;

use crate::child::{Finished, goes_on};
use crate::kernel_memory::KernelMemory;
use crate::process::Moment;
use crate::run::Peaks;

/// The least time between two samples.
pub const SAMPLE_EVERY: Duration = Duration::from_millis(2);

/// Calls `run`, which runs a program. Wherever they are, the processes that this has
/// left are ended, and count as left behind, also those that have become another user
/// and cannot be ended.
///
/// They are found because this process adopts orphans: see
/// [`adopt_orphans`](crate::process::adopt_orphans). It must start nothing else
/// meanwhile.
pub fn contained<E>(run: impl FnOnce() -> Result<Finished, E>) -> Result<Finished, E> {
    let others = ProcessSnapshot::now();
    let done = run();
    let strays = others.kill_descendants_since();
    done.map(|done| Finished {
        // What lives of its group is among the strays.
        left_behind: done.left_behind + strays - usize::from(done.lives),
        ..done
    })
}

/// Samples a program and all that it starts; made before it starts.
///
/// Its memory is sampled often while that is quick: a sample takes longer the more
/// pages there are, and four times that is waited before the next. A peak between two
/// samples is missed.
#[derive(Debug)]
pub struct TreeSampler {
    others: ProcessSnapshot,
    kernel: KernelMemory,
    next: Instant,
    /// The most of each so far.
    pub peaks: Peaks,
}

impl TreeSampler {
    /// Samples what is started from now on.
    pub fn new() -> Self {
        Self {
            others: ProcessSnapshot::now(),
            kernel: KernelMemory::before_start(),
            next: Instant::now(),
            peaks: Peaks::default(),
        }
    }

    /// Takes one sample; `pid` is the program's own process.
    pub fn sample(&mut self, pid: u32, moment: Moment) {
        let pids = self.others.descendants_since();
        self.peaks.count(&pids, self.kernel);
        let began = Instant::now();
        if moment == Moment::Line || began >= self.next {
            self.peaks.sample_memory(&pids);
            self.peaks.own_memory = self.peaks.own_memory.max(tree::peak_resident_bytes(pid));
            let ended = Instant::now();
            self.next = ended + (ended - began) * 4;
        }
    }
}

impl Default for TreeSampler {
    fn default() -> Self {
        Self::new()
    }
}

/// The processes below this one that have nothing to do with what is started next.
#[derive(Debug)]
struct ProcessSnapshot(Vec<u32>);

impl ProcessSnapshot {
    fn now() -> Self {
        Self(tree::descendants(std::process::id(), &[]))
    }

    /// What has been started since, as far as it lives.
    fn descendants_since(&self) -> Vec<u32> {
        tree::descendants(std::process::id(), &self.0)
    }

    /// Ends it, as far as it can be ended, and says how much there was.
    fn kill_descendants_since(&self) -> usize {
        let mut found = 0;
        let mut others = self.0.clone();
        loop {
            let strays = tree::descendants(std::process::id(), &others);
            if strays.is_empty() {
                return found;
            }
            for id in strays {
                let stray = Pid::from_raw(id.cast_signed());
                // Only a child of this process keeps its number until it is waited
                // for. The others become that when their parents have ended.
                if waitpid(stray, Some(WaitPidFlag::WNOHANG)) == Ok(WaitStatus::StillAlive) {
                    found += 1;
                    if kill(stray, Signal::SIGKILL) == Err(Errno::EPERM) {
                        goes_on(id);
                        others.push(id);
                        continue;
                    }
                    while waitpid(stray, None) == Err(Errno::EINTR) {}
                }
            }
        }
    }
}
