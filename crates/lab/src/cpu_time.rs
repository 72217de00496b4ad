//! How much of the machine's processor time was used: by all processes, and by this
//! one and all that it started.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use runner::tree;

/// What had been used up to some moment.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    at: Instant,
    machine: Used,
    own: Duration,
}

/// What was used between two moments.
#[derive(Debug, Clone, Copy)]
pub struct Difference {
    /// The time between them.
    pub length: Duration,
    /// The machine's cores.
    pub cores: usize,
    /// What all processes used.
    pub machine: Duration,
    /// What this process and all that it started used of that.
    pub own: Duration,
}

impl Reading {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn now() -> anyhow::Result<Self> {
        const PATH: &str = "/proc/stat";
        let own = own()?;
        let text = fs::read_to_string(PATH).with_context(|| format!("cannot read {PATH}"))?;
        let ticks = rustix::param::clock_ticks_per_second();
        Ok(Self {
            at: Instant::now(),
            machine: Used::read(&text, ticks).with_context(|| format!("{PATH} is not as known"))?,
            own,
        })
    }

    /// How long ago that was.
    pub fn elapsed(&self) -> Duration {
        self.at.elapsed()
    }

    /// What was used since an earlier moment.
    pub fn since(&self, before: &Self) -> Difference {
        Difference {
            length: self.at - before.at,
            cores: self.machine.cores,
            machine: self.machine.time.saturating_sub(before.machine.time),
            own: self.own.saturating_sub(before.own),
        }
    }
}

impl Difference {
    /// The part of the machine that others used; less than nothing if the kernel
    /// has missed some of what this comparison used.
    pub fn others(&self) -> f64 {
        let capacity = self.length.as_secs_f64() * self.cores as f64;
        if capacity <= 0.0 {
            return 0.0;
        }
        (self.machine.as_secs_f64() - self.own.as_secs_f64()) / capacity
    }
}

/// What the machine's cores have been used for together, since it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Used {
    time: Duration,
    cores: usize,
}

impl Used {
    /// From the text of `/proc/stat`; `None` if it is another text. Its figures are
    /// in ticks: user, nice, system, idle, iowait, irq, softirq, steal, and guests,
    /// which are in user and nice already.
    fn read(text: &str, ticks_per_second: u64) -> Option<Self> {
        let all = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let figures: Result<Vec<u64>, _> = all.split_whitespace().map(str::parse).collect();
        let figures = figures.ok()?;
        let [user, nice, system, _idle, _iowait, irq, softirq, more @ ..] = &figures[..] else {
            return None;
        };
        let steal = more.first().unwrap_or(&0);
        let ticks: u64 = [user, nice, system, irq, softirq, steal].into_iter().sum();
        let core = |line: &&str| {
            let number = line.strip_prefix("cpu");
            number.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let cores = text.lines().filter(core).count();
        (cores > 0 && ticks_per_second > 0).then(|| Self {
            time: Duration::from_secs_f64(ticks as f64 / ticks_per_second as f64),
            cores,
        })
    }
}

/// What this process and all that it started have used: itself, the children that
/// have been waited for with theirs, and those that live, as the origin does.
fn own() -> anyhow::Result<Duration> {
    let mut own = Duration::ZERO;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who).context("getrusage")?;
        for time in [usage.user_time(), usage.system_time()] {
            own += Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or(0));
        }
    }
    let living = tree::descendants(std::process::id(), &[]);
    // One that has ended meanwhile is missed until it is waited for.
    let living: Duration = living.into_iter().filter_map(used_by).sum();
    Ok(own + living)
}

/// What all threads of a process have used so far.
fn used_by(pid: u32) -> Option<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid.cast_signed())).ok()?;
    clock_gettime(clock).ok().map(Duration::from)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::{Command, Stdio};

    use super::*;

    const TWO_CORES: &str = "cpu  100 10 50 1000 40 5 15 20 7 3\n\
        cpu0 50 5 25 500 20 3 8 10 4 2\ncpu1 50 5 25 500 20 2 7 10 3 1\n\
        intr 12345 0 9\nctxt 5\ncpus 3\n";

    #[test]
    fn all_that_is_used_counts_and_guests_count_once() {
        let used = Used::read(TWO_CORES, 100).expect("it is as known");
        let right = Used {
            time: Duration::from_secs(2),
            cores: 2,
        };
        assert_eq!(used, right);
        // Kernels of before 2.6.11 have no steal.
        let old = Used::read("cpu  1 2 3 4 5 6 7\ncpu0 1 2 3 4 5 6 7\n", 1);
        assert_eq!(old.expect("it is as known").time, Duration::from_secs(19));
    }

    #[test]
    fn what_is_no_such_text_gives_nothing() {
        for text in [
            "",
            "cpu",
            "cpu  1 2 3\ncpu0 1 2 3\n",
            "cpu  a b c d e f g\ncpu0 1\n",
            "cpu  1 2 3 4 5 6 7 8 9 10\n",
            "intr 1 2 3 4 5 6 7 8\n",
        ] {
            assert_eq!(Used::read(text, 100), None, "{text}");
        }
        assert_eq!(Used::read(TWO_CORES, 0), None);
    }

    #[test]
    fn others_have_used_what_is_not_our_own() {
        let at = Instant::now();
        let reading = |seconds: u64, machine: u64, own: u64| Reading {
            at: at + Duration::from_secs(seconds),
            machine: Used {
                time: Duration::from_millis(machine),
                cores: 2,
            },
            own: Duration::from_millis(own),
        };
        let before = reading(0, 50_000, 7_000);
        let others = |reading: Reading| reading.since(&before).others();
        assert_eq!(others(reading(2, 53_000, 9_000)), 0.25);
        assert_eq!(others(reading(2, 52_000, 9_000)), 0.0);
        assert_eq!(others(reading(2, 51_000, 9_000)), -0.25);
        assert_eq!(others(before), 0.0);
    }

    #[test]
    fn a_child_that_lives_and_one_that_is_gone_are_our_own() {
        let spin = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; echo; read line";
        let mut child = Command::new("sh")
            .args(["-c", spin])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut done = [0];
        let mut stdout = child.stdout.take().expect("a pipe");
        stdout.read_exact(&mut done).expect("its line");
        let living = used_by(child.id()).expect("it lives");
        assert!(living > Duration::ZERO);
        assert!(own().expect("the system tells") >= living);
        drop(child.stdin.take());
        child.wait().expect("it ends");
        // To the microsecond, as which the kernel tells it.
        assert!(own().expect("the system tells") + Duration::from_millis(1) >= living);
    }
}
