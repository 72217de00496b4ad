//! HTTP: `fetch` and `download`.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use anyhow::{Context, bail, ensure};
use origin::Origin;
use runner::fixture::{Fixture, Prepared};
use suite::{Job, Model, Result, Workload};

use super::support::{fails_naming, is_right, job, new_fixture, shapes, start};
use crate::test_server::{self, TestServer};

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
    let mut fixture = new_fixture(program);
    let mut good = fixture.prepare(&job(Workload::Fetch, "delays_ms=1,2,3")?)?;
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
    let mut fixture = new_fixture(program);
    let mut good = fixture.prepare(&small_download()?)?;
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
    let mut fixture = new_fixture(program);
    let mut good = fixture.prepare(&small_download()?)?;
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

fn small_download() -> Result<Job> {
    job(
        Workload::Download,
        "images=6 limit=3 delay_ms=0 mbit_per_s=0 image_bytes=4096",
    )
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
    let mut fixture = Fixture::new(program, Some(origin.url().to_owned()));
    let doomed = fixture.prepare(waiting)?;
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
    let mut good = new_fixture(program).prepare(fine)?;
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
    _server: Option<TestServer>,
}

impl Bad {
    fn all() -> Result<Vec<Bad>> {
        let answers = [
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
                "HTTP/1.1 302 Found\r\nLocation: /static\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
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
            what: "no server there",
            url: test_server::refusing_url()?,
            says: "",
            _server: None,
        }];
        for (what, says, answer) in answers {
            let server = TestServer::with_answer(answer)?;
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
