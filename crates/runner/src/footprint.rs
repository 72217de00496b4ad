//! What a run takes up at its end.

use crate::tree;

/// What the process, and its children if it has any, take up.
pub(crate) struct Footprint {
    /// The peak of a process alone; of a tree what it has now.
    pub(crate) memory_bytes: Option<u64>,
    /// Threads there are now.
    pub(crate) threads: Option<u64>,
    /// Processes there are now.
    pub(crate) processes: usize,
}

impl Footprint {
    pub(crate) fn now(other_end: Option<u32>) -> Self {
        let me = std::process::id();
        let mut pids = tree::descendants(me, other_end.as_slice());
        let alone = pids.is_empty();
        pids.push(me);
        Self {
            memory_bytes: if alone {
                tree::peak_resident_bytes(me)
            } else {
                // Peaks of several processes need not have been at one time.
                tree::pss_bytes(&pids)
            },
            threads: tree::threads(&pids),
            processes: pids.len(),
        }
    }
}
