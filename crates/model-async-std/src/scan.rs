//! Unit: task, one for each attempt that may be under way. Shares: the scan. Ends: nothing is
//! left to try, and every task is awaited.

use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use async_std::net::TcpStream;
use async_std::task::{self, sleep};
use futures_lite::future::or;
use suite::Result;
use suite::scan::{Service, hang_up};

pub async fn run(service: Arc<Service>) -> Result<()> {
    let units = service.most_at_once();
    let workers = (0..units).map(|_| task::spawn(work(service.clone())));
    crate::join_all(workers.collect()).await;
    Ok(())
}

async fn work(service: Arc<Service>) {
    let mut timer = pin!(sleep(service.timeout));
    while let Some(attempt) = service.next() {
        let due = Instant::now() + service.timeout;
        let late = async {
            // It is set only when it has fired, as each time wakes the reactor.
            while Instant::now() < due {
                timer.as_mut().await;
                timer.set(sleep(due.saturating_duration_since(Instant::now())));
            }
            Err(ErrorKind::TimedOut.into())
        };
        let connected = or(TcpStream::connect(attempt.address()), late).await;
        service.came(attempt, connected.and_then(hang_up));
    }
}
