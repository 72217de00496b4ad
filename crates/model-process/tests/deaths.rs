//! Children that are killed, a parent that is killed, and what is left of them.
//!
//! The model has no hooks for these tests: children are found in `/proc`, and that
//! a job is under way is seen from outside, in the memory that they share, in their
//! processor time or in what they are blocked in.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use chat_room::{Format, HEADER_BYTES, Policy, Settings};
use file_send::Secret;
use model_process::Process;
use origin::Origin;
use procfs::process::{ProcState, all_processes};
use runner::fixture::{Fixture, Prepared};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use suite::generator::PATIENCE;
use suite::send::Sending;
use suite::serve::Service;
use suite::{Job, Model, Outcome, Preset, Result, Setup, Unsupported, Workload, chat};

/// Where things are in the memory that the children share.
const LOCK: u64 = 0;
const TOTAL: u64 = 8;
const PROCESSED: u64 = 512;
const BEGUN: u64 = 1416;
const ATTEMPTS: u64 = 65_536;

/// One test at a time, as each takes all children of this process for its own; and
/// with a limit on its time.
fn alone(test: fn(&'static str) -> Result<()>) -> Result<()> {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    harness::with_timeout(test, env!("CARGO_BIN_EXE_model-process"))
}

fn job(workload: Workload, sets: &str) -> Result<Job> {
    let mut job = workload.job(Preset::Article);
    for set in sets.split_whitespace() {
        let (key, value) = set.split_once('=').context("key=value")?;
        job.set(key, value)?;
    }
    job.validate()?;
    Ok(job)
}

fn setup(job: &Job, program: impl AsRef<Path>) -> Setup {
    Setup::sized(job, program.as_ref(), 2, Setup::BLOCKING_THREADS)
}

fn start(job: &Job, program: impl AsRef<Path>) -> Result<Process> {
    Process::start(&setup(job, program))
}

/// The children of `parent` that are workers, and dead ones that are not reaped.
fn workers_of(parent: u32) -> Result<Vec<i32>> {
    children_of(parent, "worker")
}

/// The server that `parent` has started as this.
fn server_of(parent: u32, role: &str) -> Result<i32> {
    let servers = children_of(parent, role)?;
    servers
        .first()
        .copied()
        .with_context(|| format!("no {role}"))
}

/// The children of `parent` that were started as this, and the dead.
fn children_of(parent: u32, role: &str) -> Result<Vec<i32>> {
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

fn workers() -> Result<Vec<i32>> {
    workers_of(std::process::id())
}

fn signal(pid: i32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid).context("a process number")?;
    Ok(kill_process(pid, signal)?)
}

/// The processor time of all workers so far, in hundredths of a second.
fn ticks() -> Result<u64> {
    let ticks = |pid| {
        let stat = procfs::process::Process::new(pid).and_then(|process| process.stat());
        stat.map_or(0, |stat| stat.utime + stat.stime)
    };
    Ok(workers()?.into_iter().map(ticks).sum())
}

/// Whether a process has ended: the process that has inherited a dead one may be
/// slow to reap it.
fn gone(&pid: &i32) -> bool {
    match procfs::process::Process::new(pid) {
        Ok(process) => process
            .stat()
            .is_ok_and(|stat| matches!(stat.state(), Ok(ProcState::Zombie))),
        Err(_) => true,
    }
}

/// What a process is blocked in.
fn blocked_in(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default()
}

/// How many workers are asleep of their own accord.
fn asleep() -> Result<u64> {
    let asleep = |pid: &i32| blocked_in(*pid).contains("nanosleep");
    Ok(workers()?.into_iter().filter(asleep).count() as u64)
}

/// The memory that the workers share: their standard input.
struct Memory(File);

impl Memory {
    fn open() -> Result<Self> {
        let worker = *workers()?.first().context("a worker")?;
        let path = format!("/proc/{worker}/fd/0");
        Ok(Self(File::options().read(true).write(true).open(path)?))
    }

    fn word(&self, at: u64) -> Result<u32> {
        let mut word = [0; 4];
        self.0.read_exact_at(&mut word, at)?;
        Ok(u32::from_ne_bytes(word))
    }
}

/// What grows while a job is under way.
enum Progress<'a> {
    /// A word in shared memory, which each job begins at 0.
    Word(Memory, u64),
    /// Something that only ever grows.
    Count(&'a dyn Fn() -> Result<u64>),
}

const TICKS: Progress = Progress::Count(&ticks);
const ASLEEP: Progress = Progress::Count(&asleep);

impl Progress<'_> {
    fn begin(&self) -> Result<u64> {
        if let Progress::Word(memory, at) = self {
            // What the job before came to is still there.
            memory.0.write_all_at(&[0; 4], *at)?;
        }
        self.now()
    }

    fn now(&self) -> Result<u64> {
        match self {
            Progress::Word(memory, at) => Ok(memory.word(*at)?.into()),
            Progress::Count(count) => count(),
        }
    }
}

/// Checks again and again until `fact` holds.
fn until(mut fact: impl FnMut() -> Result<bool>) -> Result<()> {
    while !fact()? {
        thread::sleep(Duration::from_micros(200)); // to leave the workers a core
    }
    Ok(())
}

