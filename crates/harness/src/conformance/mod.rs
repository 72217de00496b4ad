//! What a model has to get right, through its methods.
//!
//! A shape is written as the command line would set it. Each is done by a model
//! that was started for it, twice, as the second job finds what the first left.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use anyhow::{Context, bail, ensure};
use origin::Origin;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use runner::echo::Server;
use runner::inputs;
use runner::stage::{Prepared, Stage};
use suite::echo::{Open, Talk};
use suite::{Job, Model, Preset, Result, Setup, Unsupported, Workload};
use suite::{echo, pipeline, primes, thumbnails};

use crate::canned::{self, Canned};
use crate::mimic::{Manner, Mimic};
use crate::reference;

/// The same in every test: some executors are built once in a process, and the
/// first to ask decides. More than one, or tasks would never be in parallel.
const THREADS: usize = 2;

/// Fewer than some shapes have calls.
const BLOCKING_THREADS: usize = 8;

/// Both presets, scaled down, and their variants: these nobody may refuse, but
/// for what only units can do at once.
pub fn presets_are_all_supported<M: Model>(program: &'static str) -> Result<()> {
    let mut stage = set_stage(program);
    for &workload in Workload::ALL {
        for preset in Preset::ALL {
            let mut job = workload.job(preset).scaled(50);
            if workload == Workload::Sleepers {
                // Time for all to begin, while other tests keep the cores busy.
                job.set("wait_ms", "500")?;
            }
            let mut jobs = vec![job.clone()];
            for variant in workload.variants() {
                let mut varied = job.clone();
                varied.set(variant.set.0, variant.set.1)?;
                jobs.push(varied);
            }
            for job in jobs {
                let named = || format!("{workload} {preset}: {}", job.to_json());
                match right::<M>(&mut stage, program, &job) {
                    Err(error) if error.is::<Unsupported>() && beyond(program, &job) => {
                        println!("{}: unsupported: {error:#}", named());
                    }
                    done => done.with_context(named)?,
                }
            }
        }
    }
    Ok(())
}

/// No addition is lost behind a lock.
pub fn counter_lock<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Counter,
        &[
            "guard=lock workers=1 increments=1000",
            "guard=lock workers=10 increments=1000",
            "guard=lock workers=20 increments=1",
            "guard=lock workers=3 increments=0",
        ],
    )
}

/// No addition is lost in an atomic.
pub fn counter_atomic<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Counter,
        &[
            "guard=atomic workers=1 increments=1000",
            "guard=atomic workers=8 increments=20000",
            "guard=atomic workers=20 increments=1",
        ],
    )
}

/// Additions are lost without a guard, and counted as lost.
pub fn counter_racy<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Counter,
        &[
            "guard=racy workers=1 increments=1000",
            "guard=racy workers=8 increments=20000",
            "guard=racy workers=3 increments=0",
        ],
    )
}

/// Few and many on either side, and queues of every tightness.
pub fn pipeline_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Pipeline,
        &[
            "producers=1 consumers=1 items=3 capacity=10 produce_us=1000",
            "producers=1 consumers=1 items=200 capacity=1 produce_us=0",
            "producers=4 consumers=4 items=2000 capacity=1 produce_us=0",
            "producers=4 consumers=4 items=20000 capacity=256 produce_us=0",
            "producers=1 consumers=8 items=500 capacity=3 produce_us=0",
            "producers=8 consumers=1 items=500 capacity=3 produce_us=0",
            "producers=8 consumers=8 items=3 capacity=2 produce_us=0",
            "producers=2 consumers=2 items=1 capacity=1000 produce_us=0",
            "producers=3 consumers=2 items=0 capacity=1 produce_us=0",
        ],
    )
}

