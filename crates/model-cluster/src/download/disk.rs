//! A download's blocking calls: the list is read, and files are written and get their names, by
//! threads of the parent. They wake the one that deals.

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

/// What is to be done on the disk for a file.
#[derive(Default)]
pub(crate) struct Work {
    /// The file; none before its first body.
    pub(crate) partial: Option<Box<Partial>>,
    pub(crate) steps: Vec<Step>,
    /// What then; none if more follows.
    pub(crate) end: Option<End>,
    /// Files have waited long enough for their names.
    pub(crate) names_are_due: bool,
}

pub(crate) enum Step {
    /// A body begins.
    Begin(Box<Partial>),
    /// It goes on.
    Bytes(Bytes),
}

/// How a file ends, or rests.
pub(crate) enum End {
    /// Every byte has come.
    Whole(Box<Transfer>),
    /// It goes on like this.
    Rest(Box<Transfer>, Next),
    /// So does this, whose node is lost: what counts is what is on the disk.
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
    /// Does it. At the end it returns how it goes on with the file.
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
        // What a file ends with is written with its last call: a small one takes no other.
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
                // No bytes come before a body has begun.
                (Step::Bytes(_), None) => {}
            }
        }
        Ok(())
    }
}

/// What has come of a call.
pub(crate) enum Done {
    /// This was done for the file in this place.
    Wrote {
        place: usize,
        work: Work,
        next: std::result::Result<Option<Next>, DiskError>,
    },
    /// Files have their names.
    Named(std::result::Result<(), DiskError>),
    /// A file has failed.
    Failed,
}

/// The calls under way, and what has come of those that are not.
pub(crate) struct Disk {
    session: Arc<Session>,
    waker: UnboundedSender<Event>,
    tell: UnboundedSender<Result<Done>>,
    told: UnboundedReceiver<Result<Done>>,
    calls: usize,
    /// One of them gives names.
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

    /// Does this for the file in a place.
    pub(crate) fn write(&mut self, place: usize, mut work: Work) {
        let session = self.session.clone();
        self.call(move || {
            let next = work.perform(&session);
            Done::Wrote { place, work, next }
        });
    }

    /// Gives files their names, unless that is being done.
    pub(crate) fn name_files(&mut self) {
        if !mem::replace(&mut self.is_naming, true) {
            let session = self.session.clone();
            self.call(move || Done::Named(session.commit()));
        }
    }

    /// Tells that a file has failed, and removes what is of no use.
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
            // If either fails, the download has ended.
            let _ = tell.send(unblock(call).await);
            let _ = waker.send(Event::Wake);
        });
    }

    /// What has come of a call since.
    pub(crate) fn done(&mut self) -> Option<Result<Done>> {
        let done = self.told.try_recv().ok();
        self.count(done)
    }

    /// Waits for what comes of a call; none if none is under way.
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

/// What was read of the list: none at its end.
type Read = std::result::Result<Option<Vec<Transfer>>, Fatal>;

/// Reads the list, on a thread of its own: it may wait for standard input without end, and nothing
/// waits for it then.
pub(crate) struct Reader {
    rooms: mpsc::Sender<usize>,
    lists: mpsc::Receiver<Read>,
    /// It is to read, or there is nothing left.
    is_asked: bool,
}

impl Reader {
    /// Reads nothing yet.
    pub(crate) fn start(session: &Arc<Session>, waker: UnboundedSender<Event>) -> Result<Self> {
        let (rooms, asked) = mpsc::channel();
        let (tell, lists) = mpsc::channel();
        let session = session.clone();
        let read = move || {
            for room in asked {
                // If either fails, the download has ended.
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

    /// Has so many files more be read, unless it is at that, or there are no more.
    pub(crate) fn ask(&mut self, room: usize) {
        if !mem::replace(&mut self.is_asked, true) {
            // If it fails, its other half says so.
            let _ = self.rooms.send(room);
        }
    }

    /// What was read since.
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
