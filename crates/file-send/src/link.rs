//! What both ends of a connection share: frames out and in, and how each proves that it has
//! the secret.
//!
//! The receiver speaks first, with a number that was never used before (HELLO). The sender
//! answers with one of its own, and with an HMAC of both under the secret (PROOF); only then
//! does the receiver prove the same, so that who merely connects learns nothing to guess a
//! secret by. From then on every frame has a tag under a key of this connection.

use std::fmt;
use std::ops::Range;

use ring::hmac::{self, HMAC_SHA256};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::frame::{Direction, Frame, Kind, MAGIC, MOST_FRAME, VERSION};
use crate::message::{Body, Message, encode};

/// Bytes of the random number that each end begins with.
pub(crate) const NONCE_BYTES: usize = 32;

/// What both sides have, and nobody else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The fewest bytes of one: who talks to a receiver of their own could try short ones.
    pub const FEWEST: usize = 16;

    /// These bytes; none if they are too few.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let bytes = bytes.into();
        (bytes.len() >= Self::FEWEST).then_some(Self(bytes))
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(HMAC_SHA256, &self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Which end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Sender = 1,
    Receiver = 2,
}

/// One connection's frames.
pub(crate) struct Link {
    us: End,
    secret: hmac::Key,
    ours: Direction,
    theirs: Direction,
    nonce: [u8; NONCE_BYTES],
    shake: Shake,
    input: Vec<u8>,
    filled: Range<usize>,
    /// What is to be written.
    pub(crate) output: Vec<u8>,
}

/// How far the two ends have come with each other.
enum Shake {
    Hello,
    Proof([u8; NONCE_BYTES]),
    Done,
}

impl Link {
    pub(crate) fn new(us: End, secret: &Secret) -> Self {
        let mut nonce = [0; NONCE_BYTES];
        SystemRandom::new()
            .fill(&mut nonce)
            .expect("the system has random numbers");
        let they = match us {
            End::Sender => End::Receiver,
            End::Receiver => End::Sender,
        };
        let mut link = Self {
            us,
            secret: secret.key(),
            ours: Direction::open(us as u8),
            theirs: Direction::open(they as u8),
            nonce,
            shake: Shake::Hello,
            input: vec![0; 2 * MOST_FRAME],
            filled: 0..0,
            output: Vec::with_capacity(MOST_FRAME),
        };
        if us == End::Receiver {
            link.hello();
        }
        link
    }

    fn hello(&mut self) {
        let mut body = MAGIC.to_vec();
        body.extend_from_slice(&VERSION.to_le_bytes());
        body.extend_from_slice(&self.nonce);
        self.ours.write(Kind::Hello, &body, &mut self.output);
    }