/// Any mix of producers, consumers, items and capacity.
pub fn pipeline_any_shape<M: Model>(program: &'static str) -> Result<()> {
    const MOST: usize = 4;
    let shape = (1..=MOST, 1..=MOST, 0..200u64, 1..=20usize).prop_map(
        |(producers, consumers, items, capacity)| {
            Job::Pipeline(pipeline::Job {
                producers,
                consumers,
                items,
                capacity,
                produce_us: 0,
            })
        },
    );
    let largest = format!("producers={MOST} consumers={MOST}");
    any::<M>(program, &job(Workload::Pipeline, &largest)?, &shape)
}

/// Ranges that are empty, small, low and high.
pub fn primes_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Primes,
        &[
            "start=1000000 end=1000500 workers=4",
            "start=1000000 end=1000500 workers=1",
            "start=0 end=30 workers=3",
            "start=1000000 end=1000003 workers=8",
            "start=0 end=0 workers=2",
            "start=7 end=8 workers=1",
            "start=900000000000 end=900000000050 workers=2",
        ],
    )
}

/// Any range, over any number of workers.
pub fn primes_any_range<M: Model>(program: &'static str) -> Result<()> {
    const MOST: usize = 4;
    let range = (0..2_000_000u64, 0..2_000u64, 1..=MOST).prop_map(|(start, width, workers)| {
        Job::Primes(primes::Job {
            start,
            end: start + width,
            workers,
        })
    });
    let largest = job(Workload::Primes, &format!("workers={MOST}"))?;
    any::<M>(program, &largest, &range)
}

/// No messages, one, few and many.
pub fn exchange_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Exchange,
        &[
            "messages=2 value=100",
            "messages=0 value=100",
            "messages=1 value=0",
            "messages=5000 value=18446744073709551615",
        ],
    )
}

/// One URL, equal ones, and more than there are threads.
pub fn fetch_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Fetch,
        &[
            "delays_ms=10,20,30",
            "delays_ms=0",
            "delays_ms=5,5,5,5,5,5,5,5,5,5,5,5,5,5,5,5,5,5,5,5",
        ],
    )
}

/// A bad URL among good ones is named, and the next job is none the worse.
pub fn fetch_survives_what_servers_do<M: Model>(program: &'static str) -> Result<()> {
    let mut stage = set_stage(program);
    let mut good = stage.prepare(&job(Workload::Fetch, "delays_ms=1,2,3")?)?;
    let model = start::<M>(program, good.job())?;
    for bad in Bad::all()? {
        let mut job = good.job().clone();
        let Job::Fetch(fetch) = &mut job else {
            bail!("not a fetch")
        };
        fetch.targets[1].clone_from(&bad.url);
        fails_naming(&model, &job, &[&bad.url, bad.says]).context(bad.what)?;
        is_right(&model, &mut good).with_context(|| format!("after {}", bad.what))?;
    }
    Ok(())
}

/// An origin that is killed in the middle is noticed.
pub fn fetch_survives_a_dying_origin<M: Model>(program: &'static str) -> Result<()> {
    let waiting = job(Workload::Fetch, "delays_ms=3600000,3600000,3600000")?;
    let fine = job(Workload::Fetch, "delays_ms=1,2,3")?;
    survives_a_dying_origin::<M>(program, &waiting, &fine)
}

/// Calls that are handed over, fewer and more than there are threads for them.
pub fn offload_pool<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Offload,
        &[
            "place=pool calls=1 call_ms=50 heartbeat_ms=5",
            "place=pool calls=40 call_ms=1 heartbeat_ms=1",
            "place=pool calls=3 call_ms=0 heartbeat_ms=100",
            "place=pool calls=0 call_ms=10 heartbeat_ms=1",
        ],
    )
}

/// Calls that block the heart.
pub fn offload_inline<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Offload,
        &[
            "place=inline calls=1 call_ms=50 heartbeat_ms=5",
            "place=inline calls=20 call_ms=1 heartbeat_ms=1",
            "place=inline calls=0 call_ms=10 heartbeat_ms=1",
        ],
    )
}

