//! The parent's state of a file in a download: which node has it, which bytes have arrived, and
//! which of them are on the disk.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::Subject;
use http_hyper::Bytes;
use transfer::{FileProgress, Next, Partial, Session, Transfer};

use super::disk::{End, Step, Work};
use super::messages::{Chunk, Confirmed};
use crate::protocol::ShareId;

/// The maximum total size of a file's texts, in bytes: they travel in one message with its data.
const MAX_TEXT_BYTES: usize = 256 << 10;

/// A file that is published as a share, or that a node has.
pub(crate) struct File {
    /// The file's state when its share was published.
    pub(crate) transfer: Box<Transfer>,
    /// The host of its first request, before any redirect.
    pub(crate) host: String,
    pub(crate) progress: Arc<FileProgress>,
    /// `None` before a node has begun.
    pub(crate) holder: Option<Holder>,
    /// When its node last sent a message.
    heard: Instant,
    /// The number of chunks that have arrived.
    pub(crate) chunks: u64,
    /// The offset of the next byte.
    position: u64,
    /// The size of the whole file, in bytes, if the server has sent it.
    total: Option<u64>,
    /// With a rate limit: bytes for which no time is reserved yet.
    unreserved: u64,
    /// The next disk operations.
    work: Work,
    /// Whether disk operations are running.
    is_busy: bool,
    /// The number of chunks on the disk, now and after the running operations.
    written: u64,
    writing: u64,
    /// The reply subject of the waiting node.
    waits: Option<Subject>,
    /// Whether the node waits for a new confirmation.
    is_awaited: bool,
    /// Whether nothing more is expected of the node.
    has_ended: bool,
}

/// The node and the share that a file is assigned to.
#[derive(PartialEq)]
pub(crate) struct Holder {
    pub(crate) node: String,
    pub(crate) id: ShareId,
    /// The number of the node's question.
    pub(crate) question: u64,
}

impl File {
    /// Creates the state of a file that begins or continues.
    pub(crate) fn new(transfer: Box<Transfer>, progress: Arc<FileProgress>) -> Self {
        let mut file = Self {
            host: transfer.host().to_owned(),
            progress,
            holder: None,
            heard: Instant::now(),
            chunks: 0,
            position: transfer.part.bytes,
            total: transfer.part.total,
            unreserved: 0,
            work: Work::default(),
            is_busy: false,
            written: 0,
            writing: 0,
            waits: None,
            is_awaited: false,
            has_ended: false,
            transfer,
        };
        if file.transfer.text_bytes() > MAX_TEXT_BYTES {
            let why = "its URL, or what its server says of it, is too long to be sent to a node";
            let failed = Next::Failed(why.to_owned());
            file.end(End::Rest(file.transfer.clone(), failed));
        } else if file.transfer.is_whole() {
            file.end(End::Whole(file.transfer.clone()));
        }
        file
    }

    /// Ends the node's work on the file.
    pub(crate) fn end(&mut self, end: End) {
        self.work.end = Some(end);
        self.has_ended = true;
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The holder, as long as something is expected of it.
    pub(crate) fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref().filter(|_| !self.has_ended)
    }

    /// Notes that its node has sent a message.
    pub(crate) fn hear(&mut self) {
        self.heard = Instant::now();
    }

    /// Whether its node was silent for longer than `longest`.
    pub(crate) fn is_silent(&self, longest: Duration) -> bool {
        self.holder().is_some() && self.heard.elapsed() > longest
    }

    /// Takes a chunk if it is the next one. Returns whether it was.
    pub(crate) fn take(&mut self, chunk: Chunk, bytes: Bytes, session: &Session) -> bool {
        let is_next = chunk.begun.is_some() || chunk.offset == self.position;
        if chunk.number != self.chunks || !is_next {
            return false;
        }
        self.hear();
        self.chunks += 1;
        if let Some(transfer) = chunk.begun {
            let partial = session.parts().begin(&transfer, chunk.offset);
            self.work.steps.push(Step::Begin(Box::new(partial)));
            self.position = chunk.offset;
            self.total = transfer.part.total;
        }
        let new = bytes.len() as u64;
        if new > 0 {
            self.work.steps.push(Step::Bytes(bytes));
            self.position += new;
            self.unreserved += new;
        }
        session.received(&self.progress, new, self.position, self.total);
        true
    }

    /// Marks the received bytes to be written now. The node gets a confirmation if there is a reply
    /// subject.
    pub(crate) fn write_now(&mut self, reply: Option<&Subject>) {
        if let Some(reply) = reply {
            self.waits = Some(reply.clone());
        }
        self.is_awaited = true;
    }

    /// Takes the disk operations that are due, unless others are running.
    pub(crate) fn begin_work(&mut self) -> Option<Work> {
        // A chunk without a reply subject is the last: it is written together with the file's end.
        let is_due = self.work.end.is_some() || self.is_awaited && !self.work.steps.is_empty();
        if self.is_busy || !is_due {
            return None;
        }
        self.is_busy = true;
        self.is_awaited = false;
        self.writing = self.chunks;
        Some(mem::take(&mut self.work))
    }

