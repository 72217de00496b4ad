//! What the kernel holds for a process tree, besides the pages that its processes map
//! (their PSS): page tables, kernel stacks and slab.
//!
//! None of it needs privileges:
//!
//! - **Page tables** are `VmPTE` of each process.
//! - **Kernel stacks** are [`STACK`] for each thread.
//! - **Slab** has the rest that grows with units: tasks, mappings, sockets with their
//!   buffers, files. Only the sum of the whole machine can be read (`Slab` in
//!   `/proc/meminfo`), so it is the difference to what there was before the program
//!   started. What other programs do meanwhile is in it.

use std::thread;
use std::time::Duration;

use runner::tree;

/// The stack that each thread has in the kernel, in bytes: `THREAD_SIZE` of x86-64, and of
/// arm64 with pages of 4 KiB.
pub const STACK: u64 = 16 << 10;

/// The kernel frees what ended programs had a moment after their end. That is over when
/// the slab falls by less than this between two readings, in bytes, ...
const SETTLED: u64 = 256 << 10;

/// ... which are this far apart.
const BETWEEN: Duration = Duration::from_millis(20);

/// How many readings there are at most: something else may free memory all the time.
const MOST_READINGS: u32 = 25;

/// What the kernel held before a program started.
#[derive(Debug, Clone, Copy)]
pub struct KernelMemory {
    slab_before: Option<u64>,
}

impl KernelMemory {
    /// Waits until the slab of programs that have ended is free, half a second at most.
    pub fn before_start() -> Self {
        let mut slab = tree::slab_bytes();
        for _ in 1..MOST_READINGS {
            thread::sleep(BETWEEN);
            let now = tree::slab_bytes();
            let fallen = slab
                .zip(now)
                .map(|(before, now)| before.saturating_sub(now));
            slab = now;
            if fallen.is_none_or(|bytes| bytes < SETTLED) {
                break;
            }
        }
        Self { slab_before: slab }
    }

    /// What it holds for these processes now, in bytes; `None` where the system does not
    /// tell.
    pub fn bytes(self, pids: &[u32]) -> Option<u64> {
        let slab = tree::slab_bytes()?.saturating_sub(self.slab_before?);
        Some(tree::page_table_bytes(pids)? + tree::threads(pids)? * STACK + slab)
    }
}
