//! Who has the directory, and since which start of the machine.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use crate::fs::{DiskError, open_plain};
use crate::parts::{Parts, STATE};

/// How long to wait for a process that is dying.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);

/// Why a directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process downloads into it.
    #[error("{path}: process {owner} is downloading into it")]
    Busy {
        /// The directory.
        path: String,
        /// Which process.
        owner: String,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// When the directory was last used.
pub(crate) enum Boot {
    /// Since the machine was started.
    This,
    /// Before, or it is not known.
    Another,
}

/// Keeps every other process out of the directory, and finds out whether the
/// machine was restarted since the last one was here.
pub(crate) fn lock(parts: &Parts) -> Result<(File, Boot), OpenError> {
    let fail = |source: io::Error| parts.error(Path::new(STATE).join("lock"), source);
    let flags = OFlags::CREATE | OFlags::RDWR;
    let file = open_plain(&parts.state, "lock", flags).map_err(fail)?;
    let locked = lock_soon(&file);
    let mut last = [0; 256];
    let read = file.read_at(&mut last, 0).map_err(fail)?;
    // A power cut can leave anything there.
    let last = String::from_utf8_lossy(&last[..read]);
    let mut words = last.split_whitespace();
    let (owner, boot) = (words.next().unwrap_or("?"), words.next());
    match locked {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            return Err(OpenError::Busy {
                path: parts.path().display().to_string(),
                owner: owner.to_owned(),
            });
        }
        Err(errno) => return Err(fail(errno.into()).into()),
    }
    let now = this_boot();
    // Where the system does not tell, a restart has to be assumed.
    let same = !now.is_empty() && boot == Some(now.as_str());
    let (boot, text) = if same {
        (Boot::This, now.as_str())
    } else {
        (Boot::Another, "")
    };
    sign(&file, text).map_err(fail)?;
    Ok((file, boot))
}

/// Locks the file. A process that was killed has the lock until the kernel has
/// done away with it, and so do its children: that is waited for.
fn lock_soon(file: &File) -> Result<(), Errno> {
    let until = Instant::now() + PATIENCE;
    loop {
        match rustix::fs::flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if Instant::now() < until => thread::sleep(PAUSE),
            Err(Errno::INTR) => {}
            locked => return locked,
        }
    }
}

/// Leaves in the lock who has it, and since which start of the machine.
pub(crate) fn sign(lock: &File, boot: &str) -> io::Result<()> {
    let text = format!("{} {boot}\n", std::process::id());
    lock.write_all_at(text.as_bytes(), 0)?;
    // Afterwards: others may be reading.
    lock.set_len(text.len() as u64)
}

pub(crate) fn this_boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.unwrap_or_default().trim().to_owned()
}
