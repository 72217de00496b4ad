//! Unit: slot of a node, which fetches one file at a time. Shares: nothing; the bytes come to the
//! parent in chunks, and it alone writes. Ends: the queue has nothing left; or the run is
//! stopped, and the nodes end.

mod disk;
mod file;
mod losses;
pub(crate) mod messages;
pub(crate) mod node;
mod outbox;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use async_nats::Subject;
use http_hyper::Bytes;
use suite::Result;
use transfer::{Action, DiskError, Key, Next, Queue, Transfer};

use self::disk::{Disk, Done, End, Reader, Work};
use self::file::{File, Holder, held};
use self::messages::{Assignment, Begun, Chunk, Common, Confirmation, Report, WINDOW};
use crate::happening::Event;
use crate::protocol::{Answer, ShareId, Task};
use crate::session::Session;
use crate::shares::rolling::{Rolling, ShareEvent};

/// The maximum number of bytes in transit from all nodes to the disk. With a slow disk, the parent
/// or the server may need this much memory.
const MOST_UNDER_WAY: usize = 32 << 20;

/// The maximum size of a chunk, in bytes. The server accepts messages of one megabyte.
const MOST_IN_A_CHUNK: usize = 256 << 10;

pub async fn run(download: &Arc<transfer::Session>, session: &mut Session) -> Result<()> {
    let options = &download.options;
    let limit = options.limit.min(session.units());
    if limit < options.limit {
        download.note(&format!("the nodes have {limit} slots: {limit} at once"));
    }
    let waker = session.waker.clone();
    let stop = waker.clone();
    download.on_stop(move || drop(stop.send(Event::Wake)));
    let queue = Queue::new(options);
    let mut dispatcher = Dispatcher {
        download,
        common: Common::of(options)?,
        chunk_bytes: MOST_IN_A_CHUNK.min(MOST_UNDER_WAY / WINDOW as usize / limit),
        half: queue.room() / 2,
        queue,
        reader: Reader::start(download, waker.clone())?,
        disk: Disk::new(download, waker),
        files: (0..limit).map(|_| None).collect(),
        in_use: limit,
        deaths: HashMap::new(),
        shares: Rolling::begin(session, limit).await?,
    };
    let served = dispatcher.serve().await;
    if served.is_err() {
        download.stop();
    }
    let settled = dispatcher.settle().await;
    served.and(settled)
}

/// Assigns files to the nodes.
struct Dispatcher<'a> {
    download: &'a Arc<transfer::Session>,
    common: Common,
    chunk_bytes: usize,
    /// Reads more of the list when the queue has at least this much room.
    half: usize,
    queue: Queue,
    reader: Reader,
    disk: Disk,
    /// Files by the places of their shares.
    files: Vec<Option<File>>,
    /// The number of places that get files.
    in_use: usize,
    /// How many nodes were lost with each file.
    deaths: HashMap<Key, u32>,
    shares: Rolling<'a>,
}

