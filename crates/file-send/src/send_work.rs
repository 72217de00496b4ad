//! What the sender does where calls may block.

use transfer::Sha;

use crate::outgoing::{Outgoing, Piece, Source};
use crate::{Error, Path};

/// Something that blocks.
pub struct SendWork {
    pub(crate) task: Task,
    pub(crate) piece: Piece,
}

pub(crate) enum Task {
    Open(Outgoing),
    Begin(Source, (u64, Sha), Path),
    Read(Source),
    Check(Source),
}

/// What has come of it.
pub struct SendWorked {
    pub(crate) piece: Piece,
    pub(crate) file: Option<Outgoing>,
    pub(crate) source: Result<Source, Error>,
}

impl SendWork {
    /// Whether it is more than to look at what was read before: another thread for that would
    /// cost more than it does.
    pub(crate) fn blocks(&self) -> bool {
        match &self.task {
            Task::Begin(source, (have, _), Path::Copy) => !source.is_in_piece || *have > 0,
            _ => true,
        }
    }

    /// Does it. Blocks.
    pub fn run(self) -> SendWorked {
        let mut piece = self.piece;
        let mut file = None;
        let source = match self.task {
            Task::Open(outgoing) => {
                let source = outgoing.open(&mut piece);
                file = Some(outgoing);
                source
            }
            Task::Begin(mut source, have, path) => source
                .begin(have, &mut piece)
                .and_then(|()| match path {
                    Path::Copy => source.read(&mut piece),
                    Path::SendFile => Ok(()),
                })
                .map(|()| source),
            Task::Read(mut source) => source.read(&mut piece).map(|()| source),
            Task::Check(source) => source.check().map(|()| source),
        };
        SendWorked {
            piece,
            file,
            source,
        }
    }
}
