//! The blocking calls of a download: threads of the parent read the list, write files and rename
//! them. They wake the thread that assigns files.

use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;

use anyhow::bail;
use http_hyper::Bytes;
use suite::Result;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use transfer::{DiskError, Fatal, Finish, Next, Partial, Session, Transfer};

use crate::happening::Event;
use crate::node::unblock;

/// The disk operations for a file.
#[derive(Default)]
pub(crate) struct Work {
    /// The open file; `None` before its first body.
    pub(crate) partial: Option<Box<Partial>>,
    pub(crate) steps: Vec<Step>,
    /// What follows after the steps; `None` if more data follows.
    pub(crate) end: Option<End>,
    /// Whether finished files should get their final names now.
    pub(crate) names_are_due: bool,
}

pub(crate) enum Step {
    /// A body begins.
    Begin(Box<Partial>),
    /// More bytes of a body.
    Bytes(Bytes),
}

/// How a node's work on a file ends.
pub(crate) enum End {
    /// All bytes have arrived.
    Whole(Box<Transfer>),
    /// The file continues later, as `Next` says.
    Rest(Box<Transfer>, Next),
    /// The node is lost. The file continues from what is on the disk.
    Lost(Box<Transfer>, Next),
}

impl End {
    pub(crate) fn into_transfer(self) -> Box<Transfer> {
        match self {
            End::Whole(transfer) | End::Rest(transfer, _) | End::Lost(transfer, _) => transfer,
        }
    }
}

impl Work {
    /// Performs the operations. Returns how the file continues, if this was the end.
    fn perform(&mut self, session: &Session) -> std::result::Result<Option<Next>, DiskError> {
        self.write()?;
        let next = match &mut self.end {
            None => {
                self.names_are_due = session.is_due();
                return Ok(None);
            }
            Some(End::Whole(transfer)) => {
                let transfer: &Transfer = transfer;
                let begin = || Box::new(session.parts().begin(transfer, transfer.part.bytes));
                match self.partial.take().unwrap_or_else(begin).finish()? {
                    Finish::Whole(file) => {
                        self.names_are_due = session.finished(file);
                        Next::Complete
                    }
                    Finish::Mismatch(why) => Next::Failed(why),
                }
            }
            Some(End::Rest(_, next)) => next.clone(),
            Some(End::Lost(transfer, next)) => {
                self.partial = None;
                transfer.part = session.part_of(transfer)?;
                next.clone()
            }
        };
        Ok(Some(next))
    }

    fn write(&mut self) -> std::result::Result<(), DiskError> {
        let steps = mem::take(&mut self.steps);
        // The last body is written by the final call, so a small file needs only one call.
        let last_body = match &self.end {
            Some(End::Whole(_)) => {
                let begins = |step: &Step| matches!(step, Step::Begin(_));
                steps.iter().rposition(begins).unwrap_or(0)
            }
            _ => usize::MAX,
        };
        for (at, step) in steps.into_iter().enumerate() {
            match (step, &mut self.partial) {
                (Step::Begin(partial), before) => *before = Some(partial),
                (Step::Bytes(bytes), Some(partial)) if at >= last_body => partial.push(&bytes),
                (Step::Bytes(bytes), Some(partial)) => partial.write(&bytes)?,
                // Bytes never come before a body has begun.
                (Step::Bytes(_), None) => {}
            }
        }
        Ok(())
    }
}

/// The result of a call.
pub(crate) enum Done {
    /// Operations for the file in this place.
    Wrote {
        place: usize,
        work: Work,
        next: std::result::Result<Option<Next>, DiskError>,
    },
    /// Files have got their final names.
    Named(std::result::Result<(), DiskError>),
    /// A file has failed.
    Failed,
}

/// Runs the calls, and collects their results.
pub(crate) struct Disk {
    session: Arc<Session>,
    waker: UnboundedSender<Event>,
    tell: UnboundedSender<Result<Done>>,
    told: UnboundedReceiver<Result<Done>>,
    calls: usize,
    /// Whether one of the calls renames files.
    is_naming: bool,
}

