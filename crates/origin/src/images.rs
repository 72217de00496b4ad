//! The pictures: real JPEG files, the same bytes in every process.
//!
//! A set is [`SET`] pictures that runs repeat as often as they need. A picture
//! is computed from a seed pixel by pixel, as a landscape under noise: the noise
//! is what gives a file its weight, and the little that is missing to the exact
//! size wanted is made up by comment segments, which every decoder skips.

use std::{
    num::NonZero,
    ops::RangeInclusive,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::Context;
use image::{GenericImageView, Rgb, codecs::jpeg::JpegEncoder};
use load::splitmix64;
use sha2::{Digest, Sha256};

use crate::lock;

/// Pictures in a set, unless they are so large that the set has to be smaller.
pub(crate) const SET: usize = 100;

/// Bytes of the mixed set: 100 Mbit/s carry them in one second exactly.
pub(crate) const MIXED_SET_BYTES: u64 = 12_500_000;

/// Sizes in the mixed set, in bytes.
pub(crate) const MIXED_IMAGE_BYTES: RangeInclusive<u64> = 20 * 1024..=300 * 1024;

/// Markers and tables that every color JPEG carries, in bytes.
const TABLE_BYTES: usize = 623;

/// Sizes that can be asked for, in bytes. The least has room for the tables
/// ([`TABLE_BYTES`]) and a small picture.
pub(crate) const IMAGE_BYTES: RangeInclusive<u64> = 1024..=64 * 1024 * 1024;

/// The most that one set may hold in memory, in bytes.
const ONE_SET_BYTES: u64 = 64 * 1024 * 1024;

/// The most that all sets together may hold in memory, in bytes.
const ALL_SETS_BYTES: u64 = 256 * 1024 * 1024;

/// One file and what is said about it.
pub(crate) struct Image {
    pub bytes: Arc<Vec<u8>>,
    /// SHA-256 in lowercase hexadecimal.
    pub sha256: String,
}

/// The pictures that runs with the same `image_bytes` share.
pub(crate) struct Set {
    image_bytes: u64,
    sizes: Vec<u64>,
    images: Vec<OnceLock<Image>>,
}

impl Set {
    fn new(image_bytes: u64) -> Set {
        let sizes = match image_bytes {
            0 => mixed_sizes(),
            _ => {
                let room = ONE_SET_BYTES / image_bytes;
                vec![image_bytes; SET.min(usize::try_from(room).unwrap_or(SET))]
            }
        };
        let images = sizes.iter().map(|_| OnceLock::new()).collect();
        Set {
            image_bytes,
            sizes,
            images,
        }
    }

    fn bytes(&self) -> u64 {
        self.sizes.iter().sum()
    }

    /// The picture that image `number` of a run is.
    pub(crate) fn image(&self, number: u64) -> anyhow::Result<&Image> {
        let index = (number % self.images.len() as u64) as usize;
        let slot = &self.images[index];
        if let Some(image) = slot.get() {
            return Ok(image);
        }
        let image = make(index as u64, self.sizes[index])
            .with_context(|| format!("cannot make an image of {} bytes", self.sizes[index]))?;
        Ok(slot.get_or_init(|| image))
    }

    /// Makes the first `count` pictures on all cores, so that no request waits for one.
    fn make_ready(&self, count: u64) -> anyhow::Result<()> {
        let count = usize::try_from(count).map_or(self.images.len(), |n| n.min(self.images.len()));
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return anyhow::Ok(());
                }
                self.image(index as u64)?;
            }
        };
        let helpers = thread::available_parallelism().map_or(1, NonZero::get) - 1;
        thread::scope(|scope| {
            for _ in 0..helpers {
                // A helper that cannot start, or fails, is no loss: what it
                // leaves undone is done, or fails, below.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work()
        })?;
        (0..count).try_for_each(|index| self.image(index as u64).map(drop))
    }
}

/// All sets in memory, the one used last at the end.
#[derive(Default)]
pub(crate) struct Library {
    sets: Mutex<Vec<Arc<Set>>>,
}

