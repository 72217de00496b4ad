//! Two halves of hyper in one task.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// The connection is not polled: a wake-up goes to the task.
const AWAY: u8 = 0;
const POLLING: u8 = 1;
/// It was woken since: there may be more to do.
const WOKEN: u8 = 2;

/// The waker of a connection. hyper's halves wake each other with every piece. As
/// one task polls both, that need not go through its scheduler, which would wake
/// another thread to take the task over.
pub(crate) struct Turn {
    state: AtomicU8,
    task: Mutex<Waker>,
}

impl Turn {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU8::new(AWAY),
            task: Mutex::new(Waker::noop().clone()),
        })
    }

    /// Polls what waits for something; if it is not there, what brings it as well,
    /// and again as long as that leads to more. They get `waker`, which is this.
    pub(crate) fn poll<T>(
        &self,
        waker: &Waker,
        task: &Waker,
        mut waits: impl FnMut(&mut Context<'_>) -> Poll<T>,
        mut brings: impl FnMut(&mut Context<'_>),
    ) -> Poll<T> {
        self.task().clone_from(task);
        let mut context = Context::from_waker(waker);
        self.state.store(POLLING, Ordering::SeqCst);
        let mut polled = waits(&mut context);
        while polled.is_pending() {
            // Whatever it was woken for so far is seen to here.
            self.state.store(POLLING, Ordering::SeqCst);
            brings(&mut context);
            polled = waits(&mut context);
            if self.state.swap(AWAY, Ordering::SeqCst) != WOKEN {
                return polled;
            }
        }
        self.state.store(AWAY, Ordering::SeqCst);
        polled
    }

    fn task(&self) -> MutexGuard<'_, Waker> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(WOKEN, Ordering::SeqCst) == AWAY {
            self.task().wake_by_ref();
        }
    }
}
