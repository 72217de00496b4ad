//! The memory that parent and children share: one memfd, mapped by all of them.
//!
//! A child gets the descriptor as its standard input.

pub(crate) mod futex;
mod lock;
#[cfg(test)]
mod model_check;
pub(crate) mod progress;
pub(crate) mod scanned;
mod semaphore;

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, AtomicU64};

use anyhow::{Context, ensure};
use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use suite::Result;
use suite::deadlines::Turn;
use suite::echo::Open;
use suite::pipeline::Level;
use suite::sleepers::Tally;

use self::lock::Lock;
use self::progress::ProgressCounters;
use self::scanned::ScannedPorts;
use self::semaphore::Semaphore;

/// The most children. Each takes half a megabyte, and a millisecond to start: with
/// more, a figure would be about memory and the scheduler.
pub(crate) const MAX_CHILDREN: usize = 256;

/// What the memory holds: only atomics, for which all zeros, as the kernel
/// provides them, are a valid value.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Shared {
    pub(crate) counter: Padded<Guarded>,
    pub(crate) exchange: Padded<AtomicU64>,
    /// How many more items the pipeline's queue takes.
    pub(crate) room: Padded<Semaphore>,
    pub(crate) level: Padded<Level>,
    /// Items that have been processed; a futex word, and so 32 bits: a job has
    /// a billion items at most.
    pub(crate) processed: Padded<AtomicU32>,
    /// The end of the last slot that a download's rate limit has given out.
    pub(crate) rate: Padded<AtomicU64>,
    /// Files that a download's children have, all together.
    pub(crate) in_flight: Padded<AtomicU64>,
    pub(crate) sleepers: Padded<Tally>,
    /// 1 once all sleepers have begun; a futex word.
    pub(crate) standing: Padded<AtomicU32>,
    pub(crate) open: Padded<Open>,
    /// Clients of an echo, or of datagrams, that have been connected; a futex word.
    pub(crate) connected: Padded<AtomicU32>,
    pub(crate) turn: Padded<Turn>,
    /// When all operations in flight were cancelled, by the clock of all processes; 0 before.
    pub(crate) cancelled_ns: Padded<AtomicU64>,
    /// How far each child's download is, by the child's place.
    pub(crate) progress: [Padded<ProgressCounters>; MAX_CHILDREN],
}

/// Where the states of a scan's ports begin in the same file, at a multiple of any size of pages.
/// They are there for a scan alone: a limit on the size of files holds for shared memory, too.
const SCANNED_AT: usize = size_of::<Shared>().next_multiple_of(1 << 16);

/// The counter and its lock, in one cache line: a process that gets one gets the
/// other with it.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Guarded {
    pub(crate) lock: Lock,
    pub(crate) total: AtomicU64,
}

/// Keeps its content off its neighbors' cache lines: two lines of 64 bytes, as
/// processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub(crate) struct Padded<T>(T);

impl<T> Deref for Padded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A mapping of [`Shared`].
#[derive(Debug)]
pub(crate) struct Memory {
    file: File,
    map: MmapRaw,
}

impl Memory {
    const SIZE: usize = size_of::<Shared>();

    /// The parent's: new, and all zeros.
    pub(crate) fn create() -> Result<Self> {
        let create = || {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let file = File::from(memfd_create("paces", flags)?);
            file.set_len(Self::SIZE as u64)?;
            fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::SEAL)?;
            Self::map(file)
        };
        create().context("shared memory")
    }

    /// A child's: its standard input, which the parent has set up.
    pub(crate) fn inherited() -> Result<Self> {
        let inherited = || Self::map(io::stdin().as_fd().try_clone_to_owned()?.into());
        inherited().context("standard input is not shared memory")
    }

    /// For the standard input of a child.
    pub(crate) fn stdin(&self) -> io::Result<Stdio> {
        Ok(self.file.try_clone()?.into())
    }

    fn map(file: File) -> Result<Self> {
        ensure!(
            file.metadata()?.len() >= Self::SIZE as u64
                && fcntl_get_seals(&file)?.contains(SealFlags::SHRINK),
            "its size is wrong, or could shrink"
        );
        let map = MmapOptions::new().len(Self::SIZE).map_raw(&file)?;
        Ok(Self { file, map })
    }
}

impl Memory {
    /// Maps the states of a scan's ports: all zeros, if they were not there before.
    pub(crate) fn scanned(&self) -> Result<Scanned> {
        let length = size_of::<ScannedPorts>();
        let mapped = || -> io::Result<MmapRaw> {
            let end = (SCANNED_AT + length) as u64;
            if self.file.metadata()?.len() < end {
                self.file.set_len(end)?;
            }
            let mut options = MmapOptions::new();
            options.offset(SCANNED_AT as u64).len(length);
            options.map_raw(&self.file)
        };
        mapped().map(Scanned).context("shared memory for a scan")
    }
}

/// A mapping of [`ScannedPorts`].
#[derive(Debug)]
pub(crate) struct Scanned(MmapRaw);

impl Deref for Scanned {
    type Target = ScannedPorts;

    #[allow(unsafe_code, reason = "there is no safe way to borrow mapped memory")]
    fn deref(&self) -> &ScannedPorts {
        // SAFETY: as for `Memory`: the mapping has the size of a `ScannedPorts`, starts on a page,
        // and lives as long as `self`; the file has all of it, and is sealed against shrinking.
        // It consists of atomics in a fixed layout, for which every bit pattern is valid.
        unsafe { &*self.0.as_mut_ptr().cast::<ScannedPorts>() }
    }
}

impl Deref for Memory {
    type Target = Shared;

    #[allow(unsafe_code, reason = "there is no safe way to borrow mapped memory")]
    fn deref(&self) -> &Shared {
        // SAFETY: the mapping has the size of a `Shared`, starts on a page, and
        // lives as long as `self`; the file under it is sealed, so that no
        // process can shrink it. `Shared` consists of atomics in a fixed layout,
        // for which every bit pattern is valid, and no process has more than a
        // shared reference to it.
        unsafe { &*self.map.as_mut_ptr().cast::<Shared>() }
    }
}
