//! A process and its children: which there are, how much memory and how many
//! threads they have.
//!
//! Processes can end while they are looked at; those count as gone. Where the
//! platform has no such figure, the answer is `None`.
//!
//! Memory is PSS, where a page that *n* processes share counts as 1/n in each,
//! so that the sum over a tree counts it once. It is never `ru_maxrss`, which a
//! child inherits from its parent.

/// All live descendants of process `pid`, without those of `except` and what is
/// below them. Itself it is not among them.
pub fn descendants(pid: u32, except: &[u32]) -> Vec<u32> {
    let parents = imp::parents();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        let children = parents
            .iter()
            .filter(|(_, of)| *of == parent)
            .map(|(child, _)| *child);
        found.extend(children.filter(|child| !except.contains(child)));
        next += 1;
    }
    found.split_off(1)
}

/// The summed PSS of processes, in bytes.
///
/// They go on while they are read, one after the other. A page that another one
/// comes to share meanwhile would count as the first one's own, and then for the
/// other once more. So they are read again in the opposite order, in which that is
/// missed instead; and the lesser sum is the answer.
pub fn pss_bytes(pids: &[u32]) -> Option<u64> {
    let there = sum(pids.iter().copied(), imp::pss_bytes)?;
    let back = match pids.len() {
        0..=1 => None,
        _ => sum(pids.iter().rev().copied(), imp::pss_bytes),
    };
    Some(back.map_or(there, |back| back.min(there)))
}

/// All threads of processes.
pub fn threads(pids: &[u32]) -> Option<u64> {
    sum(pids.iter().copied(), imp::threads)
}

/// The page tables of processes, in bytes.
pub fn page_table_bytes(pids: &[u32]) -> Option<u64> {
    sum(pids.iter().copied(), imp::page_table_bytes)
}

/// What the kernel's slab takes, for all that runs on the machine, in bytes.
pub fn slab_bytes() -> Option<u64> {
    imp::slab_bytes()
}

/// The most memory that process `pid` ever had resident (`VmHWM`), in bytes.
pub fn peak_resident_bytes(pid: u32) -> Option<u64> {
    imp::peak_resident_bytes(pid)
}

/// Has the most memory that this process ever had resident be what it has now,
/// where the platform can forget.
pub(crate) fn forget_peak() {
    imp::forget_peak();
}

/// The sum over those that are still there; nothing if none is.
fn sum(pids: impl Iterator<Item = u32>, figure: fn(u32) -> Option<u64>) -> Option<u64> {
    pids.filter_map(figure).reduce(|sum, figure| sum + figure)
}

#[cfg(target_os = "linux")]
mod imp {
    use procfs::process::{Process, all_processes};
    use procfs::{Current, Meminfo};

    /// Every live process, with its parent.
    pub(super) fn parents() -> Vec<(u32, u32)> {
        // /proc/PID/task/*/children would be shorter to read, but not every
        // kernel has it, and it needs every thread of every parent.
        let Ok(processes) = all_processes() else {
            return Vec::new();
        };
        processes
            .filter_map(|process| process.ok()?.stat().ok())
            .filter(|stat| stat.state != 'Z') // over: it only waits to be reaped
            .filter_map(|stat| Some((stat.pid.try_into().ok()?, stat.ppid.try_into().ok()?)))
            .collect()
    }

    pub(super) fn pss_bytes(pid: u32) -> Option<u64> {
        let rollup = process(pid)?.smaps_rollup().ok()?.memory_map_rollup;
        rollup.0.first()?.extension.map.get("Pss").copied()
    }

    pub(super) fn threads(pid: u32) -> Option<u64> {
        u64::try_from(process(pid)?.stat().ok()?.num_threads).ok()
    }

    pub(super) fn page_table_bytes(pid: u32) -> Option<u64> {
        Some(process(pid)?.status().ok()?.vmpte? * 1024)
    }

    pub(super) fn slab_bytes() -> Option<u64> {
        Some(Meminfo::current().ok()?.slab)
    }

    pub(super) fn peak_resident_bytes(pid: u32) -> Option<u64> {
        Some(process(pid)?.status().ok()?.vmhwm? * 1024)
    }

    pub(super) fn forget_peak() {
        // `CLEAR_REFS_MM_HIWATER_RSS`. A kernel without it remembers.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
    }

    fn process(pid: u32) -> Option<Process> {
        Process::new(pid.try_into().ok()?).ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    pub fn parents() -> Vec<(u32, u32)> {
        Vec::new()
    }

    pub fn pss_bytes(_: u32) -> Option<u64> {
        None
    }

    pub fn threads(_: u32) -> Option<u64> {
        None
    }

    pub fn page_table_bytes(_: u32) -> Option<u64> {
        None
    }

    pub fn slab_bytes() -> Option<u64> {
        None
    }

    pub fn peak_resident_bytes(_: u32) -> Option<u64> {
        None
    }

    pub fn forget_peak() {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// Waits for the end of its standard input.
    fn cat() -> Child {
        let mut cat = Command::new("cat");
        let cat = cat.stdin(Stdio::piped()).stdout(Stdio::null());
        cat.spawn().expect("cat is everywhere")
    }

    #[test]
    fn children_are_found_measured_and_missed_when_gone() {
        let me = std::process::id();
        let (mut kept, mut left_out) = (cat(), cat());
        let found = descendants(me, &[left_out.id()]);
        assert!(found.contains(&kept.id()), "{found:?}");
        assert!(!found.contains(&left_out.id()), "{found:?}");
        assert!(!found.contains(&me), "{found:?}");

        assert_eq!(threads(&[kept.id(), left_out.id()]), Some(2));
        assert!(pss_bytes(&[me, kept.id()]) > pss_bytes(&[kept.id()]));
        assert!(peak_resident_bytes(me) >= Some(1 << 20));
        assert!(page_table_bytes(&[me, kept.id()]) > page_table_bytes(&[kept.id()]));
        assert!(slab_bytes() >= Some(1 << 20));

        for cat in [&mut kept, &mut left_out] {
            drop(cat.stdin.take());
            cat.wait().expect("cat ends");
        }
        assert_eq!(threads(&[kept.id()]), None);
        assert_eq!(page_table_bytes(&[kept.id()]), None);
        assert_eq!(pss_bytes(&[kept.id(), left_out.id()]), None);
        assert!(!descendants(me, &[]).contains(&kept.id()));
    }
}
