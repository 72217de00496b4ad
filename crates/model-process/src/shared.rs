//! The memory that parent and children share: one memfd that all of them map.
//!
//! A child gets the descriptor as its standard input.

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
use suite::echo::Open;
use suite::pipeline::Level;
use suite::sleepers::Tally;

use crate::children::MOST_CHILDREN;
use crate::credits::Credits;
use crate::lock::Lock;
use crate::meters::Meter;

/// What is in it: atomics only, for which all zeros, as the kernel gives them,
/// are a value.
#[derive(Debug)]
#[repr(C)]
pub struct Shared {
    pub counter: Line<Guarded>,
    pub exchange: Line<AtomicU64>,
    pub credits: Line<Credits>,
    pub level: Line<Level>,
    /// Items that have been processed; a futex word, and so 32 bits: a job has
    /// a billion items at most.
    pub processed: Line<AtomicU32>,
    /// Where the slots end that a download's rate has given out so far.
    pub rate: Line<AtomicU64>,
    pub sleepers: Line<Tally>,
    pub open: Line<Open>,
    /// Clients of an echo that have had their connection; a futex word.
    pub connected: Line<AtomicU32>,
    /// How far the file is that the child in each place downloads.
    pub meters: [Line<Meter>; MOST_CHILDREN],
}

/// The counter and its lock, in one cache line: whoever gets the one gets the
/// other with it.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Guarded {
    pub lock: Lock,
    pub total: AtomicU64,
}

/// Keeps its content apart from its neighbours: two lines of 64 bytes, as
/// processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct Line<T>(T);

impl<T> Deref for Line<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A mapping of [`Shared`].
#[derive(Debug)]
pub struct Memory {
    file: File,
    map: MmapRaw,
}

impl Memory {
    const SIZE: usize = size_of::<Shared>();

    /// The parent's: new, and zero.
    pub fn create() -> Result<Self> {
        let create = || {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let file = File::from(memfd_create("paces", flags)?);
            file.set_len(Self::SIZE as u64)?;
            fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::SEAL)?;
            Self::map(file)
        };
        create().context("shared memory")
    }

    /// A child's: what its parent gave it as standard input.
    pub fn inherited() -> Result<Self> {
        let inherited = || Self::map(io::stdin().as_fd().try_clone_to_owned()?.into());
        inherited().context("standard input is no shared memory")
    }

    /// For the standard input of a child.
    pub fn stdin(&self) -> io::Result<Stdio> {
        Ok(self.file.try_clone()?.into())
    }

    fn map(file: File) -> Result<Self> {
        ensure!(
            file.metadata()?.len() == Self::SIZE as u64
                && fcntl_get_seals(&file)?.contains(SealFlags::SHRINK),
            "it has another size, or could get one"
        );
        let map = MmapOptions::new().len(Self::SIZE).map_raw(&file)?;
        Ok(Self { file, map })
    }
}

impl Deref for Memory {
    type Target = Shared;

    #[allow(
        unsafe_code,
        reason = "mapped memory becomes a reference in no other way"
    )]
    fn deref(&self) -> &Shared {
        // SAFETY: the mapping has the size of a `Shared`, starts on a page, and
        // lives as long as `self`; the file under it is sealed, so that no
        // process can shrink it. `Shared` is atomics in a fixed layout, of which
        // every bit pattern is a value, and nobody anywhere has more than a
        // shared reference to it.
        unsafe { &*self.map.as_mut_ptr().cast::<Shared>() }
    }
}
