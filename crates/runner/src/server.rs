//! What a model's servers share, as programs and as jobs.

use std::net::{SocketAddr, TcpListener};
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use load::Report;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use suite::echo::BACKLOG;
use suite::generator::Counted;
use suite::listening::Listening;
use suite::{Job, Latency, Model, Preset, Result, Setup, Workload, chat, proxy, serve};

use crate::INTERRUPTED;
use crate::cli::ServerArgs;
use crate::download::is_ignored;
use crate::echo::allow;

/// Connections at once, unless the command line says otherwise.
const CONNECTIONS: usize = 512;

/// The same of a model that has a child process for each: they take milliseconds to start.
const FEW_CONNECTIONS: usize = 64;

/// What the times are drawn from at which requests are due: the same for all models.
pub(crate) const SEED: u64 = 1;

/// Starts a model for a server, and tells how many connections it may have at once.
pub(crate) fn start<M: Model>(workload: Workload, args: &ServerArgs) -> Result<(M, usize)> {
    let usual = match M::most_units(workload) {
        Some(_) => FEW_CONNECTIONS,
        None => CONNECTIONS,
    };
    let connections = args.connections.unwrap_or(usual);
    let (job, sockets) = match workload.job(Preset::Article) {
        Job::Serve(job) => {
            let job = serve::Job { connections, ..job };
            (Job::Serve(job.clone()), job.sockets())
        }
        Job::Proxy(job) => {
            let job = proxy::Job { connections, ..job };
            (Job::Proxy(job.clone()), job.sockets())
        }
        Job::Chat(job) => {
            let members = connections;
            let job = chat::Job { members, ..job };
            (Job::Chat(job.clone()), job.sockets())
        }
        Job::Send(_) => (crate::send::sized(connections)?, 2 * connections),
        _ => bail!("{workload} is no server"),
    };
    allow(sockets)?;
    let program = std::env::current_exe().context("this program's own path")?;
    let threads = args.threads.unwrap_or_else(crate::cores);
    let setup = Setup::sized(&job, program, threads, args.blocking_threads);
    let model = M::start(&setup).context("the model does not start")?;
    Ok((model, connections))
}

pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listener =
        TcpListener::bind(address).with_context(|| format!("cannot listen at {address}"))?;
    rustix::net::listen(&listener, BACKLOG as i32).context("cannot set the backlog")?;
    Ok(listener)
}

pub(crate) fn end_on_signals(listening: &Arc<Listening>) -> Result<()> {
    let listening = listening.clone();
    on_signal(move || listening.close())
}

/// Does this when the process is to end; the second time, it ends at once.
pub(crate) fn on_signal(end: impl FnOnce() + Send + 'static) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    // `nohup` has it ignored.
    if !is_ignored(SIGHUP) {
        signals.add_signal(SIGHUP)?;
    }
    let mut end = Some(end);
    let watch = move || {
        for _ in signals.forever() {
            match end.take() {
                Some(end) => end(),
                // Who asks twice does not want to wait.
                None => process::exit(INTERRUPTED.into()),
            }
        }
    };
    let thread = thread::Builder::new().name("signals".to_owned());
    thread.spawn(watch).context("cannot start a thread")?;
    Ok(())
}

/// Has a server run until all has been asked: how long it ran, and what both ends know of it.
pub(crate) fn under_load<O, A: Send>(
    listening: &Listening,
    serve: impl FnOnce() -> Result<O>,
    ask: impl FnOnce() -> Result<A> + Send,
) -> Result<(Duration, O, A)> {
    let ask = || {
        let asked = ask();
        listening.close();
        asked
    };
    let started = Instant::now();
    let (elapsed, outcome, asked) = thread::scope(|scope| {
        let asking = thread::Builder::new().spawn_scoped(scope, ask);
        let asking = asking.context("cannot start a thread")?;
        let outcome = serve();
        let elapsed = started.elapsed();
        if outcome.is_err() {
            // Or the generator would wait for answers.
            drop(listening.listener());
        }
        let asked = asking.join();
        let asked = asked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        anyhow::Ok((elapsed, outcome, asked))
    })?;
    // What the model says of itself comes first: the generator only sees its end.
    let outcome = outcome?;
    Ok((elapsed, outcome, asked.context("the load")?))
}

/// What the generator has seen.
pub(crate) fn counted(report: Report) -> Counted {
    Counted {
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
        latency: latency(report.latency),
    }
}

/// The same percentiles, as an outcome has them.
pub(crate) fn latency(of: load::Latency) -> Latency {
    let load::Latency {
        p50,
        p90,
        p99,
        p999,
        max,
    } = of;
    Latency {
        p50,
        p90,
        p99,
        p999,
        max,
    }
}
