//! Frames: a header of eight bytes, a body, and a tag of sixteen that proves who sent both.
//!
//! Bytes of files are in no frame: DATA says how many follow it.

use ring::hmac;

use crate::Error;

/// The version of the protocol.
pub const VERSION: u16 = 1;
/// The most bytes that a frame's body may have.
pub const MOST_BODY: usize = 1024;

/// What the body of the first frame begins with, before the version: in every version.
pub(crate) const MAGIC: &[u8; 8] = b"filesend";

pub(crate) const HEADER_BYTES: usize = 8;
pub(crate) const TAG_BYTES: usize = 16;
/// The most bytes of a whole frame.
pub(crate) const MOST_FRAME: usize = HEADER_BYTES + MOST_BODY + TAG_BYTES;

/// What a frame says. The numbers go over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Hello = 1,
    Proof = 2,
    Offer = 3,
    Have = 4,
    Data = 5,
    Done = 6,
    Ack = 7,
    Mismatch = 8,
    Bye = 9,
    Failed = 10,
}

impl Kind {
    const ALL: [Self; 10] = [
        Self::Hello,
        Self::Proof,
        Self::Offer,
        Self::Have,
        Self::Data,
        Self::Done,
        Self::Ack,
        Self::Mismatch,
        Self::Bye,
        Self::Failed,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hello => "HELLO",
            Self::Proof => "PROOF",
            Self::Offer => "OFFER",
            Self::Have => "HAVE",
            Self::Data => "DATA",
            Self::Done => "DONE",
            Self::Ack => "ACK",
            Self::Mismatch => "MISMATCH",
            Self::Bye => "BYE",
            Self::Failed => "FAILED",
        }
    }
}

/// A frame that has come.
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) body: &'a [u8],
    /// Bytes of all of it.
    pub(crate) length: usize,
}

/// One direction of a connection: it makes frames, or checks them.
pub(crate) struct Direction {
    key: hmac::Key,
    number: u64,
    /// Which end sends.
    by: u8,
}

impl Direction {
    /// Before the two ends have a key: the tag is only a checksum then.
    pub(crate) fn open(by: u8) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, b""),
            number: 0,
            by,
        }
    }

    /// From the next frame on.
    pub(crate) fn set_key(&mut self, key: hmac::Key) {
        self.key = key;
    }

    fn tag(&self, header: &[u8], body: &[u8]) -> [u8; TAG_BYTES] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&[self.by]);
        context.update(&self.number.to_le_bytes());
        context.update(header);
        context.update(body);
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&context.sign().as_ref()[..TAG_BYTES]);
        tag
    }

    /// Appends a frame.
    pub(crate) fn write(&mut self, kind: Kind, body: &[u8], to: &mut Vec<u8>) {
        let mut header = [0; HEADER_BYTES];
        header[0] = kind as u8;
        header[2..4].copy_from_slice(&(body.len() as u16).to_le_bytes());
        let check = crc32fast::hash(&header[..4]);
        header[4..].copy_from_slice(&check.to_le_bytes());
        let tag = self.tag(&header, body);
        self.number += 1;
        to.extend_from_slice(&header);
        to.extend_from_slice(body);
        to.extend_from_slice(&tag);
    }

    /// The frame that these bytes begin with; none if it is not whole yet.
    pub(crate) fn read<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Frame<'a>>, Error> {
        let Some((header, rest)) = bytes.split_at_checked(HEADER_BYTES) else {
            return Ok(None);
        };
        let check = [header[4], header[5], header[6], header[7]];
        if crc32fast::hash(&header[..4]) != u32::from_le_bytes(check) {
            // What another program sends has no MAGIC in its place.
            let is_hello = rest.len() < MAGIC.len() || rest.starts_with(MAGIC);
            return Err(match self.number {
                0 if !is_hello => Error::Foreign,
                _ => Error::Damaged("the header of a frame".to_owned()),
            });
        }
        let length = usize::from(u16::from_le_bytes([header[2], header[3]]));
        if length > MOST_BODY {
            return Err(Error::TooLong(length));
        }
        if rest.len() < length + TAG_BYTES {
            return Ok(None);
        }
        let (body, rest) = rest.split_at(length);
        let tag = self.tag(header, body);
        // No secret that outlasts the connection is learned from how long this takes.
        if tag != rest[..TAG_BYTES] {
            return Err(Error::Damaged("a frame's tag does not fit".to_owned()));
        }
        self.number += 1;
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == header[0]);
        let kind = kind.ok_or(Error::OutOfPlace("a frame of unknown kind".into()))?;
        Ok(Some(Frame {
            kind,
            body,
            length: HEADER_BYTES + length + TAG_BYTES,
        }))
    }
}
