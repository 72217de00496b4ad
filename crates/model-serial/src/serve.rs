//! Unit: none. Shares: nothing. Ends: when the one connection at a time does.
//!
//! A connection is closed after one answer, or the others would wait until its client does
//! that. CPU work that is due is done between two connections.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use http_serve::{Answer, Requests};
use suite::serve::{Job, Outcome, Service};
use suite::{Result, Unsupported};

use crate::server::{accept_all, end, linger, next};

pub fn job(job: &Job) -> Result<Outcome> {
    if job.silent() > 0 {
        let text = "one connection at a time: a silent one would keep all others waiting";
        return Err(Unsupported(text.to_owned()).into());
    }
    run(job.service())?;
    Ok(job.outcome())
}

pub fn run(service: &Service) -> Result<()> {
    let mut due = service
        .burns
        .as_ref()
        .map(|burns| burns.schedule().peekable());
    let burn = || {
        if let (Some(burns), Some(due)) = (&service.burns, &mut due) {
            while due.next_if(|due| *due <= Instant::now()).is_some() {
                burns.begin();
                burns.burn();
            }
        }
    };
    let end = end(&service.listening)?;
    let converse = |_: &TcpListener, stream: &TcpStream| converse(stream, service, &end);
    accept_all(&service.listening, converse, burn)
}

/// Answers one request, and closes the connection.
fn converse(mut stream: &TcpStream, service: &Service, end: &UnixStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(service.patience))?;
    let mut requests = Requests::default();
    let Some(next) = next(stream, &mut requests, service.patience, end)? else {
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
