//! Unit: task, two a member: one reads, one writes. Shares: the rooms, and places for members.
//! Ends: when the end begins, all members leave; tasks write what was said before, and a
//! channel closes with the last of them.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_std::io::prelude::{ReadExt, WriteExt};
use async_std::io::{self, ErrorKind, timeout};
use async_std::net::TcpStream;
use async_std::task::{self, sleep, yield_now};
use chat_room::{Received, Rooms, Seat};
use futures_lite::future::or;
use http_head::LINGER;
use suite::Result;
use suite::chat::Service;
use suite::listening::PIECES_IN_A_ROW;

use crate::server::{self, Closed, linger};

pub async fn run(service: Arc<Service>) -> Result<()> {
    let closed = server::closed(&service.listening);
    let rooms = Rooms::new(service.settings);
    let ending = rooms.clone();
    service.listening.on_close(move || ending.leave_all());
    let converse = |stream, closed| converse(stream, service.clone(), rooms.clone(), closed);
    let (listening, connections) = (&service.listening, service.connections);
    server::accept_all(listening, connections, &closed, converse).await
}

/// Has the client join a room, and serves it as a member, until either end closes the
/// connection.
async fn converse(
    mut stream: TcpStream,
    service: Arc<Service>,
    rooms: Rooms,
    closed: Closed,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = Received::new(service.settings.format);
    let end = async {
        let Err(_closed) = closed.recv().await;
        Ok(None)
    };
    let joined = timeout(service.patience, or(join(&mut stream, &mut received), end)).await?;
    let Some(room) = joined else { return Ok(()) };
    let seat = Arc::new(rooms.join(room));
    if service.listening.is_closing() {
        seat.leave(); // as all others have, or will
    }
    let write = write(stream.clone(), seat.clone(), service.patience, closed);
    let writing = task::spawn(write);
    let reading = async {
        match read(&mut stream, &seat, &mut received).await {
            Err(_) if !service.listening.is_closing() => seat.cut(),
            _ => seat.leave(),
        }
        pending().await
    };
    // The last thing is written when the member has left, or was cut.
    or(writing, reading).await?;
    linger(&mut stream).await
}

/// The room that the client joins; none if it ends before.
async fn join(stream: &mut TcpStream, received: &mut Received) -> io::Result<Option<u32>> {
    loop {
        if let Some(room) = received.join() {
            return room.map(Some).map_err(io::Error::other);
        }
        match stream.read(received.room()).await? {
            0 => return Ok(None),
            read => received.filled(read),
        }
    }
}

/// Puts what the client sends, until it ends.
async fn read(from: &mut TcpStream, seat: &Seat, received: &mut Received) -> io::Result<()> {
    let mut is_over = false;
    let mut pieces = 0usize;
    loop {
        pieces += 1;
        if pieces.is_multiple_of(PIECES_IN_A_ROW) {
            yield_now().await;
        }
        let put = poll_fn(|context| seat.poll_put(context, received));
        put.await.map_err(io::Error::other)?;
        if is_over {
            return Ok(());
        }
        let read = from.read(received.room()).await?;
        received.filled(read);
        is_over = read == 0;
    }
}

/// Writes what there is for the member, until there will be nothing more.
async fn write(
    mut to: TcpStream,
    seat: Arc<Seat>,
    patience: Duration,
    closed: Closed,
) -> io::Result<()> {
    let cut = poll_fn(|context| seat.poll_cut(context));
    let late = async {
        let Err(_closed) = closed.recv().await;
        sleep(LINGER).await;
    };
    let mut stopped = pin!(async {
        or(cut, late).await;
        Err(ErrorKind::ConnectionAborted.into())
    });
    let mut buffer = Vec::new();
    let mut pieces = 0usize;
    while poll_fn(|context| seat.poll_take(context, &mut buffer)).await {
        pieces += 1;
        if pieces.is_multiple_of(PIECES_IN_A_ROW) {
            yield_now().await;
        }
        let written = timeout(patience, or(to.write_all(&buffer), stopped.as_mut())).await;
        if written.is_err() {
            seat.cut();
            return written;
        }
    }
    Ok(())
}
