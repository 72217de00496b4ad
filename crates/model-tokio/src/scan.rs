//! Unit: task, one for each attempt that may be under way. Shares: the scan. Ends: nothing is
//! left to try, and the `JoinSet` drains.

use std::sync::Arc;

use anyhow::Context;
use suite::Result;
use suite::scan::{Service, hang_up};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub async fn run(service: Arc<Service>) -> Result<()> {
    let units = service.most_at_once();
    let mut workers = JoinSet::new();
    for _ in 0..units {
        workers.spawn(work(service.clone()));
    }
    while let Some(worked) = workers.join_next().await {
        worked.context("a task has ended early")?;
    }
    Ok(())
}

async fn work(service: Arc<Service>) {
    while let Some(attempt) = service.next() {
        let connected = timeout(service.timeout, TcpStream::connect(attempt.address())).await;
        let connected = connected.unwrap_or_else(|late| Err(late.into()));
        service.came(attempt, connected.and_then(hang_up));
    }
}