/// What comes of a job during which `act` is called, with a way to see whether the
/// job is over.
fn run_during(
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
fn failure(outcome: Result<Outcome>) -> Result<String> {
    match outcome {
        Ok(outcome) => bail!("{outcome:?}"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

/// Runs `job` again and again; each time kills another child at another moment,
/// and expects the right answer nevertheless.
fn survives(
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
fn right(job: &Job) -> impl Fn(&mut Outcome) -> Result<()> {
    |outcome| Ok(job.check(outcome)?)
}

/// A test for each of these jobs: with these settings, as long as it makes progress
/// of this kind, a child is killed at each of these moments.
macro_rules! survive {
    ($($name:ident: $workload:ident, $progress:expr, [$($sets:literal: $moments:expr),+ $(,)?];)+) => {$(
        #[test]
        fn $name() -> Result<()> {
            alone(|program| {
                $({
                    let job = job(Workload::$workload, $sets)?;
                    let model = start(&job, program)?;
                    survives(&model, &job, &$progress, &$moments, &right(&job)).context($sets)?;
                })+
                Ok(())
            })
        }
    )+};
}

survive! {
    counter: Counter, Progress::Word(Memory::open()?, TOTAL), [
        "workers=4 increments=200000 guard=lock": [1, 66_666, 100_000],
        "workers=4 increments=3000000 guard=atomic": [1, 1_000_000, 1_500_000],
        // What is lost does not count as progress.
        "workers=4 increments=3000000 guard=racy": [1, 200_000, 500_000],
    ];
    pipeline: Pipeline, Progress::Word(Memory::open()?, PROCESSED), [
        "producers=2 consumers=2 items=600 capacity=4 produce_us=1000": [1, 100, 300, 500],
        "producers=3 consumers=1 items=300000 capacity=64 produce_us=0": [1, 5_000, 100_000, 250_000],
        "producers=1 consumers=3 items=10000 capacity=1 produce_us=0": [1, 500, 4_000, 9_000],
    ];
    primes: Primes, TICKS, ["workers=4 start=1000000 end=3000000": [1, 4, 8]];
    exchange: Exchange, TICKS, ["messages=150000": [1, 4, 8]];
    offload: Offload, ASLEEP, ["calls=4 call_ms=200 heartbeat_ms=10": [1, 3, 4]];
    ping_pong: PingPong, TICKS, [
        "units=2 passes=40000": [1, 4, 8],
        "units=7 passes=40000": [1, 4, 8],
    ];
    sleepers: Sleepers, ASLEEP, ["units=4 wait_ms=300": [1, 3, 4]];
}

#[test]
fn a_lock_is_released_when_its_holder_dies() -> Result<()> {
    alone(|program| {
        let job = job(Workload::Counter, "workers=4 increments=2000000 guard=lock")?;
        let model = start(&job, program)?;
        let memory = Memory::open()?;
        for _ in 0..2 {
            let outcome = run_during(&model, &job, |is_over| {
                until(|| {
                    for holder in workers()? {
                        ensure!(!is_over(), "no holder was caught in time");
                        // Stopped, it can neither take the lock nor release it.
                        signal(holder, Signal::STOP)?;
                        let state = || procfs::process::Process::new(holder)?.stat()?.state();
                        until(|| Ok(matches!(state()?, ProcState::Stopped)))?;
                        if memory.word(LOCK)? & !(1 << 31) == holder as u32 {
                            signal(holder, Signal::KILL)?;
                            return Ok(true);
                        }
                        signal(holder, Signal::CONT)?;
                    }
                    Ok(false)
                })
            })?;
            job.check(&outcome?)?;
        }
        ensure!(memory.word(LOCK)? == 0, "the lock is still held");
        Ok(())
    })
}

#[test]
fn spawn() -> Result<()> {
    alone(|program| {
        for sets in [
            "units=200 batch=10",
            "units=200 batch=10 reply=channel",
            "units=400 batch=10 tree=3",
        ] {
            let job = job(Workload::Spawn, sets)?;
            let model = start(&job, program)?;
            let mut killed = 0;
            let outcome = run_during(&model, &job, |is_over| {
                until(|| {
                    ensure!(!is_over(), "the job was over after {killed} deaths");
                    let last = workers()?.pop();
                    // It may have ended since.
                    let dies = last.is_some_and(|child| signal(child, Signal::KILL).is_ok());
                    killed += u32::from(dies);
                    Ok(killed == 3)
                })
            })?;
            job.check(&outcome?).context(sets)?;
            ensure!(workers()?.is_empty(), "{sets}: children are left");
        }
        Ok(())
    })
}

#[test]
fn deadlines() -> Result<()> {
    alone(|program| {
        for sets in [
            "operations=4000 limit=4 late_per_mille=1",
            "operations=4000 limit=4 late_per_mille=0 deadline_ms=0",
            // All that are left are cancelled at its end.
            "operations=4000 limit=4 late_per_mille=1 cancel_after=4000",
        ] {
            let job = job(Workload::Deadlines, sets)?;
            let prepared = RefCell::new(Fixture::new(program, None).prepare(&job)?);
            let job = prepared.borrow().job().clone();
            let model = start(&job, program)?;
            let check = |outcome: &mut Outcome| {
                let mut prepared = prepared.borrow_mut();
                prepared.look()?;
                prepared.verify(outcome).map(drop)
            };
            let begun = Progress::Word(Memory::open()?, BEGUN);
            survives(&model, &job, &begun, &[1, 150, 300], &check).context(sets)?;
        }
        Ok(())
    })
}

#[test]
fn deadlines_name_the_connection_whose_responder_was_killed() -> Result<()> {
    alone(|program| {
        let sets = "operations=3 limit=3 late_per_mille=1000 deadline_ms=60000";
        let prepared = Fixture::new(program, None).prepare(&job(Workload::Deadlines, sets)?)?;
        let model = start(prepared.job(), program)?;
        // It is in the origin's process.
        let origin = children_of(std::process::id(), "origin")?;
        let origin = *origin.first().context("no origin")?;
        let outcome = run_during(&model, prepared.job(), |_| {
            // All are past the gate, or wait there.
            let waits = |pid: &i32| blocked_in(*pid).contains("poll");
            until(|| Ok(workers()?.iter().filter(|pid| waits(pid)).count() == 3))?;
            signal(origin, Signal::KILL)
        })?;
        let text = failure(outcome)?;
        ensure!(text.contains(" of 3 to 127.0.0.1:"), "{text}");
        Ok(())
    })
}

/// What a child had found is kept, and what it had under way is tried again by another.
#[test]
fn scan() -> Result<()> {
    alone(|program| {
        for (sets, moments) in [
            ("ports=20001-32000 open=40 limit=50", [1, 1_000, 3_000]),
            // All that is under way waits.
            (
                "ports=20001-20300 open=9 filtered=24 limit=8 timeout_ms=200",
                [1, 50, 300],
            ),
        ] {
            let mut prepared = Fixture::new(program, None).prepare(&job(Workload::Scan, sets)?)?;
            let model = start(prepared.job(), program)?;
            let memory = Memory::open()?;
            for (round, moment) in moments.into_iter().enumerate() {
                let victim = workers()?[round % 2];
                memory.0.write_all_at(&[0; 4], ATTEMPTS)?;
                let run = thread::scope(|scope| {
                    let running = scope.spawn(|| prepared.run(&model));
                    until(|| {
                        ensure!(!running.is_finished(), "the job was over before {moment}");
                        Ok(memory.word(ATTEMPTS)? >= moment)
                    })?;
                    signal(victim, Signal::KILL)?;
                    running.join().map_err(|_| anyhow!("it panicked"))
                })?;
                let (_, mut outcome) = run.with_context(|| format!("killed at {moment}"))?;
                prepared.verify(&mut outcome).context(sets)?;
                let Outcome::Scan(outcome) = outcome else {
                    bail!("{outcome:?}")
                };
                ensure!(outcome.restarts == 1, "{} restarts", outcome.restarts);
                // Only a filtered port was tried before, and its state not known yet.
                let least = outcome.ports + outcome.filtered.len() as u64;
                let most = least + outcome.filtered.len() as u64;
                let attempts = outcome.attempts;
                ensure!((least..=most).contains(&attempts), "{attempts} attempts");
                ensure!(!workers()?.contains(&victim), "{victim} is still there");
            }
            // And now without a death.
            let (_, mut outcome) = prepared.run(&model)?;
            prepared.verify(&mut outcome).context(sets)?;
            ensure!(workers()?.len() == 2, "{:?}", workers()?);
            drop(model);
            prepared.close()?;
        }
        Ok(())
    })
}

#[test]
fn a_scan_that_keeps_killing_its_children_fails() -> Result<()> {
    alone(|program| {
        let sets = "ports=20001-20020 open=0 filtered=20 limit=2 timeout_ms=60000";
        let mut prepared = Fixture::new(program, None).prepare(&job(Workload::Scan, sets)?)?;
        let model = start(prepared.job(), program)?;
        let run = thread::scope(|scope| {
            let running = scope.spawn(|| prepared.run(&model));
            until(|| {
                for worker in workers()? {
                    // It may just have gone.
                    let _ = signal(worker, Signal::KILL);
                }
                Ok(running.is_finished())
            })?;
            running.join().map_err(|_| anyhow!("it panicked"))
        })?;
        let error = failure(run.map(|(_, outcome)| outcome))?;
        ensure!(error.contains("the last by signal: 9"), "{error}");
        Ok(())
    })
}

#[test]
fn fetch() -> Result<()> {
    alone(|program| {
        let origin = Origin::spawn(Path::new(program), &["origin"])?;
        let run = origin::Run::open(origin.url(), &origin::Shape::default())?;
        let mut job = job(Workload::Fetch, "delays_ms=300,300,300,300")?;
        if let Job::Fetch(job) = &mut job {
            job.targets = job.delays_ms.iter().map(|&ms| run.delay_url(ms)).collect();
            let mut expected = suite::fetch::Body::default();
            for &ms in &job.delays_ms {
                expected.add((&*origin::delay_body(ms)).into());
            }
            job.expected = Some(expected);
        }
        let model = start(&job, program)?;
        let requests = || Ok(run.stats()?.requests);
        let requests = Progress::Count(&requests);
        survives(&model, &job, &requests, &[1, 2, 4], &right(&job))
    })
}

#[test]
fn files() -> Result<()> {
    alone(|program| survives_among_files(&job(Workload::Files, "count=3000")?, program))
}

#[test]
fn thumbnails() -> Result<()> {
    alone(|program| survives_among_files(&job(Workload::Thumbnails, "count=30")?, program))
}

fn survives_among_files(job: &Job, program: &str) -> Result<()> {
    let prepared = Fixture::new(program, None).prepare(job)?;
    let model = start(prepared.job(), program)?;
    let verify = |outcome: &mut Outcome| prepared.verify(outcome).map(drop);
    survives(&model, prepared.job(), &TICKS, &[1, 4, 8], &verify)
}

#[test]
fn echo() -> Result<()> {
    alone(|program| {
        let job = job(Workload::Echo, "connections=4 messages=10000")?;
        let prepared = Fixture::new(program, None).prepare(&job)?;
        let model = start(&job, program)?;
        survives(&model, prepared.job(), &TICKS, &[1, 4, 8], &right(&job))?;
        drop(model);
        prepared.close()
    })
}

/// Accepts a right answer of a job whose server is asked for its health afterwards.
fn right_clients(job: &Job) -> impl Fn(&mut Outcome) -> Result<()> {
    |outcome| {
        if let Outcome::Datagram(outcome) = outcome {
            outcome.seen.healthy = true;
        }
        Ok(job.check(outcome)?)
    }
}

#[test]
fn datagram() -> Result<()> {
    alone(|program| {
        let job = job(Workload::Datagram, "clients=4 datagrams=20000 window=8")?;
        let mut prepared = Fixture::new(program, None).prepare(&job)?;
        let model = start(&job, program)?;
        let right = right_clients(&job);
        survives(&model, prepared.job(), &TICKS, &[1, 4, 8], &right)?;
        let (_, mut outcome) = prepared.run(&model)?;
        prepared.verify(&mut outcome)?;
        drop(model);
        prepared.close()
    })
}

/// A child of the server that is killed takes one datagram with it, which is sent again; another
/// receives in its place.
#[test]
fn a_datagram_goes_on_where_a_child_of_the_server_was_killed() -> Result<()> {
    alone(|program| {
        let job = job(Workload::Datagram, "clients=3 datagrams=40000 window=8")?;
        let mut prepared = Fixture::new(program, None).prepare(&job)?;
        let model = start(&job, program)?;
        let server = server_of(std::process::id(), "datagram-server")?;
        let right = right_clients(&job);
        let killed = |victim| {
            let began = ticks()?;
            run_during(&model, prepared.job(), |is_over| {
                until(|| {
                    ensure!(!is_over(), "the job was over too soon");
                    Ok(ticks()? - began >= 4)
                })?;
                signal(victim, Signal::KILL)
            })
        };
        let victims = workers_of(server as u32)?;
        for &victim in &victims {
            right(&mut killed(victim)??)?;
        }
        let left = workers_of(server as u32)?;
        ensure!(!victims.iter().any(|victim| left.contains(victim)));
        let text = failure(killed(server)?)?;
        ensure!(text.contains(" of 3 to 127.0.0.1:"), "{text}");
        ensure!(text.contains("refused"), "{text}");
        until(|| Ok(left.iter().all(gone)))?;
        let text = failure(prepared.run(&model).map(|(_, outcome)| outcome))?;
        ensure!(text.contains("refused"), "{text}");
        Ok(())
    })
}

/// Each child that is killed takes one connection with it, at most; another serves in its
/// place.
#[test]
fn serve() -> Result<()> {
    alone(|program| {
        let directory = tempfile::tempdir()?;
        fs::write(directory.path().join("file"), "what is served")?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let service = Service::new(listener, directory.path(), 4, PATIENCE, None)?;
        let service = Arc::new(service);
        let model = start(&job(Workload::Serve, "connections=4")?, program)?;
        let victims = thread::scope(|scope| {
            let serving = scope.spawn(|| model.serve_files(&service));
            let killed = kill_all_that_serve(service.listening.address()).and_then(|victims| {
                // The last one is replaced, too, if the end does not begin before.
                until(|| Ok(workers()?.len() >= 4))?;
                Ok(victims)
            });
            service.listening.close();
            let served = serving.join().map_err(|_| anyhow!("it panicked"))?;
            let victims = killed?;
            served.map(|()| victims)
        })?;
        let left = workers()?;
        ensure!(left.len() >= 4, "there are {left:?}");
        ensure!(!victims.iter().any(|victim| left.contains(victim)));
        drop(model);
        ensure!(workers()?.is_empty(), "some are left");
        Ok(())
    })
}

/// Kills the children of a server one after the other, while three clients have
/// connections.
fn kill_all_that_serve(address: SocketAddr) -> Result<Vec<i32>> {
    let connect = || {
        let mut stream = TcpStream::connect(address)?;
        is_answered(&mut stream)?;
        anyhow::Ok(stream)
    };
    let mut clients = vec![connect()?, connect()?, connect()?];
    // Some are for CPU work, and have no connection.
    let victims = workers()?;
    for &victim in &victims {
        signal(victim, Signal::KILL)?;
        until(|| Ok(!workers()?.contains(&victim)))?;
        let before = clients.len();
        clients.retain_mut(|stream| is_answered(stream).is_ok());
        let lost = before - clients.len();
        ensure!(lost <= 1, "{lost} lost their connections to one child");
        connect().with_context(|| format!("after {victim} was killed"))?;
    }
    ensure!(clients.is_empty(), "their children were not killed");
    Ok(victims)
}

fn is_answered(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"what is served") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        answer.extend(byte);
    }
    ensure!(answer.starts_with(b"HTTP/1.1 200 "));
    Ok(())
}

/// A file whose child is killed, at either end, goes on over another connection.
#[test]
fn send() -> Result<()> {
    alone(|program| {
        let sets = "files=12 bytes=16000000 streams=3 cut=0 cuts=0";
        let mut prepared = Fixture::new(program, None).prepare(&job(Workload::Send, sets)?)?;
        let model = start(prepared.job(), program)?;
        let me = std::process::id();
        let receivers = children_of(me, "receiver")?;
        let receiver = *receivers.first().context("no receiver")? as u32;
        for (parent, moment) in [(me, 1), (me, 4), (me, 8), (receiver, 1), (receiver, 8)] {
            let victims = workers_of(parent)?;
            let outcome = send_during(&model, &mut prepared, &victims, moment)?;
            let Outcome::Send(mut sent) = outcome? else {
                bail!("not an outcome of `send`")
            };
            ensure!(
                sent.retries > 0,
                "all were killed, and none was tried again"
            );
            // What a child has written last, no other process counts. And the receiver may have
            // a file whose sender is killed before it hears of that.
            (sent.retries, sent.sent, sent.before) = (0, 12 * 16_000_000, 0);
            prepared.verify(&mut Outcome::Send(sent))?;
            let left = workers_of(parent)?;
            ensure!(!victims.iter().any(|victim| left.contains(victim)));
        }
        let (_, mut outcome) = prepared.run(&model)?;
        prepared.verify(&mut outcome)?;
        drop(model);
        ensure!(workers()?.is_empty(), "some are left");
        prepared.close()
    })
}

/// What comes of sending files when all of these are killed in the middle of it.
fn send_during(
    model: &Process,
    prepared: &mut Prepared,
    victims: &[i32],
    moment: u64,
) -> Result<Result<Outcome>> {
    let began = ticks()?;
    thread::scope(|scope| {
        let running = scope.spawn(|| prepared.run(model));
        until(|| {
            ensure!(!running.is_finished(), "it was over before {moment}");
            Ok(ticks()? - began >= moment)
        })?;
        for &victim in victims {
            signal(victim, Signal::KILL)?;
        }
        let ended = running.join().map_err(|_| anyhow!("it panicked"))?;
        Ok(ended.map(|(_, outcome)| outcome))
    })
}

/// When all is stopped, no child goes on with a file.
#[test]
fn a_stop_ends_those_that_send() -> Result<()> {
    alone(|program| {
        // It takes connections, and says nothing.
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("file");
        fs::write(&file, "text")?;
        let files = (0..3).map(|number| (file.clone(), number.to_string()));
        let secret = Secret::new(*b"what both ends have in a test").context("a secret")?;
        let how = (3, file_send::Path::Copy);
        let patience = Duration::from_secs(600);
        let to = silent.local_addr()?;
        let sending = Arc::new(Sending::new(to, secret, files, how, patience, Arc::new(())));
        let model = start(&job(Workload::Send, "streams=3 cut=1 cuts=1")?, program)?;
        let before = workers()?;
        thread::scope(|scope| {
            let running = scope.spawn(|| model.send_files(&sending));
            let connected: Vec<_> = silent.incoming().take(3).collect();
            sending.stop();
            let ended = running.join().map_err(|_| anyhow!("it panicked"))?;
            drop(connected);
            ended
        })?;
        let left = workers()?;
        ensure!(
            !before.iter().any(|worker| left.contains(worker)),
            "{left:?}"
        );
        Ok(())
    })
}

/// A child that is killed in the middle takes its rooms with it, and nothing else: those in the
/// other rooms go on, and who joins again is served, also if there are no more places than that.
#[test]
fn chat() -> Result<()> {
    alone(|program| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let settings = Settings {
            format: Format::Frames,
            policy: Policy::Wait,
            queue: 4,
        };
        let service = chat::Service::new(listener, settings, 4, PATIENCE)?;
        let service = Arc::new(service);
        let model = start(&job(Workload::Chat, "")?, program)?;
        let victims = thread::scope(|scope| {
            let serving = scope.spawn(|| model.serve_chat(&service));
            let killed = kill_all_that_have_rooms(service.listening.address());
            service.listening.close();
            let served = serving.join().map_err(|_| anyhow!("it panicked"))?;
            let victims = killed?;
            served.map(|()| victims)
        })?;
        let left = workers()?;
        ensure!(left.len() == 2, "there are {left:?}");
        ensure!(!victims.iter().any(|victim| left.contains(victim)));
        drop(model);
        ensure!(workers()?.is_empty(), "some are left");
        Ok(())
    })
}

/// Kills the children of a chat one after the other, while messages are on their way between
/// both members of two rooms.
fn kill_all_that_have_rooms(address: SocketAddr) -> Result<Vec<i32>> {
    let mut rooms = vec![join_both(address, 0)?, join_both(address, 1)?];
    let victims = workers()?;
    for &victim in &victims {
        rooms.iter_mut().try_for_each(say)?;
        signal(victim, Signal::KILL)?;
        until(|| Ok(!workers()?.contains(&victim)))?;
        // What was written to the one may still be there.
        let talks: Vec<_> = rooms
            .iter_mut()
            .map(|room| {
                hear(room)?;
                say(room)?;
                hear(room)
            })
            .collect();
        let Some(lost) = talks.iter().position(Result::is_err) else {
            bail!("neither room was with {victim}");
        };
        let others = talks.iter().filter(|talk| talk.is_ok()).count();
        ensure!(others == 1, "both rooms were with {victim}: {talks:?}");
        // Their places are free again.
        rooms[lost] = join_both(address, lost as u32)?;
        for room in &mut rooms {
            say(room)?;
            hear(room).with_context(|| format!("after {victim} was killed"))?;
        }
    }
    Ok(victims)
}

/// Two members of a room, with their numbers.
type Both = [(TcpStream, u32); 2];

fn join_both(address: SocketAddr, room: u32) -> Result<Both> {
    let join = || {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(&chat_header(0, room, 0))?;
        let mut joined = [0; HEADER_BYTES];
        stream.read_exact(&mut joined).context("joining")?;
        let [_, _, _, _, number @ .., _, _, _, _, _, _, _, _] = joined;
        anyhow::Ok((stream, u32::from_be_bytes(number)))
    };
    Ok([join()?, join()?])
}

fn chat_header(length: u32, sender: u32, sequence: u64) -> Vec<u8> {
    let [length, sender] = [length, sender].map(u32::to_be_bytes);
    [&length[..], &sender, &sequence.to_be_bytes()].concat()
}

/// What a member says: more than its room holds.
fn said((_, number): &(TcpStream, u32)) -> Vec<u8> {
    (0..1_000)
        .flat_map(|at| chat_header(0, *number, at))
        .collect()
}

fn say(both: &mut Both) -> Result<()> {
    for member in both {
        let said = said(member);
        member.0.write_all(&said)?;
    }
    Ok(())
}

/// Each hears what the other has said.
fn hear(both: &mut Both) -> Result<()> {
    let [one, other] = both;
    for (hears, says) in [(&*one, &*other), (&*other, &*one)] {
        let said = said(says);
        let mut heard = vec![0; said.len()];
        (&hears.0).read_exact(&mut heard)?;
        ensure!(heard == said, "what was said is not what was heard");
    }
    Ok(())
}

#[test]
fn an_echo_names_the_connection_whose_server_was_killed() -> Result<()> {
    alone(|program| {
        let job = job(Workload::Echo, "connections=3 messages=40000")?;
        let prepared = Fixture::new(program, None).prepare(&job)?;
        let model = start(&job, program)?;
        let server = server_of(std::process::id(), "echo-server")?;
        let killed = |victim| {
            let began = ticks()?;
            let outcome = run_during(&model, prepared.job(), |is_over| {
                until(|| {
                    ensure!(!is_over(), "the job was over too soon");
                    Ok(ticks()? - began >= 4)
                })?;
                signal(victim, Signal::KILL)
            })?;
            failure(outcome)
        };
        for round in 0..3 {
            let text = killed(workers_of(server as u32)?[round])?;
            ensure!(text.contains(" of 3 to 127.0.0.1:"), "{text}");
            // The others go on, and there is another in the place of the dead one.
            job.check(&prepared.job().run(&model)?)?;
            let children = workers_of(server as u32)?.len();
            ensure!(children == 3, "the server has {children} children");
        }
        let children = workers_of(server as u32)?;
        let text = killed(server)?;
        ensure!(text.contains(" of 3 to 127.0.0.1:"), "{text}");
        until(|| Ok(children.iter().all(gone)))?;
        let text = failure(prepared.job().run(&model))?;
        ensure!(text.contains("refused"), "{text}");
        Ok(())
    })
}

#[test]
fn download() -> Result<()> {
    alone(|program| {
        let sets = "images=40 limit=4 delay_ms=20 mbit_per_s=0 image_bytes=16384";
        let mut fixture = Fixture::new(program, None);
        for moment in [1, 4, 15, 30] {
            let into = tempfile::tempdir()?;
            let mut job = job(Workload::Download, sets)?;
            if let Job::Download(job) = &mut job {
                job.into = Some(into.path().to_owned());
            }
            let prepared = fixture.prepare(&job)?;
            let model = start(prepared.job(), program)?;
            let stats = || prepared.origin_stats().context("an origin")?;
            let requests = || Ok(stats()?.requests);
            let requests = Progress::Count(&requests);
            // Every file, and never more requests in flight than the limit.
            let verify = |outcome: &mut Outcome| {
                // Only the file that the dead child had is requested again.
                let requests = stats()?.requests;
                ensure!((40..=41).contains(&requests), "{requests} requests");
                ensure!(parts(into.path())?.is_empty(), "a part is left");
                prepared.verify(outcome).map(drop)
            };
            survives(&model, prepared.job(), &requests, &[moment], &verify)?;
        }
        Ok(())
    })
}

/// A file at the origin that comes slowly the first time, and in no time after.
struct SlowFile {
    origin: Origin,
    list: tempfile::NamedTempFile,
    into: tempfile::TempDir,
}

impl SlowFile {
    const BYTES: usize = 400_000;
    const NAME: &str = "file";

    fn new(program: &str) -> Result<Self> {
        let origin = Origin::spawn(Path::new(program), &["origin"])?;
        let list = tempfile::NamedTempFile::new()?;
        let url = format!("{}/fault/slow-once/token/file", origin.url());
        let bytes = Self::BYTES;
        fs::write(&list, format!("{url}?bytes={bytes}\t{}\n", Self::NAME))?;
        let into = tempfile::tempdir()?;
        Ok(Self { origin, list, into })
    }

    /// Downloads it, for a model of this process.
    fn job(&self, limit: usize) -> Result<Job> {
        let mut job = job(Workload::Download, &format!("limit={limit}"))?;
        if let Job::Download(job) = &mut job {
            job.urls = Some(self.list.path().to_owned());
            job.into = Some(self.into.path().to_owned());
        }
        Ok(job)
    }

    /// The command that downloads it.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("download").arg(self.list.path());
        command.arg("--into").arg(self.into.path());
        command.args(["--limit", "3"]);
        command
    }

    /// Waits until some of it is on the disk.
    fn has_begun(&self) -> Result<()> {
        until(|| Ok(parts(self.into.path())?.iter().any(|&bytes| bytes > 0)))
    }

    /// It was requested twice: all of it, and then what was missing.
    fn was_resumed(&self) -> Result<()> {
        let asked = origin::fault_log(self.origin.url(), "token")?;
        let [first, second] = &asked[..] else {
            bail!("{asked:?}")
        };
        ensure!(first.range.is_none(), "{first:?}");
        let from = second.range.as_deref().and_then(|range| {
            let range = range.strip_prefix("bytes=")?.strip_suffix('-')?;
            range.parse::<usize>().ok()
        });
        let from = from.with_context(|| format!("no range: {second:?}"))?;
        ensure!(from >= 32 * 1024, "it went on from {from}");
        ensure!(second.if_range.is_some(), "{second:?}");
        let (sent, rest) = (second.body_bytes_sent, (Self::BYTES - from) as u64);
        ensure!(sent == rest, "{sent} bytes came, and {rest} were missing");
        let file = fs::read(self.into.path().join(Self::NAME))?;
        let right = origin::fault_body(1, Self::BYTES);
        ensure!(
            file == right,
            "the file has {} bytes, or wrong ones",
            file.len()
        );
        ensure!(parts(self.into.path())?.is_empty(), "a part is left");
        Ok(())
    }
}

/// The lengths of the files that are not complete.
fn parts(into: &Path) -> Result<Vec<u64>> {
    let Ok(entries) = fs::read_dir(into.join(transfer::STATE)) else {
        return Ok(Vec::new()); // nothing has begun
    };
    let mut parts = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.path().extension().is_some_and(|it| it == "part") {
            // It may just have got its name.
            parts.extend(entry.metadata().map(|metadata| metadata.len()));
        }
    }
    Ok(parts)
}

