//! Unit: task, one a connection. Shares: the directory, and places for connections. Ends:
//! when the end begins, a channel closes; tasks answer what has been asked, and another
//! channel closes with the last of them.

use std::convert::Infallible;

use std::net;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use async_std::channel::{Receiver, Sender, bounded};
use async_std::future::timeout;
use async_std::io;
use async_std::io::prelude::{ReadExt, WriteExt};
use async_std::net::{TcpListener, TcpStream};
use async_std::task::{self, sleep, spawn_blocking};
use futures_lite::future::or;
use http_serve::{Answer, LINGER, Refusal, Request, Requests};
use suite::Result;
use suite::offload::Place;
use suite::serve::{Burns, Service, pause_after};

/// Nothing is ever sent here: it closes when the end begins.
type Closed = Receiver<Infallible>;

pub async fn run(service: Arc<Service>) -> Result<()> {
    let listener = TcpListener::from(service.listener()?);
    let (close, closed) = bounded(1);
    service.on_close(move || drop(close));
    let burning = task::spawn(burn(service.clone(), closed.clone()));
    // As many as there are places: what is sent here takes one, what is received gives it back.
    let (take, give_back) = bounded(service.connections);
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
                let (service, closed, serving) = (service.clone(), closed.clone(), serving.clone());
                let give_back = give_back.clone();
                task::spawn(async move {
                    // What breaks is the client's to tell.
                    let _ = converse(stream, &service, closed).await;
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
    drop((listener, serving)); // or who has not been accepted would wait for the others
    let Err(_closed) = all_served.recv().await;
    burning.await;
    accepted.context("accepting a connection")
}

async fn accept(listener: &TcpListener, places: &Sender<()>) -> io::Result<TcpStream> {
    // Its other end is held by who calls this.
    let _ = places.send(()).await;
    Ok(listener.accept().await?.0)
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
            io::timeout(service.patience, stream.write_all(answer.bytes())).await?;
            if answer.is_whole() {
                break;
            }
            answer = match answer.next_piece_cached() {
                Some(piece) => piece.map(|_| answer)?,
                None => spawn_blocking(move || answer.next_piece().map(|_| answer)).await?,
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
        let left = late.saturating_duration_since(Instant::now());
        match timeout(left, or(stream.read(requests.room()), end)).await {
            Ok(Ok(0)) => return Ok(None),
            Ok(read) => requests.filled(read?),
            Err(_) => return Ok(has_begun.then_some(Err(Refusal::Timeout))),
        }
    }
}

/// What is not in the system's cache is read where calls may block.
async fn answer(service: &Arc<Service>, request: Request) -> Answer {
    match service.site.answer_cached(&request) {
        Some(answer) => answer,
        None => {
            let service = service.clone();
            spawn_blocking(move || service.site.answer(&request)).await
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
    io::timeout(LINGER, rest).await
}

/// Begins CPU work when it is due, until the end begins, and waits for what has begun.
async fn burn(service: Arc<Service>, closed: Closed) {
    let Some(burns) = &service.burns else { return };
    let (burning, all_burnt) = bounded::<Infallible>(1);
    let mut closing = pin!(closed.recv());
    for due in burns.schedule() {
        let due = async {
            sleep(due.saturating_duration_since(Instant::now())).await;
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
        let (service, burning) = (service.clone(), burning.clone());
        let burn = move || {
            service.burns.iter().for_each(Burns::burn);
            drop(burning);
        };
        match burns.place {
            Place::Pool => drop(spawn_blocking(burn)),
            Place::Inline => drop(task::spawn(async move { burn() })),
        }
    }
    drop(burning);
    let Err(_closed) = all_burnt.recv().await;
}
