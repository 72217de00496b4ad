//! Lists, and who else is there: faults 25 and 31.

use nix::sys::signal::Signal::SIGINT;

use crate::case::{
    Action, Case,
    Content::Body,
    Expect::{Asked, NotBegun, Says, Within},
    RIGHT, Setup, When, case, exits, is_interrupted,
};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            25,
            "two-instances",
            "the second one ends at once, and says who is there",
        )
        .list("{stall-headers}/a.bin")
        .run(
            is_interrupted()
                .meanwhile(
                    When::Asked(1),
                    Action::Concurrently(Box::new(
                        exits(1)
                            .and(NotBegun)
                            .and(Asked(0))
                            .and(Says("process "))
                            .and(Within(2.0)),
                    )),
                )
                .meanwhile(When::Now, Action::SignalAll(SIGINT)),
        ),
        case(25, "messy-list", "understood, and fetched once")
            .list(
                "\u{feff}# a list\r\n\r\n  {right}/a.bin \r\n{right}/a.bin\n\t\n{right}/a.bin#top\n\
                 {right}/b\tb.bin\n   # more\n{right}/c.bin",
            )
            .run(
                exits(0)
                    .files(&["a.bin", "b.bin", "c.bin"], RIGHT)
                    .and(Asked(3)),
            ),
        case(25, "bad-lines", "numbered, and the rest goes on")
            .list(format!(
                "{{right}}/a.bin\nftp://h/x\nno url\nhttp://\n{{right}}/x y\n{}\n{{right}}/b.bin\n",
                "http://h/".to_owned() + &"x".repeat(100_000)
            ))
            .run(
                exits(1)
                    .files(&["a.bin", "b.bin"], RIGHT)
                    .and(Asked(2))
                    .and(Says("line 2:"))
                    .and(Says("line 3:"))
                    .and(Says("line 4:"))
                    .and(Says("line 5:"))
                    .and(Says("line 6:")),
            ),
        case(25, "empty-list", "nothing to do is done")
            .list("# nothing\n")
            .run(exits(0).and(Asked(0))),
        case(25, "list-by-stdin", "read as it comes").run(
            exits(0)
                .by_stdin()
                .files(&["a.bin", "b.bin"], RIGHT)
                .meanwhile(When::Now, Action::Say("{right}/a.bin\n"))
                .meanwhile(When::Asked(1), Action::Say("{right}/b.bin\n"))
                .meanwhile(When::Asked(2), Action::Close)
                .and(Asked(2)),
        ),
        case(31, "second-name", "both names are there")
            .list("{right}/a.bin\n{right}/a.bin\tb.bin\n{right}/a.bin\ta.bin\n{right}/a.bin\tb.bin")
            .run(exits(0).files(&["a.bin", "b.bin"], RIGHT).and(Asked(2)))
            .run(exits(0).files(&["a.bin", "b.bin"], RIGHT).and(Asked(0))),
        case(
            31,
            "name-in-a-later-run",
            "the new name is there, and the old one stays",
        )
        .list("{right}/a.bin\n{right}/c.bin\td.bin")
        .run(exits(0).files(&["a.bin", "d.bin"], RIGHT))
        .setup(Setup::List(
            "{right}/a.bin\tb.bin\n{right}/c.bin\te.bin\n{right}/c.bin",
        ))
        .run(exits(0).files(&["a.bin", "b.bin", "c.bin", "d.bin", "e.bin"], RIGHT)),
        case(31, "digest-in-a-later-line", "it is checked, and right")
            .list("{right}/a.bin\n{right}/a.bin\tsha256={SHA}\n{right}/a.bin\tSHA256={SHA}")
            .run(exits(0).file("a.bin", RIGHT).and(Asked(1))),
        case(
            31,
            "wrong-digest-in-a-later-line",
            "it is checked, and wrong",
        )
        .list("{right}/a.bin?bytes=99\n{right}/b.bin\n{right}/a.bin?bytes=99\tsha256={SHA}")
        .run(
            exits(1)
                .file("a.bin", Body(1, 99))
                .file("b.bin", RIGHT)
                .and(Asked(2))
                .and(Says("a.bin"))
                .and(Says("SHA-256")),
        ),
        case(31, "two-digests", "no file can have both")
            .list(format!(
                "{{right}}/a.bin\tsha256={{SHA}}\n{{right}}/a.bin\tsha256={}",
                "0".repeat(64)
            ))
            .run(
                exits(1)
                    .file("a.bin", RIGHT)
                    .and(Asked(1))
                    .and(Says("SHA-256")),
            ),
        case(31, "two-digests-in-a-line", "a bad line")
            .list(format!(
                "{{right}}/a.bin\tsha256={{SHA}}\tsha256={}\n{{right}}/b.bin",
                "0".repeat(64)
            ))
            .run(
                exits(1)
                    .file("b.bin", RIGHT)
                    .and(Asked(1))
                    .and(Says("line 1:")),
            ),
        case(31, "other-digests", "a bad line, and not a name")
            .list("{right}/a.bin\tmd5=d41d8cd98f00b204e9800998ecf8427e\n{right}/b.bin")
            .run(
                exits(1)
                    .file("b.bin", RIGHT)
                    .and(Asked(1))
                    .and(Says("line 1:")),
            ),
        case(25, "list-is-missing", "an error at once")
            .setup(Setup::Gone("../own/list"))
            .run(exits(2)),
    ]
}
