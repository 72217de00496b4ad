//! That a download's files are looked at, and not what the model says of them.

use std::fs;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::sync::Arc;

use runner::fixture::Fixture;
use suite::{Model, Preset, Result, Setup, Workload, WrongAnswer, datagram, download, echo};

/// Writes the methods of workloads that a model does not do.
macro_rules! refuses {
    ($($workload:ident)+) => {
        $(
            fn $workload(&self, _: &suite::$workload::Job) -> Result<suite::$workload::Outcome> {
                anyhow::bail!("it only downloads")
            }
        )+
    };
}

/// A model that "downloads" whatever the test has it write.
struct Writes(fn(&download::Job) -> io::Result<()>);

impl Model for Writes {
    fn start(_: &Setup) -> Result<Self> {
        Ok(Self(|_| Ok(())))
    }

    fn name(&self) -> &'static str {
        "writes"
    }

    refuses! { counter pipeline primes exchange fetch offload ping_pong sleepers spawn deadlines echo datagram files thumbnails }

    fn download_session(&self, _: &Arc<transfer::Session>) -> Result<()> {
        anyhow::bail!("it does not ask")
    }

    fn echo_server(&self, _: TcpListener, _: &echo::Job, _: &echo::Closing) -> Result<()> {
        anyhow::bail!("it only downloads")
    }

    fn datagram_server(&self, _: UdpSocket, _: &datagram::Job, _: &echo::Closing) -> Result<()> {
        anyhow::bail!("it only downloads")
    }

    fn serve_files(&self, _: &Arc<suite::serve::Service>) -> Result<()> {
        anyhow::bail!("it only downloads")
    }

    fn proxy_requests(&self, _: &Arc<suite::proxy::Service>) -> Result<()> {
        anyhow::bail!("it only downloads")
    }

    fn scan_ports(&self, _: &Arc<suite::scan::Service>) -> Result<()> {
        anyhow::bail!("it only downloads")
    }

    fn serve_chat(&self, _: &Arc<suite::chat::Service>) -> Result<()> {
        anyhow::bail!("it only downloads")
    }

    fn send_files(&self, _: &Arc<suite::send::Sending>) -> Result<()> {
        anyhow::bail!("it only downloads")
    }

    fn receive_files(&self, _: &Arc<suite::send::Receiving>) -> Result<()> {
        anyhow::bail!("it only downloads")
    }

    fn download(&self, job: &download::Job) -> Result<download::Outcome> {
        (self.0)(job)?;
        Ok(download::Outcome {
            files: 2,
            bytes: 8,
            completion_ns: vec![0, 1],
            ..download::Outcome::default()
        })
    }
}

/// Two files of four bytes.
fn write_both(job: &download::Job) -> io::Result<()> {
    ["a", "b"]
        .iter()
        .try_for_each(|name| fs::write(job.directory().join(name), "four"))
}

fn verified(write: fn(&download::Job) -> io::Result<()>) -> Result<()> {
    let list = tempfile::NamedTempFile::new()?;
    fs::write(&list, "http://localhost/a\nhttp://localhost/b\n")?;
    let mut job = Workload::Download.job(Preset::Article);
    job.set("urls", &list.path().display().to_string())?;
    let mut prepared = Fixture::new("no program", None).prepare(&job)?;
    // Twice: each run has to find the directory empty.
    for _ in 0..2 {
        let (_, mut outcome) = prepared.run(&Writes(write))?;
        prepared.verify(&mut outcome)?;
    }
    Ok(())
}

#[test]
fn only_complete_files_are_right() {
    verified(write_both).expect("both files");
    let missing = |job: &download::Job| {
        write_both(job)?;
        fs::remove_file(job.directory().join("b"))
    };
    let left_behind = |job: &download::Job| {
        write_both(job)?;
        let state = job.directory().join(transfer::STATE);
        fs::create_dir(&state)?;
        fs::write(state.join("a.part"), "")
    };
    let strange = |job: &download::Job| {
        write_both(job)?;
        fs::write(job.directory().join("c"), "")
    };
    let shorter = |job: &download::Job| {
        write_both(job)?;
        fs::write(job.directory().join("b"), "3")
    };
    for (write, says) in [
        (
            missing as fn(&download::Job) -> io::Result<()>,
            "with 1 files",
        ),
        (left_behind, "/a.part left behind"),
        (strange, "with 3 files"),
        (shorter, "bytes is 8, and 5"),
    ] {
        let error = verified(write).expect_err(says);
        assert!(error.is::<WrongAnswer>(), "{error:#}");
        assert!(error.to_string().contains(says), "{error:#}");
    }
}

#[test]
fn a_list_without_urls_is_refused() {
    let list = tempfile::NamedTempFile::new().expect("a file");
    for (list, says) in [
        (list.path(), "has to have a URL"),
        (Path::new("/no/such/list"), "cannot be read"),
    ] {
        let mut job = Workload::Download.job(Preset::Article);
        job.set("urls", &list.display().to_string())
            .expect("a path");
        let prepared = Fixture::new("no program", None).prepare(&job);
        let refused = prepared.expect_err(says).to_string();
        assert!(refused.contains(says), "{refused}");
    }
}
