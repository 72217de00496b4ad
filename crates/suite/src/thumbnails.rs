//! `thumbnails`: JPEG images are decoded, made small and encoded again.
//!
//! Measures work that is bound by the CPU and allocates much memory. Every model makes the
//! same call for each image and takes images from one shared list. So it shows whether all
//! cores are busy until the end, and a model's fixed cost; not how a scheduler balances load
//! by itself.
//!
//! As with `files`, the list of images is known before the job begins, the
//! biggest file first.

use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;

use image::codecs::jpeg::JpegEncoder;
use image::error::{DecodingError, ImageError};
use image::imageops::FilterType;
use image::{ImageFormat, ImageReader, ImageResult};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::batch::{self, Spoiled};
use crate::{Invalid, Preset, WrongAnswer};

/// How pixels become fewer: each is the mean of those beneath it, the nearer the
/// weightier.
const FILTER: FilterType = FilterType::Triangle;

/// How well they are kept, from 1 to 100.
const QUALITY: u8 = 80;

/// Which images, and how small.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The directory whose files are the images; one that is made for it if
    /// there is none.
    pub dir: Option<PathBuf>,
    /// How many images are made for it.
    pub count: u64,
    /// A thumbnail fits a square with sides of so many pixels.
    pub edge: u32,
    /// The files, the biggest first. Filled in when the job is prepared.
    #[serde(skip)]
    pub paths: Arc<[PathBuf]>,
    /// The right answer. Filled in before an answer is checked.
    #[serde(skip)]
    pub expected: Option<Arc<Outcome>>,
}

/// What came of the images.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Images that have a thumbnail.
    pub images: u64,
    /// Bytes of the thumbnails.
    pub bytes: u64,
    /// BLAKE3, in hexadecimal, over the name and the summary of each, in the
    /// order of the list.
    pub digest: String,
    /// Files that could not be read, or are no image.
    pub broken: Vec<Spoiled>,
}

/// An image made small.
#[derive(Debug, Clone)]
pub struct Thumbnail {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// The file.
    pub jpeg: Vec<u8>,
}

/// What is kept of a thumbnail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// The file's size.
    pub bytes: u64,
    /// The file's BLAKE3.
    pub blake3: [u8; 32],
}

/// What came of each file: see [`batch::Tally`].
pub type Tally = batch::Tally<Summary>;

/// Makes an image fit a square of `edge` pixels. One that does already keeps
/// its size.
pub fn thumbnail(file: &[u8], edge: u32) -> ImageResult<Thumbnail> {
    let image = ImageReader::new(Cursor::new(file))
        .with_guessed_format()?
        .decode()?;
    // The decoder makes what is missing up.
    if !is_whole(file) {
        let jpeg = ImageFormat::Jpeg.into();
        return Err(ImageError::Decoding(DecodingError::new(
            jpeg,
            "it is cut short",
        )));
    }
    let fits = image.width() <= edge && image.height() <= edge;
    let small = if fits {
        image
    } else {
        image.resize(edge, edge, FILTER)
    };
    let small = small.into_rgb8();
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode_image(&small)?;
    Ok(Thumbnail {
        width: small.width(),
        height: small.height(),
        jpeg,
    })
}

/// Whether the end marker comes somewhere after the picture has begun. (Before,
/// there can be one too: that of a thumbnail within.)
fn is_whole(jpeg: &[u8]) -> bool {
    let mut at = 2; // the start marker
    loop {
        match jpeg.get(at..at + 4) {
            Some([0xff, 0xda, ..]) => break,
            Some([0xff, 0xff, ..]) => at += 1, // padding
            Some([0xff, _, high, low]) => at += 2 + usize::from(u16::from_be_bytes([*high, *low])),
            // Not as it should be; but the decoder took it.
            _ => return true,
        }
    }
    jpeg[at..].windows(2).rev().any(|pair| pair == [0xff, 0xd9])
}

impl Thumbnail {
    /// What is kept of it.
    pub fn summary(&self) -> Summary {
        Summary {
            width: self.width,
            height: self.height,
            bytes: self.jpeg.len() as u64,
            blake3: blake3::hash(&self.jpeg).into(),
        }
    }
}

impl Job {
    pub(crate) fn preset(preset: Preset) -> Self {
        let count = match preset {
            Preset::Article => 20,
            Preset::Heavy => 100,
        };
        Self {
            dir: None,
            count,
            edge: 256,
            paths: Arc::default(),
            expected: None,
        }
    }

    /// Nothing is known yet of any of the job's files.
    pub fn tally(&self) -> Tally {
        Tally::new(&self.paths)
    }