impl Library {
    /// The set with pictures of `image_bytes` (0: the mixed set), its first
    /// `count` pictures made. Sets that no run uses make room for a new one.
    pub(crate) fn set(&self, image_bytes: u64, count: u64) -> anyhow::Result<Arc<Set>> {
        let set = {
            let mut sets = lock(&self.sets);
            let known = sets.iter().position(|set| set.image_bytes == image_bytes);
            let set = match known {
                Some(index) => sets.remove(index),
                None => Arc::new(Set::new(image_bytes)),
            };
            let mut excess = (sets.iter().map(|set| set.bytes()).sum::<u64>() + set.bytes())
                .saturating_sub(ALL_SETS_BYTES);
            sets.retain(|other| {
                let goes = excess > 0 && Arc::strong_count(other) == 1;
                if goes {
                    excess = excess.saturating_sub(other.bytes());
                }
                !goes
            });
            anyhow::ensure!(
                excess == 0,
                "runs in use hold {ALL_SETS_BYTES} bytes of images, the most there may be"
            );
            sets.push(Arc::clone(&set));
            set
        };
        // Outside the lock: other sets can be made, and had, meanwhile.
        set.make_ready(count)?;
        Ok(set)
    }
}

/// Sizes that differ as those of a gallery do, more small ones than large, and
/// come to [`MIXED_SET_BYTES`].
fn mixed_sizes() -> Vec<u64> {
    let (least, most) = MIXED_IMAGE_BYTES.into_inner();
    let mut sizes: Vec<u64> = (0..SET as u64)
        .map(|index| {
            let draw = |salt| splitmix64(index << 8 | salt) % (most - least);
            least + draw(1).min(draw(2))
        })
        .collect();
    // What is missing to the total is shared out evenly, as far as each size allows.
    let mut missing = MIXED_SET_BYTES - sizes.iter().sum::<u64>();
    for (index, size) in sizes.iter_mut().enumerate() {
        let share = (missing / (SET - index) as u64).min(most - *size);
        *size += share;
        missing -= share;
    }
    sizes
}

/// A JPEG of exactly `bytes` bytes.
fn make(seed: u64, bytes: u64) -> anyhow::Result<Image> {
    let bytes = usize::try_from(bytes)?;
    // At this quality and this noise a pixel weighs a little less than a byte.
    const QUALITY: u8 = 90;
    let mut pixels = bytes.saturating_sub(TABLE_BYTES);
    let jpeg = loop {
        let mut jpeg = Vec::with_capacity(bytes);
        JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
            .encode_image(&Picture::new(seed, pixels))?;
        // Noise weighs what it weighs, so the estimate may be over; and a
        // segment has at least four bytes.
        match bytes.checked_sub(jpeg.len()) {
            Some(0 | 4..) => break pad(jpeg, bytes),
            _ => pixels -= pixels / 16 + 1,
        }
    };
    let sha256 = Sha256::digest(&jpeg)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(Image {
        bytes: Arc::new(jpeg),
        sha256,
    })
}

/// Inserts comment segments, so that `jpeg` becomes `bytes` long.
fn pad(mut jpeg: Vec<u8>, bytes: usize) -> Vec<u8> {
    // The start marker and the JFIF segment, which has to come first.
    const JFIF_END: usize = 2 + 18;
    const MOST: usize = 2 + u16::MAX as usize;
    let mut padding = Vec::new();
    let mut left = bytes - jpeg.len();
    while left > 0 {
        // Never leaves one to three bytes, which no segment could fill.
        let segment = if left > MOST {
            MOST.min(left - 4)
        } else {
            left
        };
        padding.extend([0xff, 0xfe]);
        padding.extend(((segment - 2) as u16).to_be_bytes());
        padding.resize(padding.len() + segment - 4, b'.');
        left -= segment;
    }
    jpeg.splice(JFIF_END..JFIF_END, padding);
    jpeg
}

/// How far noise spreads a color, in steps of 255.
const NOISE: u64 = 64;

/// A landscape: sky, sun and hills in colors of the seed, under noise.
struct Picture {
    seed: u64,
    width: u32,
    height: u32,
    sky: [i32; 3],
    land: [i32; 3],
    sun: (i64, i64),
}

