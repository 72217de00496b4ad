//! Unit: thread, as many as the limit, and one that reads the list. Shares: the
//! queue behind a lock, what wakes those who wait for it, and the client. Ends:
//! the queue has nothing left, or the run is stopped; the scope joins.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use http_ureq::{Client, Response};
use suite::Result;
use transfer::{Accepted, Action, Transfer};
use transfer::{
    Answer, Body, DiskError, FileProgress, Finish, Next, Options, Partial, Queue, Session,
};

use crate::http;

/// Bodies are taken in pieces of this size: all that a connection reads at once.
const PIECE_BYTES: usize = 64 * 1024;
/// So much of a body that is of no use is read, to keep its connection.
const DRAIN_BYTES: usize = 16 * 1024;

pub fn run(session: &Arc<Session>, client: &Arc<Client>) -> Result<()> {
    let files = Arc::new(Files::new(&session.options));
    client.begin();
    let stop = (files.clone(), client.clone());
    session.on_stop(move || {
        stop.0.stop();
        stop.1.interrupt();
    });
    let unit = Unit {
        session,
        client,
        files: &files,
    };
    thread::scope(|scope| {
        let mut started = Vec::with_capacity(1 + session.options.limit);
        let mut start = || -> Result<()> {
            started.push(crate::spawn(scope, || unit.read())?);
            for _ in 0..session.options.limit {
                started.push(crate::spawn(scope, || unit.work())?);
            }
            Ok(())
        };
        // Those that have started end with the run.
        let begun = start().inspect_err(|_| session.stop());
        // The scope would not wait for those that are still on their way out.
        started.into_iter().for_each(crate::join);
        begun
    })
}

/// The files that wait, and who waits for them.
struct Files {
    queue: Mutex<Queue>,
    /// So much room has to be for more of the list to be read.
    half: usize,
    /// There is so much.
    room: Condvar,
    /// The queue may have another answer for a worker.
    changed: Condvar,
    /// It is time to end, whatever is under way.
    stopped: Condvar,
}

