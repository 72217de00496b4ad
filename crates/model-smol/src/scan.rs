//! Unit: task, one for each attempt that may be under way. Shares: the scan. Ends: nothing is
//! left to try, and every task is awaited.

use std::sync::Arc;
use std::time::Instant;

use smol::Executor;
use smol::net::TcpStream;
use suite::Result;
use suite::scan::{Service, hang_up};

use crate::until;

pub async fn run(service: Arc<Service>, executor: Arc<Executor<'static>>) -> Result<()> {
    let units = service.limit.min(service.ports.len());
    let workers = (0..units).map(|_| executor.spawn(work(service.clone())));
    crate::join_all(workers.collect()).await;
    Ok(())
}

async fn work(service: Arc<Service>) {
    while let Some(attempt) = service.next() {
        let due = Instant::now() + service.timeout;
        let connected = until(due, TcpStream::connect(attempt.address())).await;
        service.came(attempt, connected.and_then(hang_up));
    }
}
