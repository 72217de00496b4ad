//! What the instrument itself can do.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, ensure};

use crate::client::{Connection, split};

/// How long an origin may keep a connection waiting: a request may have a delay.
const PATIENCE: Duration = Duration::from_secs(60);

/// The instrument's own ceiling: how long it takes to fetch every one of `urls`
/// once over `connections` keep-alive connections, with plain sockets and a thread
/// each, throwing the bodies away. What a model takes beyond this is the model's.
///
/// The connections are made beforehand and are not part of the time.
///
/// # Errors
///
/// When there are no connections to use, the URLs are not all of one origin, or
/// one cannot be fetched whole; that one is named.
pub fn ceiling(urls: &[String], connections: usize) -> anyhow::Result<Duration> {
    ensure!(connections > 0, "a ceiling needs at least one connection");
    let Some(first) = urls.first() else {
        return Ok(Duration::ZERO);
    };
    let (authority, _) = split(first)?;
    let paths = (urls.iter())
        .map(|url| match split(url)? {
            (other, path) if other == authority => Ok(path),
            _ => Err(anyhow!("{url} is not at {authority}, as the first URL is")),
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut pool = (0..connections)
        .map(|_| Connection::open(authority, PATIENCE))
        .collect::<anyhow::Result<Vec<_>>>()
        .with_context(|| format!("origin http://{authority}"))?;

    let next = AtomicUsize::new(0);
    let fetch = |connection: &mut Connection| {
        while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            fetch(connection, path).with_context(|| format!("http://{authority}{path}"))?;
        }
        anyhow::Ok(())
    };
    let start = Instant::now();
    thread::scope(|scope| {
        let workers = pool
            .iter_mut()
            .map(|connection| thread::Builder::new().spawn_scoped(scope, || fetch(connection)))
            .collect::<Result<Vec<_>, _>>()
            .context("cannot start a thread")?;
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
        })
    })?;
    Ok(start.elapsed())
}

fn fetch(connection: &mut Connection, path: &str) -> anyhow::Result<()> {
    connection.send("GET", path, &[], false)?;
    let answer = connection.receive()?;
    ensure!(answer.status == 200, "HTTP {}", answer.status);
    connection.body(answer.body_bytes, |_| {})
}
