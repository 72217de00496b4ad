//! How both ends of `send` end early.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use file_send::{Acknowledged, Error, Outgoing};
use suite::send::{Receiving, Sending};
use suite::{Model, Result, Workload};

use super::support::{job, start};
use crate::file_ends::{secret, send};

/// Longer than any test: what ends, is ended by something else.
const PATIENCE: Duration = Duration::from_secs(600);

const STREAMS: usize = 3;

/// A sender that is stopped while all of its units wait for answers.
pub fn send_stops<M: Model>(program: &'static str) -> Result<()> {
    let directory = tempfile::tempdir().context("a temporary directory")?;
    let path = directory.path().join("a");
    fs::write(&path, "text")?;
    // It takes connections, and says nothing.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a port")?;
    let files = (0..10).map(|number| (path.clone(), format!("{number}")));
    let how = (STREAMS, file_send::Path::Copy);
    let to = silent.local_addr()?;
    let sending = Sending::new(to, secret(), files, how, PATIENCE, Arc::new(()));
    let sending = Arc::new(sending);
    let model = start_for_streams::<M>(program)?;
    let stopping = sending.clone();
    let stopped = thread::spawn(move || {
        // The serial model has one.
        let first = silent.accept();
        stopping.stop();
        first.map(|stream| (stream, silent))
    });
    model.send_files(&sending)?;
    stopped.join().map_err(|_| anyhow!("it panicked"))??;
    let outcome = sending.outcome();
    ensure!(outcome.files == 0, "{outcome:?}");
    ensure!(sending.next().is_none(), "another file could begin");
    Ok(())
}

/// A receiver whose end begins in the middle of a file keeps what it has of it.
pub fn send_keeps_what_has_come_at_the_end<M: Model>(program: &'static str) -> Result<()> {
    // More than the system holds for a receiver that does not read.
    const BYTES: usize = 48 << 20;
    let directory = tempfile::tempdir().context("a temporary directory")?;
    let (path, into) = (directory.path().join("a"), directory.path().join("into"));
    fs::write(&path, vec![1; BYTES])?;
    let model = start_for_streams::<M>(program)?;
    let (ended, sent) = receive_one(&model, &path, &into, Some(BYTES as u64 / 2))?;
    ensure!(matches!(ended, Err(Error::Broken(_))), "{ended:?}");
    ensure!(!into.join("a").exists(), "it has its name too early");
    let (ended, again) = receive_one(&model, &path, &into, None)?;
    ensure!(ended.is_ok(), "{ended:?}");
    ensure!(again < BYTES as u64, "nothing of {sent} bytes was kept");
    ensure!(fs::read(into.join("a"))? == vec![1; BYTES], "it differs");
    Ok(())
}

fn start_for_streams<M: Model>(program: &'static str) -> Result<M> {
    let sets = format!("streams={STREAMS} cut=0 cuts=0");
    start::<M>(program, &job(Workload::Send, &sets)?)
}

/// Has the model receive a file, until that has ended, or so many bytes have been sent. What
/// has come of it, and how many were.
fn receive_one<M: Model>(
    model: &M,
    path: &Path,
    into: &Path,
    end_after: Option<u64>,
) -> Result<(std::result::Result<Acknowledged, Error>, u64)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a port")?;
    let service = Receiving::new(listener, into, true, secret(), STREAMS, PATIENCE)?;
    let (service, file) = (
        Arc::new(service),
        Outgoing::new(0, path.to_owned(), "a".to_owned()),
    );
    let listening = service.listening.clone();
    let sender = thread::spawn(move || {
        let before = |meter: &AtomicU64| {
            if end_after.is_some_and(|bytes| meter.load(Relaxed) >= bytes) {
                listening.close();
            }
            true
        };
        let sent = send(listening.address(), &secret(), file, before);
        listening.close();
        sent
    });
    model.receive_files(&service)?;
    let (file, ended) = sender.join().map_err(|_| anyhow!("it panicked"))??;
    Ok((ended, file.sent))
}
