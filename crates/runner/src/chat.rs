//! `chat`: a model's chat rooms, as a program and as a job.

use std::net::Ipv4Addr;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chat_room::{Format, Settings};
use load::RoomsPlan;
use origin::Members;
use suite::chat::{Job, Outcome, PAUSE, Policy, Service};
use suite::generator::PATIENCE;
use suite::{Model, Result, Workload};

use crate::cli::ChatArgs;
use crate::server::{SEED, end_on_signals, latency, listen, start, under_load};
use crate::tree;

/// Serves rooms until it is interrupted.
pub(crate) fn chat<M: Model>(args: &ChatArgs) -> Result<()> {
    let (model, connections) = start::<M>(Workload::Chat, &args.server)?;
    let settings = Settings {
        format: match args.lines {
            true => Format::Lines,
            false => Format::Frames,
        },
        policy: args.policy,
        queue: args.queue,
    };
    let patience = args.server.idle_timeout;
    let service = Service::new(listen(args.listen)?, settings, connections, patience)?;
    let service = Arc::new(service);
    end_on_signals(&service.listening)?;
    let address = service.listening.address();
    crate::print(&format!("chatting at {address}\n"))?;
    let served = model.serve_chat(&service);
    served.with_context(|| format!("the chat at {address}"))
}

/// Has a model do the job once: how long it took, and what its members have seen, which are in
/// this origin's process.
pub(crate) fn run(
    origin: &str,
    origin_pid: Option<u32>,
    job: &mut Job,
    model: &dyn Model,
) -> Result<(Duration, Outcome)> {
    let listener = listen((Ipv4Addr::LOCALHOST, 0).into())?;
    let service = Service::new(listener, job.settings(), job.sockets(), PATIENCE)?;
    let service = Arc::new(service);
    job.service = Some(service.clone());
    let plan = RoomsPlan {
        address: service.listening.address(),
        rooms: job.rooms,
        members: job.members,
        senders: job.sending(),
        messages: job.messages,
        bytes: job.bytes,
        slow: job.slow,
        pause: (job.policy == Policy::Wait && job.slow > 0).then_some(PAUSE),
        window: job.window(),
        rate_per_s: (job.rate > 0).then_some(job.rate as f64),
        seed: SEED,
        timeout: PATIENCE,
    };
    let memory = || match job.unwatched {
        true => None,
        false => {
            let mut pids = tree::descendants(process::id(), origin_pid.as_slice());
            pids.push(process::id());
            tree::pss_bytes(&pids)
        }
    };
    let before = memory();
    let ask = || {
        let members = Members::talk(origin, &plan)?;
        let grown = memory()
            .zip(before)
            .map(|(now, before)| now.saturating_sub(before));
        let (report, open) = members.finish()?;
        // The members' ends are a part of the server's: it waits for them.
        service.listening.close();
        open.wait_for_end().context("the server's end")?;
        Ok((report, grown))
    };
    let serve = || model.chat(job);
    let (elapsed, _, (report, grown_bytes)) = under_load(&service.listening, serve, ask)?;
    let outcome = Outcome {
        members: report.members,
        deliveries: report.deliveries,
        dropped: report.dropped,
        slow_deliveries: report.slow_deliveries,
        slow_dropped: report.slow_dropped,
        slow_cut: report.slow_cut,
        errors: report.errors,
        healthy: report.healthy,
        grown_bytes,
        load_ns: report.elapsed_ns,
        due_ns: report.due_ns.unwrap_or(0),
        generator_cpu_ns: report.cpu_ns,
        late: report.late,
        latency: latency(report.latency),
    };
    Ok((elapsed, outcome))
}
