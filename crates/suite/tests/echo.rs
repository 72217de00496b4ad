//! That a client of `echo` finds every byte that did not come back right.

use proptest::prelude::*;
use suite::WrongAnswer;
use suite::echo::{Job, Open, Outcome, PIECE_BYTES, Talk};

/// Talks with a server that sends back what `echo` makes of each piece.
fn talk(job: &Job, connection: usize, mut echo: impl FnMut(&mut Vec<u8>)) -> Outcome {
    let mut talk = Talk::new(job, connection);
    while let Some(piece) = talk.say() {
        let mut piece = piece.to_vec();
        assert!(piece.len() <= PIECE_BYTES);
        echo(&mut piece);
        talk.room().copy_from_slice(&piece);
        talk.hear();
    }
    talk.hear_end(0);
    talk.outcome()
}

fn job(messages: u64, bytes: usize) -> Job {
    Job {
        connections: 1,
        messages,
        bytes,
        address: None,
    }
}

fn checked(job: &Job, talk: Outcome) -> Result<(), WrongAnswer> {
    let open = Open::default();
    open.opened();
    job.check(&open.outcome([talk]))
}

proptest! {
    #[test]
    fn a_true_echo_is_right_and_a_changed_byte_is_found(
        messages in 1u64..4,
        bytes in prop_oneof![1usize..40, 16_380usize..16_390, Just(40_000)],
        at in 0usize..200_000,
    ) {
        let job = job(messages, bytes);
        let true_echo = talk(&job, 0, |_| ());
        prop_assert!(checked(&job, true_echo).is_ok());

        let mut left = at % job.bytes_each() as usize;
        let changed = talk(&job, 0, |piece| {
            match piece.get_mut(left) {
                Some(byte) => {
                    *byte ^= 1;
                    left = usize::MAX;
                }
                None => left = left.saturating_sub(piece.len()),
            }
        });
        prop_assert_eq!(changed.wrong, 1);
        prop_assert!(checked(&job, changed).is_err());
    }
}

#[test]
fn nothing_but_the_echo_passes_for_it() {
    let job = job(3, 64);
    // What another message or another connection said.
    let mut said = Vec::new();
    for connection in 0..2 {
        talk(&job, connection, |piece| said.push(piece.clone()));
    }
    for (at, one) in said.iter().enumerate() {
        assert!(said[at + 1..].iter().all(|other| other != one), "{said:?}");
    }
    // What the client itself has left in its buffer.
    let mut unread = Talk::new(&job, 0);
    while unread.say().is_some() {
        unread.room();
        unread.hear();
    }
    assert!(unread.outcome().wrong > 100);
    // One byte too many.
    let mut longer = Talk::new(&job, 0);
    longer.hear_end(1);
    assert_eq!(longer.outcome().wrong, 1);
}

#[test]
fn connections_count_while_they_are_open() {
    let open = Open::default();
    let job = Job {
        connections: 2,
        ..job(1, 1)
    };
    let talks = || [0, 1].map(|connection| talk(&job, connection, |_| ()));
    for _ in 0..2 {
        open.opened();
        open.closed();
    }
    assert_eq!(open.outcome(talks()).connections, 1);
    open.reset();
    open.opened();
    open.opened();
    job.check(&open.outcome(talks())).expect("both at once");
}
