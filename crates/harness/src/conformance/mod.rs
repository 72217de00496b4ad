//! What a model has to get right, through its methods.
//!
//! A shape is written as the command line would set it. Each is done by a model
//! that was started for it, twice, as the second job finds what the first left.

mod chat;
mod compute;
mod datagram;
mod deadlines;
mod echo;
mod files;
mod http;
mod proxy;
mod queues;
mod scan;
mod send;
mod send_ends;
mod serve;
mod support;
mod waiting;

use anyhow::Context;
use suite::{Model, Preset, Result, Unsupported, Workload};

pub use self::chat::*;
pub use self::compute::*;
pub use self::datagram::*;
pub use self::deadlines::*;
pub use self::echo::*;
pub use self::files::*;
pub use self::http::*;
pub use self::proxy::*;
pub use self::queues::*;
pub use self::scan::*;
pub use self::send::*;
pub use self::send_ends::*;
pub use self::serve::*;
pub use self::waiting::*;

use self::support::{beyond, new_fixture, right, silent_for_serial};

/// Both presets, scaled down, and their variants: no model may refuse these, but
/// for what only units can do at once.
pub fn presets_are_all_supported<M: Model>(program: &'static str) -> Result<()> {
    let mut fixture = new_fixture(program);
    for &workload in Workload::ALL {
        for preset in Preset::ALL {
            let full = workload.job(preset);
            let mut jobs = vec![(full.scaled(50), false)];
            for variant in workload.variants(preset) {
                jobs.push((variant.of(&full)?.scaled(50), variant.is_for_tasks));
            }
            for (job, is_for_tasks) in jobs {
                let may_refuse =
                    is_for_tasks || beyond::<M>(&job) || silent_for_serial(program, &job);
                let named = || format!("{workload} {preset}: {}", job.to_json());
                match right::<M>(&mut fixture, program, &job) {
                    Err(error) if error.is::<Unsupported>() && may_refuse => {
                        println!("{}: unsupported: {error:#}", named());
                    }
                    done => done.with_context(named)?,
                }
            }
        }
    }
    Ok(())
}
