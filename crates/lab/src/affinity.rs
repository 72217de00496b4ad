//! Which cores a child runs on.
//!
//! A child, and all that it starts, inherits the cores of the thread that starts
//! it. So that thread keeps itself to them for as long as that takes: nothing
//! has to be done in the child before its program begins, nor timed with it.

use anyhow::Context;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use suite::Invalid;

/// Who gets which cores, when the models are kept to a number of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// The last ones: the first has more of the machine's interrupts.
    Contestants(usize),
    /// The others, where there are any; or else all.
    Origin(usize),
}

impl Share {
    /// Its part of the cores that there are, which come in order.
    fn of(self, all: &[usize]) -> &[usize] {
        let others = |number: usize| all.len().saturating_sub(number);
        match self {
            Share::Contestants(number) => &all[others(number)..],
            Share::Origin(number) if others(number) == 0 => all,
            Share::Origin(number) => &all[..others(number)],
        }
    }
}

/// One value of `--cores`: a number of cores, or nothing for `all`. It is an error if
/// this machine has fewer.
pub fn parse(text: &str) -> Result<Option<usize>, Invalid> {
    let all = runner::cores();
    match (text, text.parse::<usize>()) {
        ("all", _) => Ok(None),
        (_, Ok(number)) if (1..=all).contains(&number) => Ok(Some(number)),
        _ => {
            let allowed = format!("has to be a number from 1 to {all}, or all");
            Err(Invalid::new("cores", text, allowed))
        }
    }
}

/// How many cores the origin has, when the models are kept to `kept`, or to none.
pub fn of_origin(kept: Option<usize>) -> usize {
    let all: Vec<usize> = (0..runner::cores()).collect();
    kept.map_or(all.len(), |kept| Share::Origin(kept).of(&all).len())
}

/// How many cores this process may use, without regard to quotas.
pub(crate) fn usable() -> Option<usize> {
    let set = sched_getaffinity(Pid::from_raw(0)).ok()?;
    let is_set = |core: &usize| set.is_set(*core) == Ok(true);
    Some((0..CpuSet::count()).filter(is_set).count())
}

/// Calls `start`, and has what it starts run on a share of the cores; on all, if
/// none is given.
pub fn kept_to<T>(share: Option<Share>, start: impl FnOnce() -> T) -> anyhow::Result<T> {
    let Some(share) = share else {
        return Ok(start());
    };
    let this_thread = Pid::from_raw(0);
    let before = sched_getaffinity(this_thread).context("sched_getaffinity")?;
    let all: Vec<usize> = (0..CpuSet::count())
        .filter(|&core| before.is_set(core).unwrap_or(false))
        .collect();
    let mut kept = CpuSet::new();
    for &core in share.of(&all) {
        kept.set(core).context("CPU_SET")?;
    }
    sched_setaffinity(this_thread, &kept).context("sched_setaffinity")?;
    let started = start();
    sched_setaffinity(this_thread, &before).context("sched_setaffinity")?;
    Ok(started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_gets_what_the_contestants_do_not() {
        let all = [1, 4, 6];
        assert_eq!(Share::Contestants(1).of(&all), [6]);
        assert_eq!(Share::Origin(1).of(&all), [1, 4]);
        assert_eq!(Share::Contestants(3).of(&all), all);
        assert_eq!(Share::Origin(3).of(&all), all);
    }

    #[test]
    fn only_while_it_starts_a_child_does_a_thread_keep_to_its_share() {
        let own = || sched_getaffinity(Pid::from_raw(0)).expect("a Linux system");
        let before = own();
        let meanwhile = kept_to(Some(Share::Contestants(1)), usable);
        assert_eq!(meanwhile.expect("one's own cores"), Some(1));
        assert_eq!(own(), before);
        assert_eq!(kept_to(None, own).expect("nothing to do"), before);
    }

    #[test]
    fn only_cores_that_there_are() {
        assert_eq!(parse("all").expect("always"), None);
        assert_eq!(parse("1").expect("always"), Some(1));
        for bad in ["0", "100000", "-1", "some", ""] {
            let refused = parse(bad).expect_err(bad).to_string();
            assert!(refused.contains("or all"), "{refused}");
        }
    }
}