impl Files {
    fn new(options: &Options) -> Self {
        let queue = Queue::new(options);
        Self {
            half: queue.room() / 2,
            queue: Mutex::new(queue),
            room: Condvar::new(),
            changed: Condvar::new(),
            stopped: Condvar::new(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what others may be waiting for.
    fn change(&self, change: impl FnOnce(&mut Queue)) {
        change(&mut self.queue());
        self.changed.notify_all();
    }

    /// A file that has begun has ended, or goes on as `next` says.
    fn rest(&self, host: &str, transfer: Transfer, next: Option<&Next>) {
        let news = self.queue().release(host, transfer, next, Instant::now());
        if news {
            self.changed.notify_all();
        }
    }

    fn stop(&self) {
        self.change(Queue::stop);
        self.room.notify_all();
        self.stopped.notify_all();
    }

    /// Waits until more of the list can be read, and says how much.
    fn room(&self) -> usize {
        let full = |queue: &mut Queue| queue.room() < self.half;
        let queue = self.room.wait_while(self.queue(), full);
        queue.unwrap_or_else(PoisonError::into_inner).room()
    }

    /// Waits for a file that may begin; none if nothing is left to wait for.
    fn next(&self) -> Option<Transfer> {
        let mut queue = self.queue();
        loop {
            let now = Instant::now();
            queue = match queue.poll(now) {
                Action::Begin(transfer) => {
                    // With each file that begins it is one more: once is enough.
                    if queue.room() == self.half {
                        self.room.notify_one();
                    }
                    return Some(*transfer);
                }
                Action::Wait(None) => {
                    let changed = self.changed.wait(queue);
                    changed.unwrap_or_else(PoisonError::into_inner)
                }
                Action::Wait(Some(when)) => {
                    let changed = self.changed.wait_timeout(queue, when.duration_since(now));
                    changed.unwrap_or_else(PoisonError::into_inner).0
                }
                Action::End => {
                    self.changed.notify_all();
                    return None;
                }
            };
        }
    }

    /// Waits so long, unless the run is stopped before.
    fn sleep(&self, wait: Duration, session: &Session) {
        let going = |_: &mut Queue| !session.is_stopped();
        drop(self.stopped.wait_timeout_while(self.queue(), wait, going));
    }
}

/// What every unit has.
struct Unit<'a> {
    session: &'a Session,
    client: &'a Client,
    files: &'a Files,
}

impl Unit<'_> {
    /// Reads the list, as far ahead as the queue takes it.
    fn read(&self) {
        while !self.session.is_stopped() {
            let room = self.files.room();
            match self.session.read_list(room) {
                Ok(Some(transfers)) => self.files.change(|queue| queue.add(transfers)),
                Ok(None) => return self.files.change(Queue::close),
                Err(fatal) => return self.session.stop_for(fatal),
            }
        }
    }

    /// Downloads one file after the other.
    fn work(&self) {
        let mut buffer = vec![0; PIECE_BYTES];
        while let Some(transfer) = self.files.next() {
            self.download(transfer, &mut buffer);
        }
    }

    /// Downloads a file, as far as that goes now.
    fn download(&self, mut transfer: Transfer, buffer: &mut [u8]) {
        let Self { session, files, .. } = self;
        let host = transfer.host().to_owned(); // until a redirect
        let progress = session.begin(&transfer);
        let mut next = Some(Next::Now);
        while next == Some(Next::Now) {
            next = self.attempt(&mut transfer, &progress, buffer);
        }
        session.end(&progress);
        if next == Some(Next::TooManyOpenFiles) {
            self.client.close_idle();
            next = Some(session.too_many_open_files(&mut transfer, &files.queue()));
        }
        if let Some(Next::Failed(why)) = &next {
            session.fail(&transfer, why.clone());
        }
        files.rest(&host, transfer, next.as_ref());
    }

    /// One request, and what came of it; none if the run is stopped.
    fn attempt(
        &self,
        transfer: &mut Transfer,
        progress: &FileProgress,
        buffer: &mut [u8],
    ) -> Option<Next> {
        let Self { session, .. } = self;
        let options = &session.options;
        if transfer.is_whole() {
            let partial = session.parts().begin(transfer, transfer.part.bytes);
            return self.finish(transfer, partial);
        }
        let sent = http::send(self.client, &transfer.request(options), session);
        if session.is_stopped() {
            return None;
        }
        let response = match sent {
            Ok(response) => response,
            Err(error) => return Some(transfer.failed(error, options)),
        };
        let (now, date) = (Instant::now(), SystemTime::now());
        match transfer.answered(&response.head, options, now, date) {
            Answer::Body(body) => self.receive(transfer, progress, response, body, buffer),
            Answer::Next(next) => {
                response.drain(DRAIN_BYTES);
                if next != Next::Complete {
                    return Some(next);
                }
                let partial = session.parts().begin(transfer, transfer.part.bytes);
                self.finish(transfer, partial)
            }
        }
    }

    /// Writes a body to where it belongs.
    fn receive(
        &self,
        transfer: &mut Transfer,
        progress: &FileProgress,
        mut response: Response,
        mut body: Body,
        buffer: &mut [u8],
    ) -> Option<Next> {
        let Self { session, .. } = self;
        let options = &session.options;
        let mut partial = session.parts().begin(transfer, body.offset);
        let ended = loop {
            let piece = match response.piece(buffer) {
                Ok(0) => break Ok(()),
                Ok(read) => &buffer[..read],
                Err(error) => break Err(error),
            };
            let now = Instant::now();
            body.shared_by(session.in_flight());
            let (bytes, last) = match transfer.received(&mut body, piece.len(), options, now) {
                Ok(Accepted::All) => (piece.len(), false),
                Ok(Accepted::Last(bytes)) => (bytes, true),
                Err(error) => break Err(error),
            };
            partial.push(&piece[..bytes]);
            session.received(progress, bytes as u64, body.position(), transfer.part.total);
            if last {
                break Ok(());
            }
            if let Some(rate) = options.rate {
                let wait = session.rate.reserve(bytes as u64, rate);
                self.files.sleep(wait, session);
            }
            if partial.is_due()
                && let Err(error) = self.flush(transfer, &mut partial)
            {
                return self.refused(error);
            }
        };
        drop(response); // read to its end it was kept, and else this closes it
        let mut next = None;
        if ended == Ok(()) {
            next = match transfer.ended(&body, options) {
                Next::Complete => return self.finish(transfer, partial),
                short => Some(short),
            };
        }
        // What has come is kept: the next attempt, or run, goes on from there.
        if let Err(error) = self.flush(transfer, &mut partial) {
            return self.refused(error);
        }
        match ended {
            _ if session.is_stopped() => None,
            Err(error) => Some(transfer.failed(error, options)),
            Ok(()) => next,
        }
    }

    /// Writes what has come so far.
    fn flush(
        &self,
        transfer: &mut Transfer,
        partial: &mut Partial,
    ) -> std::result::Result<(), DiskError> {
        let flushed = partial.flush();
        transfer.written(partial.bytes());
        flushed?;
        match self.session.is_due() {
            true => self.session.commit(),
            false => Ok(()),
        }
    }

    /// Writes the rest of a file that has every byte, and names it with others
    /// when it is time to.
    fn finish(&self, transfer: &mut Transfer, partial: Partial) -> Option<Next> {
        let written = partial.bytes();
        let finish = || match partial.finish()? {
            Finish::Whole(file) => {
                if self.session.finished(file) {
                    self.session.commit()?;
                }
                Ok(Next::Complete)
            }
            Finish::Mismatch(why) => Ok(Next::Failed(why)),
        };
        finish().map(Some).unwrap_or_else(|error| {
            transfer.written(written);
            self.refused(error)
        })
    }

    /// The disk refuses: that ends the run, unless it is us who have too many
    /// files open.
    fn refused(&self, error: DiskError) -> Option<Next> {
        if error.is_too_many_open_files() {
            return Some(Next::TooManyOpenFiles);
        }
        self.session.stop_for(error);
        None
    }
}
