//! Unit: child process, one for each connection that may be open. Shares: the listener.
//! Ends: it is shut down, which every child sees that waits for a client or a request; each
//! answers what it has been asked.

use std::io::{self, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use http_serve::{Answer, Requests, Site};
use suite::Result;
use suite::serve::Service;

use crate::pool::protocol::ServeTask;
use crate::pool::{self, Children, Task};
use crate::server::{self, Listener, linger, next};

pub fn run(service: &Service, children: &mut Children) -> Result<()> {
    let task = || {
        Task::Serve(ServeTask {
            directory: service.directory.clone().into(),
            patience: service.patience,
        })
    };
    let (listening, connections) = (&service.listening, service.connections);
    server::run(
        listening,
        connections,
        service.burns.as_ref(),
        &task,
        children,
    )
}

/// Serves one client after the other.
pub(crate) fn perform(task: ServeTask) -> Result<pool::Answer> {
    let directory = Path::new(&task.directory);
    let site = Site::open(directory).with_context(|| directory.display().to_string())?;
    server::accept_all(|listener, stream| converse(stream, &site, task.patience, listener))
}

/// Answers what comes over a connection, until either end closes it.
fn converse(
    mut stream: &TcpStream,
    site: &Site,
    patience: Duration,
    listener: &Listener,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(patience))?;
    let mut requests = Requests::default();
    while let Some(next) = next(stream, &mut requests, patience, listener)? {
        let mut answer = match next {
            Ok(request) => site.answer(&request),
            Err(refusal) => Answer::refusal(refusal, None),
        };
        stream.write_all(answer.bytes())?;
        while answer.next_piece()? {
            stream.write_all(answer.bytes())?;
        }
        if !answer.keeps_connection() {
            return linger(stream);
        }
        if listener.is_closing() {
            return linger(stream);
        }
    }
    Ok(())
}