/// Limits above and below the number of files, sizes mixed and equal.
pub fn download_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Download,
        &[
            "images=12 limit=20 delay_ms=0 mbit_per_s=0 image_bytes=16384",
            "images=5 limit=1 delay_ms=0 mbit_per_s=0 image_bytes=2048",
            "images=40 limit=4 delay_ms=1 mbit_per_s=0 image_bytes=4096",
            "images=1 limit=3 delay_ms=0 mbit_per_s=0 image_bytes=3000000",
            "images=10 limit=5 delay_ms=5 mbit_per_s=100 image_bytes=0",
        ],
    )
}

/// A bad file among good ones is named, leaves nothing, and the next job is
/// none the worse.
pub fn download_survives_what_servers_do<M: Model>(program: &'static str) -> Result<()> {
    let mut stage = set_stage(program);
    let mut good = stage.prepare(&small_download()?)?;
    let model = start::<M>(program, good.job())?;
    for bad in Bad::all()? {
        let directory = tempfile::tempdir().context("a temporary directory")?;
        let mut job = good.job().clone();
        let Job::Download(download) = &mut job else {
            bail!("not a download")
        };
        download.into = Some(directory.path().to_owned());
        let list = download.list.as_deref().context("a list")?;
        let (good_url, name) = list
            .lines()
            .nth(1)
            .and_then(|line| line.split_once('\t'))
            .context("a second line")?;
        let name = name.to_owned();
        download.list = Some(list.replace(good_url, &bad.url).into());
        fails_naming(&model, &job, &[&bad.url, &name, bad.says]).context(bad.what)?;
        leaves_only_complete_files(directory.path(), &name).context(bad.what)?;
        is_right(&model, &mut good).with_context(|| format!("after {}", bad.what))?;
    }
    Ok(())
}

/// An origin that is killed in the middle is noticed.
pub fn download_survives_a_dying_origin<M: Model>(program: &'static str) -> Result<()> {
    let waiting = job(
        Workload::Download,
        "images=3 limit=3 delay_ms=3600000 mbit_per_s=0 image_bytes=4096",
    )?;
    survives_a_dying_origin::<M>(program, &waiting, &small_download()?)
}

/// A directory that cannot be is named.
pub fn download_survives_a_bad_directory<M: Model>(program: &'static str) -> Result<()> {
    let mut stage = set_stage(program);
    let mut good = stage.prepare(&small_download()?)?;
    let model = start::<M>(program, good.job())?;
    let directory = tempfile::tempdir().context("a temporary directory")?;
    let file = directory.path().join("file");
    fs::write(&file, "not a directory")?;
    // Not one without permission: tests in containers run as root.
    let bad = file.join("below");
    let mut job = good.job().clone();
    let Job::Download(download) = &mut job else {
        bail!("not a download")
    };
    let path = bad.display().to_string();
    download.into = Some(bad);
    fails_naming(&model, &job, &[&path])?;
    is_right(&model, &mut good).with_context(|| format!("after {path}"))
}

/// Rings of every size, and no token, one, and one that goes far.
pub fn ping_pong_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::PingPong,
        &[
            "units=2 passes=1000",
            "units=1 passes=7",
            "units=1 passes=0",
            "units=2 passes=0",
            "units=2 passes=1",
            "units=3 passes=1",
            "units=3 passes=1000",
            "units=10 passes=7",
            "units=10 passes=1001",
        ],
    )
}

/// One and many, with a wait and without.
pub fn sleepers_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Sleepers,
        &[
            "units=1 wait_ms=0",
            "units=1 wait_ms=30",
            "units=10 wait_ms=0",
            "units=100 wait_ms=0",
            // Time for all to begin, while other tests keep the cores busy.
            "units=10 wait_ms=500",
            "units=100 wait_ms=500",
        ],
    )
}

/// Messages smaller and larger than what the buffers of sockets hold.
pub fn echo_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Echo,
        &[
            "connections=1 messages=1 bytes=1",
            "connections=3 messages=5 bytes=100000",
            "connections=20 messages=10 bytes=64",
            "connections=50 messages=1 bytes=16385",
            "connections=1 messages=1 bytes=33554432",
        ],
    )
}

