//! A sender and a receiver in one thread, and what happens to the bytes between them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use file_send::{
    Acknowledged, Error, Inbox, Next, Outgoing, ReceiveStep, Receiver, Secret, SendStep, Sender,
};

/// What happens to the bytes that go over one connection to the receiver.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fate {
    /// It ends after this many.
    pub cut: Option<usize>,
    /// This bit is flipped.
    pub flip: Option<usize>,
    /// The same on the way back.
    pub cut_back: Option<usize>,
    pub flip_back: Option<usize>,
    /// The most bytes that go at once; 0 for all.
    pub piece: usize,
}

/// One direction.
struct Wire {
    bytes: Vec<u8>,
    read: usize,
    cut: Option<usize>,
    flip: Option<usize>,
    piece: usize,
    is_closed: bool,
}

impl Wire {
    fn new(cut: Option<usize>, flip: Option<usize>, piece: usize) -> Self {
        Self {
            bytes: Vec::new(),
            read: 0,
            cut,
            flip,
            piece,
            is_closed: false,
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.cut.is_some_and(|cut| self.bytes.len() >= cut) {
                self.is_closed = true;
                return;
            }
            let at = self.bytes.len();
            let flip = self.flip.filter(|flip| flip / 8 == at);
            self.bytes
                .push(byte ^ flip.map_or(0, |flip| 1 << (flip % 8)));
        }
    }

    /// None if nothing has come yet.
    fn read(&mut self, room: &mut [u8]) -> Option<usize> {
        let there = &self.bytes[self.read..];
        let most = match self.piece {
            0 => room.len(),
            piece => piece.min(room.len()),
        };
        let read = there.len().min(most);
        room[..read].copy_from_slice(&there[..read]);
        self.read += read;
        (read > 0 || self.is_closed).then_some(read)
    }
}

/// What has come of one connection at both ends.
pub struct Met {
    pub file: Outgoing,
    pub sender: Result<Acknowledged, Error>,
    pub receiver: Result<(), Error>,
    /// Bytes that went to the receiver, and back.
    pub bytes: (usize, usize),
}

/// A directory with an inbox, and one with files to send.
pub struct Place {
    pub inbox: Arc<Inbox>,
    directory: tempfile::TempDir,
    pub secret: Secret,
}

impl Place {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self {
            inbox: open(directory.path()),
            directory,
            secret: Secret::new(*b"a secret of 24 bytes ...").expect("enough bytes"),
        }
    }

    /// The receiver has died, and another one has begun.
    pub fn reopen(self) -> Self {
        let Self {
            inbox,
            directory,
            secret,
        } = self;
        drop(inbox);
        Self {
            inbox: open(directory.path()),
            directory,
            secret,
        }
    }

    pub fn file(&self, name: &str, content: &[u8]) -> Outgoing {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).expect("a file");
        Outgoing::new(0, path, name.to_owned())
    }

    pub fn received(&self, name: &str) -> PathBuf {
        self.directory.path().join("into").join(name)
    }

    /// Names that are there, without the state.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path().join("into")).expect("a directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let names = names.map(|name| name.into_string().expect("UTF-8"));
        names.filter(|name| !name.starts_with('.')).collect()
    }

    /// Tries to send a file over one connection.
    pub fn meet(&self, file: Outgoing, fate: Fate) -> Met {
        let sender = Sender::new(&self.secret, file_send::Path::Copy, &Arc::default());
        let receiver = Receiver::new(&self.secret, &self.inbox);
        meet(sender, receiver, file, fate, |_| {})
    }

    /// Tries again until it has ended, each time with the next fate, and then with none.
    pub fn send(&self, mut file: Outgoing, fates: &[Fate]) -> (Result<Acknowledged, Error>, usize) {
        let mut fates = fates.iter().copied();
        let mut bytes = 0;
        loop {
            let met = self.meet(file, fates.next().unwrap_or_default());
            bytes += met.bytes.0;
            file = met.file;
            match file.ended(met.sender) {
                Next::Again(_) => {}
                Next::Acknowledged(acknowledged) => return (Ok(acknowledged), bytes),
                Next::Failed(error) | Next::Stop(error) => return (Err(error), bytes),
            }
        }
    }
}

fn open(directory: &Path) -> Arc<Inbox> {
    Arc::new(Inbox::open(&directory.join("into"), true).expect("an inbox"))
}

/// Two ends of a connection. `between` is told how many bytes have gone to the receiver, before
/// each step of the sender.
pub fn meet(
    mut sender: Sender,
    mut receiver: Receiver,
    file: Outgoing,
    fate: Fate,
    mut between: impl FnMut(usize),
) -> Met {
    let mut there = Wire::new(fate.cut, fate.flip, fate.piece);
    let mut back = Wire::new(fate.cut_back, fate.flip_back, fate.piece);
    sender.send(file);
    let mut ended = false;
    let mut taken = None;
    let mut received = None;
    while !ended || received.is_none() {
        let mut both_wait = true;
        if there.is_closed || back.is_closed {
            (there.is_closed, back.is_closed) = (true, true);
        }
        if !ended {
            between(there.bytes.len());
            match sender.step() {
                SendStep::Write(_) if there.is_closed => {
                    sender.broken(&"closed by the other side");
                    both_wait = false;
                }
                SendStep::Write(bytes) => {
                    there.write(bytes);
                    both_wait = false;
                }
                SendStep::Read(room) => {
                    if let Some(read) = back.read(room) {
                        sender.filled(read);
                        both_wait = false;
                    }
                }
                SendStep::Work(work) => {
                    sender.done(work.run());
                    both_wait = false;
                }
                SendStep::SendFile(_) => panic!("it was not asked for"),
                SendStep::End => {
                    both_wait = false;
                    if taken.is_none() {
                        taken = Some(sender.take());
                    }
                    if sender.is_open() {
                        sender.bye();
                    } else {
                        ended = true;
                        there.is_closed = true;
                    }
                }
            }
        }
        if received.is_none() {
            match receiver.step() {
                ReceiveStep::Write(_) if back.is_closed => {
                    receiver.broken(&"closed by the other side");
                    both_wait = false;
                }
                ReceiveStep::Write(bytes) => {
                    back.write(bytes);
                    both_wait = false;
                }
                ReceiveStep::Read(room) => {
                    if let Some(read) = there.read(room) {
                        receiver.filled(read);
                        both_wait = false;
                    }
                }
                ReceiveStep::Work(work) => {
                    receiver.done(work.run());
                    both_wait = false;
                }
                ReceiveStep::End(result) => {
                    received = Some(result);
                    // What it has written is read still.
                    back.is_closed = true;
                    both_wait = false;
                }
            }
        }
        assert!(!both_wait, "both ends wait, after {} bytes", there.read);
    }
    let (file, result) = taken.expect("the file has ended");
    Met {
        file,
        sender: result,
        receiver: received.expect("the receiver has ended"),
        bytes: (there.bytes.len(), back.bytes.len()),
    }
}
