//! Holds a node to the time of so many cores: on one machine, nodes are then like slower machines
//! each of their own.
//!
//! A node that has used up its time is stopped until more of it is due (`SIGSTOP`, `SIGCONT`).
//! What counts is the time on a processor of all its threads, which the kernel tells in
//! nanoseconds, so two nodes that wait for one core have no less than their due. A control
//! group's quota (`cpu.max`) would do the same. But most users may make no group; a group would
//! stay when the parent is killed; and its periods are long: in the first half of a tenth of a
//! second half a core is as fast as a whole one, and a share may be done by then.

use std::os::fd::OwnedFd;
use std::process::Child;
use std::time::{Duration, Instant};

use nix::time::ClockId;
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};
use suite::Result;

/// How long a node runs before it is looked at, and may be ahead of its time.
const TURN: Duration = Duration::from_millis(2);

/// The shortest stop: what is due sooner waits for more.
const SHORTEST_STOP: Duration = Duration::from_micros(200);

/// How far a node is ahead of its time.
struct Debt {
    /// Of how many cores the time is due.
    cores: f64,
    /// How much has been used that was not due yet. Time that was due and not used is not kept:
    /// a machine is no faster after it has been idle.
    ahead: Duration,
}

impl Debt {
    /// So much time has passed, and so much has been used.
    fn count(&mut self, passed: Duration, used: Duration) {
        let due = passed.mul_f64(self.cores);
        self.ahead = (self.ahead + used).saturating_sub(due);
    }

    /// How long to stop until all that was used is due; not at all, if it is.
    fn stop(&self) -> Option<Duration> {
        let stop = self.ahead.div_f64(self.cores);
        (!stop.is_zero()).then(|| stop.max(SHORTEST_STOP))
    }
}

/// Holds a `node` to the time of so many `cores` until it ends. It has not been waited for yet, so
/// its number is its own.
pub(crate) fn hold(node: &Child, process: &OwnedFd, cores: f64) -> Result<()> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(node.id().cast_signed()))?;
    let mut debt = Debt {
        cores,
        ahead: Duration::ZERO,
    };
    // What its start has used until now does not count.
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
                // It has just ended.
                Err(Errno::SRCH) => {}
                sent => sent?,
            }
            is_stopped = stop;
        }
    }
    Ok(())
}

/// Waits for the end of a process, and no longer than that.
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
        // It stood still for longer than that.
        debt.count(ms(5), ms(0));
        assert_eq!(debt.stop(), None);
        // An idle second is worth nothing afterwards.
        debt.count(ms(1000), ms(0));
        debt.count(ms(2), ms(2));
        assert_eq!(debt.stop(), Some(ms(2)));
        // Two threads of it, each on a core.
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