/// A server that is not there or hangs up fails the job; one that says something
/// else is found out; and the next job is none the worse.
pub fn echo_survives_what_servers_do<M: Model>(program: &'static str) -> Result<()> {
    let mut stage = set_stage(program);
    let job = job(Workload::Echo, "connections=3 messages=4 bytes=5000")?;
    let mut good = stage.prepare(&job)?;
    let model = start::<M>(program, good.job())?;
    let with = |address| match good.job() {
        Job::Echo(job) => Ok(echo::Job {
            address: Some(address),
            ..job.clone()
        }),
        _ => bail!("not an echo"),
    };

    let nobody = canned::nobody_at()?;
    let mut failing = vec![("nobody there", Job::Echo(with(nobody)?), None)];
    let mut lying = Vec::new();
    for manner in [
        Manner::HangsUp,
        Manner::StopsShort,
        Manner::ChangesAByte,
        Manner::AddsAByte,
    ] {
        let server = Mimic::serve(manner, &with(nobody)?)?;
        let job = Job::Echo(with(server.address)?);
        match manner {
            Manner::HangsUp => failing.push(("hangs up", job, Some(server))),
            Manner::StopsShort => failing.push(("stops short", job, Some(server))),
            Manner::ChangesAByte => lying.push(("changes a byte", job, server)),
            Manner::AddsAByte => lying.push(("adds a byte", job, server)),
        }
    }
    for (what, job, _server) in &failing {
        let Job::Echo(echo) = job else {
            bail!("not an echo")
        };
        let address = echo.address().to_string();
        fails_naming(&model, job, &[&address]).context(*what)?;
        is_right(&model, &mut good).with_context(|| format!("after it {what}"))?;
    }
    for (what, job, _server) in &lying {
        let outcome = job.run(&model).context(*what)?;
        let found = job.check(&outcome).err().map(|wrong| wrong.to_string());
        let says = "wrong is 3"; // one byte a connection
        ensure!(
            found.as_ref().is_some_and(|found| found.contains(says)),
            "a server that {what}: {found:?}, {outcome:?}"
        );
        is_right(&model, &mut good).with_context(|| format!("after it {what}"))?;
    }
    drop(model);
    good.close()
}

/// Clients that hang up, at once or in the middle, are no end of the server; and
/// when it is told to end, it does.
pub fn echo_server_survives_what_clients_do<M: Model>(program: &'static str) -> Result<()> {
    let job = job(Workload::Echo, "connections=3 messages=4 bytes=5000")?;
    let Job::Echo(job) = job else {
        bail!("not an echo")
    };
    let server = Server::spawn(Path::new(program), &job, THREADS, BLOCKING_THREADS)?;
    let connect = || TcpStream::connect(server.address());
    for said in [0, 1, 5_000, 7_777] {
        let mut client = connect()?;
        client.write_all(&vec![b'!'; said])?;
        client.read_exact(&mut vec![0; said])?;
    }
    // Without reading: what comes back is answered by a reset.
    let mut client = connect()?;
    client.write_all(&[b'!'; 5_000])?;
    drop(client);

    for time in ["first", "second"] {
        let open = Open::default();
        let streams = (0..job.connections).map(|_| connect());
        let streams = streams.collect::<io::Result<Vec<_>>>()?;
        streams.iter().for_each(|_| open.opened());
        let mut talks = Vec::new();
        for (connection, mut stream) in streams.iter().enumerate() {
            let mut talk = Talk::new(&job, connection);
            while let Some(piece) = talk.say() {
                stream.write_all(piece)?;
                let back = stream.read_exact(talk.room());
                back.with_context(|| format!("connection {connection}, the {time} time"))?;
                talk.hear();
            }
            talk.hear_end(stream.read(&mut [0])?);
            talks.push(talk.outcome());
        }
        job.check(&open.outcome(talks)).context(time)?;
    }
    server.end()
}

