//! Signals that ask for an end, such as Ctrl-C, and those that end a stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::stops::Stops;

/// Whether a signal has asked for the end. Clones share it.
///
/// The signals only set a flag. What waits for a child checks it and ends the child
/// with all that it started; what was measured so far is kept.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    came: Arc<AtomicBool>,
    stops: Stops,
}

impl Interrupt {
    /// Notices SIGINT, SIGTERM and SIGHUP from now on, and [stops](crate::stops).
    ///
    /// # Errors
    ///
    /// When the system refuses the handlers.
    pub fn install() -> std::io::Result<Self> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&interrupt.came))?;
        }
        interrupt.stops.install()?;
        Ok(interrupt)
    }

    /// The times in which something was stopped.
    pub fn stops(&self) -> &Stops {
        &self.stops
    }

    /// Whether one came.
    pub fn came(&self) -> bool {
        self.came.load(Ordering::Relaxed)
    }
}
