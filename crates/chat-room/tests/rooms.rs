//! Who gets what in a room, and what becomes of a member that does not read.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};

use chat_room::{
    Format, HEADER_BYTES, MOST_BYTES, Policy, Received, Refusal, Rooms, SERVER, Seat, Settings,
};
use proptest::prelude::*;
use support::{Counter, frame, give, hear, rooms, take};

fn put(seat: &Seat, waker: &Waker, received: &mut Received) -> Poll<Result<(), Refusal>> {
    seat.poll_put(&mut Context::from_waker(waker), received)
}

/// Puts a message; whether it is pending.
fn say(seat: &Seat, frame: &[u8]) -> bool {
    let mut received = Received::new(Format::Frames);
    give(&mut received, frame);
    match put(seat, Waker::noop(), &mut received) {
        Poll::Ready(put) => {
            put.expect("a right frame");
            false
        }
        Poll::Pending => true,
    }
}

/// Seats whose places have been told.
fn seats<const N: usize>(rooms: &Rooms) -> [Seat; N] {
    std::array::from_fn(|number| {
        let seat = rooms.join(0);
        let told = frame(number as u32, number as u64 + 1, &[]);
        assert_eq!(hear(&seat), Some(told));
        seat
    })
}

#[test]
fn all_others_get_a_message_once_and_in_order() {
    let rooms = rooms(Policy::Wait, 10);
    let [a, b, c] = seats(&rooms);
    let other = rooms.join(1);
    let (first, second) = (frame(0, 0, b"one"), frame(1, 7, b"two"));
    assert!(!say(&a, &first) && !say(&b, &second));
    assert_eq!(hear(&c), Some([&*first, &*second].concat()));
    assert_eq!(hear(&a), Some(second));
    assert_eq!(hear(&b), Some(first));
    for seat in [&a, &b, &c] {
        assert_eq!(hear(seat), None);
    }
    assert_eq!(hear(&other), Some(frame(0, 1, &[])));
    assert_eq!(hear(&other), None);
}

#[test]
fn one_that_waits_is_woken_once_and_one_that_is_busy_is_not() {
    let rooms = rooms(Policy::Wait, 10);
    let [a, b, c] = seats(&rooms);
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(counter.clone());
    // Polled twice, as by a task that waits for something else as well.
    assert_eq!((take(&b, &waker), take(&b, &waker)), (None, None));
    for sequence in 0..3 {
        say(&a, &frame(0, sequence, b""));
    }
    assert_eq!(counter.0.load(SeqCst), 1);
    assert_eq!(hear(&b).map(|bytes| bytes.len()), Some(3 * HEADER_BYTES));
    assert_eq!(hear(&c).map(|bytes| bytes.len()), Some(3 * HEADER_BYTES));
}

#[test]
fn a_room_waits_until_the_last_has_taken() {
    let rooms = rooms(Policy::Wait, 2);
    let [a, b, c] = seats(&rooms);
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(counter.clone());
    let mut received = Received::new(Format::Frames);
    for sequence in 0..3 {
        give(&mut received, &frame(0, sequence, b"x"));
    }
    assert!(put(&a, &waker, &mut received).is_pending());
    assert!(put(&a, &waker, &mut received).is_pending());
    assert_eq!(
        hear(&b).map(|bytes| bytes.len()),
        Some(2 * (HEADER_BYTES + 1))
    );
    assert_eq!(counter.0.load(SeqCst), 0);
    assert!(hear(&c).is_some());
    assert_eq!(counter.0.load(SeqCst), 1);
    assert_eq!(put(&a, &waker, &mut received), Poll::Ready(Ok(())));
    assert_eq!(hear(&b), Some(frame(0, 2, b"x")));
    // One that leaves without taking is waited for no more.
    say(&a, &frame(0, 3, b"x"));
    give(&mut received, &frame(0, 4, b"x"));
    assert!(put(&a, &waker, &mut received).is_pending());
    drop(c);
    assert_eq!(counter.0.load(SeqCst), 2);
    assert!(hear(&b).is_some());
    assert_eq!(put(&a, &waker, &mut received), Poll::Ready(Ok(())));
}

#[test]
fn what_is_dropped_is_told_and_the_newest_stay() {
    let rooms = rooms(Policy::Drop, 3);
    let [a, b, c] = seats(&rooms);
    for sequence in 0..10 {
        assert!(!say(&a, &frame(0, sequence, b"x")));
        assert!(hear(&b).is_some(), "one that reads loses nothing");
    }
    let left: Vec<_> = (7..10)
        .flat_map(|sequence| frame(0, sequence, b"x"))
        .collect();
    assert_eq!(hear(&c), Some([frame(SERVER, 7, &[]), left].concat()));
    assert_eq!(hear(&a), None, "its own messages are no gap");
}

