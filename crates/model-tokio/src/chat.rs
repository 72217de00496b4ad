//! Unit: task, two a member: one reads, one writes. Shares: the rooms, and places for members.
//! Ends: when the end begins, all members leave; tasks write what was said before, and the
//! `JoinSet` drains.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chat_room::{Received, Rooms, Seat};
use http_head::LINGER;
use suite::Result;
use suite::chat::Service;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{sleep, timeout};

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
    mut closed: Closed,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = Received::new(service.settings.format);
    let joined = tokio::select! {
        joined = timeout(service.patience, join(&mut stream, &mut received)) => joined??,
        _ = closed.changed() => None,
    };
    let Some(room) = joined else { return Ok(()) };
    let seat = Arc::new(rooms.join(room));
    if service.listening.is_closing() {
        seat.leave(); // as all others have, or will
    }
    let (mut from, to) = stream.into_split();
    let mut writing = tokio::spawn(write(to, seat.clone(), service.patience, closed));
    let written = tokio::select! {
        biased;
        read = read(&mut from, &seat, &mut received) => {
            match read {
                Err(_) if !service.listening.is_closing() => seat.cut(),
                _ => seat.leave(),
            }
            writing.await
        }
        // The member has left, or was cut.
        written = &mut writing => written,
    };
    let stream = from.reunite(written??);
    linger(&mut stream.map_err(io::Error::other)?).await
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
async fn read(from: &mut OwnedReadHalf, seat: &Seat, received: &mut Received) -> io::Result<()> {
    let mut is_over = false;
    loop {
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
    mut to: OwnedWriteHalf,
    seat: Arc<Seat>,
    patience: Duration,
    mut closed: Closed,
) -> io::Result<OwnedWriteHalf> {
    let cut = poll_fn(|context| seat.poll_cut(context));
    let late = async {
        // It fails when the end has begun, and what tells it is gone.
        let _ = closed.wait_for(|is_closed| *is_closed).await;
        sleep(LINGER).await;
    };
    let (mut cut, mut late) = (pin!(cut), pin!(late));
    let mut buffer = Vec::new();
    while poll_fn(|context| seat.poll_take(context, &mut buffer)).await {
        let written = tokio::select! {
            biased;
            written = timeout(patience, to.write_all(&buffer)) => written.map_err(io::Error::from).flatten(),
            () = &mut cut => Err(ErrorKind::ConnectionAborted.into()),
            () = &mut late => Err(ErrorKind::TimedOut.into()),
        };
        if written.is_err() {
            seat.cut();
            return written.map(|()| to);
        }
    }
    Ok(to)
}