/// The workers that have a connection.
fn connected() -> Result<Vec<i32>> {
    let connected = |pid: &i32| {
        let fds = procfs::process::Process::new(*pid).and_then(|process| process.fd());
        let tcp = tcp_inodes(*pid);
        fds.into_iter()
            .flatten()
            .flatten()
            .any(|fd| match fd.target {
                procfs::process::FDTarget::Socket(inode) => tcp.contains(&inode),
                _ => false,
            })
    };
    Ok(workers()?.into_iter().filter(connected).collect())
}

fn tcp_inodes(pid: i32) -> BTreeSet<u64> {
    let tcp = procfs::process::Process::new(pid).and_then(|process| process.tcp());
    tcp.into_iter().flatten().map(|entry| entry.inode).collect()
}

#[test]
fn another_child_goes_on_where_one_was_killed() -> Result<()> {
    alone(|program| {
        for limit in [1, 3] {
            let slow = SlowFile::new(program)?;
            let job = slow.job(limit)?;
            let model = start(&job, program)?;
            let outcome = run_during(&model, &job, |_| {
                slow.has_begun()?;
                let worker = *connected()?.first().context("no connection")?;
                signal(worker, Signal::KILL)
            })?;
            job.check(&outcome?)?;
            slow.was_resumed()
                .with_context(|| format!("{limit} at once"))?;
        }
        Ok(())
    })
}

