//! Local files: `files` and `thumbnails`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Context;
use runner::inputs;
use suite::{Job, Model, Preset, Result, Unsupported, Workload, thumbnails};

use super::support::{job, new_fixture, right, shapes};

/// One file, a few, and more than there are units.
pub fn files_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Files,
        &["count=1", "count=3", "count=60", "count=60 place=runtime"],
    )
}

/// Files that are empty, have no end of line, or cannot be read, in a directory
/// whose name has a space.
pub fn files_of_all_kinds<M: Model>(program: &'static str) -> Result<()> {
    let place = tempfile::tempdir().context("a temporary directory")?;
    let directory = place.path().join("a directory");
    fs::create_dir_all(directory.join("not a file"))?;
    let write = |name: &str, text: &str| fs::write(directory.join(name), text);
    write("empty", "")?;
    let alone = dir_job(Workload::Files, &directory)?;
    right::<M>(&mut new_fixture(program), program, &alone).context("an empty file alone")?;
    write("no end", "no end of line")?;
    write(
        "a line", "a line
",
    )?;
    write(
        "ends alone",
        &"
"
        .repeat(70_000),
    )?;
    // Tests may run as root, who can read all that is there.
    symlink("gone", directory.join("gone"))?;
    symlink("/proc/self/mem", directory.join("no text"))?;
    right::<M>(&mut new_fixture(program), program, &alone).context("a few")?;
    let mut runtime = alone;
    runtime.set("place", "runtime")?;
    match right::<M>(&mut new_fixture(program), program, &runtime) {
        Err(error) if error.is::<Unsupported>() => println!("unsupported: {error:#}"),
        done => done.context("a few, through the runtime")?,
    }
    Ok(())
}

/// One image, a few, and thumbnails that are hardly there.
pub fn thumbnails_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Thumbnails,
        &["count=1 edge=256", "count=5 edge=256", "count=2 edge=1"],
    )
}

/// Images that are broken, none, or smaller than their thumbnail could be, in a
/// directory whose name has a space.
pub fn thumbnails_of_all_kinds<M: Model>(program: &'static str) -> Result<()> {
    let place = tempfile::tempdir().context("a temporary directory")?;
    let images = job(Workload::Thumbnails, "count=2")?;
    inputs::make(place.path(), &images)?;
    let made = inputs::list(Some(place.path()), &images)?;
    let directory = place.path().join("a directory");
    fs::create_dir(&directory)?;
    let image = fs::read(&made[0])?;
    fs::write(directory.join("an image.jpg"), &image)?;
    fs::copy(&made[1], directory.join("another.jpg"))?;
    fs::write(directory.join("cut short.jpg"), &image[..1_000])?;
    fs::write(directory.join("a text.jpg"), "no image")?;
    fs::write(directory.join("empty.jpg"), "")?;
    symlink("gone.jpg", directory.join("gone.jpg"))?;
    for (name, edge) in [("small.jpg", 64), ("a pixel.jpg", 1)] {
        let small = thumbnails::thumbnail(&image, edge)?;
        fs::write(directory.join(name), small.jpeg)?;
    }
    let job = dir_job(Workload::Thumbnails, &directory)?;
    right::<M>(&mut new_fixture(program), program, &job)
}

/// The article's job, of the files in this directory.
fn dir_job(workload: Workload, directory: &Path) -> Result<Job> {
    let mut job = workload.job(Preset::Article);
    job.set("dir", directory.to_str().context("a name that is text")?)?;
    Ok(job)
}
