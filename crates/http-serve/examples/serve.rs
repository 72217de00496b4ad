//! A whole server in plain threads, one for each connection: `serve DIR`, with the options of
//! the models' programs. With `--lenient` it takes a bare line feed for the end of a line,
//! which is wrong: the tests of the conformance table need a server that is.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use http_head::LINGER;
use http_serve::{Answer, Refusal, Requests, Site};
use rustix::net::{Shutdown as Side, shutdown};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The connections that are open, and whether there may be more.
#[derive(Default)]
struct Open {
    all: Mutex<(Vec<Arc<TcpStream>>, bool)>,
    has_changed: Condvar,
}

struct Options {
    listen: String,
    idle_timeout: Duration,
    connections: usize,
    lenient: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "serve DIR [--listen ADDR] [--idle-timeout SECONDS] [--connections N] [--lenient]";
    let directory = match (arguments.next().as_deref(), arguments.next()) {
        (Some("serve"), Some(directory)) => directory,
        _ => return Err(usage.into()),
    };
    let mut options = Options {
        listen: "127.0.0.1:8080".to_owned(),
        idle_timeout: Duration::from_secs(30),
        connections: 1024,
        lenient: false,
    };
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or(usage);
        match &*name {
            "--listen" => options.listen = value()?,
            "--idle-timeout" => {
                options.idle_timeout = Duration::try_from_secs_f64(value()?.parse()?)?;
            }
            "--connections" => options.connections = value()?.parse()?,
            "--lenient" => options.lenient = true,
            _ => return Err(usage.into()),
        }
    }
    let site = Site::open(Path::new(&directory))?;
    let listener = TcpListener::bind(&options.listen)?;
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let open = Open::default();
    println!("serving {directory} at http://{}/", listener.local_addr()?);
    thread::scope(|scope| {
        scope.spawn(|| {
            for (number, _) in signals.forever().enumerate() {
                match number {
                    0 => open.end(&listener),
                    _ => std::process::exit(130),
                }
            }
        });
        while let Some(connection) = open.next(&listener, options.connections) {
            let (site, options, open) = (&site, &options, &open);
            scope.spawn(move || {
                // A client that has gone is not told.
                let _ = serve(site, &connection, options);
                open.remove(&connection);
            });
        }
        open.wait(1);
        std::process::exit(0)
    })
}

impl Open {
    /// Waits until fewer are open than this, and then for the next one; none after the end.
    fn next(&self, listener: &TcpListener, most: usize) -> Option<Arc<TcpStream>> {
        self.wait(most);
        let connection = Arc::new(listener.accept().ok()?.0);
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let (open, has_ended) = &mut *all;
        open.push(Arc::clone(&connection));
        (!*has_ended).then_some(connection)
    }

    fn wait(&self, most: usize) {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |all: &mut (Vec<_>, bool)| all.0.len() >= most;
        drop(self.has_changed.wait_while(all, is_full));
    }

    fn remove(&self, connection: &Arc<TcpStream>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.0.retain(|open| !Arc::ptr_eq(open, connection));
        self.has_changed.notify_all();
    }

    /// Nothing more is accepted or read. What is in flight is written all the same.
    fn end(&self, listener: &TcpListener) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.1 = true;
        for connection in &all.0 {
            let _ = connection.shutdown(Shutdown::Read);
        }
        drop(all);
        let _ = shutdown(listener, Side::Both);
    }
}

fn serve(site: &Site, mut connection: &TcpStream, options: &Options) -> io::Result<()> {
    connection.set_nodelay(true)?;
    connection.set_write_timeout(Some(options.idle_timeout))?;
    let mut requests = Requests::default();
    let mut until = Instant::now() + options.idle_timeout;
    loop {
        while let Some(next) = requests.next() {
            let mut answer = match next {
                Ok(request) => site.answer(&request),
                Err(refusal) => Answer::refusal(refusal, None),
            };
            connection.write_all(answer.bytes())?;
            while answer.next_piece()? {
                connection.write_all(answer.bytes())?;
            }
            if !answer.keeps_connection() {
                return linger(connection);
            }
            until = Instant::now() + options.idle_timeout;
        }
        let read = read_until(connection, requests.room(), until);
        match read {
            Ok(0) => return Ok(()),
            Ok(bytes) if options.lenient => {
                let text = requests.room()[..bytes].to_vec();
                for (at, byte) in text.iter().enumerate() {
                    if *byte == b'\n' && at.checked_sub(1).map(|before| text[before]) != Some(b'\r')
                    {
                        put(&mut requests, b'\r');
                    }
                    put(&mut requests, *byte);
                }
            }
            Ok(bytes) => requests.filled(bytes),
            Err(error) if error.kind() == ErrorKind::TimedOut && requests.has_begun() => {
                let answer = Answer::refusal(Refusal::Timeout, None);
                connection.write_all(answer.bytes())?;
                return linger(connection);
            }
            Err(error) => return Err(error),
        }
    }
}

fn put(requests: &mut Requests, byte: u8) {
    requests.room()[0] = byte;
    requests.filled(1);
}

fn linger(connection: &TcpStream) -> io::Result<()> {
    connection.shutdown(Shutdown::Write)?;
    let until = Instant::now() + LINGER;
    while read_until(connection, &mut [0; 4096], until)? > 0 {}
    Ok(())
}

fn read_until(mut connection: &TcpStream, room: &mut [u8], until: Instant) -> io::Result<usize> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        connection.set_read_timeout(Some(left))?;
        match connection.read(room) {
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            read => return read,
        }
    }
}