/// One file, a few, and more than there are units.
pub fn files_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Files,
        &["count=1", "count=3", "count=60"],
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
    right::<M>(&mut set_stage(program), program, &alone).context("an empty file alone")?;
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
    // As root, whom the tests may run as, can read all that is there.
    symlink("gone", directory.join("gone"))?;
    symlink("/proc/self/mem", directory.join("no text"))?;
    right::<M>(&mut set_stage(program), program, &alone).context("a few")
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
    right::<M>(&mut set_stage(program), program, &job)
}

/// The article's job, of the files in this directory.
fn dir_job(workload: Workload, directory: &Path) -> Result<Job> {
    let mut job = workload.job(Preset::Article);
    job.set("dir", directory.to_str().context("a name that is text")?)?;
    Ok(job)
}

/// The article's job with some keys set, as the command line would: `key=value
/// key=value`.
fn job(workload: Workload, shape: &str) -> Result<Job> {
    let mut job = workload.job(Preset::Article);
    for setting in shape.split_whitespace() {
        let (key, value) = setting.split_once('=').context("key=value")?;
        job.set(key, value)?;
    }
    job.validate()?;
    Ok(job)
}

fn small_download() -> Result<Job> {
    job(
        Workload::Download,
        "images=6 limit=3 delay_ms=0 mbit_per_s=0 image_bytes=4096",
    )
}

/// A stage that starts everything as [`start`] starts a model.
fn set_stage(program: &str) -> Stage {
    Stage::new(program, None).with_threads(THREADS, BLOCKING_THREADS)
}

/// Whether a job is beyond what the contract asks of the model: units that are
/// more than threads or children can honestly be, or any two at once of the
/// model that has none.
fn beyond(program: &str, job: &Job) -> bool {
    let file = Path::new(program).file_stem().and_then(OsStr::to_str);
    let model = file.and_then(|file| file.strip_prefix("model-"));
    let units = job.units();
    match (model, job) {
        (Some("serial"), Job::Sleepers(_)) => units > 1,
        (Some("serial"), Job::Echo(_)) => units > echo::BACKLOG,
        (Some("thread"), Job::PingPong(_) | Job::Sleepers(_)) => units > 10_000,
        (Some("process"), Job::PingPong(_) | Job::Sleepers(_) | Job::Echo(_)) => units > 256,
        _ => false,
    }
}

/// Whether the model may refuse a job of this shape. The first seven workloads
/// leave it to the model what is too much.
fn may_refuse(program: &str, job: &Job) -> bool {
    match job.workload() {
        Workload::PingPong
        | Workload::Sleepers
        | Workload::Echo
        | Workload::Files
        | Workload::Thumbnails => beyond(program, job),
        _ => true,
    }
}

fn start<M: Model>(program: &str, job: &Job) -> Result<M> {
    M::start(&Setup::sized(job, program, THREADS, BLOCKING_THREADS)).context("starting the model")
}

/// Has each shape done; what the model says it does not do is printed.
fn shapes<M: Model>(program: &str, workload: Workload, shapes: &[&str]) -> Result<()> {
    let mut stage = set_stage(program);
    for shape in shapes {
        let named = || format!("{workload} {shape}");
        let job = job(workload, shape)?;
        match right::<M>(&mut stage, program, &job) {
            Err(error) if error.is::<Unsupported>() && may_refuse(program, &job) => {
                println!("{}: unsupported: {error:#}", named());
            }
            done => done.with_context(named)?,
        }
    }
    Ok(())
}

/// Has a model that is started for it do a job twice.
fn right<M: Model>(stage: &mut Stage, program: &str, job: &Job) -> Result<()> {
    let mut prepared = stage.prepare(job)?;
    let model = start::<M>(program, prepared.job())?;
    is_right(&model, &mut prepared)?;
    is_right(&model, &mut prepared).context("the second time")?;
    drop(model);
    prepared.close()
}

fn is_right(model: &dyn Model, prepared: &mut Prepared) -> Result<()> {
    let (_, mut outcome) = prepared.run(model)?;
    prepared.verify(&mut outcome)?;
    reference::agree(prepared.job(), &outcome)
}

