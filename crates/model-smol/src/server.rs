//! What the servers share: who is accepted, what is asked next, and how a connection ends.

use std::convert::Infallible;
use std::io;
use std::net;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use http_head::{Head, Heads, LINGER, Wrong};
use smol::channel::{Receiver, bounded};
use smol::future::or;
use smol::io::AsyncReadExt;
use smol::lock::{Semaphore, SemaphoreGuardArc};
use smol::net::{TcpListener, TcpStream};
use smol::{Executor, Task, Timer};
use suite::Result;
use suite::listening::{Listening, pause_after};

/// Nothing is ever sent here: it closes when the end begins.
pub type Closed = Receiver<Infallible>;

pub fn closed(listening: &Listening) -> Closed {
    let (close, closed) = bounded(1);
    listening.on_close(move || drop(close));
    closed
}

/// Gives each client a task, until the end begins, and waits for all of them.
pub async fn accept_all<C>(
    listening: &Listening,
    connections: usize,
    closed: &Closed,
    executor: &Executor<'static>,
    converse: impl Fn(TcpStream, Closed) -> C,
) -> Result<()>
where
    C: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::try_from(listening.listener()?).context("listening")?;
    let places = Arc::new(Semaphore::new(connections));
    let mut clients: Vec<Task<_>> = Vec::with_capacity(2 * connections);
    let mut closing = pin!(closed.recv());
    let accepted = loop {
        let closing = async {
            let Err(_closed) = closing.as_mut().await;
            None
        };
        let accepted = or(async { Some(accept(&listener, &places).await) }, closing).await;
        match accepted {
            None => break Ok(()),
            Some(Ok((stream, place))) => {
                // There is no end of clients: those that have ended make room.
                if clients.len() == clients.capacity() {
                    clients.retain(|client| !client.is_finished());
                }
                let client = converse(stream, closed.clone());
                clients.push(executor.spawn(async move {
                    // What breaks is the client's to tell.
                    let _ = client.await;
                    drop(place);
                }));
            }
            Some(Err(error)) => match pause_after(&error) {
                Some(pause) => drop(Timer::after(pause).await),
                None => break Err(error),
            },
        }
    };
    drop(listener); // or clients that are not accepted would wait for the others
    crate::join_all(clients).await;
    accepted.context("accepting a connection")
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SemaphoreGuardArc)> {
    let place = places.acquire_arc().await;
    Ok((listener.accept().await?.0, place))
}

/// The next request, or what is wrong with it; none when there will be no other.
pub async fn next<H: Head>(
    stream: &mut TcpStream,
    requests: &mut Heads<H>,
    patience: Duration,
    mut closing: Pin<&mut impl Future>,
) -> io::Result<Option<std::result::Result<H::Whole, H::Refusal>>> {
    let late = Instant::now() + patience;
    loop {
        if let Some(next) = requests.next() {
            return Ok(Some(next));
        }
        let has_begun = requests.has_begun();
        // The end of the server is that of what comes.
        let end = async {
            closing.as_mut().await;
            Ok(0)
        };
        match crate::until(late, or(stream.read(requests.room()), end)).await {
            Ok(0) => return Ok(None),
            Ok(read) => requests.filled(read),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Ok(has_begun.then_some(Err(Wrong::Late.into())));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Lets the client read the answer before the connection is gone: what it sends meanwhile is
/// passed over.
pub async fn linger(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown(net::Shutdown::Write)?;
    let rest = async {
        while stream.read(&mut [0; 1024]).await? > 0 {}
        Ok(())
    };
    within(LINGER, rest).await
}

/// What comes of this, if it does in this time.
pub async fn within<T>(
    time: Duration,
    future: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    crate::until(Instant::now() + time, future).await
}
