//! Which host and which connection a request goes to: faults 32 and 33.

use super::answers::numbered;
use crate::case::{
    Action, Case,
    Content::Body,
    Expect::{Asked, NotBefore, Pause, Says, Within},
    RIGHT, When, Wrapper, case, exits,
};

/// A name with two addresses, the first of which does not answer.
const TWO_ADDRESSES: Wrapper = Wrapper {
    mounts: true,
    script: r#"
        mkdir -p "$DIR" && printf '::1 two.test\n127.0.0.1 two.test\n' > "$DIR/../own/hosts"
        mount --bind "$DIR/../own/hosts" /etc/hosts || exit 99
        exec "$@"
    "#,
};
/// A name with that address alone.
const DEAD_ADDRESS: Wrapper = Wrapper {
    mounts: true,
    script: r#"
        mkdir -p "$DIR" && printf '::1 two.test\n' > "$DIR/../own/hosts"
        mount --bind "$DIR/../own/hosts" /etc/hosts || exit 99
        exec "$@"
    "#,
};

/// Name lookups never end.
const NO_NAMES: Wrapper = Wrapper {
    mounts: true,
    script: r#"
        mkdir -p "$DIR" && mkfifo "$DIR/../own/hosts"
        mount --bind "$DIR/../own/hosts" /etc/hosts || exit 99
        exec "$@"
    "#,
};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(32, "redirect-per-host", "--per-host holds for the target")
            .list("{redirect-to-slow}/a.bin?bytes=50000\n{localhost:slow}/b.bin?bytes=50000")
            .with("--per-host", 1)
            .run(
                exits(0)
                    .files(&["a.bin", "b.bin"], Body(1, 50_000))
                    .and(Asked(3))
                    .and(NotBefore(1.75)),
            ),
        case(32, "redirect-to-busy", "the listed host is not left alone")
            .list("{redirect-to-busy}/a.bin\n{right}/b.bin")
            .with("--limit", 1)
            .run(
                exits(0)
                    .files(&["a.bin", "b.bin"], RIGHT)
                    .and(Asked(5))
                    .and(Pause(2, 3, 0.0, 0.9))
                    .and(Pause(2, 4, 0.99, 5.0)),
            ),
        case(32, "redirect-to-busy-target", "but the target is")
            .list("{redirect-to-busy}/a.bin\n{localhost:right}/b.bin")
            .with("--limit", 1)
            .run(
                exits(0)
                    .files(&["a.bin", "b.bin"], RIGHT)
                    .and(Asked(5))
                    .and(Pause(2, 3, 0.99, 5.0)),
            ),
        //
        case(33, "dead-address", "the next one is tried, soon")
            .list("{two:right}/a.bin\n{two:right}/b.bin")
            .run(
                exits(0)
                    .wrapper(TWO_ADDRESSES)
                    .files(&["a.bin", "b.bin"], RIGHT)
                    .and(Asked(2))
                    .and(Within(3.0)),
            ),
        case(33, "dead-address-alone", "the timeout is that of the connection")
            .list("{two:right}/a.bin")
            .with("--connect-timeout", 0.7)
            .with("--retries", 1)
            .run(
                exits(1)
                    .wrapper(DEAD_ADDRESS)
                    .and(Asked(0))
                    .and(NotBefore(1.3))
                    .and(Within(5.0)),
            ),
        case(33, "lookups-that-hang", "they end in time, and hold up nothing else")
            .list(format!("{}{{right}}/a.bin", numbered("{localhost:right}", 4, 10)))
            .with("--connect-timeout", 1)
            .with("--blocking-threads", 2)
            .with("--limit", 5)
            .with("--retries", 0)
            .run(
                exits(1)
                    .wrapper(NO_NAMES)
                    .file("a.bin", RIGHT)
                    .and(Asked(1))
                    .and(Says("it took longer"))
                    .and(Within(10.0)),
            ),
        case(33, "dead-when-kept", "a retry takes a fresh connection")
            .with("--idle-timeout", 0.7)
            .with("--retries", 1)
            .run(
                (0..4)
                    .fold(exits(0).by_stdin(), |run, number| {
                        run.file(format!("0{number}.bin"), Body(1, 1000))
                    })
                    .file("b.bin", RIGHT)
                    .meanwhile(
                        When::Now,
                        Action::Say(
                            "{dead-when-kept}/00.bin?bytes=1000\n{dead-when-kept}/01.bin?bytes=1000\n\
                             {dead-when-kept}/02.bin?bytes=1000\n{dead-when-kept}/03.bin?bytes=1000\n",
                        ),
                    )
                    .meanwhile(When::Asked(4), Action::Say("# a moment\n"))
                    .meanwhile(When::After(0.5), Action::Say("{dead-when-kept}/b.bin\n"))
                    .meanwhile(When::Now, Action::Close)
                    .and(Within(8.0)),
            ),
    ]
}
