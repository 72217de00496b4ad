//! Unit: thread, one a connection. Shares: the directory, and the open connections. Ends:
//! when the end begins, nothing more is read from these; the scope joins.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;

use anyhow::Context;
use http_serve::{Answer, Requests};
use rayon::ThreadPoolBuilder;
use suite::Result;
use suite::offload::Place;
use suite::serve::{Burns, Service};

use crate::server::{self, Client, Open};

pub fn run(service: &Arc<Service>) -> Result<()> {
    let open = Arc::new(Open::default());
    let closing = open.clone();
    service.listening.on_close(move || closing.close());
    thread::scope(|scope| {
        let burning = service.burns.as_ref().map(|burns| {
            let open = open.clone();
            crate::spawn(scope, move || burn(burns, &open))
        });
        let (listening, most) = (&service.listening, service.connections);
        let converse = |client: &Client| converse(client, service);
        let accepted = server::accept_all(scope, listening, most, &open, converse);
        // Also when accepting has failed: all threads are joined.
        open.close();
        burning.transpose()?.map_or(Ok(()), crate::join)?;
        accepted
    })
}

/// Answers what comes over a connection, until either end closes it.
fn converse(client: &Client, service: &Service) -> io::Result<()> {
    let mut stream = client.stream();
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(service.patience))?;
    stream.set_write_timeout(Some(service.patience))?;
    let mut requests = Requests::default();
    while let Some(next) = client.next(&mut requests, service.patience)? {
        let mut answer = match next {
            Ok(request) => service.site.answer(&request),
            Err(refusal) => Answer::refusal(refusal, None),
        };
        stream.write_all(answer.bytes())?;
        while answer.next_piece()? {
            stream.write_all(answer.bytes())?;
        }
        if !answer.keeps_connection() {
            return client.linger();
        }
        if service.listening.is_closing() {
            return client.linger();
        }
    }
    Ok(())
}

/// Begins CPU work when it is due, until the end begins, and waits for what has begun.
fn burn(burns: &Burns, open: &Open) -> Result<()> {
    match burns.place {
        Place::Pool => {
            let pool = ThreadPoolBuilder::new()
                .build()
                .context("a pool of threads")?;
            pool.in_place_scope(|workers| {
                for due in burns.schedule() {
                    if open.is_closed_by(due) {
                        return;
                    }
                    burns.begin();
                    workers.spawn(|_| burns.burn());
                }
            });
            Ok(())
        }
        Place::Inline => thread::scope(|scope| {
            for due in burns.schedule() {
                if open.is_closed_by(due) {
                    break;
                }
                burns.begin();
                crate::spawn_small(scope, || burns.burn())?;
            }
            Ok(())
        }),
    }
}
