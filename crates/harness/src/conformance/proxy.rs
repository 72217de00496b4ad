//! A forward proxy: `proxy`.

use anyhow::{Context, bail};
use suite::{Model, Result, Unsupported, Workload};

use super::support::{job, new_fixture, right, shapes, silent_for_serial};

/// One connection and more, small and large bodies, kept connections and new ones, both loops,
/// and an upstream that is slow.
pub fn proxy_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Proxy,
        &[
            "connections=1 requests=1",
            "connections=3 requests=40 bytes=0",
            "connections=3 requests=40 bytes=300000",
            "connections=3 requests=40 reuse=false",
            "connections=5 requests=50 rate=500",
            "connections=4 requests=12 delay_ms=10 slow=4",
        ],
    )
}

/// Tunnels, and clients that say nothing: only a model with one connection at a time may refuse
/// them, and has to.
pub fn proxy_tunnels<M: Model>(program: &'static str) -> Result<()> {
    for shape in [
        "mode=connect connections=1 requests=3",
        "mode=connect connections=4 requests=40 idle=20",
        "mode=connect connections=4 requests=40 rate=500",
        "mode=connect connections=4 requests=8 bytes=3000000",
        "connections=4 requests=40 idle=20",
    ] {
        let job = job(Workload::Proxy, shape)?;
        let done = right::<M>(&mut new_fixture(program), program, &job);
        match silent_for_serial(program, &job) {
            false => done.context(shape)?,
            true => match done {
                Err(error) if error.is::<Unsupported>() => println!("unsupported: {error:#}"),
                done => bail!("{shape}: it should have refused, and not {done:?}"),
            },
        }
    }
    Ok(())
}
