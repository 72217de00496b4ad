//! Unit: thread, two a member: one reads, one writes. Shares: the rooms, and the open
//! connections. Ends: when the end begins, all members leave; threads write what was said
//! before, and the scopes join.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use chat_room::{Received, Rooms, Seat};
use http_head::LINGER;
use suite::Result;
use suite::chat::Service;

use crate::server::{self, Client, Open};

pub fn run(service: &Service) -> Result<()> {
    crate::check_units(2 * service.connections)?;
    let open = Arc::new(Open::default());
    let rooms = Rooms::new(service.settings);
    let (closing, ending) = (open.clone(), rooms.clone());
    service.listening.on_close(move || {
        closing.close();
        ending.leave_all();
    });
    thread::scope(|scope| {
        let (listening, most) = (&service.listening, service.connections);
        let (service, rooms) = (&service, &rooms);
        let converse = move |client: &Client| converse(client, service, rooms);
        let accepted = server::accept_all(scope, listening, most, &open, converse);
        // Also when accepting has failed: all threads are joined.
        open.close();
        rooms.leave_all();
        if !open.are_ended_by(Instant::now() + LINGER) {
            open.cut();
        }
        accepted
    })
}

/// Has the client join a room, and serves it as a member, until either end closes the
/// connection.
fn converse(client: &Client, service: &Service, rooms: &Rooms) -> io::Result<()> {
    let stream = client.stream();
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(service.patience))?;
    let mut received = Received::new(service.settings.format);
    let joined = client.wait(|| join(stream, &mut received, service.patience));
    let Some(room) = joined? else { return Ok(()) };
    stream.set_read_timeout(None)?;
    let seat = rooms.join(room);
    if service.listening.is_closing() {
        seat.leave(); // as all others have, or will
    }
    // Also while a thread waits to read or to write.
    let cut = client.cut_waker();
    if seat.poll_cut(&mut Context::from_waker(&cut)).is_ready() {
        return Err(ErrorKind::ConnectionAborted.into());
    }
    thread::scope(|scope| {
        let writing = crate::spawn_small(scope, || write(stream, &seat));
        let read = match &writing {
            Ok(_) => read(stream, &seat, &mut received),
            Err(_) => Err(ErrorKind::OutOfMemory.into()),
        };
        match read {
            Err(_) if !service.listening.is_closing() => seat.cut(),
            _ => seat.leave(),
        }
        writing.map_or(Ok(()), crate::join)
    })?;
    client.linger()
}

/// The room that the client joins; none if it ends before.
fn join(
    mut stream: &TcpStream,
    received: &mut Received,
    patience: Duration,
) -> io::Result<Option<u32>> {
    let until = Instant::now() + patience;
    loop {
        if let Some(room) = received.join() {
            return room.map(Some).map_err(io::Error::other);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(received.room()) {
            Ok(0) => return Ok(None),
            Ok(read) => received.filled(read),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Puts what the client sends, until it ends.
fn read(mut from: &TcpStream, seat: &Seat, received: &mut Received) -> io::Result<()> {
    let parked = Parked::new();
    let mut is_over = false;
    loop {
        let put = parked.until(|context| seat.poll_put(context, received));
        put.map_err(io::Error::other)?;
        if is_over {
            return Ok(());
        }
        match from.read(received.room()) {
            Ok(read) => {
                received.filled(read);
                is_over = read == 0;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes what there is for the member, until there will be nothing more.
fn write(mut to: &TcpStream, seat: &Seat) -> io::Result<()> {
    let parked = Parked::new();
    let mut buffer = Vec::new();
    while parked.until(|context| seat.poll_take(context, &mut buffer)) {
        if let Err(error) = to.write_all(&buffer) {
            seat.cut();
            return Err(error);
        }
    }
    // The client ends, too, and so does the thread that reads.
    to.shutdown(Shutdown::Write)
}

/// A thread that waits for what others do in its room.
struct Parked(Waker);

impl Parked {
    /// This thread.
    fn new() -> Self {
        Self(Arc::new(Unpark(thread::current())).into())
    }

    fn until<T>(&self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
        let mut context = Context::from_waker(&self.0);
        loop {
            if let Poll::Ready(ready) = poll(&mut context) {
                return ready;
            }
            thread::park();
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
