//! Files: `send`.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use file_send::{Inbox, PIECE_BYTES, Secret};
use suite::send::{self, Sending};
use suite::{Job, Model, Result, Workload};

use super::support::{fails_naming, is_right, job, new_fixture, right, shapes, start};
use crate::file_ends::{receive, secret};
use crate::test_server;

const PATIENCE: Duration = Duration::from_secs(20);

/// Files of no bytes and of several pieces; more files than streams, and fewer.
pub fn send_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Send,
        &[
            "files=1 bytes=0 cuts=0 cut=0",
            "files=1 bytes=1 cuts=0 cut=0 streams=4",
            "files=3 bytes=262144 cuts=0 cut=0 streams=2",
            "files=3 bytes=262145 cuts=0 cut=0 streams=3 path=sendfile",
            "files=40 bytes=5000 cuts=0 cut=0 streams=4",
            "files=40 bytes=5000 cuts=0 cut=0 streams=4 path=sendfile sync=false",
            "files=2 bytes=2000000 cuts=0 cut=0 streams=8",
        ],
    )
}

/// Wherever connections are cut, files go on; wherever a bit is flipped, that is found.
pub fn send_survives_cuts_and_flips<M: Model>(program: &'static str) -> Result<()> {
    let mut fixture = new_fixture(program);
    let mut shapes = vec![
        "files=1 bytes=3000000 cut=700000 cuts=4".to_owned(),
        "files=12 bytes=300000 streams=3 cut=250000 cuts=6".to_owned(),
        "files=4 bytes=900000 streams=2 cut=600000 cuts=2 path=sendfile".to_owned(),
        "files=3 bytes=600000 cuts=0 cut=0 flip=3000000".to_owned(),
        "files=3 bytes=600000 streams=3 cuts=1 cut=400000 flip=3000000 path=sendfile".to_owned(),
    ];
    // In HELLO, in PROOF, in OFFER, in DATA, and in a small file.
    for cut in [1, 30, 70, 130, 200, 260, 300] {
        shapes.push(format!("files=1 bytes=300 cuts=1 cut={cut}"));
    }
    for flip in [3, 40, 77, 500, 600, 1000, 1200, 1700, 2200] {
        shapes.push(format!("files=1 bytes=300 cuts=0 cut=0 flip={flip}"));
    }
    for shape in &shapes {
        let job = job(Workload::Send, shape)?;
        right::<M>(&mut fixture, program, &job).with_context(|| shape.clone())?;
    }
    Ok(())
}

/// Files to send, in a directory of their own.
struct Files {
    directory: tempfile::TempDir,
    inbox: Arc<Inbox>,
}

impl Files {
    fn new() -> Result<Self> {
        let directory = tempfile::tempdir().context("a temporary directory")?;
        let inbox = Inbox::open(&directory.path().join("into"), true)?;
        Ok(Self {
            directory,
            inbox: Arc::new(inbox),
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A job that sends this file to a receiver of the test.
    fn job(&self, name: &str, to: SocketAddr, secret: Secret) -> Result<Job> {
        let Job::Send(job) = job(Workload::Send, "files=1 cuts=0 cut=0")? else {
            bail!("not a job of `send`")
        };
        let files = [(self.path(name), name.to_owned())];
        let how = (job.streams, job.path);
        let sending = Sending::new(to, secret, files, how, PATIENCE, Arc::new(()));
        Ok(Job::Send(send::Job {
            sending: Some(Arc::new(sending)),
            ..job
        }))
    }
}

/// A receiver that is not there, hangs up, is something else or has another secret fails the
/// job, which says why; and the next job is none the worse.
pub fn send_survives_what_receivers_do<M: Model>(program: &'static str) -> Result<()> {
    let mut fixture = new_fixture(program);
    let good = job(Workload::Send, "files=2 bytes=100000 cuts=0 cut=0")?;
    let mut good = fixture.prepare(&good)?;
    let model = start::<M>(program, good.job())?;
    let files = Files::new()?;
    fs::write(files.path("a"), "text")?;

    let refusing = test_server::refusing_address()?;
    let job = files.job("a", refusing, secret())?;
    fails_naming(&model, &job, &["a: ", "refused"]).context("no receiver there")?;

    let answers: [(&str, &[u8], &str); 2] = [
        ("hangs up", b"", "closed in the middle"),
        (
            "is a web server",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "does not speak this protocol",
        ),
    ];
    for (what, answer, says) in answers {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a port")?;
        let address = listener.local_addr()?;
        // It lasts as long as the test.
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // The sender may be gone.
                let _ = stream.write_all(answer);
            }
        });
        let job = files.job("a", address, secret())?;
        fails_naming(&model, &job, &["a: ", says]).context(what)?;
        is_right(&model, &mut good).with_context(|| format!("after it {what}"))?;
    }

    let (address, receiving) = receiver(&files, || {})?;
    let other = Secret::new(*b"what only one end of a test has").context("a secret")?;
    let job = files.job("a", address, other)?;
    fails_naming(&model, &job, &["a: ", "secrets"]).context("another secret")?;
    ensure!(receiving.join().is_ok_and(|ended| ended.is_err()));
    is_right(&model, &mut good).context("after another secret")?;
    drop(model);
    good.close()
}

type Received = thread::JoinHandle<std::result::Result<(), String>>;

/// A receiver of one connection, in a thread.
fn receiver(
    files: &Files,
    before: impl FnMut() + Send + 'static,
) -> Result<(SocketAddr, Received)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a port")?;
    let address = listener.local_addr()?;
    let inbox = files.inbox.clone();
    let receiving = thread::spawn(move || {
        let (stream, _) = listener.accept().map_err(|error| error.to_string())?;
        let ended = receive(&stream, &secret(), &inbox, before);
        let ended = ended.map_err(|error| error.to_string())?;
        ended.map_err(|error| error.to_string())
    });
    Ok((address, receiving))
}

/// A file that changes when it has been offered fails, and the receiver has no file.
pub fn send_finds_a_file_that_changes<M: Model>(program: &'static str) -> Result<()> {
    let files = Files::new()?;
    let path = files.path("a");
    for (what, bytes) in [("shorter", 10), ("other", 3 * PIECE_BYTES)] {
        fs::write(&path, vec![1; 3 * PIECE_BYTES])?;
        let changing = path.clone();
        let mut is_changed = false;
        // Before the receiver has looked for it, and so before its bytes are sent.
        let (address, receiving) = receiver(&files, move || {
            if !is_changed {
                is_changed = true;
                fs::write(&changing, vec![2; bytes]).expect("another file");
            }
        })?;
        let job = files.job("a", address, secret())?;
        let model = start::<M>(program, &job)?;
        fails_naming(&model, &job, &["a: ", "changed while"]).context(what)?;
        drop(model);
        // However it has ended, there is no file.
        drop(receiving.join());
        let there = files.path("into").join("a").exists();
        ensure!(!there, "{what}: there is a file");
    }
    Ok(())
}
