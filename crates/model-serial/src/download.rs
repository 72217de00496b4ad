//! Unit: none. Shares: nothing but a word to stop. Ends: the queue has nothing
//! left, or the run is stopped.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http_ureq::{Client, Response};
use suite::Result;
use transfer::{
    Accepted, Answer, Body, DiskError, FileProgress, Finish, Next, Partial, Queue, Session,
};
use transfer::{Action, Transfer};

use crate::http;

/// Bodies are taken in pieces of this size: all that a connection reads at once.
const PIECE_BYTES: usize = 64 * 1024;
/// So much of a body that is of no use is read, to keep its connection.
const DRAIN_BYTES: usize = 16 * 1024;

pub fn run(session: &Arc<Session>, client: &Arc<Client>) -> Result<()> {
    client.begin();
    let stop = (Arc::new(Stop::default()), client.clone());
    let unit = Unit {
        session,
        client,
        stop: &stop.0.clone(),
    };
    // Another thread stops the run, such as the one that handles signals.
    session.on_stop(move || {
        stop.0.stop();
        stop.1.interrupt();
    });
    unit.work();
    Ok(())
}

/// Wakes who waits for a time to come.
#[derive(Default)]
struct Stop {
    is: Mutex<bool>,
    stopped: Condvar,
}

impl Stop {
    fn stop(&self) {
        *self.is.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stopped.notify_all();
    }

    /// Waits so long, unless the run is stopped before.
    fn sleep(&self, wait: Duration) {
        let is = self.is.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.stopped.wait_timeout_while(is, wait, |is| !*is));
    }
}

/// What the one unit has.
struct Unit<'a> {
    session: &'a Session,
    client: &'a Client,
    stop: &'a Stop,
}

impl Unit<'_> {
    /// Downloads one file after the other. When none is left that may begin,
    /// reads on in the list, as far ahead as the queue takes it.
    fn work(&self) {
        let mut buffer = vec![0; PIECE_BYTES];
        let mut queue = Queue::new(&self.session.options);
        let mut list_ended = false;
        while !self.session.is_stopped() {
            let now = Instant::now();
            match queue.poll(now) {
                Action::Begin(transfer) => self.download(*transfer, &mut queue, &mut buffer),
                Action::Wait(_) if !list_ended && queue.room() > 0 => {
                    match self.session.read_list(queue.room()) {
                        Ok(Some(transfers)) => queue.add(transfers),
                        Ok(None) => {
                            list_ended = true;
                            queue.close();
                        }
                        Err(fatal) => self.session.stop_for(fatal),
                    }
                }
                Action::Wait(when) => {
                    let wait = when.map_or(Duration::MAX, |when| when.duration_since(now));
                    self.stop.sleep(wait);
                }
                Action::End => return,
            }
        }
    }

    /// Downloads a file, as far as that goes now.
    fn download(&self, mut transfer: Transfer, queue: &mut Queue, buffer: &mut [u8]) {
        let Self { session, .. } = self;
        let host = transfer.host().to_owned(); // until a redirect
        let progress = session.begin(&transfer);
        let mut next = Some(Next::Now);
        while next == Some(Next::Now) {
            next = self.attempt(&mut transfer, &progress, buffer);
        }
        session.end(&progress);
        if next == Some(Next::TooManyOpenFiles) {
            self.client.close_idle();
            next = Some(session.too_many_open_files(&mut transfer, queue));
        }
        if let Some(Next::Failed(why)) = &next {
            session.fail(&transfer, why.clone());
        }
        // What has changed need not be announced: no other thread waits for it.
        let _ = queue.release(&host, transfer, next.as_ref(), Instant::now());
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
                self.stop.sleep(wait);
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
