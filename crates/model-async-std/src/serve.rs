//! Unit: task, one a connection. Shares: the directory, and places for connections. Ends:
//! when the end begins, a channel closes; tasks answer what has been asked, and another
//! channel closes with the last of them.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use async_std::channel::bounded;
use async_std::io;
use async_std::io::prelude::WriteExt;
use async_std::net::TcpStream;
use async_std::task::{self, sleep, spawn_blocking, yield_now};
use futures_lite::future::or;
use http_serve::{Answer, Request, Requests};
use suite::Result;
use suite::listening::PIECES_IN_A_ROW;
use suite::offload::Place;
use suite::serve::{Burns, Service};

use crate::server::{self, Closed, linger, next};

pub async fn run(service: Arc<Service>) -> Result<()> {
    let closed = server::closed(&service.listening);
    let burning = task::spawn(burn(service.clone(), closed.clone()));
    let converse = |stream, closed| converse(stream, service.clone(), closed);
    let (listening, connections) = (&service.listening, service.connections);
    let served = server::accept_all(listening, connections, &closed, converse).await;
    burning.await;
    served
}

/// Answers what comes over a connection, until either end closes it.
async fn converse(mut stream: TcpStream, service: Arc<Service>, closed: Closed) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut closing = pin!(closed.recv());
    let mut requests = Requests::default();
    let patience = service.patience;
    while let Some(next) = next(&mut stream, &mut requests, patience, closing.as_mut()).await? {
        let mut answer = match next {
            Ok(request) => answer(&service, request).await,
            Err(refusal) => Answer::refusal(refusal, None),
        };
        let mut pieces = 0usize;
        loop {
            pieces += 1;
            if pieces.is_multiple_of(PIECES_IN_A_ROW) {
                yield_now().await;
            }
            io::timeout(patience, stream.write_all(answer.bytes())).await?;
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
        if service.listening.is_closing() {
            return linger(&mut stream).await;
        }
    }
    Ok(())
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
