//! Jobs and the children that do them, which the tests find in `/proc`: the model has no hooks
//! for them. That a job is under way is seen from outside, in the memory that they share, in
//! their processor time or in what they are blocked in.

#![allow(dead_code)] // each test program needs a part of it

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use model_process::Process;
use procfs::process::{ProcState, all_processes};
use rustix::process::{Pid, Signal, kill_process};
use suite::{Job, Model, Outcome, Preset, Result, Setup, Workload};

/// Where things are in the memory that the children share.
pub const LOCK: u64 = 0;
pub const TOTAL: u64 = 8;
pub const PROCESSED: u64 = 512;
pub const BEGUN: u64 = 1416;
pub const ATTEMPTS: u64 = 65_536;

/// One test at a time, as each takes all children of this process for its own; and
/// with a limit on its time.
pub fn alone(test: fn(&'static str) -> Result<()>) -> Result<()> {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    harness::with_timeout(test, env!("CARGO_BIN_EXE_model-process"))
}

pub fn job(workload: Workload, sets: &str) -> Result<Job> {
    let mut job = workload.job(Preset::Article);
    for set in sets.split_whitespace() {
        let (key, value) = set.split_once('=').context("key=value")?;
        job.set(key, value)?;
    }
    job.validate()?;
    Ok(job)
}

pub fn setup(job: &Job, program: impl AsRef<Path>) -> Setup {
    Setup::sized(job, program.as_ref(), 2, Setup::BLOCKING_THREADS)
}

pub fn start(job: &Job, program: impl AsRef<Path>) -> Result<Process> {
    Process::start(&setup(job, program))
}

/// The children of `parent` that are workers, and dead ones that are not reaped.
pub fn workers_of(parent: u32) -> Result<Vec<i32>> {
    children_of(parent, "worker")
}

/// The server that `parent` has started as this.
pub fn server_of(parent: u32, role: &str) -> Result<i32> {
    let servers = children_of(parent, role)?;
    servers
        .first()
        .copied()
        .with_context(|| format!("no {role}"))
}

/// The children of `parent` that were started as this, and the dead.
pub fn children_of(parent: u32, role: &str) -> Result<Vec<i32>> {
    let mut children = Vec::new();
    for process in all_processes()?.flatten() {
        // Any of these fails for a process that has just gone.
        let Ok(stat) = process.stat() else { continue };
        let Ok(args) = process.cmdline() else {
            continue;
        };
        // One that is dead has no command line any more.
        let plays = args.is_empty() || args.get(1).is_some_and(|arg| arg == role);
        if stat.ppid == parent as i32 && plays {
            children.push(process.pid());
        }
    }
    Ok(children)
}

pub fn workers() -> Result<Vec<i32>> {
    workers_of(std::process::id())
}

pub fn signal(pid: i32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid).context("a process number")?;
    Ok(kill_process(pid, signal)?)
}

/// The processor time of all workers so far, in hundredths of a second.
pub fn ticks() -> Result<u64> {
    let ticks = |pid| {
        let stat = procfs::process::Process::new(pid).and_then(|process| process.stat());
        stat.map_or(0, |stat| stat.utime + stat.stime)
    };
    Ok(workers()?.into_iter().map(ticks).sum())
}

/// Whether a process has ended: the process that has inherited a dead one may be
/// slow to reap it.
pub fn gone(&pid: &i32) -> bool {
    match procfs::process::Process::new(pid) {
        Ok(process) => process
            .stat()
            .is_ok_and(|stat| matches!(stat.state(), Ok(ProcState::Zombie))),
        Err(_) => true,
    }
}

/// What a process is blocked in.
pub fn blocked_in(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default()
}

/// How many workers are asleep of their own accord.
pub fn asleep() -> Result<u64> {
    let asleep = |pid: &i32| blocked_in(*pid).contains("nanosleep");
    Ok(workers()?.into_iter().filter(asleep).count() as u64)
}

