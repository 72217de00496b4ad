//! Children that are killed, a parent that is killed, and what is left of them.

mod support;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use origin::Origin;
use procfs::process::ProcState;
use runner::fixture::Fixture;
use rustix::process::Signal;
use suite::{Job, Outcome, Preset, Result, Unsupported, Workload};

use support::{
    ASLEEP, ATTEMPTS, BEGUN, LOCK, Memory, PROCESSED, Progress, TICKS, TOTAL, alone, blocked_in,
    children_of, failure, gone, job, right, run_during, signal, start, survives, until, workers,
    workers_of,
};

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