    /// Notes that the operations are done. The file stays open if more can follow.
    pub(crate) fn end_work(&mut self, partial: Option<Box<Partial>>) {
        self.is_busy = false;
        self.written = self.writing;
        self.work.partial = partial;
    }

    /// Notes that the operations have failed, and drops pending ones.
    pub(crate) fn drop_work(&mut self) {
        self.is_busy = false;
        self.work = Work::default();
    }

    /// The confirmation for the waiting node, with its reply subject.
    pub(crate) fn confirmed(&mut self, session: &Session) -> Option<(Subject, Confirmed)> {
        let waits = self.waits.clone().filter(|_| !self.has_ended)?;
        let wait = match session.options.rate {
            Some(rate) if self.unreserved > 0 => {
                let bytes = mem::take(&mut self.unreserved);
                session.rate.reserve(bytes, rate)
            }
            _ => Duration::ZERO,
        };
        let confirmed = Confirmed {
            chunks: self.written,
            sharing: session.in_flight(),
            wait,
        };
        Some((waits, confirmed))
    }
}

/// The file of a share, as long as something is expected of the node that has begun with it.
pub(crate) fn held(files: &mut [Option<File>], id: ShareId) -> Option<&mut File> {
    let file = files.get_mut(id.share)?.as_mut();
    file.filter(|file| file.holder().is_some_and(|holder| holder.id == id))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use suite::Result;
    use transfer::{List, Observer, Options};

    use super::*;

    struct Unobserved;

    impl Observer for Unobserved {}

    /// A download, and its file.
    fn download(directory: &Path) -> Result<(Arc<Session>, File)> {
        let list = List::Text("http://h/a.bin\n".into());
        let session = Session::open(directory, list, Options::default(), Arc::new(Unobserved))?;
        let transfer = session.read_list(1)?.and_then(|mut files| files.pop());
        let transfer = Box::new(transfer.expect("it is in the list"));
        let progress = session.begin(&transfer);
        Ok((session, File::new(transfer, progress)))
    }

    fn id(attempt: u32) -> ShareId {
        ShareId {
            run: 1,
            share: 0,
            attempt,
        }
    }

    fn chunk(number: u64, offset: u64, begun: Option<Box<Transfer>>) -> Chunk {
        Chunk {
            id: id(1),
            number,
            offset,
            begun,
        }
    }

    #[test]
    fn a_chunk_that_does_not_follow_is_not_taken() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let (session, mut file) = download(directory.path())?;
        let begun = || Some(file.transfer.clone());
        let (first, again) = (begun(), begun());
        let mut take = |chunk| file.take(chunk, Bytes::from_static(b"12345"), &session);
        // Its body has not begun, and then one before it is missing.
        assert!(!take(chunk(0, 5, None)));
        assert!(take(chunk(0, 0, first)));
        assert!(!take(chunk(2, 10, None)));
        assert!(!take(chunk(1, 10, None)));
        assert!(!take(chunk(0, 0, None)));
        assert!(take(chunk(1, 5, None)));
        // Another body begins where it likes.
        assert!(take(chunk(2, 0, again)));
        assert!(take(chunk(3, 5, None)));
        assert_eq!((file.chunks, file.position), (4, 10));
        Ok(())
    }

    #[test]
    fn only_the_attempt_that_has_a_file_counts() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let (_session, mut file) = download(directory.path())?;
        file.holder = Some(Holder {
            node: "one".to_owned(),
            id: id(2),
            question: 0,
        });
        let mut files = vec![Some(file)];
        assert!(held(&mut files, id(1)).is_none());
        assert!(held(&mut files, id(3)).is_none());
        let file = held(&mut files, id(2)).expect("it has the file");
        file.end(End::Lost(file.transfer.clone(), Next::Now));
        assert!(held(&mut files, id(2)).is_none());
        Ok(())
    }

    #[test]
    fn what_has_come_is_written_once_and_in_order() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let (session, mut file) = download(directory.path())?;
        let first = Some(file.transfer.clone());
        assert!(file.begin_work().is_none(), "nothing has come");
        file.take(chunk(0, 0, first), Bytes::from_static(b"12345"), &session);
        assert!(file.begin_work().is_none(), "nothing waits for it");
        file.write_now(None);
        let work = file.begin_work().expect("something waits");
        assert_eq!(work.steps.len(), 2);
        file.take(chunk(1, 5, None), Bytes::from_static(b"67890"), &session);
        file.write_now(None);
        assert!(file.begin_work().is_none(), "the first is not done");
        file.end_work(work.partial);
        assert_eq!(file.written, 1);
        assert_eq!(file.begin_work().map(|work| work.steps.len()), Some(1));
        Ok(())
    }
}
