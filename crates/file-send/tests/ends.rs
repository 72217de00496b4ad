//! Both ends, with cuts and flips in every place.

mod wire;

use std::fs;
use std::sync::Arc;

use file_send::{Error, Outgoing, PIECE_BYTES, Receiver, Secret, Sender};
use proptest::prelude::*;

use wire::{Fate, Place, meet};

/// Bytes that differ from place to place.
fn content(bytes: usize) -> Vec<u8> {
    (0..bytes as u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

/// What a file costs on top of its bytes, at most.
const FRAMES: usize = 1024;

#[test]
fn a_file_arrives_whole_and_once() {
    for bytes in [
        0,
        1,
        4096,
        PIECE_BYTES - 1,
        PIECE_BYTES,
        PIECE_BYTES + 1,
        1_000_000,
    ] {
        let place = Place::new();
        let content = content(bytes);
        let met = place.meet(place.file("a", &content), Fate::default());
        let got = met.sender.expect("acknowledged");
        met.receiver.expect("received");
        assert_eq!(
            (got.bytes, got.synced, got.before),
            (bytes as u64, true, false)
        );
        assert_eq!(fs::read(place.received("a")).expect("a file"), content);
        assert!(met.bytes.0 <= bytes + FRAMES, "{:?}", met.bytes);

        // Once more: the receiver has it, and no bytes of it are sent.
        let met = place.meet(place.file("a", &content), Fate::default());
        assert!(met.sender.expect("acknowledged").before);
        assert!(met.bytes.0 <= FRAMES, "{:?}", met.bytes);
    }
}

#[test]
fn a_cut_after_every_byte_costs_no_byte_twice() {
    const BYTES: usize = 300;
    let content = content(BYTES);
    let whole = {
        let place = Place::new();
        place.meet(place.file("a", &content), Fate::default()).bytes
    };
    for cut in 0..whole.0 {
        let place = Place::new();
        let fate = Fate {
            cut: Some(cut),
            ..Fate::default()
        };
        let (ended, bytes) = place.send(place.file("a", &content), &[fate]);
        ended.expect("acknowledged");
        assert_eq!(fs::read(place.received("a")).expect("a file"), content);
        assert!(bytes <= BYTES + 2 * FRAMES, "{bytes} after {cut}");
        assert_eq!(place.names(), ["a"]);
    }
    for cut in 0..whole.1 {
        let place = Place::new();
        let fate = Fate {
            cut_back: Some(cut),
            ..Fate::default()
        };
        let (ended, _) = place.send(place.file("a", &content), &[fate]);
        ended.expect("acknowledged");
        assert_eq!(fs::read(place.received("a")).expect("a file"), content);
    }
}

#[test]
fn every_flipped_bit_is_found_and_the_file_arrives() {
    const BYTES: usize = 40;
    let content = content(BYTES);
    let whole = {
        let place = Place::new();
        place.meet(place.file("a", &content), Fate::default()).bytes
    };
    let place = Place::new();
    let mut ways = Vec::new();
    for flip in 0..8 * whole.0 {
        ways.push(Fate {
            flip: Some(flip),
            ..Fate::default()
        });
    }
    for flip in 0..8 * whole.1 {
        ways.push(Fate {
            flip_back: Some(flip),
            ..Fate::default()
        });
    }
    for (number, fate) in ways.into_iter().enumerate() {
        let name = format!("a{number}");
        let met = place.meet(place.file(&name, &content), fate);
        let text = format!("{fate:?}: {:?} and {:?}", met.sender, met.receiver);
        // A flip after the last word is of no consequence to the file, and still found.
        let found = met.sender.is_err() || met.receiver.is_err();
        let is_last = fate.flip.is_some_and(|flip| flip / 8 >= whole.0 - 24);
        assert!(
            found || fate.flip_back.is_some() && met.bytes.1 != whole.1,
            "{text}"
        );
        if !is_last {
            let error = met.sender.as_ref().expect_err(&text);
            assert!(error.is_passing(), "{text}");
        }
        let mut file = met.file;
        if let file_send::Next::Again(_) = file.ended(met.sender) {
            place.send(file, &[]).0.expect("acknowledged");
        }
        assert_eq!(fs::read(place.received(&name)).expect("a file"), content);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_the_cuts_and_pieces_the_file_is_right(
        bytes in 0..3 * PIECE_BYTES,
        cuts in proptest::collection::vec((0..2 * PIECE_BYTES, any::<bool>(), 1..5000_usize), 0..6),
        restart in any::<bool>(),
    ) {
        let mut place = Place::new();
        let content = content(bytes);
        let mut file = place.file("a", &content);
        let mut sent = 0;
        for &(cut, back, piece) in &cuts {
            let cut_there = (!back).then_some(cut);
            let cut_back = back.then_some(cut % 200);
            let met = place.meet(file, Fate { cut: cut_there, cut_back, piece, ..Fate::default() });
            sent += met.bytes.0;
            file = met.file;
            prop_assert!(place.names().len() <= 1);
            if restart {
                place = place.reopen();
            }
        }
        let (ended, more) = place.send(file, &[]);
        prop_assert!(ended.is_ok(), "{:?}", ended);
        prop_assert_eq!(fs::read(place.received("a")).expect("a file"), content);
        // Each cut costs its frames, and at a restart nothing more.
        prop_assert!(sent + more <= bytes + (cuts.len() + 1) * FRAMES, "{sent} and {more}");
    }
}

#[test]
fn another_secret_is_refused_at_both_ends() {
    let place = Place::new();
    let other = Secret::new(*b"another one of 24 bytes ").expect("enough bytes");
    let sender = Sender::new(&other, file_send::Path::Copy, &Arc::default());
    let receiver = Receiver::new(&place.secret, &place.inbox);
    let met = meet(
        sender,
        receiver,
        place.file("a", b"text"),
        Fate::default(),
        |_| {},
    );
    assert_eq!(met.sender, Err(Error::Secret));
    assert_eq!(met.receiver, Err(Error::Secret));
    assert!(place.names().is_empty());
    assert_eq!(Secret::new(*b"too short"), None);
}

#[test]
fn names_that_leave_or_hide_are_refused_and_the_connection_goes_on() {
    let place = Place::new();
    for name in [
        "../a",
        "/etc/a",
        "..",
        "a/b",
        ".bashrc",
        ".paces-download",
        "",
        "a\nb",
        "con",
    ] {
        let file = place.file("a", b"text");
        let path = file.path.clone();
        let met = place.meet(Outgoing::new(0, path, name.to_owned()), Fate::default());
        let error = met.sender.expect_err(name);
        assert!(matches!(error, Error::Refused(_)), "{name}: {error}");
        assert_eq!(met.receiver, Ok(()), "{name}");
    }
    assert!(place.names().is_empty());
    // One that is longer than a frame may be.
    let file = place.file("a", b"text");
    let met = place.meet(
        Outgoing::new(0, file.path, "a".repeat(2000)),
        Fate::default(),
    );
    assert!(
        matches!(met.sender, Err(Error::Source(_))),
        "{:?}",
        met.sender
    );
}

#[test]
fn other_content_of_the_same_name_is_begun_anew_or_refused() {
    let place = Place::new();
    let (one, other) = (content(1000), vec![7; 1000]);
    let fate = Fate {
        cut: Some(700),
        ..Fate::default()
    };
    let met = place.meet(place.file("a", &one), fate);
    assert!(met.sender.is_err());
    let (ended, bytes) = place.send(place.file("a", &other), &[]);
    ended.expect("acknowledged");
    assert!(bytes >= 1000, "{bytes}: all of it is sent");
    assert_eq!(fs::read(place.received("a")).expect("a file"), other);
    // What is whole is not replaced.
    let (ended, _) = place.send(place.file("a", &one), &[]);
    assert!(matches!(ended, Err(Error::Refused(_))), "{ended:?}");
    assert_eq!(fs::read(place.received("a")).expect("a file"), other);
}

#[test]
fn a_source_that_changes_fails_and_leaves_no_file() {
    for bytes in [0, 3 * PIECE_BYTES] {
        let place = Place::new();
        let file = place.file("a", &content(3 * PIECE_BYTES));
        let path = file.path.clone();
        let sender = Sender::new(&place.secret, file_send::Path::Copy, &Arc::default());
        let receiver = Receiver::new(&place.secret, &place.inbox);
        let mut is_changed = false;
        let met = meet(sender, receiver, file, Fate::default(), |sent| {
            // After it was offered.
            if sent > 300 && !is_changed {
                is_changed = true;
                fs::write(&path, vec![1; bytes]).expect("another file");
            }
        });
        let error = met.sender.expect_err("it has changed");
        assert!(error.to_string().contains("changed while"), "{error}");
        assert!(error.is_of_one_file());
        assert!(place.names().is_empty());
        let mut file = met.file;
        assert!(matches!(file.ended(Err(error)), file_send::Next::Failed(_)));
    }
}

#[test]
fn what_another_connection_receives_is_not_touched() {
    let place = Place::new();
    let content = content(2 * PIECE_BYTES);
    let sender = Sender::new(&place.secret, file_send::Path::Copy, &Arc::default());
    let receiver = Receiver::new(&place.secret, &place.inbox);
    let mut second = None;
    let file = place.file("a", &content);
    let met = meet(sender, receiver, file.clone(), Fate::default(), |sent| {
        if sent > PIECE_BYTES && second.is_none() {
            second = Some(place.meet(file.clone(), Fate::default()).sender);
        }
    });
    met.sender.expect("acknowledged");
    assert_eq!(second, Some(Err(Error::Busy)));
    assert_eq!(fs::read(place.received("a")).expect("a file"), content);
}
