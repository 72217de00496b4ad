//! What every model is held to, with one node, two and four.

mod support;

use harness::conformance;
use model_cluster::Cluster;
use suite::Result;
use support::{PROGRAM, has_server};

/// A test of each, with a number of nodes.
macro_rules! conformance {
    ($($name:ident: $NODES:literal)+: $tests:tt) => {
        $(conformance! { $name: $NODES $tests })+
    };
    ($name:ident: $NODES:literal { $($test:ident)+ }) => {
        mod $name {
            use super::*;

            $(
                #[test]
                fn $test() -> Result<()> {
                    match has_server() {
                        true => harness::with_timeout(
                            conformance::$test::<Cluster<$NODES>>,
                            PROGRAM,
                        ),
                        false => Ok(()),
                    }
                }
            )+
        }
    };
}

conformance! {
    with_one_node: 1
    with_two_nodes: 2
    with_four_nodes: 4:
    {
        counter_lock
        counter_atomic
        counter_racy
        counter_async
        pipeline_shapes
        pipeline_any_shape
        exchange_shapes
        ping_pong_shapes
        primes_shapes
        primes_any_range
        fetch_shapes
        fetch_survives_what_servers_do
        fetch_survives_a_dying_origin
        offload_pool
        offload_inline
        download_shapes
        download_survives_what_servers_do
        download_survives_a_dying_origin
        download_survives_a_bad_directory
        spawn_shapes
        deadlines_late
        deadlines_in_time
        deadlines_cancelled
        deadlines_at_once
        deadlines_survive_what_servers_do
        scan_shapes
        scan_filtered
        scan_at_once
        chat_shapes
        chat_slow_members
        chat_survives_what_clients_do
        chat_ends_in_the_middle
        chat_leaves_nothing
        files_shapes
        files_of_all_kinds
        thumbnails_shapes
        thumbnails_of_all_kinds
    }
}
