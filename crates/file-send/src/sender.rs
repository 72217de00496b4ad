//! The sender's end of a connection.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use transfer::Sha;

use crate::link::{End, Link, Secret};
use crate::message::Message;
use crate::outgoing::{Acknowledged, Outgoing, Piece, Source};
use crate::send_work::{SendWork, SendWorked, Task};
use crate::{Error, Path};

/// The sender's end of a connection: it says what to write, to read and to do where calls may
/// block, one step after the other. It does no I/O itself.
///
/// ```
/// # use std::io::{Read, Write};
/// # use file_send::{Outgoing, Sender, SendStep};
/// # fn example(mut stream: impl Read + Write, sender: &mut Sender, file: Outgoing) -> std::io::Result<()> {
/// sender.send(file);
/// loop {
///     match sender.step() {
///         SendStep::Write(bytes) => stream.write_all(bytes)?,
///         SendStep::Read(room) => {
///             let read = stream.read(room)?;
///             sender.filled(read);
///         }
///         SendStep::Work(work) => sender.done(work.run()),
///         SendStep::SendFile(_) => unreachable!("only if it was asked for"),
///         SendStep::End => return Ok(()),
///     }
/// }
/// # }
/// ```
///
/// Then [`take`](Self::take) gives the file back, and what has come of it.
pub struct Sender {
    link: Link,
    path: Path,
    meter: Arc<AtomicU64>,
    state: State,
    given: Given,
    file: Option<Outgoing>,
    source: Option<Source>,
    piece: Piece,
    result: Option<Result<Acknowledged, Error>>,
    /// Why the connection is of no more use.
    error: Option<Error>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is under way.
    Idle,
    /// A file is to be opened.
    Open,
    /// It is to be offered, as soon as both ends have proved themselves.
    Offer,
    /// The answer to the offer is awaited.
    Offered,
    /// The first piece is to be read, after what the receiver has.
    Begin(u64, Sha),
    /// The next piece is to be read.
    Read,
    /// A piece is to be written. It has so many bytes of the file.
    Write(u64),
    /// The system is to send the rest from the file.
    SendFile,
    /// All has been sent: has the file changed?
    Check,
    /// The answer to DONE is awaited.
    Done,
    /// No other file will come: the end of the connection is awaited.
    Bye,
    /// The connection has broken; it may have brought the reason.
    LastWord,
    /// The connection is of no more use.
    Closing,
}

/// What was given out to be written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    Nothing,
    Frames,
    /// So many bytes of the file.
    Piece(u64),
}