#[test]
fn the_next_run_goes_on_where_a_parent_was_killed() -> Result<()> {
    alone(|program| {
        let slow = SlowFile::new(program)?;
        let mut parent = slow.command(program).stderr(Stdio::null()).spawn()?;
        slow.has_begun()?;
        let orphans = workers_of(parent.id())?;
        ensure!(!orphans.is_empty(), "it has no children");
        parent.kill()?;
        parent.wait()?;
        until(|| Ok(orphans.iter().all(gone)))?;
        let left = fs::read_dir(slow.into.path())?.count();
        ensure!(left == 1, "{left} entries, and not just the bookkeeping");

        let output = slow.command(program).output()?;
        ensure!(output.status.success(), "{output:?}");
        slow.was_resumed()
    })
}

/// Whether this process ignores a signal.
fn is_ignored(signal: Signal) -> Result<bool> {
    let ignored = procfs::process::Process::myself()?.status()?.sigign;
    Ok(ignored >> (signal.as_raw() - 1) & 1 == 1)
}

#[test]
fn a_terminal_interrupts_the_parent_alone() -> Result<()> {
    alone(|program| {
        for interrupt in [Signal::INT, Signal::TERM, Signal::HUP] {
            if is_ignored(interrupt)? {
                eprintln!("SKIPPED: {interrupt:?} is ignored here, and so by what is started");
                continue;
            }
            let slow = SlowFile::new(program)?;
            let mut command = slow.command(program);
            command.process_group(0).stderr(Stdio::piped());
            let parent = command.spawn()?;
            slow.has_begun()?;
            let children = workers_of(parent.id())?;
            let group = Pid::from_child(&parent);
            kill_process_group(group, interrupt)?;
            let output = parent.wait_with_output()?;
            ensure!(output.status.code() == Some(130), "{output:?}");
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(!said.contains("died"), "{said}");
            ensure!(children.iter().all(gone), "a child is left");

            let output = slow.command(program).output()?;
            ensure!(output.status.success(), "{output:?}");
            slow.was_resumed()?;
        }
        Ok(())
    })
}

