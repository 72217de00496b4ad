//! A room that has members on other machines, too.

use std::collections::VecDeque;
use std::task::{Poll, Waker};

use super::{Entry, Room, State, Woken, wait};
use crate::Policy;

/// What a member says, on whichever machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The member's number.
    pub sender: u32,
    /// What the others get: see [`Received::message`](crate::Received::message).
    pub bytes: Box<[u8]>,
}

impl Room {
    /// Puts messages whose senders may be members elsewhere.
    pub(crate) fn relay(
        &mut self,
        messages: &mut VecDeque<Message>,
        waker: &Waker,
        woken: &mut Woken,
    ) -> Poll<()> {
        while let Some(&Message { sender, .. }) = messages.front() {
            let member = self.members.get(&sender);
            let is_here = member.is_some_and(|member| member.state == State::Present);
            let missing = self.present - usize::from(is_here);
            if missing > 0 && self.log.len() >= self.settings.queue {
                if self.settings.policy == Policy::Wait {
                    wait(&mut self.relay, waker);
                    return Poll::Pending;
                }
                self.evict(woken);
                continue;
            }
            if let Some(Message { sender, bytes }) = messages.pop_front()
                && missing > 0
            {
                self.log.push_back(Entry {
                    sender,
                    bytes,
                    missing,
                });
                self.wake_idle(sender, woken);
            }
        }
        Poll::Ready(())
    }
}
