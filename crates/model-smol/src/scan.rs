//! Unit: task, one for each attempt that may be under way. Shares: the scan. Ends: nothing is
//! left to try, and every task is awaited.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Instant;

use smol::future::or;
use smol::net::TcpStream;
use smol::{Executor, Timer};
use suite::Result;
use suite::scan::{Service, hang_up};

pub async fn run(service: Arc<Service>, executor: Arc<Executor<'static>>) -> Result<()> {
    let units = service.most_at_once();
    let workers = (0..units).map(|_| executor.spawn(work(service.clone())));
    crate::join_all(workers.collect()).await;
    Ok(())
}

async fn work(service: Arc<Service>) {
    let mut timer = Timer::after(service.timeout);
    while let Some(attempt) = service.next() {
        let due = Instant::now() + service.timeout;
        let late = async {
            // It is set only when it has fired, as each time wakes the reactor.
            while Instant::now() < due {
                (&mut timer).await;
                timer.set_at(due);
            }
            Err(ErrorKind::TimedOut.into())
        };
        let connected = or(TcpStream::connect(attempt.address()), late).await;
        service.came(attempt, connected.and_then(hang_up));
    }
}
