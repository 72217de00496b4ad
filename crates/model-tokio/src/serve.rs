//! Unit: task, one a connection. Shares: the directory, and places for connections. Ends:
//! when the end begins, tasks answer what has been asked, and the `JoinSet`s drain.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use http_serve::{Answer, LINGER, Refusal, Request, Requests};
use suite::Result;
use suite::offload::Place;
use suite::serve::{Burns, Service, pause_after};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout, timeout_at};

pub async fn run(service: Arc<Service>) -> Result<()> {
    let listener = service.listener()?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let (close, closed) = watch::channel(false);
    // It fails when nothing waits for it any more.
    service.on_close(move || close.send(true).unwrap_or_default());
    let burning = tokio::spawn(burn(service.clone(), closed.clone()));
    let places = Arc::new(Semaphore::new(service.connections));
    let mut connections = JoinSet::new();
    let mut own = closed.clone();
    let mut closing = pin!(own.changed());
    let accepted = loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            _ = &mut closing => break Ok(()),
        };
        match accepted {
            Ok((stream, place)) => {
                let (service, closed) = (service.clone(), closed.clone());
                connections.spawn(async move {
                    // What breaks is the client's to tell.
                    let _ = converse(stream, &service, closed).await;
                    drop(place);
                });
            }
            Err(error) => match pause_after(&error) {
                Some(pause) => sleep(pause).await,
                None => break Err(error),
            },
        }
        // Or what is left of those that have ended would pile up.
        while connections.try_join_next().is_some() {}
    };
    drop(listener); // or who has not been accepted would wait for the others
    connections.join_all().await;
    burning.await.context("the burning has ended early")?;
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

/// Answers what comes over a connection, until either end closes it.
async fn converse(
    mut stream: TcpStream,
    service: &Arc<Service>,
    mut closed: watch::Receiver<bool>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut closing = pin!(closed.changed());
    let mut requests = Requests::default();
    while let Some(next) = next(&mut stream, &mut requests, service, closing.as_mut()).await? {
        let mut answer = match next {
            Ok(request) => answer(service, request).await,
            Err(refusal) => Answer::refusal(refusal, None),
        };
        loop {
            timeout(service.patience, stream.write_all(answer.bytes())).await??;
            if answer.is_whole() {
                break;
            }
            answer = match answer.next_piece_cached() {
                Some(piece) => piece.map(|_| answer)?,
                None => crate::unblock(move || answer.next_piece().map(|_| answer)).await?,
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
    let until = Instant::now() + service.patience;
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
            crate::unblock(move || service.site.answer(&request)).await
        }
    }
}

/// Lets the client read the answer before the connection is gone: what it sends meanwhile is
/// passed over.
async fn linger(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let rest = async {
        while stream.read(&mut [0; 1024]).await? > 0 {}
        Ok(())
    };
    timeout(LINGER, rest).await?
}

/// Begins CPU work when it is due, until the end begins, and waits for what has begun.
async fn burn(service: Arc<Service>, mut closed: watch::Receiver<bool>) {
    let Some(burns) = &service.burns else { return };
    let mut closing = pin!(closed.changed());
    let mut begun = JoinSet::new();
    for due in burns.schedule() {
        tokio::select! {
            () = sleep_until(due.into()) => {}
            _ = &mut closing => break,
        }
        burns.begin();
        let service = service.clone();
        let burn = move || service.burns.iter().for_each(Burns::burn);
        match burns.place {
            Place::Pool => begun.spawn_blocking(burn),
            Place::Inline => begun.spawn(async move { burn() }),
        };
        while begun.try_join_next().is_some() {}
    }
    begun.join_all().await;
}