/// What the sender's end of a connection needs.
pub enum SendStep<'a> {
    /// Write all of this.
    Write(&'a [u8]),
    /// Read into this, and tell [`Sender::filled`] how many bytes, 0 at the end.
    Read(&'a mut [u8]),
    /// Run this where calls may block, and give what it returns to [`Sender::done`].
    Work(SendWork),
    /// Have the system send from a file, and tell [`Sender::sent`] how many bytes it has taken.
    /// Only if [`Path::SendFile`] was asked for.
    SendFile(Range<'a>),
    /// The file has ended, or the connection: see [`Sender::take`].
    End,
}

/// A part of a file.
pub struct Range<'a> {
    /// The file.
    pub file: &'a File,
    /// Where the part begins.
    pub offset: u64,
    /// Its bytes: at least one.
    pub bytes: u64,
}

impl Sender {
    /// The sender's end of a new connection. It adds the bytes of files that it has sent to
    /// `meter`.
    pub fn new(secret: &Secret, path: Path, meter: &Arc<AtomicU64>) -> Self {
        Self {
            link: Link::new(End::Sender, secret),
            path,
            meter: meter.clone(),
            state: State::Idle,
            given: Given::Nothing,
            file: None,
            source: None,
            piece: Piece::default(),
            result: None,
            error: None,
        }
    }

    /// Sends this file next.
    pub fn send(&mut self, file: Outgoing) {
        self.file = Some(file);
        self.result = None;
        self.state = State::Open;
    }

    /// The file that was sent, and what has come of it. After an error that the file has not
    /// caused, the connection is of no more use: see [`is_open`](Self::is_open).
    ///
    /// # Panics
    ///
    /// If no file was sent.
    pub fn take(&mut self) -> (Outgoing, Result<Acknowledged, Error>) {
        let file = self.file.take().expect("a file was sent");
        let broken = || Err(self.error.clone().unwrap_or_else(closed));
        let result = self.result.take().unwrap_or_else(broken);
        (file, result)
    }

    /// Whether another file can be sent over this connection.
    pub fn is_open(&self) -> bool {
        self.state == State::Idle && self.error.is_none()
    }

    /// No other file will come: the steps from here on wait until the receiver closes the
    /// connection.
    pub fn bye(&mut self) {
        self.link.say(&Message::Bye);
        self.state = State::Bye;
    }

    /// What is to be done next. The step before it has been done.
    pub fn step(&mut self) -> SendStep<'_> {
        self.settle();
        loop {
            if !self.link.output.is_empty() {
                self.given = Given::Frames;
                return SendStep::Write(&self.link.output);
            }
            match self.state {
                State::Idle | State::Closing => return SendStep::End,
                State::Offer if self.link.is_open() => match self.offered() {
                    Some(offered) => {
                        self.link.say(&Message::Offer(offered));
                        self.state = State::Offered;
                    }
                    None => self.close(closed()),
                },
                State::Write(bytes) => {
                    self.given = Given::Piece(bytes);
                    return SendStep::Write(self.piece.data());
                }
                State::SendFile if self.left() == 0 => self.state = State::Check,
                State::SendFile => return self.range(),
                State::Open | State::Begin(..) | State::Read | State::Check => {
                    let Some(task) = self.task() else {
                        return SendStep::End; // the work before it was not given back
                    };
                    let piece = std::mem::take(&mut self.piece);
                    let work = SendWork { task, piece };
                    if work.blocks() {
                        return SendStep::Work(work);
                    }
                    self.done(work.run());
                }
                State::Offer | State::Offered | State::Done | State::Bye | State::LastWord => {
                    match self.link.next() {
                        Ok(Some(message)) => self.hear(message),
                        // Both ends have proved themselves just now.
                        Ok(None) if self.state == State::Offer && self.link.is_open() => {}
                        Ok(None) if self.link.output.is_empty() => {
                            return SendStep::Read(self.link.room());
                        }
                        Ok(None) => {}
                        Err(error) => self.give_up(error),
                    }
                }
            }
        }
    }

    /// What was given out to be written has been written.
    fn settle(&mut self) {
        match std::mem::replace(&mut self.given, Given::Nothing) {
            Given::Nothing => {}
            Given::Frames => self.link.output.clear(),
            Given::Piece(bytes) => {
                self.count(bytes);
                self.state = if self.left() == 0 {
                    State::Done
                } else {
                    State::Read
                };
            }
        }
    }

    /// Bytes of the file that have still to be sent.
    fn left(&self) -> u64 {
        self.source.as_ref().map_or(0, Source::left)
    }

    fn range(&self) -> SendStep<'_> {
        self.source.as_ref().map_or(SendStep::End, |source| {
            SendStep::SendFile(Range {
                file: &source.file,
                offset: source.at,
                bytes: source.left(),
            })
        })
    }

    fn task(&mut self) -> Option<Task> {
        match self.state {
            State::Open => self.file.take().map(Task::Open),
            State::Begin(bytes, sha256) => {
                let (source, path) = (self.source.take()?, self.path);
                Some(Task::Begin(source, (bytes, sha256), path))
            }
            State::Read => self.source.take().map(Task::Read),
            State::Check => self.source.take().map(Task::Check),
            _ => None,
        }
    }

    fn offered(&self) -> Option<transfer::Offered> {
        self.file.as_ref().and_then(Outgoing::offered)
    }

    /// So many bytes have been sent.
    fn count(&mut self, bytes: u64) {
        self.meter.fetch_add(bytes, Relaxed);
        if let Some(file) = &mut self.file {
            file.sent += bytes;
        }
        if let Some(source) = &mut self.source {
            source.at += bytes;
        }
    }

    /// What the other side has said.
    fn hear(&mut self, message: Message) {
        let sha256 = self.offered().map(|offered| offered.sha256);
        match (self.state, message) {
            // The receiver does not take this file: others may be taken.
            (State::Offered, Message::Failed(error @ (Error::Refused(_) | Error::Busy))) => {
                self.end(Err(error));
            }
            (_, Message::Failed(error)) => self.close(error),
            (State::LastWord, _) => self.state = State::Closing,
            (State::Offered, Message::Have(bytes, sha256)) => {
                if let Some(file) = &mut self.file {
                    file.has_come(bytes);
                }
                self.state = State::Begin(bytes, sha256);
            }
            (State::Offered | State::Done, Message::Ack(acknowledged, synced))
                if Some(acknowledged) == sha256 =>
            {
                let before = self.state == State::Offered;
                let bytes = self.offered().map_or(0, |offered| offered.bytes);
                self.end(Ok(Acknowledged {
                    bytes,
                    sha256: acknowledged,
                    synced,
                    before,
                }));
            }
            (State::Done, Message::Mismatch(got)) => {
                if let Some(file) = &mut self.file {
                    file.doubt();
                }
                let why = format!("the receiver has got bytes of SHA-256 {got}");
                self.end(Err(Error::Damaged(why)));
            }
            (_, other) => self.give_up(Error::OutOfPlace(other.name().into())),
        }
    }

    /// The file has ended. The connection goes on.
    fn end(&mut self, result: Result<Acknowledged, Error>) {
        self.result = Some(result);
        self.source = None;
        self.state = State::Idle;
    }

    /// The other side is told what is wrong with it.
    fn give_up(&mut self, error: Error) {
        self.link.say(&Message::Failed(error.clone()));
        self.close(error);
    }

    fn close(&mut self, error: Error) {
        self.source = None;
        self.error = Some(error);
        self.state = State::Closing;
    }

    /// So many bytes were read, as a [`SendStep::Read`] has asked; 0 at the end.
    pub fn filled(&mut self, bytes: usize) {
        match (bytes, self.state) {
            (0, State::Bye | State::LastWord) => self.state = State::Closing,
            (0, _) => self.close(closed()),
            _ => self.link.filled(bytes),
        }
    }

    /// The system has taken so many bytes, as a [`SendStep::SendFile`] has asked; 0 if the file
    /// has no more.
    pub fn sent(&mut self, bytes: u64) {
        self.count(bytes);
        if bytes == 0 && self.left() > 0 {
            let changed = self.source.as_ref().map(Source::changed);
            self.result = changed.map(Err);
            self.close(closed());
        }
    }

    /// Work has been done, as a [`SendStep::Work`] has asked.
    pub fn done(&mut self, worked: SendWorked) {
        self.piece = worked.piece;
        self.file = worked.file.or(self.file.take());
        let source = match worked.source {
            Ok(source) => source,
            Err(error) => return self.failed(error),
        };
        match self.state {
            State::Open => {
                if let Some(file) = &mut self.file {
                    file.opened(source.state);
                }
                self.state = State::Offer;
            }
            State::Begin(..) | State::Read => {
                let is_first = self.state != State::Read;
                self.frame(&source, is_first);
            }
            _ => {
                self.link.say(&Message::Done(source.state.sha256));
                self.state = State::Done;
            }
        }
        self.source = Some(source);
    }

    /// Puts frames round a piece that has been read.
    fn frame(&mut self, source: &Source, is_first: bool) {
        let data = Message::Data(source.at, source.left());
        if is_first && self.path == Path::SendFile {
            self.link.say(&data);
            self.state = State::SendFile;
            return;
        }
        let bytes = self.piece.data().len() as u64;
        if is_first {
            let mut frame = Vec::new();
            self.link.write(&data, &mut frame);
            self.piece.prepend(&frame);
        }
        if bytes == source.left() {
            let done = Message::Done(source.state.sha256);
            self.link.write(&done, self.piece.end());
        }
        self.state = State::Write(bytes);
    }

    /// The file cannot be sent. In the middle of its bytes there is no way to say so.
    fn failed(&mut self, error: Error) {
        if self.state == State::Read {
            self.result = Some(Err(error));
            return self.close(closed());
        }
        if self.state != State::Open {
            self.link.say(&Message::Failed(error.clone()));
        }
        self.end(Err(error));
    }

    /// Reading or writing has failed, or took too long. There are more steps: the receiver may
    /// have said why before.
    pub fn broken(&mut self, why: &impl ToString) {
        let was_writing = self.given != Given::Nothing || self.state == State::SendFile;
        self.given = Given::Nothing;
        self.link.output.clear();
        match self.state {
            State::LastWord | State::Bye | State::Closing => self.state = State::Closing,
            _ => {
                self.close(Error::Broken(why.to_string()));
                if was_writing {
                    self.state = State::LastWord;
                }
            }
        }
    }
}

fn closed() -> Error {
    Error::Broken("closed in the middle".to_owned())
}
