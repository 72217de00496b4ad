//! Programs that are not ours. Nobody agreed anything with them: they may leave
//! their process group, where a signal to the group does not reach them, and they
//! do not say when they are at their largest.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use runner::tree;

use crate::child::{Finished, Moment};
use crate::lab::Sight;

/// The time between two looks, or rather the least.
pub const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Has `run` run a stranger. Wherever they are, the processes that it has left are
/// ended, and count as left behind.
///
/// They are found because this process adopts orphans: see
/// [`adopt_orphans`](crate::child::adopt_orphans). It must start nothing else
/// meanwhile.
///
/// # Errors
///
/// That of `run`.
pub fn contained<E>(run: impl FnOnce() -> Result<Finished, E>) -> Result<Finished, E> {
    let others = Others::now();
    let done = run();
    let strays = others.end_what_came();
    done.map(|done| Finished {
        left_behind: done.left_behind + strays,
        ..done
    })
}

/// Looks at a stranger and all that it starts, made before it starts.
///
/// Its memory is looked at often while that is quick: a look takes the longer the
/// more pages there are, and four times that is waited before the next. A peak
/// between two looks is missed.
#[derive(Debug)]
pub struct Looks {
    others: Others,
    next: Instant,
    /// What was seen so far.
    pub sight: Sight,
}

impl Looks {
    /// At whatever is started from now on.
    pub fn new() -> Self {
        Self {
            others: Others::now(),
            next: Instant::now(),
            sight: Sight::default(),
        }
    }

    /// One look; `pid` is the stranger's own process.
    pub fn look(&mut self, pid: u32, moment: Moment) {
        let pids = self.others.what_came();
        self.sight.count(&pids);
        let began = Instant::now();
        if moment == Moment::Line || began >= self.next {
            self.sight.weigh(&pids);
            self.sight.own_memory = self.sight.own_memory.max(tree::peak_resident_bytes(pid));
            let ended = Instant::now();
            self.next = ended + (ended - began) * 4;
        }
    }
}

impl Default for Looks {
    fn default() -> Self {
        Self::new()
    }
}

/// The processes below this one that have nothing to do with what is started next.
#[derive(Debug)]
struct Others(Vec<u32>);

impl Others {
    fn now() -> Self {
        Self(tree::descendants(std::process::id(), &[]))
    }

    /// What has been started since, as far as it lives.
    fn what_came(&self) -> Vec<u32> {
        tree::descendants(std::process::id(), &self.0)
    }

    /// Ends it, and says how much there was.
    fn end_what_came(&self) -> usize {
        let mut ended = 0;
        loop {
            let strays = self.what_came();
            if strays.is_empty() {
                return ended;
            }
            for stray in strays {
                let stray = Pid::from_raw(stray.cast_signed());
                // Only a child of this process keeps its number until it is waited
                // for. The others become that when their parents have ended.
                if waitpid(stray, Some(WaitPidFlag::WNOHANG)) == Ok(WaitStatus::StillAlive) {
                    let _ = kill(stray, Signal::SIGKILL);
                    while waitpid(stray, None) == Err(Errno::EINTR) {}
                    ended += 1;
                }
            }
        }
    }
}
