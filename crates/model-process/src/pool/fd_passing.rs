//! How the parent gives an open file to children that run already. ipc-channel
//! passes no descriptors but its own, and a child inherits only what is open when
//! it starts.
//!
//! The slot is a pair of connected sockets. A file that is sent through one stays
//! in the other until it is read. That other one is every child's standard output,
//! and a child takes a copy by peeking: so it does not matter how many children
//! there are, or whether one dies before or after it has its copy.

use std::io::{self, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// The parent's side.
#[derive(Debug)]
pub(crate) struct FdSlot {
    sender: UnixStream,
    receiver: UnixStream,
}

impl FdSlot {
    pub(crate) fn new() -> io::Result<Self> {
        let (sender, receiver) = UnixStream::pair()?;
        Ok(Self { sender, receiver })
    }

    /// For the standard output of a child.
    pub(crate) fn stdout(&self) -> io::Result<Stdio> {
        Ok(OwnedFd::from(self.receiver.try_clone()?).into())
    }

    pub(crate) fn put(&self, file: impl AsFd) -> io::Result<()> {
        // The kernel passes a file only along with a byte.
        send(&self.sender, &[0], file)
    }

    /// Removes the file; copies stay.
    pub(crate) fn clear(&self) -> io::Result<()> {
        // Read without room for it, the file is closed.
        (&self.receiver).read_exact(&mut [0])
    }
}

/// A child's copy of the file in the slot.
pub(crate) fn copy() -> io::Result<OwnedFd> {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let (_, file) = receive(io::stdout(), &mut [0], flags)?;
    file.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Sends a file along with these bytes, of which there is at least one.
pub(crate) fn send(to: &UnixStream, bytes: &[u8], file: impl AsFd) -> io::Result<()> {
    let files = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(to, &[IoSlice::new(bytes)], &mut control, SendFlags::empty())?;
    Ok(())
}

/// Receives this number of bytes, and the file that was sent along with them; none if this
/// process can have no more files.
pub(crate) fn receive(
    from: impl AsFd,
    bytes: &mut [u8],
    flags: RecvFlags,
) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = flags | RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(from, &mut [IoSliceMut::new(bytes)], &mut control, flags)?;
    let file = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    Ok((received.bytes, file))
}
