//! A stream that waits for no head for ever.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use transfer::AttemptError;

/// The most reads that the head of an answer may take: more than it may have
/// headers, if each came by itself. hyper bounds a head, and not how many interim
/// ones (1xx) come before it: it would read them for ever, and on a fast line never
/// look up.
const MOST_READS: usize = 128;

/// How many reads a connection still has: all that it likes, but while a head
/// is awaited.
#[derive(Clone)]
pub(crate) struct Reads(Arc<AtomicUsize>);

impl Reads {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(usize::MAX)))
    }

    /// A head is awaited from now on.
    pub(crate) fn bound(&self) {
        self.0.store(MOST_READS, Ordering::Relaxed);
    }

    /// It has come.
    pub(crate) fn unbound(&self) {
        self.0.store(usize::MAX, Ordering::Relaxed);
    }
}

/// A stream that can only be read so often.
pub(crate) struct Bounded<I> {
    pub(crate) io: I,
    pub(crate) reads: Reads,
}

impl<I: Read + Unpin> Read for Bounded<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        match self.reads.0.fetch_sub(1, Ordering::Relaxed) {
            0 => {
                let endless = "its head does not end".to_owned();
                Poll::Ready(Err(io::Error::other(AttemptError::Protocol(endless))))
            }
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl<I: Write + Unpin> Write for Bounded<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }
}
