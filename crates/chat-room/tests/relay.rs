//! Who gets what in a room that has members on several machines.

mod support;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};

use chat_room::{Format, HEADER_BYTES, Message, Policy, Received, Refusal, Rooms, SERVER, Seat};
use support::{Counter, frame, give, hear, rooms, take};

/// Seats of members 3 and 5 of a room that has others elsewhere.
fn some_seats(rooms: &Rooms) -> [Seat; 2] {
    [(3, 4), (5, 6)].map(|(number, members)| {
        let seat = rooms.join_as(0, number, members).expect("a free number");
        let told = frame(number, members as u64, &[]);
        assert_eq!(hear(&seat), Some(told));
        seat
    })
}

fn relay(rooms: &Rooms, waker: &Waker, messages: &mut VecDeque<Message>) -> Poll<bool> {
    rooms.poll_relay(&mut Context::from_waker(waker), 0, messages)
}

/// A message of each of these senders, with its place as its sequence.
fn messages(senders: &[u32]) -> VecDeque<Message> {
    let message = |(at, &sender): (usize, &u32)| Message {
        sender,
        bytes: frame(sender, at as u64, b"x").into(),
    };
    senders.iter().enumerate().map(message).collect()
}

#[test]
fn what_is_relayed_is_for_all_but_its_sender() {
    let rooms = rooms(Policy::Wait, 10);
    let [three, five] = some_seats(&rooms);
    assert!(rooms.join_as(0, 5, 7).is_none(), "a number for two");
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(counter.clone());
    assert_eq!((take(&three, &waker), take(&five, &waker)), (None, None));
    let mut left = messages(&[3, 5, 8]);
    let put = relay(&rooms, Waker::noop(), &mut left);
    assert_eq!((put, left.len()), (Poll::Ready(true), 0));
    assert_eq!(counter.0.load(SeqCst), 2, "each is woken once");
    let (from_3, from_5) = (frame(3, 0, b"x"), frame(5, 1, b"x"));
    let from_8 = frame(8, 2, b"x");
    assert_eq!(hear(&three), Some([&*from_5, &*from_8].concat()));
    assert_eq!(hear(&five), Some([&*from_3, &*from_8].concat()));
    // Messages do not wait for a member that has left, and a room without members keeps none.
    five.leave();
    let put = relay(&rooms, Waker::noop(), &mut messages(&[3; 99]));
    assert_eq!(put, Poll::Ready(true));
    drop((three, five));
    let put = relay(&rooms, Waker::noop(), &mut messages(&[8]));
    assert_eq!(put, Poll::Ready(false));
}

#[test]
fn a_relay_waits_until_the_last_has_taken_or_has_gone() {
    let rooms = rooms(Policy::Wait, 2);
    let [three, five] = some_seats(&rooms);
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(counter.clone());
    let mut left = messages(&[8; 6]);
    assert!(relay(&rooms, &waker, &mut left).is_pending());
    assert_eq!(left.len(), 4);
    assert!(hear(&three).is_some());
    assert_eq!(counter.0.load(SeqCst), 0);
    assert!(hear(&five).is_some());
    assert_eq!(counter.0.load(SeqCst), 1);
    assert!(relay(&rooms, &waker, &mut left).is_pending());
    assert_eq!(left.len(), 2);
    assert!(hear(&three).is_some());
    drop(five);
    assert_eq!(counter.0.load(SeqCst), 2);
    assert_eq!(relay(&rooms, &waker, &mut left), Poll::Ready(true));
    let sequences = [4, 5].map(|sequence| frame(8, sequence, b"x"));
    assert_eq!(hear(&three), Some(sequences.concat()));
}

#[test]
fn what_is_relayed_is_dropped_or_cuts() {
    for policy in [Policy::Drop, Policy::Disconnect] {
        let rooms = rooms(policy, 3);
        let [three, five] = some_seats(&rooms);
        for senders in [&[8][..]; 4] {
            let put = relay(&rooms, Waker::noop(), &mut messages(senders));
            assert_eq!(put, Poll::Ready(true));
            assert!(hear(&three).is_some(), "one that reads loses nothing");
        }
        let heard = take(&five, Waker::noop());
        let (goes_on, bytes) = heard.expect("there is something");
        match policy {
            Policy::Disconnect => assert_eq!((goes_on, bytes.len()), (false, 0)),
            _ => assert_eq!(&bytes[..HEADER_BYTES], frame(SERVER, 1, &[])),
        }
    }
}

#[test]
fn messages_are_taken_as_the_others_get_them() {
    let mut received = Received::new(Format::Frames);
    let whole = [frame(7, 0, b"one"), frame(7, 1, b"two")];
    give(&mut received, &whole.concat());
    give(&mut received, &frame(8, 2, b"")[..HEADER_BYTES - 1]);
    for frame in whole {
        assert_eq!(received.message(7), Some(Ok(frame.into())));
    }
    assert_eq!(received.message(7), None);
    give(&mut received, &[2]);
    assert_eq!(received.message(7), Some(Err(Refusal::NotItsNumber)));
    let mut received = Received::new(Format::Lines);
    give(&mut received, b"hello\r\n\nbye");
    let line = b"7: hello\n".to_vec();
    assert_eq!(received.message(7), Some(Ok(line.into())));
    assert_eq!(received.message(7), None);
}
