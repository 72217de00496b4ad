//! Kills, interrupts and what is left of the bookkeeping: fault 24.

use nix::sys::signal::Signal::{SIGINT, SIGKILL, SIGTERM};

use crate::case::{
    Action, CHANGED, Case,
    Content::Body,
    Expect::{Asked, AskedAtMost, ContinuesFrom, Says},
    RIGHT, Setup, When, Wrapper, case, exits, is_interrupted, is_killed,
};

/// Bytes of a file that comes slowly at first.
const LARGE: usize = 400_000;
/// When so much of it was sent, some is on the disk.
const SOME: u64 = 120_000;
/// What is on the disk then, at least.
const SOME_ON_DISK: u64 = 32 * 1024;

/// Another process has the lock, and is about to end.
const LOCKED_FOR_A_MOMENT: Wrapper = Wrapper {
    mounts: false,
    script: r#"
        mkdir -p "$DIR/.paces-download"
        exec 9> "$DIR/.paces-download/lock"; flock 9 || exit 99
        sleep 0.4 & exec 9>&-
        exec "$@"
    "#,
};

pub(super) fn cases() -> Vec<Case> {
    let large = "{slow-once}/a.bin?bytes=400000";
    let goes_on = || {
        exits(0)
            .file("a.bin", Body(1, LARGE))
            .and(Asked(1))
            .and(ContinuesFrom(SOME_ON_DISK))
    };
    let three = "{right}/a.bin\n{right}/b.bin\n{right}/c.bin\n";
    let all_three = || exits(0).files(&["a.bin", "b.bin", "c.bin"], RIGHT);
    vec![
        case(24, "interrupted", "exit 130 within a second, and continued")
            .list(large)
            .run(is_interrupted().meanwhile(When::Sent(SOME), Action::SignalAll(SIGINT)))
            .run(goes_on()),
        case(
            24,
            "interrupted-alone",
            "the same if only the program gets the signal",
        )
        .list(large)
        .run(is_interrupted().meanwhile(When::Sent(SOME), Action::Signal(SIGINT)))
        .run(goes_on()),
        case(24, "terminated", "the same by SIGTERM")
            .list(large)
            .run(is_interrupted().meanwhile(When::Sent(SOME), Action::Signal(SIGTERM)))
            .run(goes_on()),
        case(24, "interrupted-while-it-waits", "whatever it waits for")
            .list(
                "{stall-headers}/a.bin\n{stall-midway}/b.bin\n{FULL BACKLOG}/c.bin\n{drip}/d.bin\n\
                 {always-500}/e.bin\n{retry-after-far}/f.bin\n",
            )
            .with("--limit", 8)
            .with("--backoff", 60)
            .with("--max-backoff", 60)
            .run(is_interrupted().meanwhile(When::After(3.0), Action::SignalAll(SIGINT))),
        case(
            24,
            "interrupted-before-the-list",
            "also while it waits for the list",
        )
        .list("")
        .run(
            is_interrupted()
                .by_stdin()
                .meanwhile(When::After(2.0), Action::SignalAll(SIGINT)),
        ),
        case(24, "killed", "continued")
            .list(large)
            .run(is_killed().meanwhile(When::Sent(SOME), Action::SignalAll(SIGKILL)))
            .run(goes_on()),
        case(24, "killed-alone", "what it has started ends by itself")
            .list(large)
            .run(is_killed().meanwhile(When::Sent(SOME), Action::Signal(SIGKILL)))
            .run(goes_on()),
        case(24, "killed-at-once", "begun again")
            // Slow: on a busy machine, "at once" can be late.
            .list("{slow-once}/a.bin")
            .run(is_killed().meanwhile(When::Now, Action::Signal(SIGKILL)))
            .run(exits(0).files(&["a.bin"], RIGHT)),
        case(24, "lock-of-the-dying", "waited for")
            .list(three)
            .run(all_three().wrapper(LOCKED_FOR_A_MOMENT).and(Asked(3))),
        //
        case(24, "nothing-left-to-do", "nothing is asked for again")
            .list(three)
            .run(all_three().and(Asked(3)))
            .run(all_three().and(Asked(0))),
        case(24, "file-deleted", "fetched again, and it alone")
            .list(three)
            .run(all_three())
            .setup(Setup::Gone("b.bin"))
            .run(all_three().and(Asked(1))),
        case(24, "journal-flipped", "a note, and at most that file again")
            .list(three)
            .run(all_three())
            .setup(Setup::JournalFlipped)
            .run(all_three().and(AskedAtMost(1)).and(Says("journal")))
            .run(all_three().and(Asked(0))),
        case(24, "journal-torn", "a note, and at most that file again")
            .list(three)
            .run(all_three())
            .setup(Setup::JournalTorn)
            .run(all_three().and(AskedAtMost(1)).and(Says("journal")))
            .run(all_three().and(Asked(0))),
        case(24, "journal-garbage", "a note, and nothing again")
            .list(three)
            .run(all_three())
            .setup(Setup::JournalGarbage)
            .run(all_three().and(Asked(0)).and(Says("journal"))),
        case(24, "journal-gone", "the same files by the same names")
            .list(three)
            .run(all_three())
            .setup(Setup::Gone(".paces-download/journal"))
            .run(all_three())
            .run(all_three().and(Asked(0))),
        case(24, "journal-flipped-midway", "begun again, never spliced")
            .list("{changed-etag}/a.bin")
            .with("--retries", 0)
            .run(exits(1))
            .setup(Setup::JournalFlipped)
            .run(exits(0).file("a.bin", CHANGED).and(Asked(1))),
        case(24, "partial-file-cut", "continued from what is left of it")
            .list("{close-midway}/a.bin")
            .with("--retries", 0)
            .run(exits(1))
            .setup(Setup::PartsOf(1000))
            .run(
                exits(0)
                    .file("a.bin", RIGHT)
                    .and(Asked(1))
                    .and(ContinuesFrom(1000)),
            ),
        case(24, "partial-file-too-long", "begun again")
            .list("{close-midway}/a.bin")
            .with("--retries", 0)
            .run(exits(1))
            .setup(Setup::PartsOf(200_000))
            .run(exits(0).file("a.bin", RIGHT).and(Asked(1))),
    ]
}
