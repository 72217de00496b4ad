//! Unit: slot of a node, which pulls an image at a time. Shares: nothing. Ends: every image is
//! answered.

use std::io::Read;

use suite::Result;
use suite::thumbnails::{Job, Outcome, Summary, thumbnail};

use crate::listed_file::ListedFile;
use crate::node::{Node, unblock};
use crate::protocol::{Answer, Task};
use crate::session::Session;
use crate::shares::Shares;

pub async fn run(job: &Job, session: &mut Session) -> Result<Outcome> {
    session.offer(&job.paths);
    let images = (0..job.paths.len()).map(|place| Task::Thumbnail {
        file: ListedFile::of(&job.paths, place),
        edge: job.edge,
    });
    let mut workers = Shares::deal(session, images).await?;
    let mut tally = job.tally();
    while let Some(answer) = workers.answer().await? {
        match answer {
            Answer::Thumbnail(file, summary) => tally.add(file, summary),
            other => return Err(other.unexpected()),
        }
    }
    Ok(job.outcome(tally))
}

pub(crate) async fn perform(file: ListedFile, edge: u32, node: &Node) -> Result<Answer> {
    let place = file.place;
    let here = unblock(move || read(&file).map(|image| shrink(&image, edge)));
    let summary = match here.await? {
        Some(summary) => summary,
        None => match whole(place, node).await? {
            Ok(image) => unblock(move || shrink(&image, edge)).await?,
            Err(error) => Err(error),
        },
    };
    Ok(Answer::Thumbnail(place, summary))
}

/// Reads a whole file of this machine; `None` if the parent has to be asked for it.
fn read(file: &ListedFile) -> Option<Vec<u8>> {
    let mut image = Vec::new();
    file.open()?.read_to_end(&mut image).ok()?;
    Some(image)
}

fn shrink(image: &[u8], edge: u32) -> std::result::Result<Summary, String> {
    let thumbnail = thumbnail(image, edge).map_err(|error| error.to_string())?;
    Ok(thumbnail.summary())
}

/// Reads a whole file from the parent.
async fn whole(place: usize, node: &Node) -> Result<std::result::Result<Vec<u8>, String>> {
    let mut image = Vec::new();
    loop {
        match node.piece(place, image.len() as u64).await? {
            Ok(piece) if piece.is_empty() => return Ok(Ok(image)),
            Ok(piece) => image.extend(piece),
            Err(error) => return Ok(Err(error)),
        }
    }
}