/// The memory that the workers share: their standard input.
pub struct Memory(pub File);

impl Memory {
    pub fn open() -> Result<Self> {
        let worker = *workers()?.first().context("a worker")?;
        let path = format!("/proc/{worker}/fd/0");
        Ok(Self(File::options().read(true).write(true).open(path)?))
    }

    pub fn word(&self, at: u64) -> Result<u32> {
        let mut word = [0; 4];
        self.0.read_exact_at(&mut word, at)?;
        Ok(u32::from_ne_bytes(word))
    }
}

/// What grows while a job is under way.
pub enum Progress<'a> {
    /// A word in shared memory, which each job begins at 0.
    Word(Memory, u64),
    /// Something that only ever grows.
    Count(&'a dyn Fn() -> Result<u64>),
}

pub const TICKS: Progress = Progress::Count(&ticks);
pub const ASLEEP: Progress = Progress::Count(&asleep);

impl Progress<'_> {
    pub fn begin(&self) -> Result<u64> {
        if let Progress::Word(memory, at) = self {
            // What the job before came to is still there.
            memory.0.write_all_at(&[0; 4], *at)?;
        }
        self.now()
    }

    pub fn now(&self) -> Result<u64> {
        match self {
            Progress::Word(memory, at) => Ok(memory.word(*at)?.into()),
            Progress::Count(count) => count(),
        }
    }
}

/// Checks again and again until `fact` holds.
pub fn until(mut fact: impl FnMut() -> Result<bool>) -> Result<()> {
    while !fact()? {
        thread::sleep(Duration::from_micros(200)); // to leave the workers a core
    }
    Ok(())
}

/// What comes of a job during which `act` is called, with a way to see whether the
/// job is over.
pub fn run_during(
    model: &Process,
    job: &Job,
    act: impl FnOnce(&dyn Fn() -> bool) -> Result<()>,
) -> Result<Result<Outcome>> {
    thread::scope(|scope| {
        let running = scope.spawn(|| job.run(model));
        act(&|| running.is_finished())?;
        running.join().map_err(|_| anyhow!("it panicked"))
    })
}

/// The error of a job that has to fail.
pub fn failure(outcome: Result<Outcome>) -> Result<String> {
    match outcome {
        Ok(outcome) => bail!("{outcome:?}"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

/// Runs `job` again and again; each time kills another child at another moment,
/// and expects the right answer nevertheless.
pub fn survives(
    model: &Process,
    job: &Job,
    progress: &Progress,
    moments: &[u64],
    check: &dyn Fn(&mut Outcome) -> Result<()>,
) -> Result<()> {
    for (round, &moment) in moments.iter().enumerate() {
        let before = workers()?;
        let victim = before[round % before.len()];
        let began = progress.begin()?;
        let outcome = run_during(model, job, |is_over| {
            until(|| {
                // In this order: the progress outlasts the job.
                let over = is_over();
                if progress.now()? - began >= moment {
                    return Ok(true);
                }
                ensure!(!over, "the job was over before {moment}");
                Ok(false)
            })?;
            signal(victim, Signal::KILL)
        })?;
        outcome
            .and_then(|mut outcome| check(&mut outcome))
            .with_context(|| format!("killed at {moment}"))?;
        if workers()?.contains(&victim) {
            // It had done its part before it was killed: the next job finds it dead.
            check(&mut job.run(model)?)?;
        }
        ensure!(!workers()?.contains(&victim), "{victim} is still there");
    }
    // And now without a death.
    check(&mut job.run(model)?)?;
    let (started, units) = (workers()?.len(), setup(job, "").units);
    ensure!(
        started == units,
        "there are {started} children for {units} units"
    );
    Ok(())
}

/// Accepts a right answer.
pub fn right(job: &Job) -> impl Fn(&mut Outcome) -> Result<()> {
    |outcome| Ok(job.check(outcome)?)
}
