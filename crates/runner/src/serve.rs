//! `serve`: a model's file server, as a program and as a job.

use std::fs;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use load::{Expected, FILES, Plan, content};
use suite::generator::PATIENCE;
use suite::serve::{Job, Outcome, Service};
use suite::{Model, Result, Workload};

use crate::cli::ServeArgs;
use crate::scratch::{self, Scratch};
use crate::server::{SEED, counted, end_on_signals, listen, start, under_load};

/// Serves a directory until it is interrupted.
pub(crate) fn serve<M: Model>(args: &ServeArgs) -> Result<()> {
    let (model, connections) = start::<M>(Workload::Serve, &args.server)?;
    let service = Service::new(
        listen(args.listen)?,
        &args.directory,
        connections,
        args.server.idle_timeout,
        None,
    )?;
    let service = Arc::new(service);
    end_on_signals(&service.listening)?;
    let (directory, address) = (args.directory.display(), service.listening.address());
    crate::print(&format!("serving {directory} at http://{address}/\n"))?;
    let served = model.serve_files(&service);
    served.with_context(|| format!("the server at {address}"))
}

/// The other end of a job: files, and an origin whose load generator asks for them.
#[derive(Debug)]
pub(crate) struct Load {
    directory: Scratch,
    origin: String,
    files: Vec<(String, Option<Expected>)>,
}

impl Load {
    /// Makes the files of a job.
    pub(crate) fn new(job: &Job, origin: String) -> Result<Self> {
        let directory = scratch::on_disk()?;
        let make = |number: u64| {
            let content = content(number, job.bytes);
            let path = directory.path().join(number.to_string());
            fs::write(&path, &content).with_context(|| path.display().to_string())?;
            Ok((format!("/{number}"), Some(Expected::of(&content))))
        };
        let files = (0..FILES).map(make).collect::<Result<_>>()?;
        Ok(Self {
            directory,
            origin,
            files,
        })
    }

    /// Has a model do the job once: how long it took, and what both ends know of it.
    pub(crate) fn run(&self, job: &mut Job, model: &dyn Model) -> Result<(Duration, Outcome)> {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into())?;
        // One more for the request after all others.
        let connections = job.connections + job.idle + 1;
        let directory = self.directory.path();
        let service = Service::new(listener, directory, connections, PATIENCE, job.burns())?;
        let service = Arc::new(service);
        job.service = Some(service.clone());
        let plan = Plan {
            address: service.listening.address(),
            paths: self.files.clone(),
            connections: job.connections,
            idle: job.idle,
            requests: job.requests,
            rate_per_s: (job.rate > 0).then_some(job.rate as f64),
            seed: SEED,
            timeout: PATIENCE,
            via: None,
        };
        let ask = || origin::Load::run(&self.origin, &plan);
        let serve = || model.serve(job);
        let (elapsed, outcome, (report, open)) = under_load(&service.listening, serve, ask)?;
        open.wait_for_end().context("the server's end")?;
        let outcome = Outcome {
            counted: counted(report),
            ..outcome
        };
        Ok((elapsed, outcome))
    }
}
