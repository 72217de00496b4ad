//! The files that `files` and `thumbnails` read: made for them, always the same
//! ones, or found in a directory; and what is right for either.

use std::fs::{self, File};
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::Context;
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use origin::splitmix64;
use suite::{Invalid, Job, Result, Workload, files, thumbnails};

/// The most that a made text can have, in bytes.
const LONGEST_TEXT: u64 = 128 * 1024;

/// The most that a made picture has, about, in bytes.
const LARGEST_PICTURE: u64 = 256 * 1024;

/// What all texts are cut from, in bytes.
const BLOCK: usize = 1024 * 1024;

/// The files that a job reads.
struct Inputs<'a> {
    /// The directory that the job names.
    directory: Option<&'a Path>,
    /// How many files are made if it names none.
    count: u64,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Picture,
}

/// The files that a job reads, if it reads any.
fn inputs(job: &Job) -> Option<Inputs<'_>> {
    let (directory, count, kind) = match job {
        Job::Files(job) => (&job.dir, job.count, Kind::Text),
        Job::Thumbnails(job) => (&job.dir, job.count, Kind::Picture),
        // No arm for all others: a new workload has to be looked at here.
        Job::Counter(_)
        | Job::Pipeline(_)
        | Job::Primes(_)
        | Job::Exchange(_)
        | Job::Fetch(_)
        | Job::Offload(_)
        | Job::Download(_)
        | Job::PingPong(_)
        | Job::Sleepers(_)
        | Job::Spawn(_)
        | Job::Deadlines(_)
        | Job::Echo(_)
        | Job::Datagram(_)
        | Job::Serve(_)
        | Job::Proxy(_)
        | Job::Scan(_)
        | Job::Chat(_) => return None,
        Job::Send(_) => return None,
    };
    Some(Inputs {
        directory: directory.as_deref(),
        count,
        kind,
    })
}

impl Kind {
    /// The most bytes that a made file has, about.
    fn largest(self) -> u64 {
        match self {
            Kind::Text => LONGEST_TEXT,
            Kind::Picture => LARGEST_PICTURE,
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Kind::Text => "txt",
            Kind::Picture => "jpg",
        }
    }

    /// Writes the file of this number.
    fn write(self, path: &Path, number: u64) -> Result<()> {
        match self {
            Kind::Text => write_text(path, number),
            Kind::Picture => write_picture(path, number),
        }
    }
}

/// Where the file of this number is made.
fn made(place: &Path, workload: Workload, kind: Kind, number: u64) -> PathBuf {
    place
        .join(workload.name())
        .join(format!("{number:05}.{}", kind.extension()))
}

/// How many files have to be made for a job.
pub fn to_make(job: &Job) -> u64 {
    match inputs(job) {
        Some(Inputs {
            directory: None,
            count,
            ..
        }) => count,
        _ => 0,
    }
}

/// How much room they take, at most.
pub fn room(job: &Job) -> u64 {
    inputs(job).map_or(0, |inputs| to_make(job) * inputs.kind.largest())
}

