//! A forward proxy: `proxy`.

use anyhow::Context;
use suite::{Model, Result, Workload};

use super::support::{job, right_but_for_serial, shapes};

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
        right_but_for_serial::<M>(program, &job).context(shape)?;
    }
    Ok(())
}
