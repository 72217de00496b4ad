//! Unit: thread, one a connection. Shares: the directory, and the open connections. Ends:
//! when the end begins, nothing more is read from these; the scope joins.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};
use std::time::Instant;

use anyhow::Context;
use http_serve::{Answer, LINGER, Refusal, Request, Requests};
use rayon::ThreadPoolBuilder;
use suite::Result;
use suite::offload::Place;
use suite::serve::{Burns, Service, pause_after};

pub fn run(service: &Arc<Service>) -> Result<()> {
    let listener = service.listener()?;
    let open = Arc::new(Open::default());
    let closing = open.clone();
    service.on_close(move || closing.close());
    thread::scope(|scope| {
        let burning = service.burns.as_ref().map(|burns| {
            let open = open.clone();
            crate::spawn(scope, move || burn(burns, &open))
        });
        let accepted = accept(scope, &listener, service, &open);
        drop(listener); // or who has not been accepted would wait for the others
        // Also when accepting has failed: all threads are joined.
        open.close();
        burning.transpose()?.map_or(Ok(()), crate::join)?;
        accepted.context("accepting a connection")
    })
}

fn accept<'scope>(
    scope: &'scope Scope<'scope, '_>,
    listener: &TcpListener,
    service: &'scope Arc<Service>,
    open: &Arc<Open>,
) -> io::Result<()> {
    for number in 0.. {
        open.wait_for_place(service.connections);
        let accepted = listener.accept();
        if service.is_closing() {
            break;
        }
        match accepted {
            Ok((stream, _)) => {
                let stream = Arc::new(stream);
                let place = open.enter(number, &stream);
                // What breaks is the client's to tell; so is a thread that cannot be had, as
                // its connection is closed.
                let _ = crate::spawn_small(scope, move || {
                    let _ = converse(&stream, service);
                    drop(place);
                });
            }
            Err(error) => match pause_after(&error) {
                Some(pause) => thread::sleep(pause),
                None => return Err(error),
            },
        }
    }
    Ok(())
}

/// Answers what comes over a connection, until either end closes it.
fn converse(mut stream: &TcpStream, service: &Service) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(service.patience))?;
    stream.set_write_timeout(Some(service.patience))?;
    let mut requests = Requests::default();
    while let Some(next) = next(stream, &mut requests, service)? {
        let mut answer = match next {
            Ok(request) => service.site.answer(&request),
            Err(refusal) => Answer::refusal(refusal, None),
        };
        stream.write_all(answer.bytes())?;
        while answer.next_piece()? {
            stream.write_all(answer.bytes())?;
        }
        if !answer.keeps_connection() {
            return linger(stream);
        }
        if service.is_closing() {
            break;
        }
    }
    Ok(())
}

/// The next request, or what is wrong with it; none when there will be no other.
fn next(
    mut stream: &TcpStream,
    requests: &mut Requests,
    service: &Service,
) -> io::Result<Option<std::result::Result<Request, Refusal>>> {
    let mut until = None;
    loop {
        if let Some(next) = requests.next() {
            if until.is_some() {
                stream.set_read_timeout(Some(service.patience))?;
            }
            return Ok(Some(next));
        }
        if requests.has_begun() {
            // Or a client that sends a byte now and then would never be cut.
            let until = *until.get_or_insert_with(|| Instant::now() + service.patience);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Some(Err(Refusal::Timeout)));
            }
            stream.set_read_timeout(Some(left))?;
        }
        match stream.read(requests.room()) {
            Ok(0) => return Ok(None),
            Ok(read) => requests.filled(read),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Ok(requests.has_begun().then_some(Err(Refusal::Timeout)));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Lets the client read the answer before the connection is gone: what it sends meanwhile is
/// passed over.
fn linger(mut stream: &TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    let until = Instant::now() + LINGER;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        stream.set_read_timeout(Some(left))?;
        if stream.read(&mut [0; 1024])? == 0 {
            return Ok(());
        }
    }
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

/// The connections that are open.
#[derive(Default)]
struct Open {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    streams: HashMap<u64, Arc<TcpStream>>,
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there are fewer than this many, or the end begins.
    fn wait_for_place(&self, most: usize) {
        let is_full = |state: &mut State| state.streams.len() >= most && !state.is_closed;
        drop(self.changed.wait_while(self.lock(), is_full));
    }

    /// Waits until then; whether the end begins before.
    fn is_closed_by(&self, then: Instant) -> bool {
        let left = then.saturating_duration_since(Instant::now());
        let is_open = |state: &mut State| !state.is_closed;
        let waited = self.changed.wait_timeout_while(self.lock(), left, is_open);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_closed
    }

    /// A connection is open as long as what this returns.
    fn enter(self: &Arc<Self>, number: u64, stream: &Arc<TcpStream>) -> Entered {
        let mut state = self.lock();
        if state.is_closed {
            end(stream);
        }
        state.streams.insert(number, stream.clone());
        Entered(self.clone(), number)
    }

    /// The end begins: a thread that waits for a request sees the end of what it reads.
    fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.streams.values().for_each(|stream| end(stream));
        self.changed.notify_all();
    }
}

fn end(stream: &TcpStream) {
    // It fails when the client is gone.
    let _ = stream.shutdown(Shutdown::Read);
}

struct Entered(Arc<Open>, u64);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.lock().streams.remove(&self.1);
        self.0.changed.notify_all();
    }
}
