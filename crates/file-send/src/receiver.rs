//! The receiver's end of a connection.

use std::sync::Arc;

use transfer::{Offered, Part, Partial, Sha, There};

use crate::inbox::{self, Inbox};
use crate::link::{End, Link, Secret};
use crate::message::Message;
use crate::{Error, PIECE_BYTES};

/// The receiver's end of a connection: it says what to write, to read and to do where calls may
/// block, one step after the other. It does no I/O itself.
///
/// ```
/// # use std::io::{Read, Write};
/// # use std::sync::Arc;
/// # use file_send::{Error, Inbox, Receiver, ReceiveStep, Secret};
/// # fn example(mut stream: impl Read + Write, secret: &Secret, inbox: &Arc<Inbox>) -> std::io::Result<Result<(), Error>> {
/// let mut receiver = Receiver::new(secret, inbox);
/// loop {
///     match receiver.step() {
///         ReceiveStep::Write(bytes) => stream.write_all(bytes)?,
///         ReceiveStep::Read(room) => {
///             let read = stream.read(room)?;
///             receiver.filled(read);
///         }
///         ReceiveStep::Work(work) => receiver.done(work.run()),
///         ReceiveStep::End(result) => return Ok(result),
///     }
/// }
/// # }
/// ```
pub struct Receiver {
    link: Link,
    inbox: Arc<Inbox>,
    state: State,
    is_writing: bool,
    /// The file that is received, from its offer on.
    offered: Option<Offered>,
    partial: Option<Partial>,
    piece: Vec<u8>,
    /// Bytes of the piece that have come, and bytes of the file that have still to.
    filled: usize,
    left: u64,
    /// Why the connection is of no more use; none if the sender has ended it.
    error: Option<Error>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No file is under way.
    Idle,
    /// What is there of it is looked for.
    Look,
    /// The sender has been told, and its bytes are awaited: from the start, or after these.
    Have(u64),
    /// Its bytes come.
    Data,
    /// A piece is written.
    Write,
    /// All bytes have come, and DONE is awaited.
    Done,
    /// The last piece is written, and the file gets its name.
    Finish,
    /// What has come is written, or all of it removed: then the connection ends.
    Keep,
    Discard,
    /// The connection is of no more use.
    Closing,
}

