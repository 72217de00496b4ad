//! The directory: what a run leaves there, however it ends, and what the next
//! one makes of it. No network: what a server would send is pushed by hand.

mod common;

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use common::*;
use tempfile::TempDir;
use transfer::answer::Validator;
use transfer::journal::Record;
use transfer::list::Lines;
use transfer::{
    Finish, Key, Known, List, OpenError, Options, Part, STATE, Session, Sha, Store, Tally, Transfer,
};

#[test]
fn a_fresh_run_leaves_the_files_and_the_next_finds_them() {
    let at = directory();
    let into = at.path().join("new/er");
    let list = "http://h/a\nhttp://h/b\nhttp://h/a\nhttp://h/empty\n";
    let first = run(&into, list);
    assert_eq!(first.names(), ["a", "b", "empty"]);
    let tally = first.finish_all(|name| {
        if name == "empty" {
            vec![]
        } else {
            of_name(name)
        }
    });
    let expected = Tally {
        complete: 3,
        repeated: 1,
        listed: 4,
        list_ended: true,
        bytes: (of_name("a").len() + of_name("b").len()) as u64,
        ..Tally::default()
    };
    assert_eq!(tally, expected);
    assert_eq!(listing(&into), ["a", "b", "empty"]);
    assert_eq!(fs::read(into.join("a")).unwrap(), of_name("a"));
    assert_eq!(fs::read(into.join("empty")).unwrap(), b"");
    assert_eq!(parts(&into), 0);
    let mode = fs::metadata(into.join(STATE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    drop(first);

    let second = run(&into, list);
    assert_eq!(second.names(), [""; 0]);
    let tally = second.session.close().unwrap();
    assert_eq!(
        (tally.complete, tally.before, tally.bytes),
        (3, 3, expected.bytes)
    );
    assert!(second.seen.notes.lock().unwrap().is_empty());
}

#[test]
fn what_a_kill_leaves_is_gone_on_with() {
    let at = directory();
    let list = "http://h/a\nhttp://h/b\nhttp://h/c\nhttp://h/d\nhttp://h/e\n";
    let content = bytes(1, 100_000);
    let etag = tag(&content);
    let first = run(at.path(), list);
    // Named; whole, and not named; in the middle; in the middle, of what could
    // not be joined to; and not begun.
    first.finish(&first.wanted[0], &content, Some(&etag));
    first.session.commit().unwrap();
    first.finish(&first.wanted[1], &content, Some(&etag));
    let some = |at: usize, tag| first.fetch_some(first.wanted[at].clone(), &content, tag, 40_000);
    some(2, Some(etag.as_str())).unwrap();
    some(3, Some("W/\"weak\"")).unwrap();
    drop(first);
    assert_eq!(listing(at.path()), ["a"]);
    let decoded = at.path().join(STATE).join("0123456789abcdef.part.decoded");
    fs::write(&decoded, "half of what was gzipped").unwrap();

    let second = run(at.path(), list);
    assert!(!decoded.exists());
    assert_eq!(second.names(), ["c", "d", "e"]);
    let part = &second.wanted[0].part;
    assert_eq!((part.bytes, part.total), (40_000, Some(100_000)));
    assert_eq!(part.validator.strong(), Some(etag.as_str()));
    assert_eq!(second.wanted[1].part, Part::default());
    assert_eq!(second.wanted[2].part, Part::default());
    for transfer in &second.wanted {
        second.finish(transfer, &content, Some(&etag));
    }
    let tally = second.session.close().unwrap();
    assert_eq!((tally.complete, tally.before), (5, 1));
    for name in ["a", "b", "c", "d", "e"] {
        assert!(fs::read(at.path().join(name)).unwrap() == content, "{name}");
    }
    assert_eq!(parts(at.path()), 0);
}

#[test]
fn a_part_that_has_every_byte_wants_no_more() {
    let at = directory();
    let content = bytes(1, 50_000);
    let first = run(at.path(), A);
    let mut all = first.wanted[0].clone();
    let options = &first.session.options;
    let whole = head(200, content.len(), Some("\"x\""), None);
    all.answered(&whole, options, Instant::now(), SystemTime::now());
    let mut partial = first.session.parts().begin(&all, 0);
    partial.push(&content);
    partial.flush().unwrap();
    drop((first, partial));

    let second = run(at.path(), A);
    assert!(second.wanted[0].is_whole());
    second.finish(&second.wanted[0], &content, Some("\"x\""));
    second.session.close().unwrap();
    assert_eq!(fs::read(at.path().join("a")).unwrap(), content);
}

/// The file has changed, so it was begun again; then there was a kill, and the
/// file is as it was before. Nothing of both may be joined.
#[test]
fn states_of_a_file_are_not_joined_however_often_it_changes() {
    let (old, new) = (bytes(1, 100_000), bytes(2, 100_000));
    let (old_tag, new_tag) = (tag(&old), tag(&new));
    for new_tag in [Some(new_tag.as_str()), Some("W/\"weak\""), None] {
        for most in [0, 1, 39_999, 40_000, 70_000, 70_001] {
            let at = directory();
            let begun = |content: &[u8], tag, most| {
                let run = run(at.path(), A);
                run.fetch_some(run.wanted[0].clone(), content, tag, most)
                    .unwrap();
            };
            begun(&old, Some(old_tag.as_str()), 40_000);
            // The record of it alone is left.
            if most % 10_000 == 0 {
                fs::remove_file(part_path(at.path(), A)).unwrap();
            }
            begun(&new, new_tag, most);
            let last = run(at.path(), A);
            last.finish(&last.wanted[0], &old, Some(&old_tag));
            last.session.close().unwrap();
            assert!(
                fs::read(at.path().join("a")).unwrap() == old,
                "{new_tag:?} {most}"
            );
        }
    }
}

/// A file that was complete has been removed, and changed since; what there is
/// of it now is as long as all of it was.
#[test]
fn a_part_is_not_taken_for_the_whole_that_was() {
    for gone in [false, true] {
        let at = directory();
        let (old, new) = (bytes(1, 40_000), bytes(2, 100_000));
        let first = run(at.path(), A);
        first.finish(&first.wanted[0], &old, None);
        if gone {
            first.session.close().unwrap();
            fs::remove_file(at.path().join("a")).unwrap();
        } else {
            fs::remove_file(part_path(at.path(), A)).unwrap();
        }
        drop(first);
        let second = run(at.path(), A);
        second
            .fetch_some(second.wanted[0].clone(), &new, None, 40_000)
            .unwrap();
        drop(second);
        assert_eq!(fs::metadata(part_path(at.path(), A)).unwrap().len(), 40_000);
        let third = run(at.path(), A);
        assert_eq!(third.names(), ["a"]);
        assert_eq!(third.wanted[0].part, Part::default());
        third.finish(&third.wanted[0], &new, None);
        third.session.close().unwrap();
        assert_eq!(fs::read(at.path().join("a")).unwrap(), new);
    }
}

#[test]
fn what_the_journal_says_counts_only_while_it_is_there() {
    let at = directory();
    let content = bytes(1, 100_000);
    let etag = tag(&content);
    let list = "http://h/a\nhttp://h/b\nhttp://h/c\n";
    let first = run(at.path(), list);
    for (transfer, most) in first.wanted.iter().zip([40_000, 40_000, usize::MAX]) {
        let transfer = transfer.clone();
        first
            .fetch_some(transfer, &content, Some(&etag), most)
            .unwrap();
    }
    drop(first);
    // Gone; longer than it may be; shorter than all of it.
    fs::remove_file(part_path(at.path(), A)).unwrap();
    for (url, length) in [(B, 100_001), (C, 99_999)] {
        let part = fs::OpenOptions::new()
            .write(true)
            .open(part_path(at.path(), url));
        part.unwrap().set_len(length).unwrap();
    }
    let second = run(at.path(), list);
    assert_eq!(second.names(), ["a", "b", "c"]);
    for transfer in &second.wanted {
        assert_eq!(transfer.part, Part::default(), "{}", transfer.name);
        second.finish(transfer, &content, Some(&etag));
    }
    assert_eq!(second.session.close().unwrap().complete, 3);
    assert!(fs::read(at.path().join("c")).unwrap() == content);
}

/// A directory with a file under its name, a whole one under its key, and two in
/// the middle; its journal.
fn in_the_middle(at: &Path) -> Vec<u8> {
    let first = run(at, "http://h/b\nhttp://h/a\nhttp://h/c\nhttp://h/d\n");
    for (transfer, most) in first
        .wanted
        .iter()
        .zip([2000, usize::MAX, usize::MAX, 2000])
    {
        let content = bytes(transfer.name.as_bytes()[0], 5000);
        let tag = tag(&content);
        let finish = first.fetch_some(transfer.clone(), &content, Some(&tag), most);
        if let Some(Finish::Whole(file)) = finish.unwrap()
            && file.name == "a"
        {
            first.session.finished(file);
            first.session.commit().unwrap();
        }
    }
    fs::read(journal(at)).unwrap()
}

/// Whatever the store says of these files is true.
fn check_claims(at: &Path, what: &str) -> u64 {
    let store = Store::open(at).unwrap_or_else(|error| panic!("{what}: {error}"));
    for url in [A, B, C, "http://h/d"] {
        let mut entry = Lines::new(url.as_bytes()).next().unwrap().unwrap().unwrap();
        let content = bytes(entry.name.as_bytes()[0], 5000);
        let known = store.look_up(&mut entry).expect(what);
        let on_disk = || fs::read(part_path(at, url)).expect(what);
        match &known {
            Known::There(file) => {
                assert_eq!(
                    fs::read(at.join(&file.name)).expect(what),
                    content,
                    "{what}"
                );
            }
            Known::Finished(file) => {
                assert_eq!((file.bytes, on_disk()), (5000, content), "{what}");
            }
            Known::Wanted(part) if part.bytes > 0 => {
                assert_eq!(
                    part.validator.strong(),
                    Some(tag(&content).as_str()),
                    "{what}"
                );
                assert_eq!(part.total, Some(5000), "{what}");
                assert_eq!(on_disk(), content[..part.bytes as usize], "{what}");
            }
            Known::Wanted(part) => assert_eq!(*part, Part::default(), "{what}"),
            Known::Repeated | Known::Other(_) => panic!("{what}: {known:?}"),
        }
    }
    store.damaged()
}

#[test]
fn a_damaged_journal_costs_no_more_than_to_fetch_again() {
    let at = directory();
    let whole = in_the_middle(at.path());
    let lines = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(lines(&whole), 4);
    for length in 0..whole.len() {
        fs::write(journal(at.path()), &whole[..length]).unwrap();
        let damaged = check_claims(at.path(), &format!("cut at {length}"));
        let torn = length > 0 && whole[length - 1] != b'\n';
        assert_eq!(damaged, u64::from(torn), "cut at {length}");
    }
    for place in 0..whole.len() {
        let flip = [1, 0x20, 0x80][place % 3];
        let mut flipped = whole.clone();
        flipped[place] ^= flip;
        fs::write(journal(at.path()), &flipped).unwrap();
        let what = format!("{flip:#x} at {place}");
        let damaged = check_claims(at.path(), &what);
        // A checksum's digits mean the same in either case.
        let same = flip == 0x20 && flipped.eq_ignore_ascii_case(&whole);
        assert!(damaged > 0 || same, "{what}");
        // It is said once, and mended.
        assert_eq!(check_claims(at.path(), &what), 0, "{what}");
    }
    for rubbish in [&b"\n\n\n"[..], &[0; 100_000], &[b'x'; 40_000], b"\n\xff\n"] {
        for text in [[&whole[..], rubbish].concat(), [rubbish, &whole].concat()] {
            fs::write(journal(at.path()), text).unwrap();
            check_claims(at.path(), "rubbish");
        }
    }
}

#[test]
fn damage_is_told() {
    let at = directory();
    let mut whole = in_the_middle(at.path());
    whole[20] ^= 1;
    fs::write(journal(at.path()), whole).unwrap();
    let run = run(at.path(), A);
    let notes = run.seen.notes.lock().unwrap();
    assert!(
        notes.len() == 1 && notes[0].starts_with("the journal was damaged: 1 of"),
        "{notes:?}"
    );
}

/// The record that would say that the bytes are of another state is damaged: the
/// one before it is not believed any more.
#[test]
fn what_a_damaged_record_may_have_replaced_is_dropped() {
    let at = directory();
    let first = run(at.path(), A);
    for (seed, most) in [(1, 40_000), (2, 40_000)] {
        let content = bytes(seed, 100_000);
        first
            .fetch_some(
                first.wanted[0].clone(),
                &content,
                Some(&tag(&content)),
                most,
            )
            .unwrap();
    }
    drop(first);
    let mut text = fs::read(journal(at.path())).unwrap();
    let second = text.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    text[second] ^= 1;
    fs::write(journal(at.path()), text).unwrap();
    assert_eq!(run(at.path(), A).wanted[0].part, Part::default());
}

#[test]
fn a_torn_tail_is_not_written_on() {
    let at = directory();
    let whole = in_the_middle(at.path());
    fs::write(journal(at.path()), &whole[..whole.len() - 10]).unwrap();
    let list = "http://h/d\nhttp://h/e\n";
    let second = run(at.path(), list);
    assert_eq!(second.names(), ["d", "e"]);
    second.finish_all(|name| bytes(name.as_bytes()[0], 5000));
    drop(second);
    let third = run(at.path(), list);
    assert_eq!(third.names(), [""; 0]);
    assert!(third.seen.notes.lock().unwrap().is_empty());
}

#[test]
fn a_journal_is_made_small_and_keeps_what_was_said_last() {
    let at = directory();
    let content = bytes(1, 100_000);
    let etag = tag(&content);
    let list = "http://h/a\nhttp://h/b\n";
    let first = run(at.path(), list);
    let some = |transfer: &Transfer| {
        first
            .fetch_some(transfer.clone(), &content, Some(&etag), 40_000)
            .unwrap();
    };
    for _ in 0..1500 {
        some(&first.wanted[0]);
    }
    some(&first.wanted[1]);
    drop(first);
    let lines = || {
        fs::read_to_string(journal(at.path()))
            .unwrap()
            .lines()
            .count()
    };
    assert_eq!(lines(), 1501);
    let second = run(at.path(), list);
    assert_eq!(lines(), 2);
    for transfer in &second.wanted {
        assert_eq!(transfer.part.bytes, 40_000);
        second.finish(transfer, &content, Some(&etag));
    }
    second.session.close().unwrap();
    assert_eq!(lines(), 2);
    drop(second);
    assert_eq!(run(at.path(), list).names(), [""; 0]);
}

fn restart(at: &Path) {
    fs::write(at.join(STATE).join("lock"), "1 another-boot-id\n").unwrap();
}

#[test]
fn after_a_restart_only_what_was_synced_is_believed() {
    const MIB: usize = 1024 * 1024;
    let content = bytes(1, 40 * MIB);
    let etag = tag(&content);
    let list = "http://h/a\nhttp://h/b\nhttp://h/c\nhttp://h/d\n";
    for leave in [
        "another-boot-id",
        "nothing",
        "no lock",
        "rubbish",
        "this boot",
    ] {
        let at = directory();
        let first = run(at.path(), list);
        for (transfer, most) in first.wanted.iter().zip([36 * MIB, MIB, 40 * MIB]) {
            // Too little to be synced, and enough.
            let small = &content[..if most == 40 * MIB {
                1000
            } else {
                content.len()
            }];
            let finish = first
                .fetch_some(transfer.clone(), small, Some(&etag), most)
                .unwrap();
            assert_eq!(finish.is_some(), most == 40 * MIB);
        }
        first.finish(&first.wanted[3], &content[..1000], Some(&etag));
        first.session.commit().unwrap();
        drop(first);
        let lock = at.path().join(STATE).join("lock");
        match leave {
            "another-boot-id" => restart(at.path()),
            "nothing" => fs::write(lock, "").unwrap(),
            "no lock" => fs::remove_file(lock).unwrap(),
            "rubbish" => fs::write(lock, [0xff; 300]).unwrap(),
            _ => {}
        }
        let second = run(at.path(), list);
        let bytes: Vec<_> = second
            .wanted
            .iter()
            .map(|transfer| transfer.part.bytes)
            .collect();
        if leave == "this boot" {
            assert_eq!(bytes, [36 * MIB as u64, MIB as u64]);
            continue;
        }
        assert_eq!(second.names(), ["a", "b", "c"], "{leave}");
        assert!(
            bytes[0] >= 32 * MIB as u64 && bytes[0] <= 36 * MIB as u64,
            "{bytes:?}"
        );
        assert_eq!(bytes[1..], [0, 0], "{leave}");
        let part = fs::read(part_path(at.path(), A)).unwrap();
        assert!(part == content[..bytes[0] as usize]);
        second.finish(&second.wanted[0], &content, Some(&etag));
        second.session.close().unwrap();
        assert!(fs::read(at.path().join("a")).unwrap() == content);
    }
}

/// Who dies before it has done what a restart asks for has not done it.
#[test]
fn a_restart_is_remembered_until_it_is_dealt_with() {
    let at = directory();
    in_the_middle(at.path());
    restart(at.path());
    // A part that is in the way stops it half way.
    let planted = part_path(at.path(), "http://h/x");
    let record = Record::Part {
        key: Key::from_url("http://h/x"),
        part: Part {
            bytes: 5,
            ..Part::default()
        },
    };
    let mut text = fs::read(journal(at.path())).unwrap();
    text.extend(record.line().bytes());
    fs::write(journal(at.path()), text).unwrap();
    fs::write(&planted, "123456").unwrap();
    fs::hard_link(&planted, at.path().join("link")).unwrap();
    let error = Store::open(at.path()).unwrap_err().to_string();
    assert!(error.contains(".part: it is no plain file"), "{error}");
    fs::remove_file(planted).unwrap();
    let run = run(at.path(), "http://h/b\nhttp://h/d\n");
    assert!(run.wanted.iter().all(|transfer| transfer.part.bytes == 0));
}

#[test]
fn a_directory_has_one_owner_at_a_time() {
    let at = directory();
    let first = Store::open(at.path()).unwrap();
    match Store::open(at.path()) {
        Err(OpenError::Busy { path, owner }) => {
            assert_eq!(path, at.path().display().to_string());
            assert_eq!(owner, std::process::id().to_string());
        }
        other => panic!("{other:?}"),
    }
    // It has taken nothing away by trying.
    assert!(Store::open(at.path()).is_err());
    drop(first);
    Store::open(at.path()).unwrap();
}

#[test]
fn names_that_would_be_one_are_told_apart() {
    let at = directory();
    let list =
        "http://h/x/a.jpg\nhttp://h/y/a.jpg\nhttp://h/z/A.JPG\nhttp://h/q?1\tb\nhttp://h/q?2\tB\n";
    let first = run(at.path(), list);
    let names = first.names();
    let folded: std::collections::HashSet<_> =
        names.iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(folded.len(), 5, "{names:?}");
    assert_eq!((names[0].as_str(), names[3].as_str()), ("a.jpg", "b"));
    assert!(
        names[1].starts_with("a-") && names[1].ends_with(".jpg"),
        "{names:?}"
    );
    first.finish_all(of_name);
    for name in &names {
        assert_eq!(
            fs::read(at.path().join(name)).unwrap(),
            of_name(name),
            "{name}"
        );
    }
    drop(first);
    // In whatever order it is listed.
    let turned: Vec<_> = list.lines().rev().collect();
    let second = run(at.path(), &turned.join("\n"));
    assert_eq!(second.names(), [""; 0]);
    assert_eq!(second.session.close().unwrap().complete, 5);
    assert_eq!(listing(at.path()).len(), 5);
}

#[test]
fn what_has_the_name_stays_and_is_ours_if_it_is_the_same() {
    let at = directory();
    fs::write(at.path().join("a"), of_name("a")).unwrap();
    // As long, but another.
    fs::write(at.path().join("b"), bytes(99, of_name("b").len())).unwrap();
    fs::create_dir(at.path().join("c")).unwrap();
    let inode = |name: &str| fs::metadata(at.path().join(name)).unwrap().ino();
    let before = inode("a");
    let list = "http://h/a\nhttp://h/b\nhttp://h/c\n";
    let first = run(at.path(), list);
    assert_eq!(first.finish_all(of_name).complete, 3);
    assert_eq!(inode("a"), before);
    assert_eq!(
        fs::read(at.path().join("b")).unwrap(),
        bytes(99, of_name("b").len())
    );
    let names: Vec<_> = first
        .seen
        .names()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names.len(), 3);
    assert_eq!(names[0], "a");
    for (name, of) in names[1..].iter().zip(["b", "c"]) {
        assert!(name.starts_with(&format!("{of}-")), "{name}");
        assert_eq!(fs::read(at.path().join(name)).unwrap(), of_name(of));
    }
    assert_eq!(parts(at.path()), 0);
    drop(first);
    let second = run(at.path(), list);
    assert_eq!(second.names(), [""; 0]);
    let again: Vec<_> = second
        .seen
        .names()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(again, names);
}

/// Killed between the record and the name: what has the name by then, and is as
/// long, is not taken for it.
#[test]
fn something_as_long_under_the_name_is_not_the_file() {
    for step in ["noted", "noted again"] {
        let at = directory();
        let first = run(at.path(), B);
        let file = first.fetch(&first.wanted[0], &of_name("b"), None).unwrap();
        drop(first);
        fs::write(at.path().join("b"), bytes(99, of_name("b").len())).unwrap();
        if step == "noted again" {
            let name = transfer::name::distinct("b", file.key);
            let record = Record::Whole {
                key: file.key,
                bytes: file.bytes,
                sha256: None,
                name,
            };
            let mut text = fs::read(journal(at.path())).unwrap();
            text.extend(record.line().bytes());
            fs::write(journal(at.path()), text).unwrap();
        }
        let second = run(at.path(), B);
        assert_eq!(second.names(), [""; 0]);
        assert_eq!(second.session.close().unwrap().complete, 1);
        let names = listing(at.path());
        assert_eq!(names.len(), 2, "{names:?}");
        assert_eq!(fs::read(at.path().join(&names[1])).unwrap(), of_name("b"));
    }
    // And after a restart, when nothing is under the key any more.
    let at = directory();
    let first = run(at.path(), B);
    first.fetch(&first.wanted[0], &of_name("b"), None).unwrap();
    drop(first);
    fs::write(at.path().join("b"), bytes(99, of_name("b").len())).unwrap();
    restart(at.path());
    assert_eq!(run(at.path(), B).names(), ["b"]);
}

#[test]
fn when_both_names_are_taken_it_fails_and_says_so() {
    let at = directory();
    let other = transfer::name::distinct("a", Key::from_url(A));
    for name in ["a", &other] {
        fs::write(at.path().join(name), "else").unwrap();
    }
    let first = run(at.path(), A);
    let tally = first.finish_all(of_name);
    assert_eq!((tally.complete, tally.failed), (0, 1));
    let failed = first.seen.failed.lock().unwrap();
    assert!(
        failed[0]
            .1
            .contains("something else has the names a and a-"),
        "{failed:?}"
    );
    assert_eq!(parts(at.path()), 0);
}

/// Outside, with one file in it that nobody may touch.
struct Outside(TempDir, PathBuf);

fn outside() -> Outside {
    let at = directory();
    let victim = at.path().join("victim");
    fs::write(&victim, "mine").unwrap();
    Outside(at, victim)
}

impl Outside {
    fn check(&self, what: &str) {
        assert_eq!(fs::read(&self.1).unwrap(), b"mine", "{what}");
        assert_eq!(fs::read_dir(self.0.path()).unwrap().count(), 1, "{what}");
    }
}

#[test]
fn no_link_leads_outside() {
    let list: String = (0..30_000).map(|n| format!("http://h/{n}\n")).collect();
    for (planted, refused) in [
        ("a".to_owned(), false),
        (format!("{STATE}/{}.part", Key::from_url(A)), true),
        (format!("{STATE}/journal"), true),
        (format!("{STATE}/journal.new"), false),
        (format!("{STATE}/lock"), true),
        (format!("{STATE}/seen"), false),
    ] {
        for hard in [false, true] {
            let (at, outside) = (directory(), outside());
            let what = format!("{planted} {hard}");
            drop(Store::open(at.path()).unwrap());
            let link = at.path().join(&planted);
            let _ = fs::remove_file(&link);
            if hard {
                fs::hard_link(&outside.1, &link).unwrap()
            } else {
                symlink(&outside.1, &link).unwrap()
            }
            // Something to write anew.
            let damaged = planted.ends_with(".new");
            if damaged {
                fs::write(journal(at.path()), "rubbish\n").unwrap();
            }
            let all = format!(
                "{A}\n{}",
                if planted.ends_with("seen") { &list } else { "" }
            );
            let result = try_run(at.path(), &all).map_err(|error| error.to_string());
            let result = result.and_then(|run| {
                let finish = run.fetch_some(run.wanted[0].clone(), &of_name("a"), None, usize::MAX);
                match finish.map_err(|error| error.to_string())? {
                    Some(Finish::Whole(file)) => run.session.finished(file),
                    other => panic!("{other:?}"),
                };
                run.session.close().map_err(|error| error.to_string())
            });
            match (result, refused) {
                (Ok(tally), false) => assert_eq!(tally.complete, 1, "{what}"),
                (Err(error), true) => {
                    assert!(
                        error.starts_with(&*link.to_string_lossy()),
                        "{what}: {error}"
                    );
                }
                (other, _) => panic!("{what}: {other:?}"),
            }
            outside.check(&what);
        }
    }
    let (at, outside) = (directory(), outside());
    symlink(outside.0.path(), at.path().join(STATE)).unwrap();
    let error = Store::open(at.path()).unwrap_err().to_string();
    assert!(
        error.starts_with(&*at.path().join(STATE).to_string_lossy()),
        "{error}"
    );
    outside.check("the bookkeeping's directory");
}

#[test]
fn no_name_in_a_journal_leads_outside() {
    let (at, outside) = (directory(), outside());
    let outside_name = outside.0.path().file_name().unwrap().to_str().unwrap();
    for name in [
        format!("../{outside_name}/new"),
        "..".to_owned(),
        format!("{STATE}/x"),
    ] {
        Store::open(at.path()).unwrap();
        fs::write(part_path(at.path(), A), "12345").unwrap();
        let record = Record::Whole {
            key: Key::from_url(A),
            bytes: 5,
            sha256: None,
            name: name.clone(),
        };
        fs::write(journal(at.path()), record.line()).unwrap();
        let run = run(at.path(), A);
        assert_eq!(run.names(), ["a"]);
        run.finish_all(of_name);
        outside.check(&name);
        fs::remove_file(at.path().join("a")).unwrap();
    }
}

#[test]
fn a_long_list_leaves_memory_and_repetitions_are_found() {
    let at = directory();
    let mut list = String::new();
    for n in 0..30_000 {
        list.push_str(&format!("http://h/{n}/image.jpg\n"));
    }
    let again: String = list
        .lines()
        .step_by(7)
        .map(|line| format!("{line}\n"))
        .collect();
    let run = run(at.path(), &(list + &again));
    let names: std::collections::HashSet<_> = run.names().into_iter().collect();
    assert_eq!(names.len(), 30_000);
    assert_eq!(run.session.tally().repeated, 30_000_u64.div_ceil(7));
    // The file that this took has no name.
    assert_eq!(fs::read_dir(at.path().join(STATE)).unwrap().count(), 2);
}

#[test]
fn digests_are_checked_and_what_is_wrong_is_kept_aside() {
    let at = directory();
    let (right, wrong) = (bytes(1, 100_000), bytes(2, 100_000));
    let list = format!(
        "{A}\tsha256={0}\n{B}\tsha256={0}\n{C}\tsha256={0}\n",
        sha(&right)
    );
    // With a first part from an earlier run, right and wrong, and without.
    let first = run(at.path(), &list);
    for (transfer, content) in first.wanted[..2].iter().zip([&right, &wrong]) {
        first
            .fetch_some(transfer.clone(), content, Some("\"x\""), 40_000)
            .unwrap();
    }
    drop(first);
    // Somebody else's.
    fs::write(at.path().join("c.sha256-mismatch"), "mine").unwrap();
    let second = run(at.path(), &list);
    assert_eq!(second.wanted[1].part.bytes, 40_000);
    second.finish(&second.wanted[0], &right, Some("\"x\""));
    // The rest of it is right: what is wrong is what was there.
    second.finish(&second.wanted[1], &right, Some("\"x\""));
    second.finish(&second.wanted[2], &wrong, Some("\"x\""));
    let tally = second.session.close().unwrap();
    assert_eq!((tally.complete, tally.failed), (1, 2));
    let c = transfer::name::aside(&transfer::name::distinct("c", Key::from_url(C)));
    let expected = vec![
        "a".to_owned(),
        "b.sha256-mismatch".to_owned(),
        c.clone(),
        "c.sha256-mismatch".to_owned(),
    ];
    let mut sorted = expected.clone();
    sorted.sort();
    assert_eq!(listing(at.path()), sorted);
    assert_eq!(
        fs::read(at.path().join("c.sha256-mismatch")).unwrap(),
        b"mine"
    );
    assert!(fs::read(at.path().join(&c)).unwrap() == wrong);
    let failed = second.seen.failed.lock().unwrap().clone();
    assert_eq!(
        failed[1].1,
        format!("its SHA-256 is {}: kept as {c}", sha(&wrong))
    );
    drop(second);

    // They are wanted again; and what is there is not hashed again in vain.
    let third = run(at.path(), &list);
    assert_eq!(third.names(), ["b", "c"]);
    assert!(
        third
            .wanted
            .iter()
            .all(|transfer| transfer.part == Part::default())
    );
    for transfer in &third.wanted {
        third.finish(transfer, &right, None);
    }
    assert_eq!(third.session.close().unwrap().complete, 3);
}

#[test]
fn a_digest_that_the_list_says_later_is_checked_of_what_is_there() {
    let at = directory();
    let list = format!("{A}\n{B}\n");
    let first = run(at.path(), &list);
    // The first is under its name, the second under its key.
    first.finish(&first.wanted[0], &of_name("a"), None);
    first.session.commit().unwrap();
    first.fetch(&first.wanted[1], &of_name("b"), None);
    drop(first);
    let with = |a: Sha, b: Sha| format!("{A}\tsha256={a}\n{B}\tsha256={b}\n");
    let (a, b) = (sha(&of_name("a")), sha(&of_name("b")));
    let second = run(at.path(), &with(sha(b"x"), sha(b"x")));
    assert_eq!(second.names(), ["b"]);
    let failed = second.seen.failed.lock().unwrap().clone();
    assert_eq!(
        failed,
        [(
            "a".to_owned(),
            format!("a is there already, and its SHA-256 is {a}")
        )]
    );
    drop(second);
    let third = run(at.path(), &with(a, b));
    assert_eq!(third.names(), ["b"]);
    third.finish(&third.wanted[0], &of_name("b"), None);
    assert_eq!(third.session.close().unwrap().complete, 2);
}

#[test]
fn files_get_their_names_in_groups() {
    let list: String = (0..300).map(|n| format!("http://h/{n}\n")).collect();
    // A group that waits for half a second gets its names, too: on a busy disk, a few tries.
    let in_time = |_| {
        let at = directory();
        let began = Instant::now();
        let first = run(at.path(), &list);
        for transfer in &first.wanted {
            first.finish(transfer, &of_name(&transfer.name), None);
        }
        let (named, is_due) = (listing(at.path()).len(), first.session.is_due());
        let is_in_time = began.elapsed() < Duration::from_millis(500);
        is_in_time.then_some((at, first, named, is_due))
    };
    let (at, first, named, is_due) = (0..10).find_map(in_time).expect("a disk with some time");
    assert_eq!(named, 256);
    assert!(!is_due);
    std::thread::sleep(Duration::from_millis(1100));
    assert!(first.session.is_due());
    first.session.commit().unwrap();
    assert_eq!(listing(at.path()).len(), 300);
    assert!(!first.session.is_due());
    first.session.commit().unwrap();
    assert_eq!(first.session.close().unwrap().complete, 300);
}

/// One file cannot get its name: the others wait, and none is lost.
#[test]
fn what_a_failed_commit_leaves_is_named_by_the_next() {
    let at = directory();
    let list: String = (0..10).map(|n| format!("http://h/{n}\n")).collect();
    let first = run(at.path(), &list);
    for transfer in &first.wanted {
        first.finish(transfer, &of_name(&transfer.name), None);
    }
    let part = part_path(at.path(), "http://h/5");
    let away = at.path().join(STATE).join("away");
    fs::rename(&part, &away).unwrap();
    let error = first.session.commit().unwrap_err();
    assert_eq!(error.path, at.path().join("5"));
    assert_eq!(listing(at.path()).len(), 5);
    fs::rename(&away, &part).unwrap();
    first.session.commit().unwrap();
    let tally = first.session.close().unwrap();
    assert_eq!((tally.complete, listing(at.path()).len()), (10, 10));
}

#[test]
fn a_list_is_read_once_and_as_far_as_asked() {
    let at = directory();
    let session = Session::open(
        at.path(),
        List::Text("http://h/a\n\nhttp://h/b\n# x\nhttp://h/c".into()),
        Options::default(),
        Arc::new(Seen::default()),
    )
    .unwrap();
    let read = |most| {
        let some = session.read_list(most).unwrap();
        some.map(|some| some.into_iter().map(|one| one.name).collect::<Vec<_>>())
    };
    // None would mean the end.
    assert_eq!(read(0).unwrap(), ["a"]);
    assert!(!session.tally().list_ended);
    assert_eq!(read(9).unwrap(), ["b"]);
    assert_eq!(read(9).unwrap(), ["c"]);
    assert_eq!(read(9), None);
    assert_eq!(read(9), None);
    assert!(session.tally().list_ended);
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    for path in ["/proc/paces", "/dev/null/paces"] {
        let error = Store::open(Path::new(path)).unwrap_err();
        assert!(error.to_string().starts_with(path), "{error}");
    }
    let at = directory();
    let file = at.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::open(&file).unwrap_err();
    assert!(
        error.to_string().starts_with(&*file.to_string_lossy()),
        "{error}"
    );
}

#[test]
fn another_process_that_goes_on_sees_what_there_is() {
    let at = directory();
    let run = run(at.path(), &format!("{A}\n{B}\n{C}\n"));
    let content = bytes(1, 50_000);
    let child = Arc::new(transfer::Parts::open(at.path()).unwrap());
    for (transfer, tag) in run.wanted.iter().zip([Some("\"x\""), None, Some("\"x\"")]) {
        let mut transfer = transfer.clone();
        let head = head(200, content.len(), tag, None);
        let options = &run.session.options;
        transfer.answered(&head, options, Instant::now(), SystemTime::now());
        let mut partial = child.begin(&transfer, 0);
        partial.push(&content[..40_000]);
        partial.flush().unwrap();
        if transfer.name == "c" {
            partial.push(&content[40_000..]);
            partial.finish().unwrap();
        }
    }
    // The child is dead; half a line of another's is being written just now.
    let text = fs::OpenOptions::new()
        .append(true)
        .open(journal(at.path()))
        .unwrap();
    (&text).write_all_line("01234567 part");
    let part = |at: usize| run.session.part_of(&run.wanted[at]).unwrap();
    assert_eq!((part(0).bytes, part(0).total), (40_000, Some(50_000)));
    assert_eq!(part(1), Part::default());
    let whole = Part {
        bytes: 50_000,
        total: Some(50_000),
        validator: Validator::default(),
    };
    assert_eq!(part(2), whole);
    // Nobody cut that off.
    let mut end = [0; 13];
    let length = text.metadata().unwrap().len();
    let text = fs::File::open(journal(at.path())).unwrap();
    text.read_exact_at(&mut end, length - 13).unwrap();
    assert_eq!(&end, b"01234567 part");
}
