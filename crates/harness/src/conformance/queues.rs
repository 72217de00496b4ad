//! Units that hand things over: `pipeline`, `exchange` and `ping-pong`.

use proptest::strategy::Strategy;
use suite::{Job, Model, Result, Workload, pipeline};

use super::support::{any, job, shapes};

/// Few and many on either side, and queues of every tightness.
pub fn pipeline_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Pipeline,
        &[
            "producers=1 consumers=1 items=3 capacity=10 produce_us=1000",
            "producers=1 consumers=1 items=200 capacity=1 produce_us=0",
            "producers=4 consumers=4 items=2000 capacity=1 produce_us=0",
            "producers=4 consumers=4 items=20000 capacity=256 produce_us=0",
            "producers=1 consumers=8 items=500 capacity=3 produce_us=0",
            "producers=8 consumers=1 items=500 capacity=3 produce_us=0",
            "producers=8 consumers=8 items=3 capacity=2 produce_us=0",
            "producers=2 consumers=2 items=1 capacity=1000 produce_us=0",
            "producers=3 consumers=2 items=0 capacity=1 produce_us=0",
            "producers=4 consumers=4 items=20000 capacity=16 produce_us=0 channel=common",
            "producers=4 consumers=4 items=20000 capacity=64 produce_us=0 batch=16",
            "producers=3 consumers=2 items=1000 capacity=7 produce_us=0 batch=7",
            "producers=2 consumers=2 items=1001 capacity=64 produce_us=0 batch=3 channel=common",
            "producers=2 consumers=1 items=5 capacity=10 produce_us=1000 batch=2",
        ],
    )
}

/// Any mix of producers, consumers, items and capacity.
pub fn pipeline_any_shape<M: Model>(program: &'static str) -> Result<()> {
    const MOST: usize = 4;
    let shape = (1..=MOST, 1..=MOST, 0..200u64, 1..=20usize, 1..=5usize).prop_map(
        |(producers, consumers, items, capacity, batch)| {
            Job::Pipeline(pipeline::Job {
                producers,
                consumers,
                items,
                capacity,
                produce_us: 0,
                channel: pipeline::Channel::Own,
                batch: batch.min(capacity),
                unwatched: false,
            })
        },
    );
    let largest = format!("producers={MOST} consumers={MOST}");
    any::<M>(program, &job(Workload::Pipeline, &largest)?, &shape)
}

/// No messages, one, few and many.
pub fn exchange_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Exchange,
        &[
            "messages=2 value=100",
            "messages=0 value=100",
            "messages=1 value=0",
            "messages=5000 value=18446744073709551615",
            "messages=5000 value=7 payload=text",
        ],
    )
}

/// Rings of every size, and no token, one, and one that goes far.
pub fn ping_pong_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::PingPong,
        &[
            "units=2 passes=1000",
            "units=1 passes=7",
            "units=1 passes=0",
            "units=2 passes=0",
            "units=2 passes=1",
            "units=3 passes=1",
            "units=3 passes=1000",
            "units=10 passes=7",
            "units=10 passes=1001",
        ],
    )
}