/// What the receiver's end of a connection needs.
#[allow(
    clippy::large_enum_variant,
    reason = "it is taken apart at once: nothing is copied for longer than that"
)]
pub enum ReceiveStep<'a> {
    /// Write all of this.
    Write(&'a [u8]),
    /// Read into this, and tell [`Receiver::filled`] how many bytes, 0 at the end.
    Read(&'a mut [u8]),
    /// Run this where calls may block, and give what it returns to [`Receiver::done`].
    Work(ReceiveWork),
    /// The connection has ended: all was received that was sent, or why not. What has been
    /// written may tell the sender why: let it read that before the connection is closed.
    End(Result<(), Error>),
}

/// Something that blocks.
pub struct ReceiveWork {
    inbox: Arc<Inbox>,
    task: Task,
}

enum Task {
    Look(Offered),
    /// A piece, of which so many bytes are filled.
    Write(Partial, Vec<u8>, usize),
    Finish(Partial, Vec<u8>, usize),
    Discard(Partial),
}

/// What has come of it.
pub struct ReceiveWorked {
    piece: Option<Vec<u8>>,
    result: Result<Found, Error>,
}

enum Found {
    /// All of it was there.
    All,
    Part(Partial, u64, Sha),
    Written(Partial),
    Named,
    Mismatch(Sha),
    Discarded,
}

impl ReceiveWork {
    /// Does it. Blocks.
    pub fn run(self) -> ReceiveWorked {
        let inbox = &self.inbox;
        let (piece, result) = match self.task {
            Task::Look(offered) => (None, look(inbox, &offered)),
            Task::Write(mut partial, piece, filled) => {
                let written = partial.write(&piece[..filled]);
                let written = written.map(|()| Found::Written(partial));
                (Some(piece), written.map_err(inbox::error))
            }
            Task::Finish(partial, piece, filled) => {
                let finished = partial.finish_offered(&piece[..filled]);
                let found = finished.map_err(inbox::error).and_then(|done| match done {
                    Ok((file, lock)) => inbox.name(file, lock).map(|()| Found::Named),
                    Err(got) => Ok(Found::Mismatch(got)),
                });
                (Some(piece), found)
            }
            Task::Discard(partial) => {
                let discarded = partial.discard().map(|()| Found::Discarded);
                (None, discarded.map_err(inbox::error))
            }
        };
        ReceiveWorked { piece, result }
    }
}

/// What there is of a file.
fn look(inbox: &Arc<Inbox>, offered: &Offered) -> Result<Found, Error> {
    if !offered.has_safe_name() {
        let why = format!("{:?} is no name for a file here", offered.name);
        return Err(Error::Refused(why));
    }
    let there = inbox.store.offered(offered).map_err(inbox::error)?;
    match there {
        There::All => Ok(Found::All),
        There::Other => {
            let why = format!("there is another {} already", offered.name);
            Err(Error::Refused(why))
        }
        There::Part(part) => {
            let bytes = part.bytes;
            let mut partial = inbox.parts().begin_offered(offered, part);
            let sha256 = partial.digest_so_far().map_err(inbox::error)?;
            Ok(Found::Part(partial, bytes, sha256))
        }
    }
}

impl Receiver {
    /// The receiver's end of a new connection.
    pub fn new(secret: &Secret, inbox: &Arc<Inbox>) -> Self {
        Self {
            link: Link::new(End::Receiver, secret),
            inbox: inbox.clone(),
            state: State::Idle,
            is_writing: false,
            offered: None,
            partial: None,
            piece: Vec::new(),
            filled: 0,
            left: 0,
            error: None,
        }
    }

    /// Whether no file is under way: the connection can be closed, and nothing is lost.
    pub fn is_idle(&self) -> bool {
        self.state == State::Idle && self.link.is_empty()
    }

    /// What is to be done next. The step before it has been done.
    pub fn step(&mut self) -> ReceiveStep<'_> {
        if std::mem::take(&mut self.is_writing) {
            self.link.output.clear();
        }
        loop {
            if !self.link.output.is_empty() {
                self.is_writing = true;
                return ReceiveStep::Write(&self.link.output);
            }
            match self.state {
                State::Closing => {
                    return ReceiveStep::End(self.error.clone().map_or(Ok(()), Err));
                }
                State::Data if self.left == 0 => self.state = State::Done,
                State::Data if self.filled == self.piece.len() => self.state = State::Write,
                State::Data => {
                    let room = (self.piece.len() - self.filled) as u64;
                    let most = self.left.min(room) as usize;
                    let rest = self.link.take_rest(most);
                    if rest.is_empty() {
                        let room = &mut self.piece[self.filled..];
                        return ReceiveStep::Read(&mut room[..most]);
                    }
                    let taken = rest.len();
                    self.piece[self.filled..][..taken].copy_from_slice(rest);
                    self.came(taken);
                }
                State::Look | State::Write | State::Finish | State::Keep | State::Discard => {
                    return match self.task() {
                        Some(task) => ReceiveStep::Work(ReceiveWork {
                            inbox: self.inbox.clone(),
                            task,
                        }),
                        // The work before it was not given back.
                        None => ReceiveStep::End(Err(closed())),
                    };
                }
                State::Idle | State::Have(_) | State::Done => match self.link.next() {
                    Ok(Some(message)) => self.hear(message),
                    Ok(None) if self.link.output.is_empty() => {
                        return ReceiveStep::Read(self.link.room());
                    }
                    Ok(None) => {}
                    Err(error) => self.give_up(error),
                },
            }
        }
    }

    fn task(&mut self) -> Option<Task> {
        if self.state == State::Look {
            return self.offered.clone().map(Task::Look);
        }
        let partial = self.partial.take()?;
        let filled = std::mem::take(&mut self.filled);
        Some(match self.state {
            State::Discard => Task::Discard(partial),
            State::Finish => Task::Finish(partial, std::mem::take(&mut self.piece), filled),
            _ => Task::Write(partial, std::mem::take(&mut self.piece), filled),
        })
    }

    /// What the other side has said.
    fn hear(&mut self, message: Message) {
        match (self.state, message) {
            (State::Idle, Message::Bye) => self.state = State::Closing,
            (State::Idle, Message::Offer(offered)) => {
                self.offered = Some(offered);
                self.state = State::Look;
            }
            (State::Have(have), Message::Data(from, bytes)) => self.begin(have, from, bytes),
            (State::Done, Message::Done(sha256)) if Some(sha256) == self.sha256() => {
                self.state = State::Finish;
            }
            // It is not what was offered any more: what has come of it is of no use.
            (State::Have(_) | State::Done, Message::Failed(Error::Source(_))) => {
                self.state = State::Discard;
            }
            (_, Message::Failed(error)) => self.close(error),
            (_, other) => self.give_up(Error::OutOfPlace(other.name().into())),
        }
    }

    fn sha256(&self) -> Option<Sha> {
        self.offered.as_ref().map(|offered| offered.sha256)
    }

    /// So many bytes will come, to be written from there on.
    fn begin(&mut self, have: u64, from: u64, bytes: u64) {
        let Some(offered) = &self.offered else {
            return self.give_up(Error::OutOfPlace("DATA".into()));
        };
        let fits = (from == have || from == 0) && from.checked_add(bytes) == Some(offered.bytes);
        if !fits {
            return self.give_up(Error::OutOfPlace("DATA of another part".into()));
        }
        if from < have {
            // What is there is not what the sender has. Its lock goes first.
            let part = self.partial.take().map(Partial::into_part);
            let part = Part {
                bytes: 0,
                ..part.unwrap_or_default()
            };
            self.partial = Some(self.inbox.parts().begin_offered(offered, part));
        }
        self.left = bytes;
        self.piece.resize(PIECE_BYTES, 0);
        self.state = State::Data;
    }

    fn came(&mut self, bytes: usize) {
        self.filled += bytes;
        self.left -= bytes as u64;
    }

    /// So many bytes were read, as a [`ReceiveStep::Read`] has asked; 0 at the end.
    pub fn filled(&mut self, bytes: usize) {
        match (bytes, self.state) {
            (0, _) => self.close(closed()),
            (_, State::Data) => self.came(bytes),
            _ => self.link.filled(bytes),
        }
    }

    /// Reading or writing has failed, took too long, or is to end now. There are more steps: what
    /// has come is kept.
    pub fn broken(&mut self, why: &impl ToString) {
        self.is_writing = false;
        self.link.output.clear();
        self.close(Error::Broken(why.to_string()));
    }

    /// The other side is told what is wrong.
    fn give_up(&mut self, error: Error) {
        self.link.say(&Message::Failed(error.clone()));
        self.close(error);
    }

    fn close(&mut self, error: Error) {
        let error = self.error.get_or_insert(error);
        let is_kept = self.partial.is_some() && self.filled > 0 && error.is_passing();
        self.state = match is_kept {
            true => State::Keep,
            false => State::Closing,
        };
    }

    /// Work has been done, as a [`ReceiveStep::Work`] has asked.
    pub fn done(&mut self, worked: ReceiveWorked) {
        self.piece = worked.piece.unwrap_or(std::mem::take(&mut self.piece));
        if self.state == State::Keep {
            self.state = State::Closing;
            return;
        }
        match worked.result {
            Ok(Found::All | Found::Named) => {
                if let Some(sha256) = self.sha256() {
                    self.link.say(&Message::Ack(sha256, self.inbox.syncs));
                }
                self.rest();
            }
            Ok(Found::Part(partial, bytes, sha256)) => {
                self.partial = Some(partial);
                self.link.say(&Message::Have(bytes, sha256));
                self.state = State::Have(bytes);
            }
            Ok(Found::Written(partial)) => {
                self.partial = Some(partial);
                self.state = State::Data;
            }
            Ok(Found::Mismatch(got)) => {
                self.link.say(&Message::Mismatch(got));
                self.rest();
            }
            Ok(Found::Discarded) => self.rest(),
            // It is about this file alone, and none of its bytes have come.
            Err(error @ (Error::Refused(_) | Error::Busy)) if self.state == State::Look => {
                self.link.say(&Message::Failed(error));
                self.rest();
            }
            Err(error) => self.give_up(error),
        }
    }

    /// No file is under way any more.
    fn rest(&mut self) {
        self.offered = None;
        self.partial = None;
        self.state = State::Idle;
    }
}

fn closed() -> Error {
    Error::Broken("closed in the middle".to_owned())
}
