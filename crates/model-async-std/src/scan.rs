//! Unit: task, one for each attempt that may be under way. Shares: the scan. Ends: nothing is
//! left to try, and every task is awaited.

use std::sync::Arc;

use async_std::io::timeout;
use async_std::net::TcpStream;
use async_std::task;
use suite::Result;
use suite::scan::{Service, hang_up};

pub async fn run(service: Arc<Service>) -> Result<()> {
    let units = service.limit.min(service.ports.len());
    let workers = (0..units).map(|_| task::spawn(work(service.clone())));
    crate::join_all(workers.collect()).await;
    Ok(())
}

async fn work(service: Arc<Service>) {
    while let Some(attempt) = service.next() {
        let connected = timeout(service.timeout, TcpStream::connect(attempt.address())).await;
        service.came(attempt, connected.and_then(hang_up));
    }
}
