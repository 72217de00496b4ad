//! What finished child processes have used, by the kernel's accounting.

use std::time::Duration;

use anyhow::Context;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// Processor time and context switches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Time on a processor in the program.
    pub user: Duration,
    /// Time on a processor in the kernel.
    pub system: Duration,
    /// Switches because it had to wait.
    pub voluntary: u64,
    /// Switches because another thread's turn had come.
    pub involuntary: u64,
}

impl Usage {
    /// Of all children that this process has waited for so far. The difference
    /// around the wait for one child is that child's (and its children's, as far as
    /// it waited for them), provided that no other child is waited for in between. Peak memory cannot be had this way: it is inherited at spawn.
    pub(crate) fn of_children() -> anyhow::Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("getrusage")?;
        let time = |time: nix::sys::time::TimeVal| {
            Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or(0))
        };
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        Ok(Self {
            user: time(usage.user_time()),
            system: time(usage.system_time()),
            voluntary: count(usage.voluntary_context_switches()),
            involuntary: count(usage.involuntary_context_switches()),
        })
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
            voluntary: self.voluntary.saturating_sub(before.voluntary),
            involuntary: self.involuntary.saturating_sub(before.involuntary),
        }
    }
}
