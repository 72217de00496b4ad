//! Unit: task, one a connection. Shares: the directory, and places for connections. Ends:
//! when the end begins, a channel closes; tasks answer what has been asked, and each is
//! awaited.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use http_serve::{Answer, Request, Requests};
use smol::future::{or, yield_now};
use smol::io::AsyncWriteExt;
use smol::net::TcpStream;
use smol::{Executor, Task, Timer, unblock};
use suite::Result;
use suite::listening::PIECES_IN_A_ROW;
use suite::offload::Place;
use suite::serve::{Burns, Service};

use crate::server::{self, Closed, linger, next, within};

pub async fn run(service: Arc<Service>, executor: Arc<Executor<'static>>) -> Result<()> {
    let closed = server::closed(&service.listening);
    let burning = executor.spawn(burn(service.clone(), closed.clone(), executor.clone()));
    let converse = |stream, closed| converse(stream, service.clone(), closed);
    let (listening, connections) = (&service.listening, service.connections);
    let served = server::accept_all(listening, connections, &closed, &executor, converse).await;
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
            within(patience, stream.write_all(answer.bytes())).await?;
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
            unblock(move || service.site.answer(&request)).await
        }
    }
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
