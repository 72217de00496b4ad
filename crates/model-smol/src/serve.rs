//! Unit: task, one a connection. Shares: the directory, and places for connections. Ends:
//! when the end begins, a channel closes; tasks answer what has been asked, and each is
//! awaited.

use std::convert::Infallible;
use std::io;
use std::net;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use http_serve::{Answer, LINGER, Refusal, Request, Requests};
use smol::channel::{Receiver, bounded};
use smol::future::or;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::lock::{Semaphore, SemaphoreGuardArc};
use smol::net::{TcpListener, TcpStream};
use smol::{Executor, Task, Timer, unblock};
use suite::Result;
use suite::offload::Place;
use suite::serve::{Burns, Service, pause_after};

/// Nothing is ever sent here: it closes when the end begins.
type Closed = Receiver<Infallible>;

pub async fn run(service: Arc<Service>, executor: Arc<Executor<'static>>) -> Result<()> {
    let listener = TcpListener::try_from(service.listener()?).context("listening")?;
    let (close, closed) = bounded(1);
    service.on_close(move || drop(close));
    let burning = executor.spawn(burn(service.clone(), closed.clone(), executor.clone()));
    let places = Arc::new(Semaphore::new(service.connections));
    let mut connections: Vec<Task<_>> = Vec::with_capacity(2 * service.connections);
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
                if connections.len() == connections.capacity() {
                    connections.retain(|connection| !connection.is_finished());
                }
                let (service, closed) = (service.clone(), closed.clone());
                connections.push(executor.spawn(async move {
                    // What breaks is the client's to tell.
                    let _ = converse(stream, &service, closed).await;
                    drop(place);
                }));
            }
            Some(Err(error)) => match pause_after(&error) {
                Some(pause) => drop(Timer::after(pause).await),
                None => break Err(error),
            },
        }
    };
    drop(listener); // or who has not been accepted would wait for the others
    crate::join_all(connections).await;
    burning.await;
    accepted.context("accepting a connection")
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SemaphoreGuardArc)> {
    let place = places.acquire_arc().await;
    Ok((listener.accept().await?.0, place))
}

/// Answers what comes over a connection, until either end closes it.
async fn converse(mut stream: TcpStream, service: &Arc<Service>, closed: Closed) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut closing = pin!(closed.recv());
    let mut requests = Requests::default();
    while let Some(next) = next(&mut stream, &mut requests, service, closing.as_mut()).await? {
        let mut answer = match next {
            Ok(request) => answer(service, request).await,
            Err(refusal) => Answer::refusal(refusal, None),
        };
        loop {
            let late = Instant::now() + service.patience;
            crate::until(late, stream.write_all(answer.bytes())).await?;
            if answer.is_whole() {
                break;
            }
            answer = match answer.next_piece_cached() {
                Some(piece) => piece.map(|_| answer)?,
                None => unblock(move || answer.next_piece().map(|_| answer)).await?,
            };
        }
        if !answer.keeps_connection() {
            return linger(&mut stream).await;
        }
        if service.is_closing() {
            return Ok(());
        }
    }
    Ok(())
}

/// The next request, or what is wrong with it; none when there will be no other.
async fn next(
    stream: &mut TcpStream,
    requests: &mut Requests,
    service: &Service,
    mut closing: Pin<&mut impl Future>,
) -> io::Result<Option<std::result::Result<Request, Refusal>>> {
    let late = Instant::now() + service.patience;
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
                return Ok(has_begun.then_some(Err(Refusal::Timeout)));
            }
            Err(error) => return Err(error),
        }
    }
}

/// What is not in the system's cache is read where calls may block.
async fn answer(service: &Arc<Service>, request: Request) -> Answer {
    match service.site.answer_cached(&request) {
        Some(answer) => answer,
        None => {
            let service = service.clone();
            unblock(move || service.site.answer(&request)).await
        }
    }
}

/// Lets the client read the answer before the connection is gone: what it sends meanwhile is
/// passed over.
async fn linger(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown(net::Shutdown::Write)?;
    let rest = async {
        while stream.read(&mut [0; 1024]).await? > 0 {}
        Ok(())
    };
    crate::until(Instant::now() + LINGER, rest).await
}

/// Begins CPU work when it is due, until the end begins, and waits for what has begun.
async fn burn(service: Arc<Service>, closed: Closed, executor: Arc<Executor<'static>>) {
    let Some(burns) = &service.burns else { return };
    let mut begun: Vec<Task<()>> = Vec::new();
    let mut closing = pin!(closed.recv());
    for due in burns.schedule() {
        let due = async {
            Timer::at(due).await;
            true
        };
        let end = async {
            let Err(_closed) = closing.as_mut().await;
            false
        };
        if !or(due, end).await {
            break;
        }
        burns.begin();
        let service = service.clone();
        let burn = move || service.burns.iter().for_each(Burns::burn);
        begun.retain(|burn| !burn.is_finished());
        begun.push(match burns.place {
            Place::Pool => unblock(burn),
            Place::Inline => executor.spawn(async move { burn() }),
        });
    }
    crate::join_all(begun).await;
}
