//! How a model is started for a job, and what is right.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use runner::fixture::{Fixture, Prepared};
use suite::{Job, Model, Outcome, Preset, Result, Setup, Unsupported, Workload};

use crate::reference;

/// The same in every test: some executors are built once in a process, and the
/// first to ask decides. More than one, or tasks would never be in parallel.
pub(super) const THREADS: usize = 2;

/// What has ended may still have its files open for this time, in a process that another
/// test has just forked.
pub(super) const FORKED: Duration = Duration::from_secs(10);

/// Fewer than some shapes have calls.
pub(super) const BLOCKING_THREADS: usize = 8;

/// The article's job with some keys set, as the command line would: `key=value
/// key=value`.
pub(super) fn job(workload: Workload, shape: &str) -> Result<Job> {
    let mut job = workload.job(Preset::Article);
    for setting in shape.split_whitespace() {
        let (key, value) = setting.split_once('=').context("key=value")?;
        job.set(key, value)?;
    }
    job.validate()?;
    Ok(job)
}

/// A fixture that starts everything as [`start`] starts a model.
pub(super) fn new_fixture(program: &str) -> Fixture {
    Fixture::new(program, None).with_threads(THREADS, BLOCKING_THREADS)
}

pub(super) fn start<M: Model>(program: &str, job: &Job) -> Result<M> {
    M::start(&Setup::sized(job, program, THREADS, BLOCKING_THREADS)).context("starting the model")
}

/// Whether a job has more units than can be asked of the model.
pub(super) fn beyond<M: Model>(job: &Job) -> bool {
    M::most_units(job.workload()).is_some_and(|most| job.units() > most)
}

/// Whether the job is a variant that only models of tasks do.
pub(super) fn is_for_tasks(job: &Job) -> bool {
    let parameters = job.to_json();
    let is_set = |(key, value): &(&str, &str)| parameters[*key] == *value;
    let mut variants = Preset::ALL
        .iter()
        .flat_map(|&preset| job.workload().variants(preset));
    variants.any(|variant| variant.is_for_tasks && variant.set.iter().all(is_set))
}

/// Whether the job has silent connections, tunnels or rooms, and the model serves but one
/// connection at a time.
pub(super) fn silent_for_serial(program: &str, job: &Job) -> bool {
    let is_serial = Path::new(program).ends_with("model-serial");
    let is_silent = match job {
        Job::Serve(job) => job.silent() > 0,
        Job::Chat(_) => true,
        Job::Proxy(job) => job.silent() > 0 || job.mode == suite::proxy::Mode::Connect,
        _ => false,
    };
    is_serial && is_silent
}

/// Has a model do a job, or refuse it if it serves one connection at a time and the job needs
/// more.
pub(super) fn right_but_for_serial<M: Model>(program: &str, job: &Job) -> Result<()> {
    let done = right::<M>(&mut new_fixture(program), program, job);
    if !silent_for_serial(program, job) {
        return done;
    }
    match done {
        Err(error) if error.is::<Unsupported>() => println!("unsupported: {error:#}"),
        done => bail!("it should have refused, and not {done:?}"),
    }
    Ok(())
}

/// The server's ends of its connections, in any process; none where there is no `/proc`.
pub(super) fn open_connections(address: SocketAddr) -> Vec<String> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let port = format!(":{:04X}", address.port());
    let is_open = |row: &&str| {
        let mut fields = row.split_whitespace().skip(1);
        let is_of_server = fields.next().is_some_and(|local| local.ends_with(&port));
        // What a process has still open has an inode.
        is_of_server && fields.nth(7).is_some_and(|inode| inode != "0")
    };
    let rows = table.lines().skip(1).filter(is_open);
    rows.map(|row| row.trim().to_owned()).collect()
}

/// Whether the model may refuse a job of this shape. The first seven workloads
/// leave it to the model what is too much.
pub(super) fn may_refuse<M: Model>(job: &Job) -> bool {
    match job.workload() {
        Workload::Counter
        | Workload::Pipeline
        | Workload::Primes
        | Workload::Exchange
        | Workload::Fetch
        | Workload::Offload
        | Workload::Download => true,
        _ => beyond::<M>(job) || is_for_tasks(job),
    }
}

/// Has each shape done; what the model says it does not do is printed.
pub(super) fn shapes<M: Model>(program: &str, workload: Workload, shapes: &[&str]) -> Result<()> {
    let mut fixture = new_fixture(program);
    for shape in shapes {
        let named = || format!("{workload} {shape}");
        let job = job(workload, shape)?;
        match right::<M>(&mut fixture, program, &job) {
            Err(error) if error.is::<Unsupported>() && may_refuse::<M>(&job) => {
                println!("{}: unsupported: {error:#}", named());
            }
            done => done.with_context(named)?,
        }
    }
    Ok(())
}

/// Has a model that is started for it do a job twice, the second time as it is timed.
pub(super) fn right<M: Model>(fixture: &mut Fixture, program: &str, job: &Job) -> Result<()> {
    let mut prepared = fixture.prepare(job)?;
    let model = start::<M>(program, prepared.job())?;
    is_right(&model, &mut prepared)?;
    prepared.time_only();
    is_right(&model, &mut prepared).context("the second time")?;
    drop(model);
    prepared.close()
}

pub(super) fn is_right(model: &dyn Model, prepared: &mut Prepared) -> Result<()> {
    let (_, mut outcome) = prepared.run(model)?;
    if let Outcome::Chat(outcome) = &mut outcome {
        // Other tests in this process take memory at the same time. A program of its own shows it.
        outcome.grown_bytes = None;
    }
    prepared.verify(&mut outcome)?;
    reference::agree(prepared.job(), &outcome)
}

/// Has one model, started for the largest, do a few jobs of a kind: always the
/// same ones, so that a failure can be repeated.
pub(super) fn any<M: Model>(
    program: &str,
    largest: &Job,
    jobs: &impl Strategy<Value = Job>,
) -> Result<()> {
    let model = match start::<M>(program, largest) {
        Err(error) if error.is::<Unsupported>() => {
            println!("unsupported: {error:#}");
            return Ok(());
        }
        started => started?,
    };
    let config = Config {
        cases: 24,
        failure_persistence: None,
        max_shrink_iters: 100,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, rng)
        .run(jobs, |job| {
            let done = job.run(&model).and_then(|outcome| {
                job.check(&outcome)?;
                reference::agree(&job, &outcome)
            });
            done.map_err(|error| TestCaseError::fail(format!("{error:#}")))
        })
        .map_err(|failure| anyhow::anyhow!("{failure}"))
}

/// The job has to fail, with an error that names all these.
pub(super) fn fails_naming(model: &dyn Model, job: &Job, names: &[&str]) -> Result<()> {
    let error = match job.run(model) {
        Ok(outcome) => bail!("it should have failed, and gave {outcome:?}"),
        Err(error) => format!("{error:#}"),
    };
    for name in names {
        ensure!(
            error.contains(name),
            "the error does not say {name}: {error}"
        );
    }
    Ok(())
}
