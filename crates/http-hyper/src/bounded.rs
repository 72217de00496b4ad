//! A stream that limits how much is read while the head of an answer is awaited.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use transfer::AttemptError;

/// How many reads a head may take before they are limited. hyper limits the size of a
/// head, but not how many interim ones (1xx) come before it: without a limit here it would
/// read those without end, and on a fast line without ever returning to its caller.
const MOST_READS: usize = 128;
/// How many bytes may follow after that, in reads of at most [`PIECE_BYTES`]: so a head
/// that comes in many small pieces is still read whole.
const MOST_BYTES: usize = 64 * 1024;
const PIECE_BYTES: usize = 512;

/// How much a connection may still read: limited only while a head is awaited.
#[derive(Clone)]
pub(crate) struct Reads(Arc<Left>);

struct Left {
    reads: AtomicUsize,
    bytes: AtomicUsize,
}

impl Reads {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Left {
            reads: AtomicUsize::new(usize::MAX),
            bytes: AtomicUsize::new(MOST_BYTES),
        }))
    }

    /// A head is awaited from now on.
    pub(crate) fn bound(&self) {
        self.0.reads.store(MOST_READS, Ordering::Relaxed);
        self.0.bytes.store(MOST_BYTES, Ordering::Relaxed);
    }

    /// It has come.
    pub(crate) fn unbound(&self) {
        self.0.reads.store(usize::MAX, Ordering::Relaxed);
    }
}

/// A stream with that limit.
pub(crate) struct Bounded<I> {
    pub(crate) io: I,
    pub(crate) reads: Reads,
}

impl<I: Read + Unpin> Read for Bounded<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Left { reads, bytes } = &*self.reads.0.clone();
        if reads.load(Ordering::Relaxed) > 0 {
            ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
            reads.fetch_sub(1, Ordering::Relaxed);
            return Poll::Ready(Ok(()));
        }
        // Only what is read into a buffer of our own can be counted.
        let mut piece = [0; PIECE_BYTES];
        let room = buffer.remaining().min(PIECE_BYTES);
        let mut read = ReadBuf::new(&mut piece[..room]);
        ready!(Pin::new(&mut self.io).poll_read(context, read.unfilled()))?;
        let left = bytes.load(Ordering::Relaxed);
        let Some(left) = left.checked_sub(read.filled().len()) else {
            let endless = "its head does not end".to_owned();
            return Poll::Ready(Err(io::Error::other(AttemptError::Protocol(endless))));
        };
        bytes.store(left, Ordering::Relaxed);
        buffer.put_slice(read.filled());
        Poll::Ready(Ok(()))
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
