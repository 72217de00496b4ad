//! Where the parent lays an open file for children that stand already.
//! ipc-channel carries no descriptors but its own, and a child inherits only what
//! is open when it starts.
//!
//! The shelf is a pair of connected sockets. A file that is sent through the one
//! stays in the other until it is read, and every child, whose standard output
//! that is, takes a copy by looking without reading: so it makes no difference how
//! many children there are, or whether one dies before or after it has its copy.

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
pub struct Shelf {
    front: UnixStream,
    back: UnixStream,
}

impl Shelf {
    /// With nothing on it.
    pub fn new() -> io::Result<Self> {
        let (front, back) = UnixStream::pair()?;
        Ok(Self { front, back })
    }

    /// For the standard output of a child.
    pub fn stdout(&self) -> io::Result<Stdio> {
        Ok(OwnedFd::from(self.back.try_clone()?).into())
    }

    /// Lays a file there.
    pub fn put(&self, file: impl AsFd) -> io::Result<()> {
        let files = [file.as_fd()];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&files));
        // A file travels with a byte, or not at all.
        let byte = [IoSlice::new(&[0])];
        sendmsg(&self.front, &byte, &mut control, SendFlags::empty())?;
        Ok(())
    }

    /// Takes away the file that was put there; copies stay.
    pub fn clear(&self) -> io::Result<()> {
        // Read without room for it, the file is closed.
        (&self.back).read_exact(&mut [0])
    }
}

/// A child's copy of what lies there.
pub fn copy() -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    recvmsg(
        io::stdout(),
        &mut [IoSliceMut::new(&mut [0])],
        &mut control,
        flags,
    )?;
    control
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        })
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}
