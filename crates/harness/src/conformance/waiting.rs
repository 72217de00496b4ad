//! Units that wait: `offload` and `sleepers`.

use suite::{Model, Result, Workload};

use super::support::shapes;

/// Calls that are handed over, fewer and more than there are threads for them.
pub fn offload_pool<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Offload,
        &[
            "place=pool calls=1 call_ms=50 heartbeat_ms=5",
            "place=pool calls=40 call_ms=1 heartbeat_ms=1",
            "place=pool calls=3 call_ms=0 heartbeat_ms=100",
            "place=pool calls=0 call_ms=10 heartbeat_ms=1",
        ],
    )
}

/// Calls that block the heartbeat.
pub fn offload_inline<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Offload,
        &[
            "place=inline calls=1 call_ms=50 heartbeat_ms=5",
            "place=inline calls=20 call_ms=1 heartbeat_ms=1",
            "place=inline calls=0 call_ms=10 heartbeat_ms=1",
        ],
    )
}

/// Units in one batch and in several, full or not, flat and as trees, with both replies.
pub fn spawn_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Spawn,
        &[
            "units=1 batch=1",
            "units=7 batch=3",
            "units=7 batch=3 reply=channel",
            "units=1 batch=1 tree=2",
            "units=20 batch=10 tree=2",
            "units=12 batch=10 tree=3 reply=channel",
            "units=20 batch=20 tree=19",
            "units=3000 batch=300 reply=channel",
            "units=3000 batch=300 tree=7",
        ],
    )
}

/// One and many, with a wait and without.
pub fn sleepers_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Sleepers,
        &[
            "units=1 wait_ms=0",
            "units=1 wait_ms=30",
            "units=10 wait_ms=0",
            "units=100 wait_ms=0",
            "units=10 wait_ms=30",
            "units=100 wait_ms=30",
        ],
    )
}