/// Makes the files of a job that names no directory, in one below `place`. Those
/// of a smaller job are among them.
pub fn make(place: &Path, job: &Job) -> Result<()> {
    let Some(Inputs { kind, .. }) = inputs(job) else {
        return Ok(());
    };
    let (workload, count) = (job.workload(), to_make(job));
    let directory = place.join(workload.name());
    fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
    let next = AtomicU64::new(0);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return anyhow::Ok(());
            }
            let path = made(place, workload, kind, number);
            kind.write(&path, number)
                .with_context(|| path.display().to_string())?;
        }
    };
    let helpers = thread::available_parallelism().map_or(1, NonZero::get) as u64;
    thread::scope(|scope| {
        // A helper that cannot be had is no loss: the others do its part.
        let helpers: Vec<_> = (1..helpers.min(count))
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        helpers.into_iter().fold(work(), |done, helper| {
            let helped = helper.join();
            done.and(helped.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    })
}

/// The files made for a job below `place`, or those in its own directory; the
/// biggest first, and those of one size by name.
///
/// # Errors
///
/// [`Invalid`] if there are none in its directory, or it cannot be read.
pub fn list(place: Option<&Path>, job: &Job) -> Result<Arc<[PathBuf]>> {
    let workload = job.workload();
    let Some(inputs) = inputs(job) else {
        anyhow::bail!("{workload} has no files");
    };
    let mut found = match (inputs.directory, place) {
        (Some(directory), _) => found_in(directory, workload)?,
        (None, Some(place)) => {
            let sized = |number| {
                let path = made(place, workload, inputs.kind, number);
                let data = path
                    .metadata()
                    .with_context(|| path.display().to_string())?;
                anyhow::Ok((data.len(), path))
            };
            (0..inputs.count).map(sized).collect::<Result<_>>()?
        }
        (None, None) => anyhow::bail!("no files were made for {workload}"),
    };
    found.sort_by(|(size, path), (other, path_of_other)| {
        other.cmp(size).then_with(|| path.cmp(path_of_other))
    });
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// The files in a directory, with their sizes. What is below it, and what is no
/// file but a pipe, say, is passed over. A file that nothing can be learned of
/// is for the job to report.
fn found_in(
    directory: &Path,
    workload: Workload,
) -> std::result::Result<Vec<(u64, PathBuf)>, Invalid> {
    let refuse = |why: String| Invalid::new(format!("{workload}.dir"), directory.display(), why);
    let unreadable = |error: io::Error| refuse(format!("cannot be read: {error}"));
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        match fs::metadata(&path) {
            Ok(data) if data.is_file() => found.push((data.len(), path)),
            Ok(_) => {}
            Err(_) => found.push((0, path)),
        }
    }
    if found.is_empty() {
        Err(refuse("has to have a file in it".to_owned()))
    } else {
        Ok(found)
    }
}

/// The job with its right answer, if only doing it tells that: one file after
/// the other, with nothing of any model.
pub fn answered(job: &Job) -> Job {
    let mut job = job.clone();
    match &mut job {
        Job::Files(job) => {
            let mut tally = job.tally();
            for (file, path) in job.paths.iter().enumerate() {
                let summary = File::open(path).and_then(files::examine);
                tally.add(file, summary.map_err(|error| error.to_string()));
            }
            job.expected = Some(Arc::new(job.outcome(tally)));
        }
        Job::Thumbnails(job) => {
            let mut tally = job.tally();
            for (file, path) in job.paths.iter().enumerate() {
                let summary = match fs::read(path) {
                    Ok(bytes) => thumbnails::thumbnail(&bytes, job.edge)
                        .map(|small| small.summary())
                        .map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                tally.add(file, summary);
            }
            job.expected = Some(Arc::new(job.outcome(tally)));
        }
        _ => {}
    }
    job
}

/// Lines of words of random letters, cut from one block: which part, and how
/// much of it, differs from file to file. One in fifty has nothing in it.
fn write_text(path: &Path, number: u64) -> Result<()> {
    static BLOCKS: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let block = BLOCKS.get_or_init(|| {
        let character = |word: u64| match word % 61 {
            0 => b'\n',
            1..9 => b' ',
            letter => b'a' + (letter % 26) as u8,
        };
        (0..BLOCK as u64)
            .map(|at| character(splitmix64(at)))
            .collect()
    });
    let draw = splitmix64(number << 8);
    // More small ones than large, as files are: the lesser of two draws.
    let length = (draw % LONGEST_TEXT).min((draw >> 32) % LONGEST_TEXT);
    let length = match number % 50 {
        7 => 0,
        _ => length.max(1) as usize,
    };
    let start = splitmix64(number << 8 | 1) as usize % (BLOCK - length);
    Ok(fs::write(path, &block[start..start + length])?)
}

/// A hill under a sky with some noise, about as large as a picture on a page.
fn write_picture(path: &Path, number: u64) -> Result<()> {
    const QUALITY: u8 = 85;
    const SIZES: [(u32, u32); 5] = [(640, 480), (480, 640), (800, 600), (512, 512), (720, 480)];
    let seed = splitmix64(number);
    let (width, height) = SIZES[(number % SIZES.len() as u64) as usize];
    let mut pixels = Vec::with_capacity((width * height * 3) as usize);
    let tint = [seed, seed >> 8, seed >> 16].map(|tint| (tint % 128) as u32);
    let mut noise = seed | 1;
    for y in 0..height {
        for x in 0..width {
            // xorshift64
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            let across = x.abs_diff(width / 2);
            let hill = y * 2 > height + across * across / width;
            for (channel, tint) in tint.iter().enumerate() {
                let base = if hill {
                    tint / 2 + x * 64 / width
                } else {
                    tint + y * 96 / height
                };
                let grain = (noise >> (channel * 8)) as u32 % 16;
                pixels.push((base + grain) as u8);
            }
        }
    }
    let picture = RgbImage::from_raw(width, height, pixels).context("too few pixels")?;
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode_image(&picture)?;
    Ok(fs::write(path, jpeg)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use suite::{Outcome, Preset};

    use super::*;

    fn job(workload: Workload, settings: &[(&str, &str)]) -> Job {
        let mut job = workload.job(Preset::Article);
        for (key, value) in settings {
            job.set(key, value).expect("a setting");
        }
        job
    }

    /// The job's list, and its right answer, as they would be filled in.
    fn filled(place: Option<&Path>, mut job: Job) -> (Arc<[PathBuf]>, Outcome) {
        let paths = list(place, &job).expect("files");
        match &mut job {
            Job::Files(job) => job.paths = paths.clone(),
            Job::Thumbnails(job) => job.paths = paths.clone(),
            _ => panic!("it reads no files"),
        }
        let answer = match answered(&job) {
            Job::Files(job) => Outcome::Files((*job.expected.expect("an answer")).clone()),
            Job::Thumbnails(job) => {
                Outcome::Thumbnails((*job.expected.expect("an answer")).clone())
            }
            _ => panic!("it reads no files"),
        };
        (paths, answer)
    }

    #[test]
    fn the_same_files_are_made_each_time_and_differ() {
        for workload in [Workload::Files, Workload::Thumbnails] {
            let place = tempfile::tempdir().expect("a directory");
            let (small, large) = (
                job(workload, &[("count", "5")]),
                job(workload, &[("count", "9")]),
            );
            make(place.path(), &large).expect("files");
            let again = tempfile::tempdir().expect("a directory");
            make(again.path(), &small).expect("files");
            let (paths, answer) = filled(Some(place.path()), small.clone());
            assert_eq!(paths.len(), 5);
            assert_eq!(filled(Some(again.path()), small.clone()).1, answer);
            let total: u64 = (paths.iter())
                .map(|path| path.metadata().expect("a file").len())
                .sum();
            assert!(total <= room(&small), "{total}");
            let sizes: Vec<_> = (filled(Some(place.path()), large).0.iter())
                .map(|path| path.metadata().expect("a file").len())
                .collect();
            assert!(sizes.is_sorted_by(|one, next| one >= next), "{sizes:?}");
            let text = format!("{answer:?}");
            assert!(
                text.contains("unreadable: []") || text.contains("broken: []"),
                "{text}"
            );
        }
        let missing = list(Some(Path::new("/no/such")), &job(Workload::Files, &[]));
        let error = format!("{:#}", missing.expect_err("nothing was made"));
        assert!(error.contains("/no/such/files/00000.txt"), "{error}");
    }

    #[test]
    fn what_is_in_a_directory_is_listed_and_what_cannot_be_read_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let inside = directory.path().join("a directory");
        fs::create_dir(&inside).expect("a directory");
        let set = [("dir", &*inside.display().to_string())];
        let refused = list(None, &job(Workload::Files, &set)).expect_err("it is empty");
        assert!(refused.is::<Invalid>());
        let text = refused.to_string();
        assert!(text.contains("a directory: has to have a file"), "{text}");

        fs::write(inside.join("small"), "a\nb").expect("a file");
        fs::write(inside.join("big one"), "a\n".repeat(9)).expect("a file");
        fs::write(inside.join("none"), "").expect("a file");
        fs::create_dir(inside.join("below")).expect("a directory");
        symlink("gone", inside.join("dangling")).expect("a link");
        let (paths, answer) = filled(None, job(Workload::Files, &set));
        let names = paths.iter().map(|path| path.file_name().expect("a name"));
        assert_eq!(
            names.collect::<Vec<_>>(),
            ["big one", "small", "dangling", "none"]
        );
        let Outcome::Files(answer) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!((answer.files, answer.bytes, answer.lines), (3, 21, 10));
        assert_eq!(answer.unreadable[0].name, "dangling");

        let (_, answer) = filled(None, job(Workload::Thumbnails, &set));
        let Outcome::Thumbnails(answer) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!((answer.images, answer.broken.len()), (0, 4));

        for missing in ["/no/such", "/dev/null"] {
            let refused = list(None, &job(Workload::Thumbnails, &[("dir", missing)]));
            let text = refused.expect_err(missing).to_string();
            assert!(
                text.starts_with(&format!("thumbnails.dir = {missing}: cannot be read")),
                "{text}"
            );
        }
    }
}
