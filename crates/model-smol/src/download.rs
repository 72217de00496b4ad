//! Unit: task, as many as the limit, and one that reads the list. Shares: the
//! queue behind a lock, what wakes those who wait for it, and the client. Ends: the
//! queue has nothing left, or the run is stopped; every task is awaited.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use event_listener::Event;
use http_hyper::{Deadline, Response};
use smol::{Executor, Timer, future, unblock};
use suite::Result;
use transfer::{Accepted, Action, AttemptError, Transfer};
use transfer::{
    Answer, Body, DiskError, FileProgress, Finish, Next, Options, Partial, Queue, Session,
};

use crate::http::{Client, overdue, timeout};

/// So much of a body that is of no use is read, to keep its connection.
const DRAIN_BYTES: usize = 16 * 1024;

/// What ends a file's I/O early: none if the run is stopped, else why.
type End<'a> = Pin<&'a mut (dyn Future<Output = Option<AttemptError>> + Send + 'a)>;

pub async fn run(
    session: Arc<Session>,
    executor: Arc<Executor<'static>>,
    client: Client,
) -> Result<()> {
    let files = Arc::new(Files::new(&session.options));
    let stop = files.clone();
    session.on_stop(move || stop.stop());
    let limit = session.options.limit;
    let unit = Arc::new(Unit {
        session,
        client,
        files,
    });
    let reader = unit.clone();
    let mut units = vec![executor.spawn(async move { reader.read().await })];
    for _ in 0..limit {
        let worker = unit.clone();
        units.push(executor.spawn(async move { worker.work().await }));
    }
    crate::join_all(units).await;
    Ok(())
}

/// The files that wait, and who waits for them.
struct Files {
    queue: Mutex<Queue>,
    /// So much room has to be for more of the list to be read.
    half: usize,
    /// There is so much.
    room: Event,
    /// The queue may have another answer for a worker.
    changed: Event,
    /// It is time to end, whatever is under way.
    stopped: Event,
}

impl Files {
    fn new(options: &Options) -> Self {
        let queue = Queue::new(options);
        Self {
            half: queue.room() / 2,
            queue: Mutex::new(queue),
            room: Event::new(),
            changed: Event::new(),
            stopped: Event::new(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what others may be waiting for.
    fn change(&self, change: impl FnOnce(&mut Queue)) {
        change(&mut self.queue());
        self.changed.notify(usize::MAX);
    }

    /// A file that has begun has ended, or goes on as `next` says.
    fn rest(&self, host: &str, transfer: Transfer, next: Option<&Next>) {
        let news = self.queue().release(host, transfer, next, Instant::now());
        if news {
            self.changed.notify(usize::MAX);
        }
    }

    fn stop(&self) {
        self.change(Queue::stop);
        self.room.notify(1);
        self.stopped.notify(usize::MAX);
    }

    /// Waits until more of the list can be read, and says how much.
    async fn room(&self) -> usize {
        loop {
            // Before looking: it hears of whatever changes from here on.
            let more = self.room.listen();
            let room = self.queue().room();
            if room >= self.half {
                return room;
            }
            more.await;
        }
    }

    /// Waits for a file that may begin; none if nothing is left to wait for.
    async fn next(&self) -> Option<Transfer> {
        loop {
            let changed = self.changed.listen();
            let now = Instant::now();
            let (turn, room) = {
                let mut queue = self.queue();
                (queue.poll(now), queue.room())
            };
            if room >= self.half {
                self.room.notify(1);
            }
            match turn {
                Action::Begin(transfer) => return Some(*transfer),
                Action::Wait(None) => changed.await,
                Action::Wait(Some(when)) => {
                    let _ = timeout(when.duration_since(now), changed).await;
                }
                Action::End => {
                    self.changed.notify(usize::MAX);
                    return None;
                }
            }
        }
    }
}

/// What every unit has.
struct Unit {
    session: Arc<Session>,
    client: Client,
    files: Arc<Files>,
}

impl Unit {
    /// Reads the list, as far ahead as the queue takes it.
    async fn read(&self) {
        loop {
            let room = self.files.room().await;
            let session = self.session.clone();
            let read = unblock(move || session.read_list(room));
            match self.unless_stopped(read).await {
                Some(Ok(Some(transfers))) => self.files.change(|queue| queue.add(transfers)),
                Some(Ok(None)) => return self.files.change(Queue::close),
                Some(Err(fatal)) => return self.session.stop_for(fatal),
                None => return,
            }
        }
    }

    /// Downloads one file after the other.
    async fn work(&self) {
        while let Some(transfer) = self.files.next().await {
            self.download(transfer).await;
        }
    }

    /// Downloads a file, as far as that goes now.
    async fn download(&self, mut transfer: Transfer) {
        let Self { session, files, .. } = self;
        let host = transfer.host().to_owned(); // until a redirect
        let progress = session.begin(&transfer);
        let mut next = Some(Next::Now);
        while next == Some(Next::Now) {
            next = self.attempt(&mut transfer, &progress).await;
        }
        session.end(&progress);
        if next == Some(Next::TooManyOpenFiles) {
            self.client.idle.clear();
            next = Some(session.too_many_open_files(&mut transfer, &files.queue()));
        }
        if let Some(Next::Failed(why)) = &next {
            let (session, transfer, why) = (session.clone(), transfer.clone(), why.clone());
            unblock(move || session.fail(&transfer, why)).await;
        }
        files.rest(&host, transfer, next.as_ref());
    }

    /// One request, and what came of it; none if the run is stopped.
    async fn attempt(&self, transfer: &mut Transfer, progress: &FileProgress) -> Option<Next> {
        let options = &self.session.options;
        if transfer.is_whole() {
            let partial = self.session.parts().begin(transfer, transfer.part.bytes);
            return self.finish(transfer, partial).await;
        }
        let request = transfer.request(options);
        let deadline = Deadline::new(options.idle_timeout);
        let mut end = pin!(self.end(&deadline));
        let sent = self.client.send(&request, &deadline);
        let sent = self.unless_ended(sent, end.as_mut()).await?;
        let mut response = match sent {
            Ok(response) => response,
            Err(error) => return Some(transfer.failed(error, options)),
        };
        let (now, date) = (Instant::now(), SystemTime::now());
        match transfer.answered(&response.head, options, now, date) {
            Answer::Body(body) => {
                let watch = (&deadline, end as End<'_>);
                self.receive(transfer, progress, response, body, watch)
                    .await
            }
            Answer::Next(next) => {
                deadline.begin();
                let drained = response.drain(DRAIN_BYTES);
                let _ = self.unless_ended(drained, end).await?;
                self.client.idle.keep(response);
                if next != Next::Complete {
                    return Some(next);
                }
                let partial = self.session.parts().begin(transfer, transfer.part.bytes);
                self.finish(transfer, partial).await
            }
        }
    }

    /// Writes a body to where it belongs.
    async fn receive(
        &self,
        transfer: &mut Transfer,
        progress: &FileProgress,
        mut response: Response,
        mut body: Body,
        (deadline, mut end): (&Deadline, End<'_>),
    ) -> Option<Next> {
        let Self { session, .. } = self;
        let options = &session.options;
        let mut partial = session.parts().begin(transfer, body.offset);
        let ended = loop {
            deadline.begin();
            let piece = self.unless_ended(response.piece(), end.as_mut());
            let piece = match piece.await {
                Some(Ok(Some(piece))) => piece,
                Some(Ok(None)) => {
                    self.client.idle.keep(response);
                    break Some(Ok(()));
                }
                Some(Err(error)) => break Some(Err(error)),
                None => break None,
            };
            let now = Instant::now();
            body.shared_by(session.in_flight());
            let (bytes, last) = match transfer.received(&mut body, piece.len(), options, now) {
                Ok(Accepted::All) => (piece.len(), false),
                Ok(Accepted::Last(bytes)) => (bytes, true),
                Err(error) => break Some(Err(error)),
            };
            partial.push(&piece[..bytes]);
            session.received(progress, bytes as u64, body.position(), transfer.part.total);
            if last {
                break Some(Ok(()));
            }
            if let Some(rate) = options.rate {
                let wait = session.rate.reserve(bytes as u64, rate);
                self.unless_stopped(Timer::after(wait)).await;
            }
            if partial.is_due() {
                partial = match self.flush(transfer, partial).await {
                    Ok(partial) => partial,
                    Err(refused) => return refused,
                };
            }
        };
        let mut next = None;
        if ended == Some(Ok(())) {
            next = match transfer.ended(&body, options) {
                Next::Complete => return self.finish(transfer, partial).await,
                short => Some(short),
            };
        }
        // What has come is kept: the next attempt, or run, goes on from there.
        if let Err(refused) = self.flush(transfer, partial).await {
            return refused;
        }
        match ended {
            Some(Err(error)) => Some(transfer.failed(error, options)),
            _ => next,
        }
    }

    /// Writes what has come so far, and names what has waited for it; else how it
    /// goes on.
    async fn flush(
        &self,
        transfer: &mut Transfer,
        mut partial: Partial,
    ) -> std::result::Result<Partial, Option<Next>> {
        let session = self.session.clone();
        let flushed = unblock(move || {
            let due = |()| match session.is_due() {
                true => session.commit(),
                false => Ok(()),
            };
            (partial.flush().and_then(due), partial)
        });
        let (flushed, partial) = flushed.await;
        transfer.written(partial.bytes());
        match flushed {
            Ok(()) => Ok(partial),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// Writes the rest of a file that has every byte: one call is all that a
    /// small one takes.
    async fn finish(&self, transfer: &mut Transfer, partial: Partial) -> Option<Next> {
        let (session, written) = (self.session.clone(), partial.bytes());
        let finished = unblock(move || match partial.finish()? {
            Finish::Whole(file) => {
                if session.finished(file) {
                    session.commit()?;
                }
                Ok(Next::Complete)
            }
            Finish::Mismatch(why) => Ok(Next::Failed(why)),
        });
        finished.await.map(Some).unwrap_or_else(|error| {
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

    /// Ends when the run is stopped, or a deadline is over: one listener and one
    /// timer for all that is waited for of a file.
    async fn end(&self, deadline: &Deadline) -> Option<AttemptError> {
        let stopped = self.files.stopped.listen();
        if self.session.is_stopped() {
            return None;
        }
        let stopped = async {
            stopped.await;
            None
        };
        let overdue = async { Some(overdue(deadline).await) };
        future::or(stopped, overdue).await
    }

    /// What comes of I/O, unless its end comes first.
    async fn unless_ended<T>(
        &self,
        io: impl Future<Output = std::result::Result<T, AttemptError>>,
        end: End<'_>,
    ) -> Option<std::result::Result<T, AttemptError>> {
        // What always has something ready would never look at its end.
        if self.session.is_stopped() {
            return None;
        }
        let done = async { Some(io.await) };
        let end = async { end.await.map(Err) };
        future::or(done, end).await
    }

    /// What comes of a blocking call or a timer, unless the run is stopped before.
    async fn unless_stopped<T>(&self, io: impl Future<Output = T>) -> Option<T> {
        let stopped = self.files.stopped.listen();
        if self.session.is_stopped() {
            return None;
        }
        let done = async { Some(io.await) };
        let stopped = async {
            stopped.await;
            None
        };
        future::or(done, stopped).await
    }
}
