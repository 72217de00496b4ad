//! What the servers share: who is accepted, what is asked next, and how a connection ends.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use http_head::{Head, Heads, LINGER, Wrong};
use suite::Result;
use suite::listening::{Listening, pause_after};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout, timeout_at};

/// It changes when the end begins.
pub type Closed = watch::Receiver<bool>;

pub fn closed(listening: &Listening) -> Closed {
    let (close, closed) = watch::channel(false);
    // It fails when nothing waits for it any more.
    listening.on_close(move || close.send(true).unwrap_or_default());
    closed
}

/// Gives each client a task, until the end begins, and waits for all of them.
pub async fn accept_all<C>(
    listening: &Listening,
    connections: usize,
    closed: &Closed,
    converse: impl Fn(TcpStream, Closed) -> C,
) -> Result<()>
where
    C: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = listening.listener()?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(connections));
    let mut clients = JoinSet::new();
    let mut closing = closed.clone();
    let accepted = loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            _ = closing.changed() => break Ok(()),
        };
        match accepted {
            Ok((stream, place)) => {
                let client = converse(stream, closed.clone());
                clients.spawn(async move {
                    // What breaks is the client's to tell.
                    let _ = client.await;
                    drop(place);
                });
            }
            Err(error) => match pause_after(&error) {
                Some(pause) => sleep(pause).await,
                None => break Err(error),
            },
        }
        // Or what is left of those that have ended would pile up.
        while clients.try_join_next().is_some() {}
    };
    drop(listener); // or clients that are not accepted would wait for the others
    clients.join_all().await;
    accepted.context("accepting a connection")
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, impl Drop + use<>)> {
    let place = places.clone().acquire_owned().await;
    let place = place.map_err(io::Error::other)?;
    Ok((listener.accept().await?.0, place))
}

/// The next request, or what is wrong with it; none when there will be no other.
pub async fn next<H: Head>(
    stream: &mut TcpStream,
    requests: &mut Heads<H>,
    patience: Duration,
    mut closing: Pin<&mut impl Future>,
) -> io::Result<Option<std::result::Result<H::Whole, H::Refusal>>> {
    let until = Instant::now() + patience;
    loop {
        if let Some(next) = requests.next() {
            return Ok(Some(next));
        }
        let has_begun = requests.has_begun();
        let read = timeout_at(until.into(), stream.read(requests.room()));
        let read = tokio::select! {
            biased;
            read = read => read,
            _ = closing.as_mut() => return Ok(None),
        };
        match read {
            Ok(Ok(0)) => return Ok(None),
            Ok(read) => requests.filled(read?),
            Err(_) => return Ok(has_begun.then_some(Err(Wrong::Late.into()))),
        }
    }
}

/// Lets the client read the answer before the connection is gone: what it sends meanwhile is
/// passed over.
pub async fn linger(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let rest = async {
        while stream.read(&mut [0; 1024]).await? > 0 {}
        Ok(())
    };
    timeout(LINGER, rest).await?
}
