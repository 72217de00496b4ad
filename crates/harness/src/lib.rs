//! What every model is held to, and how it is timed, through one line each.
//!
//! `tests/conformance.rs` of a model crate:
//!
//! ```text
//! harness::conformance!(model_tokio::Tokio);
//! ```
//!
//! and its `benches/suite.rs`:
//!
//! ```text
//! harness::benches!(model_tokio::Tokio);
//! ```
//!
//! Both know the model by its package's name, `model-NAME`, and start origins
//! and children from its binary, which Cargo builds for them.

pub mod bench;
pub mod command_line;
pub mod conformance;
mod datagrams;
#[doc(hidden)]
pub mod faulty;
mod faulty_chat;

mod file_ends;
mod reference;
mod test_server;
mod timeout;

#[doc(hidden)]
pub use suite::{Result, Workload};
#[doc(hidden)]
pub use timeout::with_timeout;

/// The model crate's own binary, as Cargo tells only its own tests and benches.
#[doc(hidden)]
#[macro_export]
macro_rules! program {
    () => {
        env!(concat!("CARGO_BIN_EXE_", env!("CARGO_PKG_NAME")))
    };
}

/// Expands to a `#[test]` for each thing that the model has to get right.
///
/// Each workload has its test of [`command_line`] and, in braces, those of
/// [`mod@conformance`]. One that is missing does not compile.
#[macro_export]
macro_rules! conformance {
    ($Model:ty) => {
        $crate::tests! {
            $Model:
            workloads {
                Counter counter { counter_lock counter_atomic counter_racy counter_async }
                Pipeline pipeline { pipeline_shapes pipeline_any_shape }
                Primes primes { primes_shapes primes_any_range }
                Exchange exchange { exchange_shapes }
                Fetch fetch {
                    fetch_shapes
                    fetch_survives_what_servers_do
                    fetch_survives_a_dying_origin
                }
                Offload offload { offload_pool offload_inline }
                Download download {
                    download_shapes
                    download_survives_what_servers_do
                    download_survives_a_dying_origin
                    download_survives_a_bad_directory
                }
                PingPong ping_pong { ping_pong_shapes }
                Sleepers sleepers { sleepers_shapes }
                Spawn spawn { spawn_shapes }
                Deadlines deadlines {
                    deadlines_late
                    deadlines_in_time
                    deadlines_cancelled
                    deadlines_at_once
                    deadlines_survive_what_servers_do
                }
                Echo echo {
                    echo_shapes
                    echo_survives_what_servers_do
                    echo_server_survives_what_clients_do
                }
                Datagram datagram {
                    datagram_shapes
                    datagram_lossy
                    datagram_doubled_and_reordered
                    datagram_survives_what_servers_do
                    datagram_server_survives_what_clients_do
                }
                Serve serve {
                    serve_shapes
                    serve_silent_connections
                    serve_survives_what_clients_do
                    serve_answers_what_is_under_way
                    serve_leaves_nothing
                }
                Proxy proxy { proxy_shapes proxy_tunnels }
                Scan scan { scan_shapes scan_filtered scan_at_once }
                Chat chat {
                    chat_shapes
                    chat_slow_members
                    chat_survives_what_clients_do
                    chat_ends_in_the_middle
                    chat_leaves_nothing
                }
                Send send {
                    send_shapes
                    send_survives_cuts_and_flips
                    send_survives_what_receivers_do
                    send_finds_a_file_that_changes
                    send_stops
                    send_keeps_what_has_come_at_the_end
                }
                Files files { files_shapes files_of_all_kinds }
                Thumbnails thumbnails { thumbnails_shapes thumbnails_of_all_kinds }
            }
            model { presets_are_all_supported }
            command_line {
                the_list_is_complete
                what_makes_no_sense_is_refused
                what_is_too_much_is_said_to_be
                failures_are_named
                no_process_is_left
                no_unit_is_left_of_a_cancelled_job
                a_server_answers_before_it_ends
                a_server_that_is_told_twice_ends_at_once
                a_server_has_only_so_many_connections
                a_list_of_urls_is_downloaded
                ports_are_scanned
                an_interrupted_scan_says_what_it_has
                a_port_that_connects_to_itself_is_closed
                too_few_files_lower_the_limit
                files_are_sent_and_received
                a_receiver_goes_on_after_senders_and_kills
                a_full_disk_is_said_to_both
            }
        }
    };
}

/// Writes the tests that [`conformance!`] lists.
#[doc(hidden)]
#[macro_export]
macro_rules! tests {
    (
        $Model:ty:
        workloads { $($Workload:ident $command:ident { $($shape:ident)+ })+ }
        model { $($model:ident)+ }
        command_line { $($command_line:ident)+ }
    ) => {
        const _: fn($crate::Workload) = |workload| match workload {
            $($crate::Workload::$Workload => {})+
        };

        /// Through the model's methods.
        mod model {
            use super::*;

            $($($crate::tests! { conformance $shape::<$Model> })+)+
            $($crate::tests! { conformance $model::<$Model> })+
        }

        /// Through the model's binary.
        mod command_line {
            $($crate::tests! { command_line $command })+
            $($crate::tests! { command_line $command_line })+
        }
    };
    ($module:ident $test:ident $(::<$Model:ty>)?) => {
        #[test]
        fn $test() -> $crate::Result<()> {
            $crate::with_timeout($crate::$module::$test$(::<$Model>)?, $crate::program!())
        }
    };
}

/// The whole Criterion bench of a model.
#[macro_export]
macro_rules! benches {
    ($Model:ty) => {
        fn main() -> std::process::ExitCode {
            $crate::bench::main::<$Model>(env!("CARGO_PKG_NAME"), $crate::program!())
        }
    };
}
