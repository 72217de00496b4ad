use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::frame::{MOST_BODY, VERSION};

/// Why a file, or a connection, has failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Error {
    /// The connection has ended, or broken: what was under way can go on over another one.
    #[error("the connection: {0}")]
    Broken(String),
    /// A frame is not what was sent.
    #[error("damaged on the way: {0}")]
    Damaged(String),
    /// The other side is something else.
    #[error("the other side does not speak this protocol")]
    Foreign,
    /// The other side has another version.
    #[error("the other side speaks version {0} of the protocol, and this side version {VERSION}")]
    Version(u16),
    /// The other side cannot prove that it has the same secret.
    #[error("the secrets of the two sides differ")]
    Secret,
    /// A frame that is longer than any may be.
    #[error("a frame of {0} bytes: at most {MOST_BODY} are allowed")]
    TooLong(usize),
    /// A frame that is not for this moment.
    #[error("{0} is out of place")]
    OutOfPlace(Cow<'static, str>),
    /// Another connection is receiving the file.
    #[error("it is being received over another connection")]
    Busy,
    /// The receiver does not take this file.
    #[error("refused: {0}")]
    Refused(String),
    /// The receiver's disk does not take it.
    #[error("the receiver's disk: {0}")]
    Disk(String),
    /// The file at the sender cannot be read, or is not what it was.
    #[error("{0}")]
    Source(String),
}

impl Error {
    /// Whether it makes sense to try again over another connection.
    pub fn is_passing(&self) -> bool {
        matches!(self, Error::Broken(_) | Error::Damaged(_) | Error::Busy)
    }

    /// Whether only this file has failed, so that others can be sent.
    pub fn is_of_one_file(&self) -> bool {
        matches!(self, Error::Refused(_) | Error::Source(_))
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Error::Broken(_) => 1,
            Error::Damaged(_) => 2,
            Error::Foreign => 3,
            Error::Version(_) => 4,
            Error::Secret => 5,
            Error::TooLong(_) => 6,
            Error::OutOfPlace(_) => 7,
            Error::Busy => 8,
            Error::Refused(_) => 9,
            Error::Disk(_) => 10,
            Error::Source(_) => 11,
        }
    }

    /// What the other side is told in addition to the code.
    pub(crate) fn detail(&self) -> String {
        match self {
            Error::Broken(text)
            | Error::Damaged(text)
            | Error::Refused(text)
            | Error::Disk(text)
            | Error::Source(text) => text.clone(),
            Error::Version(_) => VERSION.to_string(),
            other => other.to_string(),
        }
    }

    /// What the other side has told.
    pub(crate) fn told(code: u8, detail: &str) -> Self {
        let detail = detail.to_owned();
        match code {
            1 => Error::Broken(detail),
            2 => Error::Damaged(detail),
            4 => detail.parse().map_or(Error::Foreign, Error::Version),
            5 => Error::Secret,
            8 => Error::Busy,
            10 => Error::Disk(detail),
            11 => Error::Source(detail),
            // What else it finds wrong does not become right by another try.
            _ => Error::Refused(detail),
        }
    }
}
