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
#[doc(hidden)]
pub mod faulty;

mod canned;
mod mimic;
mod reference;
mod watchdog;

#[doc(hidden)]
pub use suite::Result;
#[doc(hidden)]
pub use watchdog::watched;

/// The model crate's own binary, as Cargo tells only its own tests and benches.
#[doc(hidden)]
#[macro_export]
macro_rules! program {
    () => {
        env!(concat!("CARGO_BIN_EXE_", env!("CARGO_PKG_NAME")))
    };
}

/// Expands to a `#[test]` for each thing that the model has to get right.
#[macro_export]
macro_rules! conformance {
    ($Model:ty) => {
        /// Through the model's methods.
        mod model {
            use super::*;

            $crate::tests! {
                conformance::<$Model>:
                presets_are_all_supported
                counter_lock
                counter_atomic
                counter_racy
                pipeline_shapes
                pipeline_any_shape
                primes_shapes
                primes_any_range
                exchange_shapes
                fetch_shapes
                fetch_survives_what_servers_do
                fetch_survives_a_dying_origin
                offload_pool
                offload_inline
                download_shapes
                download_survives_what_servers_do
                download_survives_a_dying_origin
                download_survives_a_bad_directory
                ping_pong_shapes
                sleepers_shapes
                echo_shapes
                echo_survives_what_servers_do
                echo_server_survives_what_clients_do
                files_shapes
                files_of_all_kinds
                thumbnails_shapes
                thumbnails_of_all_kinds
            }
        }

        /// Through the model's binary.
        mod command_line {
            $crate::tests! {
                command_line:
                counter
                pipeline
                primes
                exchange
                fetch
                offload
                download
                ping_pong
                sleepers
                echo
                files
                thumbnails
                the_list_is_complete
                what_makes_no_sense_is_refused
                what_is_too_much_is_said_to_be
                failures_are_named
                no_process_is_left
                a_list_of_urls_is_downloaded
            }
        }
    };
}

/// Writes the tests that [`conformance!`] lists.
#[doc(hidden)]
#[macro_export]
macro_rules! tests {
    ($module:ident::<$Model:ty>: $($test:ident)+) => {
        $(
            #[test]
            fn $test() -> $crate::Result<()> {
                $crate::watched($crate::$module::$test::<$Model>, $crate::program!())
            }
        )+
    };
    ($module:ident: $($test:ident)+) => {
        $(
            #[test]
            fn $test() -> $crate::Result<()> {
                $crate::watched($crate::$module::$test, $crate::program!())
            }
        )+
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
