//! A file of a download, as the parent knows it: who has it, what has come of it, and what of
//! that is on the disk.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Subject;
use http_hyper::Bytes;
use transfer::{FileProgress, Next, Partial, Session, Transfer};

use super::disk::{End, Step, Work};
use super::messages::{Chunk, Confirmed};
use crate::protocol::ShareId;

/// The longest texts of a file, together: they are in one message with its bytes.
const MAX_TEXT_BYTES: usize = 256 << 10;

/// A file that is dealt, or that a node has.
pub(crate) struct File {
    /// As it was dealt.
    pub(crate) transfer: Box<Transfer>,
    /// Where its request goes, until a redirect.
    pub(crate) host: String,
    pub(crate) progress: Arc<FileProgress>,
    /// None before a node has begun with it.
    pub(crate) holder: Option<Holder>,
    /// Chunks that have come.
    pub(crate) chunks: u64,
    /// Where the next byte belongs.
    position: u64,
    /// Bytes of the whole file, if the server has said.
    total: Option<u64>,
    /// Bytes that no time was reserved for, if there is a rate.
    unreserved: u64,
    /// What is to be done next on the disk.
    work: Work,
    /// Something is being done there.
    is_busy: bool,
    /// Chunks that are on the disk, and that will be when that is done.
    written: u64,
    writing: u64,
    /// Where the node waits to hear what is on the disk.
    waits: Option<Subject>,
    /// It waits for more than it has heard of.
    is_awaited: bool,
    /// Nothing more is expected of the node.
    has_ended: bool,
}

/// Who has a file.
#[derive(PartialEq)]
pub(crate) struct Holder {
    pub(crate) node: String,
    pub(crate) id: ShareId,
    /// Which of the node's questions it was.
    pub(crate) question: u64,
}

impl File {
    /// One that begins, or is taken up again.
    pub(crate) fn new(transfer: Box<Transfer>, progress: Arc<FileProgress>) -> Self {
        let mut file = Self {
            host: transfer.host().to_owned(),
            progress,
            holder: None,
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

    /// Expects nothing more of a node.
    pub(crate) fn end(&mut self, end: End) {
        self.work.end = Some(end);
        self.has_ended = true;
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Who has it, as long as something is expected of them.
    pub(crate) fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref().filter(|_| !self.has_ended)
    }

    /// Takes a chunk, if it is the next one.
    pub(crate) fn take(&mut self, chunk: Chunk, bytes: Bytes, session: &Session) -> bool {
        let is_next = chunk.begun.is_some() || chunk.offset == self.position;
        if chunk.number != self.chunks || !is_next {
            return false;
        }
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

    /// Has what has come be written. The node is told of it, if it has said where it waits.
    pub(crate) fn write_now(&mut self, reply: Option<&Subject>) {
        if let Some(reply) = reply {
            self.waits = Some(reply.clone());
        }
        self.is_awaited = true;
    }

    /// What is to be done on the disk, unless something is being done.
    pub(crate) fn begin_work(&mut self) -> Option<Work> {
        // A chunk that nothing waits for is the last: it is written with the file's end.
        let is_due = self.work.end.is_some() || self.is_awaited && !self.work.steps.is_empty();
        if self.is_busy || !is_due {
            return None;
        }
        self.is_busy = true;
        self.is_awaited = false;
        self.writing = self.chunks;
        Some(mem::take(&mut self.work))
    }

    /// That is done, and the file is open if more can follow.
    pub(crate) fn end_work(&mut self, partial: Option<Box<Partial>>) {
        self.is_busy = false;
        self.written = self.writing;
        self.work.partial = partial;
    }

    /// It is not done, and what was to be done is of no use any more.
    pub(crate) fn drop_work(&mut self) {
        self.is_busy = false;
        self.work = Work::default();
    }

    /// What to tell the node that waits, and where.
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
