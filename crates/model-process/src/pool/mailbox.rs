//! The one channel on which everything arrives that the parent waits for.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use anyhow::Context;
use ipc_channel::ipc::{self, IpcReceiver, IpcSender};
use ipc_channel::{IpcError, TryRecvError};
use suite::Result;

use crate::pool::protocol::{ChildId, Message};

pub(crate) struct Mailbox {
    receiver: IpcReceiver<Message>,
    /// Each child gets a copy. As this one stays, the mailbox never closes.
    pub(crate) sender: IpcSender<Message>,
    /// Messages that arrived during [`Self::wait_for_exit`] of another child.
    unread: VecDeque<Message>,
}

impl Mailbox {
    pub(crate) fn new() -> Result<Self> {
        let (sender, receiver) = ipc::channel().context("a mailbox")?;
        Ok(Self {
            receiver,
            sender,
            unread: VecDeque::new(),
        })
    }

    /// For other threads of this process.
    pub(crate) fn waker(&self) -> Waker {
        Waker(self.sender.clone())
    }

    /// Waits for the next message; `None` if none has come by `deadline`.
    pub(crate) fn next(&mut self, deadline: Option<Instant>) -> Result<Option<Message>> {
        match self.unread.pop_front() {
            Some(message) => Ok(Some(message)),
            None => self.receive(deadline),
        }
    }

    /// Waits for the exit of a child that never said hello, and so sends nothing
    /// else. What arrives from others until then is read later.
    pub(crate) fn wait_for_exit(&mut self, child: ChildId) -> Result<()> {
        while !self.unread.iter().any(|message| message.is_of(child)) {
            let message = self.receive(None)?;
            self.unread.extend(message);
        }
        self.unread.retain(|message| !message.is_of(child));
        Ok(())
    }

    fn receive(&self, deadline: Option<Instant>) -> Result<Option<Message>> {
        loop {
            let received = match deadline {
                None => self.receiver.recv().map_err(TryRecvError::IpcError),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    self.receiver.try_recv_timeout(whole_milliseconds(left))
                }
            };
            match received {
                Ok(message) => return Ok(Some(message)),
                Err(TryRecvError::Empty) => return Ok(None),
                Err(TryRecvError::IpcError(IpcError::Io(error)))
                    if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("the mailbox"),
            }
        }
    }
}

/// Wakes the thread that waits for the next message.
pub(crate) struct Waker(IpcSender<Message>);

impl Waker {
    /// Ends the wait, or the next one, with [`Message::Wake`].
    pub(crate) fn wake(&self) {
        // It fails when the children are gone, and then no thread waits.
        let _ = self.0.send(Message::Wake);
    }
}

/// Rounds up: ipc-channel rounds a wait down to milliseconds, and a loop would spin
/// on one that is rounded down to nothing.
fn whole_milliseconds(wait: Duration) -> Duration {
    Duration::from_millis(wait.as_micros().div_ceil(1_000) as u64)
}
