//! The end of what goes on until it is told to end.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Mutex, PoisonError};

/// Whether the end has begun, and what is to be done when it does.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    has_begun: AtomicBool,
    acts: Mutex<Acts>,
}

/// None when they have been done.
struct Acts(Option<Vec<Box<dyn FnOnce() + Send>>>);

impl Default for Acts {
    fn default() -> Self {
        Self(Some(Vec::new()))
    }
}

impl fmt::Debug for Acts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Acts")
            .field(&self.0.as_ref().map(Vec::len))
            .finish()
    }
}

impl Ending {
    /// Begins it: once.
    pub(crate) fn begin(&self) {
        self.has_begun.store(true, Release);
        let mut acts = self.acts.lock().unwrap_or_else(PoisonError::into_inner);
        for act in acts.0.take().into_iter().flatten() {
            act();
        }
    }

    /// Whether it has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Acquire)
    }

    /// Has this done when it begins, or now if it has.
    pub(crate) fn on_begin(&self, act: impl FnOnce() + Send + 'static) {
        let mut acts = self.acts.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut acts.0 {
            Some(acts) => acts.push(Box::new(act)),
            None => act(),
        }
    }
}