/// Has one model, started for the largest, do a few jobs of a kind: always the
/// same ones, so that a failure can be repeated.
fn any<M: Model>(program: &str, largest: &Job, jobs: &impl Strategy<Value = Job>) -> Result<()> {
    let model = match start::<M>(program, largest) {
        Err(error) if error.is::<Unsupported>() => {
            println!("unsupported: {error:#}");
            return Ok(());
        }
        started => started?,
    };
    let config = Config {
        cases: 24,
        failure_persistence: None,
        max_shrink_iters: 100,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, rng)
        .run(jobs, |job| {
            let done = job.run(&model).and_then(|outcome| {
                job.check(&outcome)?;
                reference::agree(&job, &outcome)
            });
            done.map_err(|error| TestCaseError::fail(format!("{error:#}")))
        })
        .map_err(|failure| anyhow::anyhow!("{failure}"))
}

/// The job has to fail, with an error that names all these.
fn fails_naming(model: &dyn Model, job: &Job, names: &[&str]) -> Result<()> {
    let error = match job.run(model) {
        Ok(outcome) => bail!("it should have failed, and gave {outcome:?}"),
        Err(error) => format!("{error:#}"),
    };
    for name in names {
        ensure!(
            error.contains(name),
            "the error does not say {name}: {error}"
        );
    }
    Ok(())
}

/// Of a download that failed there may be complete files, but not the bad one
/// and nothing half done.
fn leaves_only_complete_files(directory: &Path, bad: &str) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let left = name == bad || name.starts_with('.') && name != transfer::STATE;
        ensure!(!left, "it left {name}");
    }
    Ok(())
}

/// Kills the origin as soon as it has a request that it never answers.
fn survives_a_dying_origin<M: Model>(program: &str, waiting: &Job, fine: &Job) -> Result<()> {
    let origin = Origin::spawn(Path::new(program), &["origin"])?;
    let mut stage = Stage::new(program, Some(origin.url().to_owned()));
    let doomed = stage.prepare(waiting)?;
    let model = start::<M>(program, doomed.job())?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let killer = scope.spawn(|| {
            // Asking takes a request too, so this is no busy wait.
            while !has_a_request(&doomed)? {
                ensure!(!over.load(Relaxed), "the job is over, and asked nothing");
            }
            drop(origin);
            Ok(())
        });
        let failed = fails_naming(&model, doomed.job(), &["http://127.0.0.1:"]);
        over.store(true, Relaxed);
        let killed = killer
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        failed.and(killed)
    })?;
    let mut good = set_stage(program).prepare(fine)?;
    is_right(&model, &mut good).context("after the origin died")
}

fn has_a_request(prepared: &Prepared) -> Result<bool> {
    let stats = prepared.origin_stats().context("no origin")??;
    Ok(stats.peak_in_flight > 0)
}

/// Something at a URL that has to make a job fail.
struct Bad {
    what: &'static str,
    url: String,
    /// What the error has to say besides.
    says: &'static str,
    _server: Option<Canned>,
}

impl Bad {
    fn all() -> Result<Vec<Bad>> {
        let canned = [
            (
                "404",
                "404",
                "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnone",
            ),
            (
                "500",
                "500",
                "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            ),
            (
                "a redirection to itself",
                "",
                "HTTP/1.1 302 Found\r\nLocation: /canned\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            ),
            (
                "a body cut short",
                "",
                "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nonly this",
            ),
            (
                "a chunked body cut short",
                "",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n4\r\nonly\r\n",
            ),
            ("no HTTP", "", "I do not speak it\r\n\r\n"),
            ("no answer", "", ""),
        ];
        let mut all = vec![Bad {
            what: "nobody there",
            url: canned::nobody()?,
            says: "",
            _server: None,
        }];
        for (what, says, answer) in canned {
            let server = Canned::serve(answer)?;
            all.push(Bad {
                what,
                url: server.url(),
                says,
                _server: Some(server),
            });
        }
        Ok(all)
    }
}
