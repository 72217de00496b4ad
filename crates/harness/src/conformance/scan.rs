//! Ports: `scan`.

use anyhow::{Context, bail, ensure};
use suite::{Model, Outcome, Result, Unsupported, Workload};

use super::support::{job, new_fixture, shapes, start};

/// One port, and many; all closed, and all open; one at a time, and more at once than there are.
pub fn scan_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Scan,
        &[
            "ports=20001-20064 open=3 limit=8",
            "ports=20001 open=0 limit=1",
            "ports=20001 open=1 limit=1",
            "ports=20001-20500 open=0 limit=7",
            "ports=20001-20040 open=40 limit=40",
            "ports=20001,20003,20007-20009 open=2 limit=100",
            "ports=20001-24000 open=100 limit=64",
        ],
    )
}

/// Some are filtered, or all; with retries and without.
pub fn scan_filtered<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Scan,
        &[
            "ports=20001-20004 open=0 filtered=4 limit=4 timeout_ms=100 retries=0",
            "ports=20001 open=0 filtered=1 limit=1 timeout_ms=50 retries=2",
            "ports=20001-20012 open=0 filtered=12 limit=5 timeout_ms=20 retries=3",
            "ports=20001-20200 open=5 filtered=2 limit=3 timeout_ms=200 retries=1",
        ],
    )
}

/// As many attempts wait at once as there may be, by the scan's count and by the system's.
pub fn scan_at_once<M: Model>(program: &'static str) -> Result<()> {
    let shape = "ports=20001-20020 open=0 filtered=20 limit=20 timeout_ms=2000 retries=0";
    let mut prepared = new_fixture(program).prepare(&job(Workload::Scan, shape)?)?;
    let model = start::<M>(program, prepared.job())?;
    let (_, mut outcome) = match prepared.run(&model) {
        Err(error) if error.is::<Unsupported>() && program.ends_with("model-serial") => {
            println!("unsupported: {error:#}");
            return Ok(());
        }
        run => run?,
    };
    prepared.verify(&mut outcome)?;
    let Outcome::Scan(outcome) = outcome else {
        bail!("not of a scan")
    };
    let at_once = (outcome.most_at_once, outcome.seen.most_waiting);
    ensure!(at_once == (20, 20), "at once: {outcome:?}");
    drop(model);
    prepared.close().context("the end")
}
