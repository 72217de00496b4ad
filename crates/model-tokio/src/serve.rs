//! Unit: task, one a connection. Shares: the directory, and places for connections. Ends:
//! when the end begins, tasks answer what has been asked, and the `JoinSet`s drain.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use anyhow::Context;
use http_serve::{Answer, Request, Requests};
use suite::Result;
use suite::offload::Place;
use suite::serve::{Burns, Service};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use crate::server::{self, Closed, linger, next};

pub async fn run(service: Arc<Service>) -> Result<()> {
    let closed = server::closed(&service.listening);
    let burning = tokio::spawn(burn(service.clone(), closed.clone()));
    let converse = |stream, closed| converse(stream, service.clone(), closed);
    let (listening, connections) = (&service.listening, service.connections);
    let served = server::accept_all(listening, connections, &closed, converse).await;
    burning.await.context("the burning has ended early")?;
    served
}

/// Answers what comes over a connection, until either end closes it.
async fn converse(
    mut stream: TcpStream,
    service: Arc<Service>,
    mut closed: Closed,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut closing = pin!(closed.changed());
    let mut requests = Requests::default();
    let patience = service.patience;
    while let Some(next) = next(&mut stream, &mut requests, patience, closing.as_mut()).await? {
        let mut answer = match next {
            Ok(request) => answer(&service, request).await,
            Err(refusal) => Answer::refusal(refusal, None),
        };
        loop {
            timeout(patience, stream.write_all(answer.bytes())).await??;
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
            crate::unblock(move || service.site.answer(&request)).await
        }
    }
}

/// Begins CPU work when it is due, until the end begins, and waits for what has begun.
async fn burn(service: Arc<Service>, mut closed: Closed) {
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
