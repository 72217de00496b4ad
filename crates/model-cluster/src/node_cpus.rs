//! Limits a node's CPU time to a number of cores, so that nodes on one machine behave like
//! separate, slower machines.
//!
//! A node that has used up its time is stopped until more is due (`SIGSTOP`, `SIGCONT`). What
//! counts is the CPU time of all its threads, which the kernel reports in nanoseconds. Time spent
//! waiting for a core is not counted, so two nodes that share a core still get their full time. A
//! control group's quota (`cpu.max`) has a similar effect. But most users may not create a control
//! group; a group would remain when the parent is killed; and its periods are long: with half a
//! core, a node runs at full speed for the first half of each 100 ms, and a share may be done by
//! then.

use std::os::fd::OwnedFd;
use std::process::Child;
use std::time::{Duration, Instant};

use nix::time::ClockId;
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};
use suite::Result;

/// How long a node runs between two checks, and so how far it can exceed its time.
const TURN: Duration = Duration::from_millis(2);

/// The shortest stop. Shorter ones are extended to this.
const SHORTEST_STOP: Duration = Duration::from_micros(200);

/// How much CPU time a node has used beyond its limit.
struct Debt {
    /// The limit, in cores.
    cores: f64,
    /// The CPU time used that was not due yet. Unused time is not saved: a machine is no faster
    /// after it has been idle.
    ahead: Duration,
}

impl Debt {
    /// Adds an interval: the time that passed, and the CPU time used in it.
    fn count(&mut self, passed: Duration, used: Duration) {
        let due = passed.mul_f64(self.cores);
        self.ahead = (self.ahead + used).saturating_sub(due);
    }

    /// How long to stop the node until the used time is due; `None` if it is.
    fn stop(&self) -> Option<Duration> {
        let stop = self.ahead.div_f64(self.cores);
        (!stop.is_zero()).then(|| stop.max(SHORTEST_STOP))
    }
}

/// Limits a node to the CPU time of `cores` cores until it ends. The caller must not have waited
/// for the child yet, so that its process ID is still valid.
pub(crate) fn hold(node: &Child, process: &OwnedFd, cores: f64) -> Result<()> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(node.id().cast_signed()))?;
    let mut debt = Debt {
        cores,
        ahead: Duration::ZERO,
    };
    // CPU time used before this point does not count.
    let (mut seen, mut used) = (Instant::now(), Duration::from(clock.now()?));
    let mut is_stopped = false;
    while !ends_within(process, debt.stop().unwrap_or(TURN))? {
        let (now, used_now) = (Instant::now(), Duration::from(clock.now()?));
        debt.count(now - seen, used_now.saturating_sub(used));
        (seen, used) = (now, used_now);
        let stop = debt.stop().is_some();
        if stop != is_stopped {
            let signal = if stop { Signal::STOP } else { Signal::CONT };
            match pidfd_send_signal(process, signal) {
                // The node has just ended.
                Err(Errno::SRCH) => {}
                sent => sent?,
            }
            is_stopped = stop;
        }
    }
    Ok(())
}

/// Waits for the end of a process, for at most `longest`. Returns whether it has ended.
fn ends_within(process: &OwnedFd, longest: Duration) -> Result<bool> {
    let mut end = [PollFd::new(process, PollFlags::IN)];
    match poll(&mut end, Some(&Timespec::try_from(longest)?)) {
        Ok(ended) => Ok(ended > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_is_used_ahead_is_waited_for_and_idle_time_is_not_kept() {
        let mut debt = Debt {
            cores: 0.5,
            ahead: Duration::ZERO,
        };
        debt.count(ms(2), ms(2));
        assert_eq!(debt.stop(), Some(ms(2)));
        // It was stopped for longer than that.
        debt.count(ms(5), ms(0));
        assert_eq!(debt.stop(), None);
        // An idle second gives no credit.
        debt.count(ms(1000), ms(0));
        debt.count(ms(2), ms(2));
        assert_eq!(debt.stop(), Some(ms(2)));
        // Two of its threads ran, each on a core.
        debt.count(ms(2), ms(4));
        assert_eq!(debt.stop(), Some(ms(8)));
        // Another program had the core for most of the time.
        debt.count(ms(10), ms(1));
        assert_eq!(debt.stop(), None);
    }

    #[test]
    fn a_stop_is_not_shorter_than_it_is_worth() {
        let mut debt = Debt {
            cores: 2.0,
            ahead: Duration::ZERO,
        };
        debt.count(ms(2), ms(4));
        assert_eq!(debt.stop(), None);
        debt.count(ms(2), ms(4) + Duration::from_micros(100));
        assert_eq!(debt.stop(), Some(SHORTEST_STOP));
    }
}