impl Picture {
    /// About `pixels` pixels, four to three.
    fn new(seed: u64, pixels: usize) -> Picture {
        let width = (pixels * 4 / 3).isqrt().clamp(1, u16::MAX.into());
        let height = (pixels / width).clamp(1, u16::MAX.into());
        let draw = |salt: u64, range: usize| (splitmix64(seed << 8 | salt) % range as u64) as i64;
        let shade = |salt| draw(salt, 128) as i32;
        Picture {
            seed: splitmix64(seed),
            width: width as u32,
            height: height as u32,
            sky: [64 + shade(3), 96 + shade(4), 127 + shade(5)],
            land: [shade(6), 32 + shade(7), shade(8) / 2],
            sun: (draw(9, width), draw(10, height / 2 + 1)),
        }
    }
}

impl GenericImageView for Picture {
    type Pixel = Rgb<u8>;

    fn dimensions(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    // Integers only: every platform makes the same picture.
    fn get_pixel(&self, x: u32, y: u32) -> Rgb<u8> {
        let (width, height) = (i64::from(self.width), i64::from(self.height));
        let (column, row) = (i64::from(x), i64::from(y));
        // Two hills, each half of the picture wide: parabolas.
        let across = column % (width / 2 + 1) * 4 - width;
        let horizon = height * 2 / 3 + across * across * height / (width * width * 4 + 1);
        let (dx, dy) = (column - self.sun.0, row - self.sun.1);
        let base = if row > horizon {
            self.land
        } else if dx * dx + dy * dy < height * height / 64 {
            [255, 240, 160]
        } else {
            self.sky
        };
        let fade = (row * 48 / height) as i32;
        let noise = splitmix64(self.seed ^ (u64::from(y) << 32 | u64::from(x)));
        Rgb(std::array::from_fn(|channel| {
            let noise = (noise >> (channel * 16)) % NOISE;
            (base[channel] + fade + noise as i32 - NOISE as i32 / 2).clamp(0, 255) as u8
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mixed_set_weighs_what_it_says() {
        let sizes = mixed_sizes();
        assert_eq!(sizes.iter().sum::<u64>(), MIXED_SET_BYTES);
        assert!(
            sizes.iter().all(|size| MIXED_IMAGE_BYTES.contains(size)),
            "{sizes:?}"
        );
    }

    #[test]
    fn an_image_has_the_size_asked_for_and_is_mostly_picture() {
        for bytes in (1024..1064).chain([16_384, 65_536, 200_000, 1_000_000]) {
            let image = make(7, bytes).expect("an image");
            assert_eq!(image.bytes.len() as u64, bytes);
            let decoded = image::load_from_memory(&image.bytes).expect("a decodable image");
            let pixels = u64::from(decoded.width() * decoded.height());
            // A pixel weighs about a byte: so much of the file is picture.
            assert!(
                pixels * 2 > bytes - TABLE_BYTES as u64,
                "{bytes} bytes: {pixels} pixels"
            );
        }
    }

    #[test]
    fn padding_fills_every_gap_exactly() {
        let jpeg = make(7, 2048).expect("an image").bytes.to_vec();
        for gap in [
            4, 5, 65_537, 65_538, 65_539, 65_540, 65_541, 65_542, 131_074, 131_075,
        ] {
            let padded = pad(jpeg.clone(), jpeg.len() + gap);
            assert_eq!(padded.len(), jpeg.len() + gap);
            image::load_from_memory(&padded).expect("a decodable image");
        }
    }

    #[test]
    fn sets_in_use_stay_and_others_make_room() {
        let library = Library::default();
        let large = *IMAGE_BYTES.end();
        let kept: Vec<_> = (0..3)
            .map(|n| library.set(large - n, 0).expect("room"))
            .collect();
        let unused = Arc::downgrade(&library.set(large - 3, 0).expect("room"));
        let fourth = library.set(large - 4, 0).expect("room made");
        assert!(unused.upgrade().is_none());
        assert!(library.set(large - 5, 0).is_err());
        drop((kept, fourth));
        library.set(large - 5, 0).expect("room again");
    }
}