#[test]
fn a_stop_ends_the_wait_for_the_list() -> Result<()> {
    alone(|program| {
        let slow = SlowFile::new(program)?;
        let mut parent = Command::new(program)
            .args(["download", "-", "--limit", "3", "--into"])
            .arg(slow.into.path())
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut stdin = parent.stdin.take().context("its input")?;
        io::copy(&mut File::open(slow.list.path())?, &mut stdin)?;
        slow.has_begun()?;
        let children = workers_of(parent.id())?;
        kill_process(Pid::from_child(&parent), Signal::INT)?;
        // Without the stop it would wait: its input is open.
        let status = parent.wait()?;
        ensure!(status.code() == Some(130), "{status}");
        until(|| Ok(children.iter().all(gone)))?;
        drop(stdin);
        Ok(())
    })
}

#[test]
fn a_file_that_keeps_killing_its_children_fails_alone() -> Result<()> {
    alone(|program| {
        let slow = SlowFile::new(program)?;
        let url = slow.origin.url();
        let others = (0..5).map(|n| format!("{url}/fault/right/{n}/other\n"));
        let list = format!(
            "{url}/fault/stall-body/token/file\n{}",
            others.collect::<String>()
        );
        fs::write(&slow.list, list)?;
        let job = slow.job(3)?;
        let model = start(&job, program)?;
        let outcome = run_during(&model, &job, |is_over| {
            until(|| Ok(fs::read_dir(slow.into.path())?.count() == 6))?;
            let mut deaths = 0;
            until(|| {
                let requests = origin::fault_log(url, "token")?.len();
                if requests > deaths {
                    for worker in connected()? {
                        signal(worker, Signal::KILL)?;
                    }
                    deaths = requests;
                }
                Ok(is_over())
            })
        })?;
        let error = failure(outcome)?;
        let says = "given up after 6 children died of it, the last by signal: 9";
        ensure!(
            error.contains("1 of 6 files") && error.contains(says),
            "{error}"
        );
        Ok(())
    })
}

