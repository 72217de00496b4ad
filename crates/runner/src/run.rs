//! `run`: one workload, once, on a model that is started for it.

use std::io;
use std::time::Instant;

use anyhow::Context;
use suite::completion::nanoseconds;
use suite::{Model, Outcome, Setup};

use crate::cli::RunArgs;
use crate::fixture::Fixture;
use crate::footprint::Footprint;
use crate::report::Report;
use crate::text_output;

/// Starts the model, has it do the job, and prints what came of it. The program
/// was entered at `entered_ns`, by the clock of [`crate::clock`].
pub(crate) fn run<M: Model>(args: &RunArgs, entered_ns: u64) -> anyhow::Result<()> {
    let job = args.job()?;
    let program = std::env::current_exe().context("this program's own path")?;
    let threads = args.threads.unwrap_or_else(crate::cores);
    let mut fixture = Fixture::new(&program, args.origin.clone())
        .with_inputs(args.inputs.clone())
        .with_threads(threads, args.blocking_threads);
    let mut prepared = fixture.prepare(&job)?;
    let setup = Setup::sized(prepared.job(), &program, threads, args.blocking_threads);
    let starting = Instant::now();
    let model = M::start(&setup).context("the model does not start")?;
    let start = starting.elapsed();

    if args.unchecked {
        prepared.time_only();
    }
    let (elapsed, mut outcome) = prepared.run(&model)?;
    // Before anything else needs memory, and while all children stand.
    let footprint = Footprint::now(fixture.origin_pid());
    let stats = if args.unchecked {
        prepared.account(&mut outcome)?
    } else {
        prepared.verify(&mut outcome)?
    };
    if args.hold {
        // They would take memory, which is what is looked at now.
        outcome = outcome.without_completions();
    }

    let text = if args.json {
        let report = Report {
            model: model.name().to_owned(),
            workload: args.workload,
            preset: args.preset,
            job: job.to_json(),
            outcome: serde_json::to_value(&outcome)?,
            elapsed_ns: nanoseconds(elapsed),
            launch_ns: (args.spawned_at).map(|spawned| entered_ns.saturating_sub(spawned)),
            start_ns: Some(nanoseconds(start)),
            origin_cpu_ns: origin_cpu_ns(stats, &outcome),
            peak_memory_bytes: footprint.memory_bytes,
            threads: footprint.threads,
        };
        format!("{}\n", serde_json::to_string(&report)?)
    } else {
        let head = format!("{} on {}, {}", args.workload, model.name(), args.preset);
        text_output::text(&head, prepared.job(), &outcome, elapsed, &footprint)
    };
    crate::print(&text)?;
    if args.hold {
        io::copy(&mut io::stdin().lock(), &mut io::sink()).context("standard input")?;
    }
    drop(model);
    prepared.close()
}

/// The origin's processor time for the job, as whatever the job needs of it.
fn origin_cpu_ns(stats: Option<origin::Stats>, outcome: &Outcome) -> Option<u64> {
    match outcome {
        Outcome::Serve(outcome) => Some(outcome.counted.generator_cpu_ns),
        Outcome::Proxy(outcome) => Some(outcome.counted.generator_cpu_ns),
        Outcome::Chat(outcome) => Some(outcome.generator_cpu_ns),
        Outcome::Send(outcome) => outcome.relay.map(|relay| relay.cpu_ns),
        Outcome::Deadlines(outcome) => Some(outcome.seen.cpu_ns),
        Outcome::Datagram(outcome) => Some(outcome.seen.relay.cpu_ns),
        Outcome::Scan(outcome) => Some(outcome.seen.cpu_ns),
        _ => stats.map(|stats| stats.run_cpu_ns),
    }
}
