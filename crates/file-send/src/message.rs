//! What frames say, as bytes.

use transfer::{Offered, Sha};

use crate::Error;
use crate::frame::{Kind, MAGIC, MOST_BODY, VERSION};
use crate::link::NONCE_BYTES;

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    Offer(Offered),
    /// Bytes that are there, and their digest.
    Have(u64, Sha),
    /// From which byte on, and how many follow.
    Data(u64, u64),
    Done(Sha),
    /// All of it is there, and whether it was synced.
    Ack(Sha, bool),
    /// What came has this digest.
    Mismatch(Sha),
    Bye,
    Failed(Error),
}

/// The frame of a message: its kind, and its body.
pub(crate) fn encode(message: &Message) -> (Kind, Vec<u8>) {
    match message {
        Message::Offer(offered) => {
            let mut body = offered.bytes.to_le_bytes().to_vec();
            body.extend_from_slice(&offered.sha256.0);
            body.extend_from_slice(offered.name.as_bytes());
            (Kind::Offer, body)
        }
        Message::Have(bytes, sha256) => {
            let mut body = bytes.to_le_bytes().to_vec();
            body.extend_from_slice(&sha256.0);
            (Kind::Have, body)
        }
        Message::Data(from, bytes) => {
            let body = [from.to_le_bytes(), bytes.to_le_bytes()].concat();
            (Kind::Data, body)
        }
        Message::Done(sha256) => (Kind::Done, sha256.0.to_vec()),
        Message::Ack(sha256, synced) => {
            let mut body = sha256.0.to_vec();
            body.push(u8::from(*synced));
            (Kind::Ack, body)
        }
        Message::Mismatch(sha256) => (Kind::Mismatch, sha256.0.to_vec()),
        Message::Bye => (Kind::Bye, Vec::new()),
        Message::Failed(error) => {
            let mut body = vec![error.code()];
            let detail = error.detail();
            let fits = detail.floor_char_boundary(MOST_BODY - 1);
            body.extend_from_slice(&detail.as_bytes()[..fits]);
            (Kind::Failed, body)
        }
    }
}

/// What is left of a frame's body.
pub(crate) struct Body<'a>(pub(crate) &'a [u8]);

impl Body<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let taken = self.0.split_first_chunk::<N>();
        let (first, rest) = taken.ok_or(Error::OutOfPlace("a frame that is too short".into()))?;
        self.0 = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u64, Error> {
        self.take().map(u64::from_le_bytes)
    }

    fn sha(&mut self) -> Result<Sha, Error> {
        self.take().map(Sha)
    }

    fn text(&mut self) -> Result<String, Error> {
        let text = String::from_utf8(std::mem::take(&mut self.0).to_vec());
        text.map_err(|_| Error::OutOfPlace("a text that is not UTF-8".into()))
    }

    pub(crate) fn error(&mut self) -> Result<Error, Error> {
        let [code] = self.take()?;
        let detail: String = self.text()?;
        // It is shown on a terminal.
        let shown: String = detail
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        Ok(Error::told(code, &shown))
    }

    pub(crate) fn hello(&mut self, kind: Kind) -> Result<[u8; NONCE_BYTES], Error> {
        if kind != Kind::Hello || self.take()? != *MAGIC {
            return Err(Error::Foreign);
        }
        match self.take().map(u16::from_le_bytes)? {
            VERSION => self.take(),
            other => Err(Error::Version(other)),
        }
    }

    pub(crate) fn message(&mut self, kind: Kind) -> Result<Message, Error> {
        let message = match kind {
            Kind::Offer => {
                let (bytes, sha256) = (self.number()?, self.sha()?);
                let name = self.text()?;
                Message::Offer(Offered {
                    name,
                    bytes,
                    sha256,
                })
            }
            Kind::Have => Message::Have(self.number()?, self.sha()?),
            Kind::Data => Message::Data(self.number()?, self.number()?),
            Kind::Done => Message::Done(self.sha()?),
            Kind::Ack => Message::Ack(self.sha()?, self.take()? == [1]),
            Kind::Mismatch => Message::Mismatch(self.sha()?),
            Kind::Bye => Message::Bye,
            Kind::Hello | Kind::Proof | Kind::Failed => {
                return Err(Error::OutOfPlace(kind.name().into()));
            }
        };
        match self.0.is_empty() {
            true => Ok(message),
            false => Err(Error::OutOfPlace("a frame that is too long".into())),
        }
    }
}

impl Message {
    /// What it is called, for an error.
    pub(crate) fn name(&self) -> &'static str {
        encode(self).0.name()
    }
}