impl Dispatcher<'_> {
    /// Assigns files and handles events until no file is left.
    async fn serve(&mut self) -> Result<()> {
        loop {
            while let Some(done) = self.disk.done() {
                self.done(done?).await?;
            }
            self.read_list()?;
            if self.download.is_stopped() {
                return Ok(());
            }
            let until = loop {
                let Some(place) = self.free_place() else {
                    break None;
                };
                match self.queue.poll(Instant::now()) {
                    Action::Begin(transfer) => self.dispatch(place, transfer).await?,
                    Action::Wait(until) => break until,
                    Action::End => return Ok(()),
                }
            };
            match self.shares.next(until).await? {
                ShareEvent::Said {
                    node,
                    report,
                    bytes,
                    reply,
                } => self.said(node, report, bytes, reply.as_ref()).await?,
                ShareEvent::Answered { id, result } => self.answered(id, result)?,
                ShareEvent::GivenUp(place) => self.given_up(place),
                ShareEvent::Died { node, status } => self.died(&node, &status),
                ShareEvent::CheckSilence => self.check_silence(),
                ShareEvent::ResetSilence => self.reset_silence(),
                ShareEvent::Nothing => {}
            }
        }
    }

    /// Takes the files that were read from the list, and requests more, as long as the queue has
    /// room.
    fn read_list(&mut self) -> Result<()> {
        while let Some(read) = self.reader.read()? {
            match read {
                Ok(Some(transfers)) => self.queue.add(transfers),
                Ok(None) => self.queue.close(),
                Err(fatal) => self.download.stop_for(fatal),
            }
        }
        if self.queue.room() >= self.half {
            self.reader.ask(self.queue.room());
        }
        Ok(())
    }

    fn free_place(&self) -> Option<usize> {
        if self.queue.running() >= self.in_use {
            return None;
        }
        self.files.iter().position(Option::is_none)
    }

    async fn dispatch(&mut self, place: usize, transfer: Box<Transfer>) -> Result<()> {
        let name = transfer.name.clone();
        let progress = self.download.begin(&transfer);
        let file = File::new(transfer, progress);
        let needs_node = !file.has_ended();
        self.files[place] = Some(file);
        if needs_node {
            self.shares.put(place, Task::Download(name)).await?;
        }
        self.go_on(place);
        Ok(())
    }

    /// Handles a node's report about a file.
    async fn said(
        &mut self,
        node: String,
        report: Report,
        bytes: Bytes,
        reply: Option<&Subject>,
    ) -> Result<()> {
        let is_wanted = match report {
            Report::Begins {
                id,
                question,
                knows,
            } => {
                let begun: Begun = self.begin(Holder { node, id, question }, knows);
                return self.shares.reply(reply, &begun).await;
            }
            Report::Chunk(chunk) => self.take(chunk, bytes, reply),
            Report::InProgress(id) => {
                if let Some(file) = held(&mut self.files, id) {
                    file.hear();
                }
                return Ok(());
            }
            Report::Waits { id, chunks } => {
                if self.waits(id, chunks, reply) {
                    return self.confirm(id.share).await;
                }
                false
            }
        };
        if is_wanted {
            return Ok(());
        }
        let unwanted: Confirmation = None;
        self.shares.reply(reply, &unwanted).await
    }

    /// Returns what a node that has pulled a share should do.
    fn begin(&mut self, holder: Holder, knows: bool) -> Begun {
        if self.shares.is_dead(&holder.node) {
            // The node has not acked, so the server delivers the share again.
            return None;
        }
        let file = self.files.get_mut(holder.id.share)?.as_mut()?;
        // The node asks again because it did not receive the answer.
        let asks_again = file.chunks == 0 && file.holder() == Some(&holder);
        if !asks_again && !self.shares.begins(holder.id) {
            return None;
        }
        file.holder = Some(holder);
        file.hear();
        Some(Box::new(Assignment {
            transfer: file.transfer.clone(),
            common: (!knows).then(|| self.common.clone()),
            chunk_bytes: self.chunk_bytes,
            sharing: self.download.in_flight(),
        }))
    }

    /// Takes a chunk. Returns whether this attempt of the share is still valid.
    fn take(&mut self, chunk: Chunk, bytes: Bytes, reply: Option<&Subject>) -> bool {
        let id = chunk.id;
        let Some(file) = held(&mut self.files, id) else {
            return false;
        };
        if !file.take(chunk, bytes, self.download) {
            // A chunk before it was lost in transit.
            self.lose(id.share, Next::Now);
            return false;
        }
        if reply.is_some() {
            file.write_now(reply);
            self.go_on(id.share);
        }
        true
    }

    /// A node has waited long for a confirmation. Returns whether this attempt of the share is
    /// still valid.
    fn waits(&mut self, id: ShareId, chunks: u64, reply: Option<&Subject>) -> bool {
        let Some(file) = held(&mut self.files, id) else {
            return false;
        };
        if chunks != file.chunks {
            // A chunk was lost in transit.
            self.lose(id.share, Next::Now);
            return false;
        }
        file.hear();
        file.write_now(reply);
        self.go_on(id.share);
        true
    }

    fn answered(&mut self, id: ShareId, result: std::result::Result<Answer, String>) -> Result<()> {
        let Some(file) = held(&mut self.files, id) else {
            // The file was assigned to another node.
            return Ok(());
        };
        let ended = match result {
            Ok(Answer::Download(ended)) => ended,
            Ok(other) => return Err(other.unexpected()),
            Err(why) => {
                self.lose(id.share, Next::Failed(why));
                return Ok(());
            }
        };
        let Some(next) = ended.next.filter(|_| ended.chunks == file.chunks) else {
            // A chunk was lost in transit.
            self.lose(id.share, Next::Now);
            return Ok(());
        };
        file.end(match next {
            Next::Complete => End::Whole(ended.transfer),
            next => End::Rest(ended.transfer, next),
        });
        self.go_on(id.share);
        Ok(())
    }

    /// Starts the pending disk operations of a file.
    fn go_on(&mut self, place: usize) {
        let work = self.files[place].as_mut().and_then(File::begin_work);
        if let Some(work) = work {
            self.disk.write(place, work);
        }
    }

    async fn done(&mut self, done: Done) -> Result<()> {
        match done {
            Done::Wrote { place, work, next } => self.wrote(place, work, next).await,
            Done::Named(Err(error)) => {
                self.download.stop_for(error);
                Ok(())
            }
            Done::Named(Ok(())) | Done::Failed => Ok(()),
        }
    }

    async fn wrote(
        &mut self,
        place: usize,
        work: Work,
        next: std::result::Result<Option<Next>, DiskError>,
    ) -> Result<()> {
        let Some(file) = &mut self.files[place] else {
            return Ok(());
        };
        if work.names_are_due {
            self.disk.name_files();
        }
        match next {
            Ok(Some(next)) => {
                let transfer = work.end.map(End::into_transfer);
                self.release(place, transfer, next);
                return Ok(());
            }
            Ok(None) => file.end_work(work.partial),
            Err(error) if error.is_too_many_open_files() => {
                // The bytes that were not written are requested again.
                file.drop_work();
                file.end(End::Lost(file.transfer.clone(), Next::TooManyOpenFiles));
            }
            Err(error) => {
                file.drop_work();
                self.download.stop_for(error);
                return Ok(());
            }
        }
        self.confirm(place).await?;
        self.go_on(place);
        Ok(())
    }

    /// Tells a waiting node which chunks are on the disk.
    async fn confirm(&mut self, place: usize) -> Result<()> {
        if self.download.is_stopped() {
            return Ok(());
        }
        let file = self.files[place].as_mut();
        let Some((to, confirmed)) = file.and_then(|file| file.confirmed(self.download)) else {
            return Ok(());
        };
        let confirmation: Confirmation = Some(confirmed);
        self.shares.reply(Some(&to), &confirmation).await
    }

    /// Frees the place of a file that has ended, or that continues later as `next` says.
    fn release(&mut self, place: usize, transfer: Option<Box<Transfer>>, mut next: Next) {
        let Some(file) = self.files[place].take() else {
            return;
        };
        let mut transfer = transfer.unwrap_or(file.transfer);
        self.download.end(&file.progress);
        if next == Next::TooManyOpenFiles {
            next = self
                .download
                .too_many_open_files(&mut transfer, &self.queue);
        }
        if let Next::Failed(why) = &next {
            self.disk.fail(transfer.clone(), why.clone());
        }
        // The result is not needed: the queue is polled anyway.
        let now = Instant::now();
        let _ = self.queue.release(&file.host, *transfer, Some(&next), now);
    }

    /// Ends the requests of a stopped run, writes the received bytes, and waits for the disk.
    async fn settle(&mut self) -> Result<()> {
        if self.files.iter().any(Option::is_some) {
            self.shares.abandon();
        }
        for place in 0..self.files.len() {
            if let Some(file) = &mut self.files[place] {
                file.write_now(None);
            }
            self.go_on(place);
        }
        while let Some(done) = self.disk.wait().await {
            self.done(done?).await?;
        }
        for file in self.files.iter().flatten() {
            self.download.end(&file.progress);
        }
        Ok(())
    }
}