#[test]
fn a_rate_is_that_of_all_children() -> Result<()> {
    alone(|program| {
        let slow = SlowFile::new(program)?;
        let url = slow.origin.url();
        let files = (0..5).map(|n| format!("{url}/fault/right/{n}/{n}?bytes=40000\n"));
        fs::write(&slow.list, files.collect::<String>())?;
        let mut command = slow.command(program);
        let started = Instant::now();
        let output = command.args(["--rate", "200000"]).output()?;
        let took = started.elapsed();
        ensure!(output.status.success(), "{output:?}");
        // At a rate of each child's own it would take half of that.
        ensure!(took > Duration::from_millis(800), "it took {took:?}");
        Ok(())
    })
}

#[test]
fn a_url_that_is_too_long_for_a_message_fails_alone() -> Result<()> {
    alone(|program| {
        let slow = SlowFile::new(program)?;
        let url = slow.origin.url();
        // Each of these becomes nine bytes.
        let long = "\u{2603}".repeat(10_000);
        let list = format!("{url}/{long}\tlong\n{url}/fault/right/token/file?bytes=1000\tgood\n");
        fs::write(&slow.list, list)?;
        let output = slow.command(program).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(1), "{said}");
        ensure!(said.contains("too long"), "{said}");
        ensure!(fs::metadata(slow.into.path().join("good"))?.len() == 1000);
        Ok(())
    })
}

