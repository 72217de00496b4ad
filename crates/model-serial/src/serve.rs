//! Unit: none. Shares: nothing. Ends: when the one connection at a time does.
//!
//! A connection is closed after one answer, or the others would wait until its client does
//! that. CPU work that is due is done between two connections.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Instant;

use anyhow::Context;
use http_serve::{Answer, LINGER, Refusal, Request, Requests};
use suite::serve::{Job, Outcome, Service, pause_after};
use suite::{Result, Unsupported};

pub fn job(job: &Job) -> Result<Outcome> {
    if job.idle > 0 {
        let text = "one connection at a time: an idle one would keep all others waiting";
        return Err(Unsupported(text.to_owned()).into());
    }
    run(job.service())?;
    Ok(job.outcome())
}

pub fn run(service: &Service) -> Result<()> {
    let listener = service.listener()?;
    let mut due = service
        .burns
        .as_ref()
        .map(|burns| burns.schedule().peekable());
    loop {
        let accepted = listener.accept();
        if service.is_closing() {
            return Ok(());
        }
        match accepted {
            // What breaks is the client's to tell.
            Ok((stream, _)) => drop(converse(&stream, service)),
            Err(error) => match pause_after(&error) {
                Some(pause) => thread::sleep(pause),
                None => return Err(error).context("accepting a connection"),
            },
        }
        if let (Some(burns), Some(due)) = (&service.burns, &mut due) {
            while due.next_if(|due| *due <= Instant::now()).is_some() {
                burns.begin();
                burns.burn();
            }
        }
    }
}

/// Answers one request, and closes the connection.
fn converse(mut stream: &TcpStream, service: &Service) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(service.patience))?;
    stream.set_write_timeout(Some(service.patience))?;
    let Some(next) = next(stream, service)? else {
        return Ok(());
    };
    let mut answer = match next {
        Ok(mut request) => {
            request.close_connection();
            service.site.answer(&request)
        }
        Err(refusal) => Answer::refusal(refusal, None),
    };
    stream.write_all(answer.bytes())?;
    while answer.next_piece()? {
        stream.write_all(answer.bytes())?;
    }
    linger(stream)
}

/// The request, or what is wrong with it; none when none will come.
fn next(
    mut stream: &TcpStream,
    service: &Service,
) -> io::Result<Option<std::result::Result<Request, Refusal>>> {
    let mut requests = Requests::default();
    let mut until = None;
    loop {
        if let Some(next) = requests.next() {
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
