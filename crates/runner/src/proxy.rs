//! `proxy`: a model's forward proxy, as a program and as a job.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use http_proxy::Allowed;
use load::{Expected, FILES, Mode, Plan, Shape, Via};
use origin::Upstream;
use suite::generator::PATIENCE;
use suite::proxy::{self, Job, Outcome, Seen, Service};
use suite::{Model, Result, Workload};

use crate::cli::ProxyArgs;
use crate::server::{SEED, counted, end_on_signals, listen, start, under_load};

/// Proxies requests until it is interrupted.
pub(crate) fn proxy<M: Model>(args: &ProxyArgs) -> Result<()> {
    let (model, connections) = start::<M>(Workload::Proxy, &args.server)?;
    let service = Service::new(
        listen(args.listen)?,
        Allowed::only(args.allow.clone()),
        connections,
        [args.server.idle_timeout, args.upstream_timeout],
        true,
    )?;
    let service = Arc::new(service);
    end_on_signals(&service.listening)?;
    let address = service.listening.address();
    crate::print(&format!("proxying at http://{address}/\n"))?;
    let proxied = model.proxy_requests(&service);
    proxied.with_context(|| format!("the proxy at {address}"))
}

/// Both other ends of a job: an origin whose load generator asks, and an upstream in it that
/// answers.
#[derive(Debug)]
pub(crate) struct Load {
    origin: String,
    upstream: Upstream,
    paths: Vec<(String, Option<Expected>)>,
}

impl Load {
    /// Starts the upstream of a job.
    pub(crate) fn new(job: &Job, origin: String) -> Result<Self> {
        let shape = Shape {
            bytes: job.bytes,
            delay_ms: job.delay_ms,
            slow: job.slow,
            // And the one after all others; what goes direct has gone before.
            connections: job.connections + job.idle + 1,
        };
        let upstream = Upstream::open(&origin, &shape)?;
        let path = |number: u64| {
            let content = load::content(number, job.bytes);
            (format!("/{number}"), Some(Expected::of(&content)))
        };
        Ok(Self {
            origin,
            upstream,
            paths: (0..FILES).map(path).collect(),
        })
    }

    /// Has a model do the job once: how long it took, and what both ends know of it. The same
    /// load goes direct before.
    pub(crate) fn run(&self, job: &mut Job, model: &dyn Model) -> Result<(Duration, Outcome)> {
        let direct = Plan {
            address: self.upstream.address(),
            paths: self.paths.clone(),
            connections: job.connections,
            idle: 0,
            requests: job.requests,
            rate_per_s: (job.rate > 0).then_some(job.rate as f64),
            seed: SEED,
            timeout: PATIENCE,
            via: None,
        };
        let (without, open) = origin::Load::run(&self.origin, &direct).context("the load")?;
        // The upstream closes its connections with that.
        self.upstream.counts()?;
        open.wait_for_end().context("the upstream's end")?;
        let errors = &without.errors;
        ensure!(errors.is_empty(), "without the proxy: {errors:?}");

        let listener = listen((Ipv4Addr::LOCALHOST, 0).into())?;
        // One more for the request after all others.
        let connections = job.connections + job.idle + 1;
        let patience = [PATIENCE, PATIENCE];
        let allowed = Allowed::default();
        let service = Service::new(listener, allowed, connections, patience, job.reuse)?;
        let service = Arc::new(service);
        job.service = Some(service.clone());
        let plan = Plan {
            idle: job.idle,
            via: Some(Via {
                proxy: service.listening.address(),
                mode: match job.mode {
                    proxy::Mode::Forward => Mode::Forward,
                    proxy::Mode::Connect => Mode::Connect,
                },
            }),
            ..direct
        };
        let ask = || {
            let (report, open) = origin::Load::run(&self.origin, &plan)?;
            // With that the upstream ends the tunnels. The clients end them, too, when they see
            // it: before the proxy has ended.
            let counts = self.upstream.counts()?;
            service.listening.close();
            open.wait_for_end().context("the proxy's end")?;
            Ok((report, counts))
        };
        let proxy = || model.proxy(job);
        let (elapsed, _, (report, counts)) = under_load(&service.listening, proxy, ask)?;
        let outcome = Outcome {
            counted: counted(report),
            direct: counted(without).latency,
            upstream: Seen {
                connections: counts.connections,
                most_open: counts.peak_connections,
                requests: counts.requests,
                via: counts.via,
                wrong: counts.wrong,
            },
        };
        Ok((elapsed, outcome))
    }
}