    /// The outcome, when something is known of each.
    pub fn outcome(&self, tally: Tally) -> Outcome {
        let mut bytes = 0;
        let (images, digest, broken) = tally.close(&self.paths, |hasher, summary| {
            hasher.update(&summary.width.to_le_bytes());
            hasher.update(&summary.height.to_le_bytes());
            hasher.update(&summary.blake3);
            bytes += summary.bytes;
        });
        Outcome {
            images,
            bytes,
            digest,
            broken,
        }
    }

    pub(crate) fn units(&self) -> usize {
        match self.paths.len() {
            0 => usize::try_from(self.count).unwrap_or(usize::MAX),
            files => files,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("count", self.count, 1, 10_000)?;
        Invalid::unless_within("edge", self.edge.into(), 1, 4_096)
    }

    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        Self {
            count: (self.count / divisor).max(1),
            ..self.clone()
        }
    }

    /// Something is known of each file; and if a right answer is there, it is
    /// that.
    pub fn check(&self, outcome: &Outcome) -> Result<(), WrongAnswer> {
        let all = self.paths.len() as u64;
        let known = outcome.images + outcome.broken.len() as u64;
        WrongAnswer::unless(known == all, "images and broken", known, all)?;
        let Some(right) = &self.expected else {
            return Ok(());
        };
        batch::check_spoiled("broken", &outcome.broken, &right.broken)?;
        for (what, got, right) in [
            ("images", outcome.images, right.images),
            ("bytes", outcome.bytes, right.bytes),
        ] {
            WrongAnswer::unless(got == right, what, got, right)?;
        }
        WrongAnswer::unless(
            outcome.digest == right.digest,
            "digest",
            &outcome.digest,
            &right.digest,
        )
    }

    pub(crate) fn summary(&self, outcome: &Outcome, elapsed: Duration) -> String {
        let made = format!(
            "{} thumbnails, {} bytes, {:.1} a second",
            outcome.images,
            outcome.bytes,
            outcome.images as f64 / elapsed.as_secs_f64()
        );
        made + &batch::spoiled_lines("broken", &outcome.broken)
    }
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, RgbImage};

    use super::*;

    fn jpeg(width: u32, height: u32) -> Vec<u8> {
        let picture = RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([(x % 256) as u8, (y % 256) as u8, 77])
        });
        let mut jpeg = Vec::new();
        JpegEncoder::new(&mut jpeg)
            .encode_image(&picture)
            .expect("a picture can be encoded");
        jpeg
    }

    #[test]
    fn thumbnails_fit_and_keep_their_shape() {
        for (image, small) in [
            ((640, 480), (256, 192)),
            ((300, 600), (128, 256)),
            ((2_000, 3), (256, 1)),
            ((256, 256), (256, 256)),
            ((100, 50), (100, 50)),
            ((1, 1), (1, 1)),
        ] {
            let thumbnail = thumbnail(&jpeg(image.0, image.1), 256).expect("a thumbnail");
            assert_eq!((thumbnail.width, thumbnail.height), small, "{image:?}");
            let decoded = image::load_from_memory(&thumbnail.jpeg).expect("it is an image");
            assert_eq!((decoded.width(), decoded.height()), small);
        }
        let mut gray = Vec::new();
        JpegEncoder::new(&mut gray)
            .encode_image(&GrayImage::new(300, 300))
            .expect("a picture can be encoded");
        assert_eq!(thumbnail(&gray, 10).expect("a thumbnail").width, 10);
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let good = jpeg(300, 200);
        for bad in [
            b"" as &[u8],
            b"some text",
            &good[..100],
            &good[..good.len() - 1],
            b"\x89PNG\r\n\x1a\n",
        ] {
            let error = thumbnail(bad, 256).expect_err("it is no image").to_string();
            assert!(!error.is_empty());
        }
    }

    #[test]
    fn only_the_right_answer_passes() {
        let mut job = Job {
            paths: ["a.jpg", "b.jpg", "c.txt"].map(PathBuf::from).into(),
            ..Job::preset(Preset::Article)
        };
        let small = |file: &[u8]| {
            let thumbnail = thumbnail(file, 16);
            thumbnail
                .map(|thumbnail| thumbnail.summary())
                .map_err(|error| error.to_string())
        };
        let outcome = |files: [&[u8]; 3]| {
            let mut tally = job.tally();
            for (at, file) in files.into_iter().enumerate() {
                tally.add(at, small(file));
            }
            job.outcome(tally)
        };
        let (a, b) = (jpeg(40, 30), jpeg(30, 40));
        let right = outcome([&a, &b, b"text"]);
        assert_eq!((right.images, right.broken.len()), (2, 1));
        let (swapped, shown) = (outcome([&b, &a, b"text"]), outcome([&a, &b, &a]));
        job.expected = Some(Arc::new(right.clone()));
        job.check(&right).expect("it is right");
        for (what, wrong) in [("digest", swapped), ("broken", shown)] {
            assert_eq!(job.check(&wrong).expect_err(what).what, what);
        }
    }
}
