//! The images: real, whole, and the same everywhere.

mod common;

use common::{agent, open, origin};
use origin::{File, Shape};
use sha2::{Digest, Sha256};

fn bytes_of(agent: &ureq::Agent, file: &File) -> Vec<u8> {
    let mut answer = agent.get(&file.url).call().expect("an answer");
    assert_eq!(answer.status(), 200, "{}", file.url);
    answer.body_mut().read_to_vec().expect("a body")
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_mixed_set_is_a_hundred_real_images_of_12_500_000_bytes() {
    let origin = origin();
    let run = open(
        &origin,
        Shape {
            images: 100,
            ..Shape::default()
        },
    );
    let files = run.files().expect("a manifest");
    assert_eq!(files.len(), 100);
    assert_eq!(files.iter().map(|file| file.bytes).sum::<u64>(), 12_500_000);
    assert_eq!(
        (files[0].name.as_str(), files[99].name.as_str()),
        ("0000.jpg", "0099.jpg")
    );
    let agent = agent();
    for file in &files {
        assert!((20 * 1024..=300 * 1024).contains(&file.bytes), "{file:?}");
        let bytes = bytes_of(&agent, file);
        assert_eq!(bytes.len() as u64, file.bytes);
        assert_eq!(hex(&Sha256::digest(&bytes)), file.sha256, "{}", file.url);
        let format = image::ImageFormat::Jpeg;
        image::load_from_memory_with_format(&bytes, format).expect("a decodable image");
    }
    let stats = run.stats().expect("figures");
    assert_eq!((stats.requests, stats.bytes_sent), (100, 12_500_000));
    assert_eq!((stats.connections, stats.peak_in_flight), (1, 1));
}

#[test]
fn two_processes_make_the_same_images() {
    let (one, other) = (origin(), origin());
    for (images, image_bytes) in [(100, 0), (3, 20_000)] {
        let shape = Shape {
            images,
            image_bytes,
            ..Shape::default()
        };
        let summary = |origin| {
            let files = open(origin, shape.clone()).files().expect("a manifest");
            files
                .into_iter()
                .map(|file| (file.name, file.bytes, file.sha256))
                .collect::<Vec<_>>()
        };
        assert_eq!(summary(&one), summary(&other));
    }
}

#[test]
fn images_of_one_size_have_it_and_repeat_under_distinct_names() {
    let origin = origin();
    let shape = Shape {
        images: 10_001,
        image_bytes: 16_384,
        ..Shape::default()
    };
    let files = open(&origin, shape).files().expect("a manifest");
    assert!(files.iter().all(|file| file.bytes == 16_384));
    assert_eq!(
        (files[0].name.as_str(), files[10_000].name.as_str()),
        ("00000.jpg", "10000.jpg")
    );
    assert!(
        files
            .iter()
            .zip(&files[100..])
            .all(|(one, other)| one.sha256 == other.sha256)
    );
    assert_ne!(files[0].sha256, files[1].sha256);
}

#[test]
fn images_have_one_name_each() {
    let origin = origin();
    let run = open(
        &origin,
        Shape {
            images: 3,
            image_bytes: 2048,
            ..Shape::default()
        },
    );
    let first = &run.files().expect("a manifest")[0].url;
    let agent = agent();
    for other in [
        "0.jpg",
        "00000.jpg",
        "+000.jpg",
        "0003.jpg",
        "0000.png",
        "-001.jpg",
        "",
    ] {
        let url = first.replace("0000.jpg", other);
        assert_eq!(
            agent.get(&url).call().expect("an answer").status(),
            404,
            "{url}"
        );
    }
}

#[test]
fn a_run_without_images_has_an_empty_manifest() {
    let origin = origin();
    assert!(
        open(&origin, Shape::default())
            .files()
            .expect("a manifest")
            .is_empty()
    );
}