#[test]
fn a_job_that_keeps_killing_its_children_fails() -> Result<()> {
    alone(|program| {
        for (workload, sets) in [
            (Workload::Counter, "workers=3 increments=1000000000"),
            (
                Workload::Pipeline,
                "producers=2 consumers=2 items=1000000 produce_us=1000",
            ),
            (
                Workload::Primes,
                "workers=2 start=999000000000 end=1000000000000",
            ),
            (Workload::Exchange, "messages=1000000000"),
            (Workload::Offload, "calls=2 call_ms=600000"),
            (Workload::PingPong, "units=3 passes=1000000000"),
            (Workload::Sleepers, "units=2 wait_ms=600000"),
        ] {
            let long = job(workload, sets)?;
            let model = start(&long, program)?;
            let outcome = run_during(&model, &long, |is_over| {
                until(|| {
                    for worker in workers()? {
                        // It may just have gone.
                        let _ = signal(worker, Signal::KILL);
                    }
                    Ok(is_over())
                })
            })?;
            let error = failure(outcome).with_context(|| workload.to_string())?;
            ensure!(error.contains("signal: 9"), "{workload}: {error}");
            let short = workload.job(Preset::Article).scaled(50);
            short.check(&short.run(&model)?)?;
        }
        Ok(())
    })
}

