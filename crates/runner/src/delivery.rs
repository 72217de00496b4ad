//! The other end of the job `send`: files, a receiver and a relay.

use std::fs;
use std::io::{self, Read};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use load::{RelayShape, content};
use origin::Relay;
use suite::generator::PATIENCE;
use suite::send::{Job, Outcome, Relayed, Sending};
use suite::{Model, Result, WrongAnswer};

use crate::scratch::{self, Scratch};
use crate::send::job_secret;
use crate::server_process::ServerProcess;
use crate::{echo, verify};

/// The other end of a job: files, the model's receiver in a process of its own, and a relay
/// between the two if the job has one.
#[derive(Debug)]
pub(crate) struct Delivery {
    sources: Vec<PathBuf>,
    /// Of each of them.
    right: Vec<origin::File>,
    into: PathBuf,
    /// Runs so far: each has names of its own, as the receiver has the directory all the time.
    runs: u64,
    relay: Option<Relay>,
    server: ServerProcess,
    /// Removed last.
    _directory: Scratch,
}

impl Delivery {
    /// Makes the files of a job, and starts its receiver as `program receiver`.
    pub(crate) fn new(
        job: &Job,
        program: &Path,
        threads: usize,
        blocking_threads: usize,
        origin_url: impl FnOnce() -> Result<String>,
    ) -> Result<Self> {
        echo::allow(2 * job.streams)?;
        let room = job.all_bytes().saturating_mul(2);
        let (directory, _) = scratch::directory(room)?;
        let (from, into) = (directory.path().join("from"), directory.path().join("into"));
        fs::create_dir(&from).with_context(|| from.display().to_string())?;
        let mut sources = Vec::new();
        let mut right = Vec::new();
        for number in 0..job.files {
            let content = content(number, job.bytes);
            let path = from.join(format!("{number:06}.bin"));
            fs::write(&path, &content).with_context(|| path.display().to_string())?;
            right.push(origin::File {
                url: String::new(),
                name: String::new(),
                bytes: job.bytes,
                sha256: verify::sha256(&content),
            });
            sources.push(path);
        }
        let mut command = Command::new(program);
        command.arg("receiver").arg("--into").arg(&into);
        // One more, for what asks whether it still answers.
        let connections = job.streams + 1;
        for (option, number) in [
            ("--connections", connections),
            ("--threads", threads),
            ("--blocking-threads", blocking_threads),
        ] {
            command.args([option, &number.to_string()]);
        }
        if job.sync {
            command.arg("--sync");
        }
        let server = ServerProcess::spawn(command)?;
        let relay = match job.has_relay() {
            true => {
                let shape = RelayShape {
                    to: server.address(),
                    cut: job.cut,
                    cuts: job.cuts,
                    flip: job.flip,
                    connections: 2 * job.streams,
                };
                Some(Relay::open(&origin_url()?, &shape)?)
            }
            false => None,
        };
        Ok(Self {
            sources,
            right,
            into,
            runs: 0,
            relay,
            server,
            _directory: directory,
        })
    }

    /// Has a model do the job once: how long it took, and what came of it.
    pub(crate) fn run(
        &mut self,
        job: &mut Job,
        model: &dyn Model,
    ) -> Result<(Duration, Result<Outcome>)> {
        for file in &self.right {
            if !file.name.is_empty() {
                // After a job that has failed it is not there.
                let _ = fs::remove_file(self.into.join(&file.name));
            }
        }
        self.runs += 1;
        for (number, file) in self.right.iter_mut().enumerate() {
            file.name = format!("{}-{number:06}.bin", self.runs);
        }
        let names = self.right.iter().map(|file| file.name.clone());
        let address = self.relay.as_ref().map(Relay::address);
        job.sending = Some(Arc::new(Sending::new(
            address.unwrap_or(self.server.address()),
            job_secret()?,
            self.sources.iter().cloned().zip(names),
            (job.streams, job.path),
            PATIENCE,
            Arc::new(()),
        )));
        let started = Instant::now();
        let outcome = model.send(job);
        let elapsed = started.elapsed();
        let relayed = self.relay.as_ref().map(Relay::counts).transpose()?;
        // Why a job failed says more than that its receiver does not answer.
        let outcome = outcome.and_then(|outcome| {
            self.answers().context("the receiver, after the files")?;
            Ok(Outcome {
                relay: relayed.map(|counts| Relayed {
                    connections: counts.connections,
                    most_at_once: counts.most_at_once,
                    cuts: counts.cuts,
                    flips: counts.flips,
                    bytes: counts.bytes,
                    cpu_ns: counts.cpu_ns,
                }),
                ..outcome
            })
        });
        Ok((elapsed, outcome))
    }

    /// Whether the receiver still begins to speak with who connects.
    fn answers(&self) -> io::Result<()> {
        let mut stream = TcpStream::connect(self.server.address())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.read_exact(&mut [0])
    }

    /// Every file has arrived whole, under its name, and nothing else has.
    pub(crate) fn verify(&self) -> Result<()> {
        for file in &self.right {
            verify::verify_file(&self.into.join(&file.name), file)?;
        }
        let (files, _) = verify::holds(&self.into)?;
        if files != self.right.len() as u64 {
            return Err(WrongAnswer {
                what: "files",
                got: format!("{files} in {}", self.into.display()),
                expected: self.right.len().to_string(),
            }
            .into());
        }
        Ok(())
    }

    /// Ends the receiver.
    pub(crate) fn end(self) -> Result<()> {
        self.server.end()
    }
}
