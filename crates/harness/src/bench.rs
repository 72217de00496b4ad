//! A model's Criterion bench.
//!
//! Started by `cargo bench -p model-NAME`, it times every workload's `heavy`
//! preset. `cargo xtask compare` directs it through the environment instead: see
//! [`runner::bench_spec`].
//!
//! A cell that fails is reported on standard error as `CELL
//! counter/tokio/heavy: why`, and the process ends with the exit code that `run`
//! would have; the other cells stand.

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use criterion::{BenchmarkId, Criterion, SamplingMode};
use runner::bench_spec::{BenchCell, BenchSpec};
use runner::fixture::{Fixture, Prepared};
use suite::{Job, Model, Outcome, Result, Setup};

/// Runs the bench of a package named `model-NAME`, whose binary is `program`.
pub fn main<M: Model>(package: &str, program: &str) -> ExitCode {
    let model = package.strip_prefix("model-").unwrap_or(package);
    let spec = match BenchSpec::from_environment() {
        Ok(spec) => spec,
        Err(error) => {
            eprintln!("error: {error:#}");
            return runner::INVALID.into();
        }
    };
    let mut criterion = Criterion::default().configure_from_args();
    let mut code = None;
    for cell in &spec.cells {
        if let Err(error) = measure::<M>(&mut criterion, model, program, &spec, cell) {
            let workload = cell.job.workload();
            eprintln!("CELL {workload}/{model}/{}: {error:#}", cell.label);
            // A failure is worse news than what a model does not do.
            let new = runner::exit_code(&error);
            code = Some(code.map_or(new, |worst: u8| worst.min(new)));
        }
    }
    criterion.final_summary();
    code.unwrap_or(0).into()
}

/// Has Criterion time one cell.
fn measure<M: Model>(
    criterion: &mut Criterion,
    model: &str,
    program: &str,
    spec: &BenchSpec,
    cell: &BenchCell,
) -> Result<()> {
    let mut trial = None;
    let mut failure = None;
    // An iteration has no other way to fail than to unwind: like this model,
    // children and origin are dropped, nothing is printed, and Criterion writes
    // no figures.
    let mut give_up = |error| -> ! {
        failure = Some(error);
        panic::resume_unwind(Box::new(()))
    };
    let timed = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut group = criterion.benchmark_group(cell.job.workload().name());
        // One number of iterations for every sample. Criterion's other mode
        // takes 1, 2, 3, .. to fit a line through them, which suits
        // nanoseconds: with jobs of milliseconds it would take hundreds of
        // iterations, and xtask could not pool samples that weigh differently.
        group.sampling_mode(SamplingMode::Flat);
        group.bench_function(BenchmarkId::new(model, &cell.label), |bencher| {
            // Not before Criterion asks, as its filter may pass the cell over;
            // and not below, where it would count as the first iteration.
            let trial: &mut Trial<M> = match &mut trial {
                Some(trial) => trial,
                none => match Trial::start(program, spec, &cell.job) {
                    Ok(started) => none.insert(started),
                    Err(error) => give_up(error),
                },
            };
            bencher.iter_custom(|iterations| match trial.sample(iterations) {
                Ok(elapsed) => elapsed,
                Err(error) => give_up(error),
            });
        });
        group.finish();
    }));
    match (failure, timed) {
        (Some(error), _) => Err(error),
        (None, Err(panic)) => panic::resume_unwind(panic),
        (None, Ok(())) => trial.map_or(Ok(()), Trial::finish),
    }
}

/// A model that was started for a job, and whose answer was right.
struct Trial<M> {
    // Dropped in this order: the model may still have connections to the origin.
    model: M,
    prepared: Prepared,
    _fixture: Fixture,
    last: Outcome,
}

impl<M: Model> Trial<M> {
    /// Starts the model and checks its answer before anything is timed.
    fn start(program: &str, spec: &BenchSpec, job: &Job) -> Result<Self> {
        let (threads, blocking_threads) = (spec.threads, spec.blocking_threads);
        let mut fixture = Fixture::new(program, spec.origin.clone())
            .with_inputs(spec.inputs.clone())
            .with_threads(threads, blocking_threads);
        let mut prepared = fixture.prepare(job)?;
        let setup = Setup::sized(prepared.job(), program, threads, blocking_threads);
        let model = M::start(&setup).context("the model does not start")?;
        let (_, mut last) = prepared.run(&model)?;
        prepared.verify(&mut last)?;
        prepared.time_only();
        Ok(Self {
            model,
            prepared,
            _fixture: fixture,
            last,
        })
    }

    /// The time that some runs take, without what is around them.
    fn sample(&mut self, iterations: u64) -> Result<Duration> {
        // Criterion knows nothing of the wait, and would ask for too many.
        let waits = !self.prepared.job().wait().is_zero();
        let runs = if waits { 1 } else { iterations };
        let mut sum = Duration::ZERO;
        for _ in 0..runs {
            let (elapsed, outcome) = self.prepared.run(&self.model)?;
            self.last = outcome;
            sum += elapsed;
        }
        // Not where it would read all files again: there, the last one's is checked.
        if !matches!(self.prepared.job(), Job::Download(_)) {
            self.prepared
                .verify(&mut self.last)
                .context("while sampling")?;
        }
        Ok(sum.mul_f64(iterations as f64 / runs as f64))
    }

    /// Checks the last answer too: haste may have spoiled it.
    fn finish(mut self) -> Result<()> {
        self.prepared
            .verify(&mut self.last)
            .context("after sampling")?;
        drop(self.model);
        self.prepared.close()
    }
}
