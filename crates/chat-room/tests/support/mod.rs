//! Rooms, frames, and what members get, for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use chat_room::{Format, Policy, Received, Rooms, Seat, Settings};

/// Counts how often it is woken.
#[derive(Default)]
pub struct Counter(pub AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

pub fn rooms(policy: Policy, queue: usize) -> Rooms {
    Rooms::new(Settings {
        format: Format::Frames,
        policy,
        queue,
    })
}

pub fn frame(sender: u32, sequence: u64, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    let parts = [
        &length.to_be_bytes()[..],
        &sender.to_be_bytes(),
        &sequence.to_be_bytes(),
        payload,
    ];
    parts.concat()
}

pub fn give(received: &mut Received, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let room = received.room();
        let some = room.len().min(bytes.len());
        room[..some].copy_from_slice(&bytes[..some]);
        received.filled(some);
        bytes = &bytes[some..];
    }
}

/// What a member gets now: none if it has to wait.
pub fn take(seat: &Seat, waker: &Waker) -> Option<(bool, Vec<u8>)> {
    let mut buffer = Vec::new();
    match seat.poll_take(&mut Context::from_waker(waker), &mut buffer) {
        Poll::Ready(goes_on) => Some((goes_on, buffer)),
        Poll::Pending => None,
    }
}

pub fn hear(seat: &Seat) -> Option<Vec<u8>> {
    take(seat, Waker::noop()).map(|(_, bytes)| bytes)
}