    /// Whether both ends have proved themselves.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.shake, Shake::Done)
    }

    /// Where bytes of frames are to be read to.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.filled.start > 0 {
            self.input.copy_within(self.filled.clone(), 0);
            self.filled = 0..self.filled.len();
        }
        &mut self.input[self.filled.end..]
    }

    pub(crate) fn filled(&mut self, bytes: usize) {
        self.filled.end += bytes;
    }

    /// Takes bytes that came after a frame and belong to a file.
    pub(crate) fn take_rest(&mut self, most: usize) -> &[u8] {
        let start = self.filled.start;
        self.filled.start += self.filled.len().min(most);
        &self.input[start..self.filled.start]
    }

    /// Whether nothing was read that has not been looked at.
    pub(crate) fn is_empty(&self) -> bool {
        self.filled.is_empty()
    }

    /// The next message; none if more has to be read or written first.
    pub(crate) fn next(&mut self) -> Result<Option<Message>, Error> {
        loop {
            let bytes = &self.input[self.filled.clone()];
            let Some(frame) = self.theirs.read(bytes)? else {
                return Ok(None);
            };
            let Frame { kind, body, length } = frame;
            let mut body = Body(body);
            if kind == Kind::Failed {
                return Ok(Some(Message::Failed(body.error()?)));
            }
            match self.shake {
                Shake::Hello => {
                    let nonce = body.hello(kind)?;
                    self.filled.start += length;
                    self.greet(nonce);
                }
                Shake::Proof(nonce) => {
                    let proof = body.0;
                    if kind != Kind::Proof {
                        return Err(Error::OutOfPlace(kind.name().into()));
                    }
                    let their_text = match self.us {
                        End::Sender => self.text(b"receiver", &nonce),
                        End::Receiver => self.text(b"sender", &nonce),
                    };
                    hmac::verify(&self.secret, &their_text, proof).map_err(|_| Error::Secret)?;
                    self.filled.start += length;
                    self.proved(nonce);
                }
                Shake::Done => {
                    let message = body.message(kind)?;
                    self.filled.start += length;
                    return Ok(Some(message));
                }
            }
            if !self.output.is_empty() {
                return Ok(None);
            }
        }
    }

    /// The other side has sent its HELLO.
    fn greet(&mut self, nonce: [u8; NONCE_BYTES]) {
        self.shake = Shake::Proof(nonce);
        if self.us == End::Sender {
            self.hello();
            self.prove(b"sender", &nonce);
        }
    }

    /// The other side has proved itself.
    fn proved(&mut self, nonce: [u8; NONCE_BYTES]) {
        if self.us == End::Receiver {
            self.prove(b"receiver", &nonce);
        }
        let key = hmac::sign(&self.secret, &self.text(b"frames", &nonce));
        let key = hmac::Key::new(HMAC_SHA256, key.as_ref());
        self.ours.set_key(key.clone());
        self.theirs.set_key(key);
        self.shake = Shake::Done;
    }

    fn prove(&mut self, what: &[u8], nonce: &[u8; NONCE_BYTES]) {
        let proof = hmac::sign(&self.secret, &self.text(what, nonce));
        self.ours
            .write(Kind::Proof, proof.as_ref(), &mut self.output);
    }

    /// What a proof is about: both numbers, the receiver's first.
    fn text(&self, what: &[u8], theirs: &[u8; NONCE_BYTES]) -> Vec<u8> {
        let (first, second) = match self.us {
            End::Sender => (theirs, &self.nonce),
            End::Receiver => (&self.nonce, theirs),
        };
        [MAGIC, &VERSION.to_le_bytes()[..], what, first, second].concat()
    }

    /// Has a message be written.
    pub(crate) fn say(&mut self, message: &Message) {
        let mut output = std::mem::take(&mut self.output);
        self.write(message, &mut output);
        self.output = output;
    }

    /// Appends a message to this.
    pub(crate) fn write(&mut self, message: &Message, to: &mut Vec<u8>) {
        let (kind, body) = encode(message);
        self.ours.write(kind, &body, to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::MOST_BODY;

    fn secret() -> Secret {
        Secret::new(*b"a secret of a test").expect("enough bytes")
    }

    /// What an end makes of a first frame of this kind and body.
    fn first(us: End, kind: Kind, body: &[u8]) -> Result<Option<Message>, Error> {
        let they = match us {
            End::Sender => End::Receiver,
            End::Receiver => End::Sender,
        };
        let mut frame = Vec::new();
        Direction::open(they as u8).write(kind, body, &mut frame);
        hears(us, &frame)
    }

    fn hears(us: End, bytes: &[u8]) -> Result<Option<Message>, Error> {
        let mut link = Link::new(us, &secret());
        link.output.clear();
        link.room()[..bytes.len()].copy_from_slice(bytes);
        link.filled(bytes.len());
        link.next()
    }

    #[test]
    fn another_version_and_another_program_are_told_apart_at_both_ends() {
        let mut hello = MAGIC.to_vec();
        hello.extend_from_slice(&7_u16.to_le_bytes());
        // Of whatever length.
        for more in [0, 3, 500] {
            hello.resize(10 + more, 0);
            for us in [End::Sender, End::Receiver] {
                let heard = first(us, Kind::Hello, &hello);
                assert_eq!(heard, Err(Error::Version(7)));
            }
        }
        for us in [End::Sender, End::Receiver] {
            assert_eq!(first(us, Kind::Hello, b"another!"), Err(Error::Foreign));
            assert_eq!(first(us, Kind::Bye, b""), Err(Error::Foreign));
            let web = b"HTTP/1.1 400 Bad Request\r\n\r\n";
            assert_eq!(hears(us, web), Err(Error::Foreign));
            // And the one is told the other's version.
            let told = Message::Failed(Error::Version(VERSION));
            let (kind, body) = encode(&told);
            assert_eq!(first(us, kind, &body), Ok(Some(told)));
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_not_waited_for() {
        let mut header = [Kind::Hello as u8, 0, 0, 0].to_vec();
        header[2..4].copy_from_slice(&(MOST_BODY as u16 + 1).to_le_bytes());
        header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
        let heard = hears(End::Receiver, &header);
        assert_eq!(heard, Err(Error::TooLong(MOST_BODY + 1)));
        assert!(!Error::TooLong(0).is_passing());
    }

    #[test]
    fn an_empty_frame_is_not_taken_for_a_whole_one() {
        for us in [End::Sender, End::Receiver] {
            assert_eq!(hears(us, &[]), Ok(None));
            assert_eq!(hears(us, &[1, 0, 40]), Ok(None));
        }
    }
}
