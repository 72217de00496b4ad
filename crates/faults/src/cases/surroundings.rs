//! What the program is run in: fault 34.

use nix::sys::signal::Signal::{SIGHUP, SIGINT};

use crate::case::{
    Action, Case,
    Content::Body,
    Expect::{Asked, Says, StopsWithin, Within},
    RIGHT, When, Wrapper, case, exits,
};

/// As `nohup` does it.
const NOHUP: Wrapper = shell(r#"trap '' HUP; exec "$@""#);
/// No file may be larger than 100 blocks, of 512 or 1,024 bytes.
const SMALL_FILES: Wrapper = shell(r#"ulimit -f 100; exec "$@""#);
const FULL_OUTPUT: Wrapper = shell(r#"exec "$@" > /dev/full"#);
/// Standard output is a pipe whose reader has closed it.
const CLOSED_OUTPUT: Wrapper = shell(
    r#"
        code="$DIR/../own/code"
        { sleep 0.3; "$@"; echo $? > "$code"; } | exec 0<&-
        read -r code < "$code"; exit "$code"
    "#,
);

const fn shell(script: &'static str) -> Wrapper {
    Wrapper {
        mounts: false,
        script,
    }
}

pub(super) fn cases() -> Vec<Case> {
    let slow = "{slow-once}/a.bin";
    vec![
        case(34, "nohup", "a signal that is ignored stays ignored")
            .list(slow)
            .run(
                exits(0)
                    .wrapper(NOHUP)
                    .meanwhile(When::Sent(20_000), Action::SignalAll(SIGHUP))
                    .file("a.bin", RIGHT)
                    .and(Asked(1)),
            ),
        case(34, "hangup", "and one that is not ends it")
            .list(slow)
            .run(
                exits(130)
                    .meanwhile(When::Sent(20_000), Action::SignalAll(SIGHUP))
                    .and(StopsWithin(1.0)),
            ),
        case(34, "nohup-interrupted", "the others still end it")
            .list(slow)
            .run(
                exits(130)
                    .wrapper(NOHUP)
                    .meanwhile(When::Sent(20_000), Action::SignalAll(SIGINT))
                    .and(StopsWithin(1.0)),
            ),
        case(34, "file-size-limit", "exit 3, and why")
            .list("{right}/a.bin?bytes=1000000")
            .run(
                exits(3)
                    .wrapper(SMALL_FILES)
                    .and(Says("File too large"))
                    .and(Within(10.0)),
            ),
        case(34, "full-output", "exit 3, and why; the files are there")
            .list("{right}/a.bin\n{right}/b.bin")
            .run(
                exits(3)
                    .wrapper(FULL_OUTPUT)
                    .files(&["a.bin", "b.bin"], RIGHT)
                    .and(Says("No space left")),
            ),
        case(34, "closed-output", "exit 3, and why; the files are there")
            .list("{right}/a.bin\n{right}/b.bin")
            .run(
                exits(3)
                    .wrapper(CLOSED_OUTPUT)
                    .files(&["a.bin", "b.bin"], RIGHT)
                    .and(Says("Broken pipe")),
            ),
        case(
            34,
            "list-stays-open",
            "a file has its name before the list goes on",
        )
        .run(
            exits(0)
                .by_stdin()
                .meanwhile(When::Now, Action::Say("{right}/a.bin?bytes=10\n"))
                .meanwhile(
                    When::There("a.bin"),
                    Action::Say("{right}/b.bin?bytes=10\n"),
                )
                .meanwhile(When::There("b.bin"), Action::Close)
                .files(&["a.bin", "b.bin"], Body(1, 10))
                .and(Asked(2))
                .and(Within(10.0)),
        ),
    ]
}
