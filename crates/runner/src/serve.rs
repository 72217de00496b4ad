//! `serve`: a model's file server, as a program and as a job.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use load::{Expected, FILES, Plan, Report, content};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use suite::echo::BACKLOG;
use suite::serve::{Job, Outcome, PATIENCE, Service};
use suite::{Latency, Model, Preset, Result, Setup, Workload};

use crate::INTERRUPTED;
use crate::cli::ServeArgs;
use crate::download::is_ignored;
use crate::echo::allow;
use crate::scratch::{self, Scratch};

/// Connections at once, unless the command line says otherwise.
const CONNECTIONS: usize = 512;

/// The same of a model that has a child process for each: they take milliseconds to start.
const FEW_CONNECTIONS: usize = 64;

/// What the times are drawn from at which requests are due: the same for all models.
const SEED: u64 = 1;

/// Serves a directory until it is interrupted.
pub(crate) fn serve<M: Model>(args: &ServeArgs) -> Result<()> {
    let usual = match M::most_units(Workload::Serve) {
        Some(_) => FEW_CONNECTIONS,
        None => CONNECTIONS,
    };
    let connections = args.connections.unwrap_or(usual);
    allow(connections)?;
    let program = std::env::current_exe().context("this program's own path")?;
    let threads = args.threads.unwrap_or_else(crate::cores);
    let suite::Job::Serve(job) = Workload::Serve.job(Preset::Article) else {
        bail!("another workload's job");
    };
    let job = suite::Job::Serve(Job { connections, ..job });
    let setup = Setup::sized(&job, program, threads, args.blocking_threads);
    let model = M::start(&setup).context("the model does not start")?;

    let listener = listen(args.listen)?;
    let service = Service::new(
        listener,
        &args.directory,
        connections,
        args.idle_timeout,
        None,
    )?;
    let service = Arc::new(service);
    end_on_signals(&service)?;
    let (directory, address) = (args.directory.display(), service.address());
    crate::print(&format!("serving {directory} at http://{address}/\n"))?;
    let served = model.serve_files(&service);
    served.with_context(|| format!("the server at {address}"))
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listener =
        TcpListener::bind(address).with_context(|| format!("cannot listen at {address}"))?;
    rustix::net::listen(&listener, BACKLOG as i32).context("cannot set the backlog")?;
    Ok(listener)
}

fn end_on_signals(service: &Arc<Service>) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    // `nohup` has it ignored.
    if !is_ignored(SIGHUP) {
        signals.add_signal(SIGHUP)?;
    }
    let service = service.clone();
    let watch = move || {
        for _ in signals.forever() {
            // Who asks twice does not want to wait.
            if service.is_closing() {
                process::exit(INTERRUPTED.into());
            }
            service.close();
        }
    };
    let thread = thread::Builder::new().name("signals".to_owned());
    thread.spawn(watch).context("cannot start a thread")?;
    Ok(())
}

/// The other end of a job: files, and an origin whose load generator asks for them.
#[derive(Debug)]
pub(crate) struct Load {
    directory: Scratch,
    origin: String,
    files: Vec<(String, Option<Expected>)>,
}

impl Load {
    /// Makes the files of a job.
    pub(crate) fn new(job: &Job, origin: String) -> Result<Self> {
        let directory = scratch::on_disk()?;
        let make = |number: u64| {
            let content = content(number, job.bytes);
            let path = directory.path().join(number.to_string());
            fs::write(&path, &content).with_context(|| path.display().to_string())?;
            Ok((format!("/{number}"), Some(Expected::of(&content))))
        };
        let files = (0..FILES).map(make).collect::<Result<_>>()?;
        Ok(Self {
            directory,
            origin,
            files,
        })
    }

    /// Has a model do the job once: how long it took, and what both ends know of it.
    pub(crate) fn run(&self, job: &mut Job, model: &dyn Model) -> Result<(Duration, Outcome)> {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into())?;
        // One more for the request after all others.
        let connections = job.connections + job.idle + 1;
        let directory = self.directory.path();
        let service = Service::new(listener, directory, connections, PATIENCE, job.burns())?;
        let service = Arc::new(service);
        job.service = Some(service.clone());
        let plan = Plan {
            address: service.address(),
            paths: self.files.clone(),
            connections: job.connections,
            idle: job.idle,
            requests: job.requests,
            rate_per_s: (job.rate > 0).then_some(job.rate as f64),
            seed: SEED,
            timeout: PATIENCE,
            via: None,
        };
        let ask = || {
            let asked = origin::Load::run(&self.origin, &plan);
            service.close();
            asked
        };
        let started = Instant::now();
        let (elapsed, outcome, asked) = thread::scope(|scope| {
            let asking = thread::Builder::new().spawn_scoped(scope, ask);
            let asking = asking.context("cannot start a thread")?;
            let outcome = model.serve(job);
            let elapsed = started.elapsed();
            if outcome.is_err() {
                // Or the generator would wait for answers.
                drop(service.listener());
            }
            let asked = asking.join();
            let asked = asked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            anyhow::Ok((elapsed, outcome, asked))
        })?;
        // What the model says of itself comes first: the generator only sees its end.
        let outcome = outcome?;
        let (report, open) = asked.context("the load")?;
        open.wait_for_end().context("the server's end")?;
        Ok((elapsed, complete(outcome, report)))
    }
}

/// Adds what the generator has seen.
fn complete(outcome: Outcome, report: Report) -> Outcome {
    let load::Latency {
        p50,
        p90,
        p99,
        p999,
        max,
    } = report.latency;
    Outcome {
        requests: report.right,
        errors: report.errors,
        connections: report.connections,
        idle_alive: report.idle_alive,
        reopened: report.reopened,
        healthy: report.healthy,
        load_ns: report.elapsed_ns,
        due_ns: report.due_ns.unwrap_or(0),
        generator_cpu_ns: report.cpu_ns,
        late: report.late,
        latency: Latency {
            p50,
            p90,
            p99,
            p999,
            max,
        },
        ..outcome
    }
}