impl Disk {
    pub(crate) fn new(session: &Arc<Session>, waker: UnboundedSender<Event>) -> Self {
        let (tell, told) = unbounded_channel();
        Self {
            session: session.clone(),
            waker,
            tell,
            told,
            calls: 0,
            is_naming: false,
        }
    }

    /// Starts operations for the file in a place.
    pub(crate) fn write(&mut self, place: usize, mut work: Work) {
        let session = self.session.clone();
        self.call(move || {
            let next = work.perform(&session);
            Done::Wrote { place, work, next }
        });
    }

    /// Starts to rename finished files, unless that is already running.
    pub(crate) fn name_files(&mut self) {
        if !mem::replace(&mut self.is_naming, true) {
            let session = self.session.clone();
            self.call(move || Done::Named(session.commit()));
        }
    }

    /// Reports a failed file, and removes its useless parts.
    pub(crate) fn fail(&mut self, transfer: Box<Transfer>, why: String) {
        let session = self.session.clone();
        self.call(move || {
            session.fail(&transfer, why);
            Done::Failed
        });
    }

    fn call(&mut self, call: impl FnOnce() -> Done + Send + 'static) {
        self.calls += 1;
        let (tell, waker) = (self.tell.clone(), self.waker.clone());
        tokio::spawn(async move {
            // Sending fails only if the download has ended.
            let _ = tell.send(unblock(call).await);
            let _ = waker.send(Event::Wake);
        });
    }

    /// Returns the next result that has arrived.
    pub(crate) fn done(&mut self) -> Option<Result<Done>> {
        let done = self.told.try_recv().ok();
        self.count(done)
    }

    /// Waits for the next result; `None` if no call is running.
    pub(crate) async fn wait(&mut self) -> Option<Result<Done>> {
        let done = match self.calls {
            0 => None,
            _ => self.told.recv().await,
        };
        self.count(done)
    }

    fn count(&mut self, done: Option<Result<Done>>) -> Option<Result<Done>> {
        self.calls -= usize::from(done.is_some());
        if let Some(Ok(Done::Named(_))) = &done {
            self.is_naming = false;
        }
        done
    }
}

/// Files read from the list; `None` at its end.
type Read = std::result::Result<Option<Vec<Transfer>>, Fatal>;

/// Reads the list on a separate thread. Reading standard input may block without limit, and the
/// download can end meanwhile.
pub(crate) struct Reader {
    rooms: mpsc::Sender<usize>,
    lists: mpsc::Receiver<Read>,
    /// Whether a request is pending, or the list has ended.
    is_asked: bool,
}

impl Reader {
    /// Starts the thread, which waits for the first request.
    pub(crate) fn start(session: &Arc<Session>, waker: UnboundedSender<Event>) -> Result<Self> {
        let (rooms, asked) = mpsc::channel();
        let (tell, lists) = mpsc::channel();
        let session = session.clone();
        let read = move || {
            for room in asked {
                // Sending fails only if the download has ended.
                let _ = tell.send(session.read_list(room));
                let _ = waker.send(Event::Wake);
            }
        };
        thread::Builder::new().name("list".to_owned()).spawn(read)?;
        Ok(Self {
            rooms,
            lists,
            is_asked: false,
        })
    }

    /// Requests up to `room` more files, unless a request is pending or the list has ended.
    pub(crate) fn ask(&mut self, room: usize) {
        if !mem::replace(&mut self.is_asked, true) {
            // If the thread has ended, `read` reports it.
            let _ = self.rooms.send(room);
        }
    }

    /// Returns the next result that has arrived.
    pub(crate) fn read(&mut self) -> Result<Option<Read>> {
        match self.lists.try_recv() {
            Ok(read) => {
                self.is_asked = !matches!(read, Ok(Some(_)));
                Ok(Some(read))
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => bail!("the thread that reads the list has ended"),
        }
    }
}
