//! What the servers share: who is accepted, what is asked next, and how a connection ends.

use std::convert::Infallible;
use std::net;
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use anyhow::Context;
use async_std::channel::{Receiver, Sender, bounded};
use async_std::future::timeout;
use async_std::io;
use async_std::io::prelude::ReadExt;
use async_std::net::{TcpListener, TcpStream};
use async_std::task::{self, sleep};
use futures_lite::future::or;
use http_head::{Head, Heads, LINGER, Wrong};
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
    converse: impl Fn(TcpStream, Closed) -> C,
) -> Result<()>
where
    C: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::from(listening.listener()?);
    // As many as there are places: what is sent here takes one, what is received gives it back.
    let (take, give_back) = bounded(connections);
    // Nothing is ever sent here: it closes when the last connection has.
    let (serving, all_served) = bounded::<Infallible>(1);
    let mut closing = pin!(closed.recv());
    let accepted = loop {
        let closing = async {
            let Err(_closed) = closing.as_mut().await;
            None
        };
        let accepted = async { Some(accept(&listener, &take).await) };
        match or(accepted, closing).await {
            None => break Ok(()),
            Some(Ok(stream)) => {
                let client = converse(stream, closed.clone());
                let (give_back, serving) = (give_back.clone(), serving.clone());
                task::spawn(async move {
                    // What breaks is the client's to tell.
                    let _ = client.await;
                    let _ = give_back.try_recv();
                    drop(serving);
                });
            }
            Some(Err(error)) => {
                let _ = give_back.try_recv();
                match pause_after(&error) {
                    Some(pause) => sleep(pause).await,
                    None => break Err(error),
                }
            }
        }
    };
    drop((listener, serving)); // or clients that are not accepted would wait for the others
    let Err(_closed) = all_served.recv().await;
    accepted.context("accepting a connection")
}

async fn accept(listener: &TcpListener, places: &Sender<()>) -> io::Result<TcpStream> {
    // Its other end is held by who calls this.
    let _ = places.send(()).await;
    Ok(listener.accept().await?.0)
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
        let left = late.saturating_duration_since(Instant::now());
        match timeout(left, or(stream.read(requests.room()), end)).await {
            Ok(Ok(0)) => return Ok(None),
            Ok(read) => requests.filled(read?),
            Err(_) => return Ok(has_begun.then_some(Err(Wrong::Late.into()))),
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
    io::timeout(LINGER, rest).await
}
