//! Unit: task of a node, one for each attempt that may be under way. Shares: the scan of its
//! share of the ports. Ends: every share is answered; or the scan is stopped, and the nodes end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use suite::Result;
use suite::scan::{Found, Ports, Service, hang_up};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::protocol::{Answer, ScanTask, Task};
use crate::session::Session;
use crate::shares::Shares;

/// How often the parent checks whether the scan was stopped.
const LOOK: Duration = Duration::from_millis(20);

pub async fn run(service: &Service, session: &mut Session) -> Result<()> {
    let units = session.units().min(service.most_at_once());
    let tasks = (0..units).map(|unit| {
        Task::Scan(ScanTask {
            host: service.host,
            ports: service.ports.iter().skip(unit).step_by(units).collect(),
            limit: service.limit / units + usize::from(unit < service.limit % units),
            timeout: service.timeout,
            retries: service.retries,
        })
    });
    let mut workers = Shares::deal(session, tasks).await?;
    while !workers.is_done() && !service.is_stopped() {
        match workers.answer_by(Some(Instant::now() + LOOK)).await? {
            Some(Answer::Scan(found)) => service.add(found),
            Some(other) => return Err(other.unexpected()),
            None => {}
        }
    }
    for _ in 0..workers.restarts() {
        service.restarted();
    }
    Ok(())
}

pub(crate) async fn perform(task: ScanTask) -> Result<Answer> {
    let ports: Ports = task.ports.into_iter().collect();
    let service = Service::new(task.host, ports, task.limit, task.timeout, task.retries);
    let mut workers = JoinSet::new();
    for _ in 0..service.most_at_once() {
        workers.spawn(work(service.clone()));
    }
    while let Some(worked) = workers.join_next().await {
        worked.context("a task has ended early")?;
    }
    let found: Found = service.found();
    Ok(Answer::Scan(found))
}

async fn work(service: Arc<Service>) {
    while let Some(attempt) = service.next() {
        let connected = timeout(service.timeout, TcpStream::connect(attempt.address())).await;
        let connected = connected.unwrap_or_else(|late| Err(late.into()));
        service.came(attempt, connected.and_then(hang_up));
    }
}
