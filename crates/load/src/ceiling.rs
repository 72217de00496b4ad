//! A server that does next to nothing: what the generator can do at most, and a stall that
//! is known.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use anyhow::Context;

use crate::plan::{Expected, Plan};
use crate::report::Report;
use crate::run::run;

/// How long a whole server answers nothing, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    /// After this number of requests.
    pub after: u64,
    /// How long it lasts.
    pub time: Duration,
}

/// Serves the same body for whatever is asked, over as many connections as come, until the
/// process ends: a thread a connection. Gives the address.
pub fn serve_fixed(body: &'static [u8], stall: Option<Stall>) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port to listen on")?;
    let address = listener.local_addr().context("no address to listen at")?;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let answer: Arc<[u8]> = [head.as_bytes(), body].concat().into();
    let asked = Arc::new(AtomicU64::new(0));
    let open = Arc::new(RwLock::new(()));
    thread::Builder::new().spawn(move || {
        for stream in listener.incoming().flatten() {
            let (answer, asked, open) = (answer.clone(), asked.clone(), open.clone());
            let serve = move || {
                let meet = || {
                    let asked = asked.fetch_add(1, Relaxed) + 1;
                    if let Some(stall) = stall.filter(|stall| stall.after == asked) {
                        let _closed = open.write().unwrap_or_else(PoisonError::into_inner);
                        thread::sleep(stall.time);
                    }
                    drop(open.read().unwrap_or_else(PoisonError::into_inner));
                };
                // A client that hangs up is the end of its thread.
                let _ = answer_all(&stream, &answer, meet);
            };
            // Without a thread the connection is closed, and its client sees that.
            let _ = thread::Builder::new().stack_size(64 * 1024).spawn(serve);
        }
    })?;
    Ok(address)
}

fn answer_all(mut stream: &TcpStream, answer: &[u8], meet: impl Fn()) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut requests = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        if requests.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line == b"\r\n" {
            meet();
            stream.write_all(answer)?;
        }
    }
}

/// What the generator can do: as many requests in a closed loop, for a body that a server in
/// this process answers with at once.
pub fn ceiling(connections: usize, requests: u64, body: &'static [u8]) -> anyhow::Result<Report> {
    let plan = Plan {
        address: serve_fixed(body, None)?,
        paths: vec![("/".to_owned(), Some(Expected::of(body)))],
        connections,
        idle: 0,
        requests,
        rate_per_s: None,
        seed: 0,
        timeout: Duration::from_secs(10),
        via: None,
    };
    Ok(run(&plan)?.0)
}
