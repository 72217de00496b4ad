//! How a host is found, and which of its addresses is taken.

use std::future::poll_fn;
use std::io;
use std::mem::replace;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::oneshot;
use transfer::{ATTEMPT_DELAY, look_up};
use url::Url;

use crate::host_and_port;

/// Connects to the first of a URL's addresses that answers (RFC 8305): the next one
/// is tried as well when one has failed, or has had its time.
///
/// # Errors
///
/// Why the host cannot be found, or why the last address has failed.
pub async fn connect<S, A, D>(
    url: &Url,
    attempt: impl Fn(SocketAddr) -> A,
    delay: impl Fn(Duration) -> D,
) -> io::Result<S>
where
    A: Future<Output = io::Result<S>> + Send,
    D: Future + Send,
{
    let mut addresses = addresses(url).await?.into_iter().peekable();
    let mut attempts: Vec<Pin<Box<A>>> = Vec::new();
    let mut pause: Option<Pin<Box<D>>> = None;
    let mut last = io::Error::other("the host has no address");
    poll_fn(|context| {
        loop {
            let mut failed = false;
            let mut at = 0;
            while at < attempts.len() {
                match attempts[at].as_mut().poll(context) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        last = error;
                        failed = true;
                        drop(attempts.remove(at));
                    }
                    Poll::Pending => at += 1,
                }
            }
            let waits = pause
                .as_mut()
                .is_some_and(|pause| pause.as_mut().poll(context).is_pending());
            if waits && !failed {
                return Poll::Pending;
            }
            match addresses.next() {
                Some(address) => attempts.push(Box::pin(attempt(address))),
                None if attempts.is_empty() => {
                    return Poll::Ready(Err(replace(&mut last, io::ErrorKind::Other.into())));
                }
                None => return Poll::Pending,
            }
            let more = addresses.peek().is_some();
            pause = more.then(|| Box::pin(delay(ATTEMPT_DELAY)));
        }
    })
    .await
}

async fn addresses(url: &Url) -> io::Result<Vec<SocketAddr>> {
    let (host, port) = host_and_port(url);
    let (found, addresses) = oneshot::channel();
    look_up(host, port, |addresses| {
        // The request may have been given up.
        let _ = found.send(addresses);
    })?;
    addresses.await.map_err(io::Error::other)?
}