#[test]
fn a_program_that_is_no_worker_is_refused() -> Result<()> {
    alone(|_| {
        let job = job(Workload::Primes, "workers=3")?;
        for (program, says) in [
            ("/bin/false", "exit status: 1"),
            ("/nonexistent/program", "No such file"),
        ] {
            let Err(error) = start(&job, program) else {
                bail!("{program} was started as a model")
            };
            let text = format!("{error:#}");
            ensure!(text.contains(program) && text.contains(says), "{text}");
        }
        ensure!(workers()?.is_empty(), "a child is left");
        Ok(())
    })
}

#[test]
fn a_failure_ends_what_is_still_under_way() -> Result<()> {
    alone(|program| {
        let origin = Origin::spawn(Path::new(program), &["origin"])?;
        let run = origin::Run::open(origin.url(), &origin::Shape::default())?;
        let mut job = job(Workload::Fetch, "delays_ms=600000,600000,0")?;
        let missing = format!("{}/nothing", origin.url());
        let Job::Fetch(fetch) = &mut job else {
            bail!("{job:?}")
        };
        fetch.targets = vec![
            run.delay_url(600_000),
            run.delay_url(600_000),
            missing.clone(),
        ];
        let model = start(&job, program)?;
        let started = Instant::now();
        let text = failure(job.run(&model))?;
        ensure!(text.contains(&missing) && text.contains("404"), "{text}");
        ensure!(started.elapsed() < Duration::from_secs(20), "it waited");

        let Job::Fetch(fetch) = &mut job else {
            bail!("{job:?}")
        };
        fetch.delays_ms = vec![0; 3];
        fetch.targets = vec![run.delay_url(0); 3];
        job.check(&job.run(&model)?)?;
        Ok(())
    })
}

#[test]
fn missing_children_are_started() -> Result<()> {
    alone(|program| {
        let few = job(Workload::Primes, "workers=1")?;
        let model = start(&few, program)?;
        few.check(&few.run(&model)?)?;
        let many = job(Workload::Counter, "workers=12")?;
        many.check(&many.run(&model)?)?;
        ensure!(workers()?.len() == 12, "{:?}", workers()?);
        let too_many = job(Workload::Counter, "workers=10000")?;
        match too_many.run(&model) {
            Err(error) if error.is::<Unsupported>() => Ok(()),
            other => bail!("{other:?}"),
        }
    })
}

#[test]
fn children_that_died_between_two_jobs_are_replaced() -> Result<()> {
    alone(|program| {
        let job = job(Workload::Counter, "workers=8 increments=1000")?;
        let model = start(&job, program)?;
        for _ in 0..10 {
            for worker in workers()? {
                signal(worker, Signal::KILL)?;
            }
            job.check(&job.run(&model)?)?;
        }
        Ok(())
    })
}

#[test]
fn no_child_is_left_when_the_model_is_dropped() -> Result<()> {
    alone(|program| {
        let job = job(Workload::Primes, "workers=4")?;
        let model = start(&job, program)?;
        job.run(&model)?;
        // Not even one that cannot end by itself.
        signal(*workers()?.first().context("a worker")?, Signal::STOP)?;
        drop(model);
        ensure!(workers()?.is_empty(), "a child is left: {:?}", workers()?);
        Ok(())
    })
}

#[test]
fn no_child_is_left_when_the_parent_is_killed() -> Result<()> {
    alone(|program| {
        // Asleep, and blocked on each other.
        for (units, args) in [
            (4, "offload --set calls=4 --set call_ms=600000"),
            (
                4,
                "pipeline --set producers=2 --set consumers=2 --set produce_us=60000000",
            ),
        ] {
            let mut parent = Command::new(program)
                .arg("run")
                .args(args.split(' '))
                .stdout(Stdio::null())
                .spawn()?;
            let mut orphans: BTreeSet<i32> = BTreeSet::new();
            until(|| {
                orphans = workers_of(parent.id())?.into_iter().collect();
                let at_work = orphans
                    .iter()
                    .filter(|&&pid| blocked_in(pid).contains("nanosleep"));
                Ok(orphans.len() == units && at_work.count() >= 2)
            })?;
            parent.kill()?;
            parent.wait()?;
            until(|| Ok(orphans.iter().all(gone)))?;
        }
        Ok(())
    })
}

#[test]
fn no_process_is_left_of_a_job_with_a_server_whose_parent_is_killed() -> Result<()> {
    alone(|program| {
        // And how many children the server has: one a connection, or one a core.
        for (sets, role, serving) in [
            (
                "echo --set connections=3 --set messages=1000000",
                "echo-server",
                3,
            ),
            (
                "datagram --set clients=3 --set datagrams=1000000",
                "datagram-server",
                runner::cores().min(3),
            ),
        ] {
            let mut parent = Command::new(program)
                .arg("run")
                .args(sets.split(' '))
                .stdout(Stdio::null())
                .spawn()?;
            let mut orphans: BTreeSet<i32> = BTreeSet::new();
            until(|| {
                // Its own children come when the server runs. Before that it may look like one:
                // while a program starts, it has no command line.
                orphans = workers_of(parent.id())?.into_iter().collect();
                Ok(orphans.len() == 3)
            })?;
            let server = server_of(parent.id(), role)?;
            orphans.extend(workers_of(server as u32)?);
            orphans.insert(server);
            ensure!(orphans.len() == 3 + 1 + serving, "{role}: {orphans:?}");
            parent.kill()?;
            parent.wait()?;
            until(|| Ok(orphans.iter().all(gone)))?;
        }
        Ok(())
    })
}
