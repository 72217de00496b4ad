//! Deadlines and cancelling: `deadlines`.

use anyhow::{Context, bail, ensure};
use suite::{Job, Model, Outcome, Result, Workload, deadlines};

use super::support::{fails_naming, is_right, job, new_fixture, shapes, start};
use crate::test_server::{self, DeadlinesFault, TestServer};

/// Some are late, or all are; and late answers come in the middle of later operations.
pub fn deadlines_late<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Deadlines,
        &[
            "operations=1 limit=1 late_per_mille=1000 deadline_ms=5",
            "operations=2 limit=1 late_per_mille=500 deadline_ms=20",
            "operations=12 limit=4 late_per_mille=1000 deadline_ms=5",
            "operations=60 limit=3 late_per_mille=500 deadline_ms=10",
        ],
    )
}

/// None is late, with a deadline and without; and there are more slots than operations.
pub fn deadlines_in_time<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Deadlines,
        &[
            "operations=1 limit=1 late_per_mille=0",
            "operations=3 limit=8 late_per_mille=0",
            "operations=200 limit=20 late_per_mille=0",
            "operations=200 limit=20 late_per_mille=0 deadline_ms=0",
        ],
    )
}

/// At the first operation, in the middle, at the last; and all that there are, in flight.
pub fn deadlines_cancelled<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Deadlines,
        &[
            "operations=50 limit=5 cancel_after=1",
            "operations=50 limit=5 cancel_after=25",
            "operations=50 limit=5 cancel_after=50",
            "operations=9 limit=5 cancel_after=8 late_per_mille=0 deadline_ms=0",
            "operations=100 limit=100 cancel_after=100 late_per_mille=1000 deadline_ms=60000",
        ],
    )
}

/// As many are in flight at once as there may be, unless it does one thing after the other.
pub fn deadlines_at_once<M: Model>(program: &'static str) -> Result<()> {
    let job = job(Workload::Deadlines, "operations=40 limit=20")?;
    let mut prepared = new_fixture(program).prepare(&job)?;
    let model = start::<M>(program, prepared.job())?;
    let (_, mut outcome) = prepared.run(&model)?;
    prepared.verify(&mut outcome)?;
    let Outcome::Deadlines(outcome) = outcome else {
        bail!("not of deadlines")
    };
    let right = match M::most_units(Workload::Deadlines) {
        Some(1) => 1,
        _ => 20,
    };
    ensure!(outcome.seen.most_at_once == right, "{outcome:?}");
    drop(model);
    prepared.close()
}

/// A responder that is not there, or goes in the middle of an answer, fails the job; one that
/// answers something else is found out; and the next job is none the worse.
pub fn deadlines_survive_what_servers_do<M: Model>(program: &'static str) -> Result<()> {
    let mut fixture = new_fixture(program);
    let shape = "operations=12 limit=3 late_per_mille=0 deadline_ms=1000";
    let mut good = fixture.prepare(&job(Workload::Deadlines, shape)?)?;
    let model = start::<M>(program, good.job())?;
    let with = |address| match good.job() {
        Job::Deadlines(job) => Ok(Job::Deadlines(deadlines::Job {
            address: Some(address),
            ..job.clone()
        })),
        _ => bail!("not of deadlines"),
    };
    let refusing = test_server::refusing_address()?;
    let mut failing = Vec::new();
    for (what, fault) in [
        ("hangs up", DeadlinesFault::HangsUp),
        ("stops short", DeadlinesFault::StopsShort),
        ("answers another", DeadlinesFault::AnswersAnother),
    ] {
        let server = TestServer::with_deadlines(fault)?;
        failing.push((what, with(server.address)?, server.address, Some(server)));
    }
    failing.push(("is not there", with(refusing)?, refusing, None));
    let lying = TestServer::with_deadlines(DeadlinesFault::ChangesTheValue)?;
    let lied = with(lying.address)?;
    for (what, job, address, _server) in &failing {
        fails_naming(&model, job, &[&address.to_string()]).context(*what)?;
        is_right(&model, &mut good).with_context(|| format!("after one that {what}"))?;
    }
    let outcome = lied.run(&model).context("another value")?;
    let found = lied.check(&outcome).err().map(|wrong| wrong.what);
    ensure!(found == Some("sum"), "another value: {found:?}");
    is_right(&model, &mut good).context("after another value")?;
    drop(model);
    good.close()
}