#[test]
fn one_that_is_too_far_behind_is_cut() {
    let rooms = rooms(Policy::Disconnect, 3);
    let [a, b, c] = seats(&rooms);
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(counter.clone());
    let mut context = Context::from_waker(&waker);
    assert!(c.poll_cut(&mut context).is_pending());
    for sequence in 0..4 {
        assert!(!say(&a, &frame(0, sequence, b"x")));
        assert!(hear(&b).is_some());
    }
    assert_eq!(counter.0.load(SeqCst), 1);
    assert!(c.poll_cut(&mut context).is_ready());
    assert_eq!(take(&c, Waker::noop()), Some((false, Vec::new())));
    let mut received = Received::new(Format::Frames);
    give(&mut received, &frame(2, 0, b"x"));
    assert_eq!(
        put(&c, Waker::noop(), &mut received),
        Poll::Ready(Err(Refusal::Cut))
    );
    assert!(a.poll_cut(&mut context).is_pending() && b.poll_cut(&mut context).is_pending());
}

#[test]
fn one_that_leaves_takes_what_was_said_before() {
    let rooms = rooms(Policy::Wait, 2);
    let [a, b] = seats(&rooms);
    say(&a, &frame(0, 0, b"before"));
    b.leave();
    // No more than these two fit, if they were for it.
    for sequence in 1..9 {
        assert!(!say(&a, &frame(0, sequence, b"after")));
    }
    assert_eq!(
        take(&b, Waker::noop()),
        Some((true, frame(0, 0, b"before")))
    );
    assert_eq!(take(&b, Waker::noop()), Some((false, Vec::new())));
}

#[test]
fn numbers_are_not_given_twice_and_an_empty_room_begins_anew() {
    let rooms = rooms(Policy::Wait, 2);
    let [a, b] = seats(&rooms);
    drop(b);
    let c = rooms.join(0);
    assert_eq!(hear(&c), Some(frame(2, 2, &[])));
    drop((a, c));
    assert_eq!(hear(&rooms.join(0)), Some(frame(0, 1, &[])));
}

#[test]
fn what_is_no_message_is_refused() {
    let rooms = rooms(Policy::Wait, 2);
    let [a, _b] = seats(&rooms);
    let too_long = (MOST_BYTES as u32 + 1).to_be_bytes();
    for (bytes, refusal) in [
        ([&too_long[..], &[0; 12]].concat(), Refusal::TooLong),
        (frame(1, 0, b"x"), Refusal::NotItsNumber),
        (frame(SERVER, 1, b""), Refusal::NotItsNumber),
    ] {
        let mut received = Received::new(Format::Frames);
        give(&mut received, &bytes);
        assert_eq!(
            put(&a, Waker::noop(), &mut received),
            Poll::Ready(Err(refusal))
        );
    }
    let mut received = Received::new(Format::Frames);
    give(&mut received, &frame(0, 0, b"x"));
    assert_eq!(received.join(), Some(Err(Refusal::NoJoin)));
    let mut received = Received::new(Format::Lines);
    give(&mut received, &vec![b'x'; MOST_BYTES + 1]);
    assert_eq!(
        put(&a, Waker::noop(), &mut received),
        Poll::Ready(Err(Refusal::TooLong))
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_are_the_same_in_any_pieces(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9_000), 0..12),
        pieces in prop::collection::vec(1..7_000usize, 1..40),
    ) {
        let rooms = rooms(Policy::Wait, 100);
        let [a, b] = seats(&rooms);
        let frames = payloads.iter().enumerate().map(|(at, payload)| frame(0, at as u64, payload));
        let all: Vec<u8> = frames.flatten().collect();
        let (mut left, mut heard) = (&all[..], Vec::new());
        let mut received = Received::new(Format::Frames);
        for piece in pieces.iter().cycle() {
            if left.is_empty() {
                break;
            }
            let (now, later) = left.split_at((*piece).min(left.len()));
            give(&mut received, now);
            left = later;
            prop_assert_eq!(put(&a, Waker::noop(), &mut received), Poll::Ready(Ok(())));
            heard.extend(hear(&b).into_iter().flatten());
        }
        while let Some(more) = hear(&b) {
            heard.extend(more);
        }
        prop_assert_eq!(heard, all);
    }

    #[test]
    fn lines_are_the_same_in_any_pieces(
        text in "([a-z]{0,30}\r?\n){0,20}[a-z]{0,5}",
        pieces in prop::collection::vec(1..20usize, 1..40),
    ) {
        let rooms = Rooms::new(Settings { format: Format::Lines, policy: Policy::Wait, queue: 100 });
        let (a, b) = (rooms.join(0), rooms.join(0));
        let mut heard = Vec::new();
        let mut left = text.as_bytes();
        let mut received = Received::new(Format::Lines);
        for piece in pieces.iter().cycle() {
            let (now, later) = left.split_at((*piece).min(left.len()));
            give(&mut received, now);
            if now.is_empty() {
                received.room();
                received.filled(0);
            }
            left = later;
            prop_assert_eq!(put(&a, Waker::noop(), &mut received), Poll::Ready(Ok(())));
            heard.extend(hear(&b).into_iter().flatten());
            if now.is_empty() {
                break;
            }
        }
        let lines = text.lines().filter(|line| !line.is_empty());
        let right: String = lines.map(|line| format!("0: {line}\n")).collect();
        prop_assert_eq!(String::from_utf8_lossy(&heard), format!("* you are 1, members: 2\n{right}"));
    }
}
