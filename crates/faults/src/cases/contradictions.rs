//! Answers that contradict themselves or earlier ones, and parts that are refused:
//! faults 29 and 30.

use crate::case::{
    Case,
    Expect::{Asked, AskedAtMost, ContinuesFrom, Says, Within},
    RIGHT, case, exits,
};

pub(super) fn cases() -> Vec<Case> {
    let right = || exits(0).file("a.bin", RIGHT);
    vec![
        case(29, "part-as-200", "begun again")
            .list("{part-as-200}/a.bin")
            .with("--retries", 1)
            .run(right().and(Asked(3))),
        case(
            29,
            "part-as-200-next-run",
            "begun again, though no retries are left",
        )
        .list("{part-as-200}/a.bin")
        .with("--retries", 0)
        .run(exits(1))
        .run(right().and(Asked(2))),
        case(29, "half-as-200", "no file")
            .list("{half-as-200}/a.bin")
            .run(exits(1).and(Asked(3)).and(Says("part of the file"))),
        case(29, "other-length", "no file")
            .list("{other-length}/a.bin")
            .run(exits(1).and(Says("100000"))),
        case(29, "other-length-chunked", "no file")
            .list("{other-length-chunked}/a.bin")
            .run(exits(1).and(Says("100000"))),
        case(29, "other-length-until-close", "no file")
            .list("{other-length-until-close}/a.bin")
            .run(exits(1).and(Says("100000"))),
        case(29, "longer-chunked", "no file")
            .list("{longer-chunked}/a.bin")
            .run(exits(1).and(Says("100000"))),
        case(
            29,
            "identity",
            "the length counts, and nothing is waited for",
        )
        .list("{identity}/a.bin\n{identity}/b.bin")
        .run(
            exits(0)
                .files(&["a.bin", "b.bin"], RIGHT)
                .and(Asked(2))
                .and(Within(5.0)),
        ),
        case(29, "identity-cut", "the length counts: continued")
            .list("{identity-cut}/a.bin")
            .run(right().and(Asked(2)).and(ContinuesFrom(50_000))),
        case(
            29,
            "gzip-chunked",
            "an error: these are not the file's bytes",
        )
        .list("{gzip-chunked}/a.bin")
        .with("--retries", 1)
        .run(exits(1).and(AskedAtMost(2)).and(Says("gzip, chunked"))),
        case(29, "chunked-identity", "an error")
            .list("{chunked-identity}/a.bin")
            .with("--retries", 1)
            .run(exits(1).and(AskedAtMost(2)).and(Says("chunked, identity"))),
        //
        case(30, "range-412", "all is asked for, at no cost")
            .list("{range-412}/a.bin")
            .with("--retries", 1)
            .run(right().and(Asked(3))),
        case(30, "range-412-next-run", "all is asked for, at no cost")
            .list("{range-412}/a.bin")
            .with("--retries", 0)
            .run(exits(1))
            .run(right().and(Asked(2))),
        case(30, "range-403", "all is asked for, at no cost")
            .list("{range-403}/a.bin")
            .with("--retries", 1)
            .run(right().and(Asked(3))),
        case(30, "range-500", "all is asked for at last")
            .list("{range-500}/a.bin")
            .run(right().and(Asked(4))),
        case(30, "range-silence", "all is asked for at last")
            .list("{range-silence}/a.bin")
            .with("--retries", 1)
            .run(right().and(AskedAtMost(4))),
        case(30, "short-parts", "the rest is asked for, at no cost")
            .list("{short-parts}/a.bin")
            .with("--retries", 1)
            .run(right().and(Asked(6)).and(ContinuesFrom(90_000))),
        case(30, "short-parts-checked", "the digest is that of all parts")
            .list("{short-parts}/a.bin\tsha256={SHA}")
            .with("--retries", 1)
            .run(right().and(Asked(6))),
        case(30, "all-as-206", "accepted")
            .list("{all-as-206}/a.bin")
            .run(right().and(Asked(1))),
    ]
}
