//! Answers that are wrong, late or hostile: faults 1 to 20, and 27.

use std::fs;

use crate::case::{
    Action, BYTES, CHANGED, Case,
    Content::Body,
    Expect::{
        Apart, Asked, AskedAtMost, AskedWithinIfConcurrent, ContinuesFrom, NoCredentialLeak,
        NotBefore, Pause, Says, SentAtMost, Within,
    },
    RIGHT, Run, When, case, exits,
};

/// The most that both ends' buffers of a connection hold beyond what a program has read: what
/// the kernel lets them grow to, and a megabyte that a program may read before it gives up.
fn buffers() -> u64 {
    let most = |end: &str| -> Option<u64> {
        let sizes = fs::read_to_string(format!("/proc/sys/net/ipv4/tcp_{end}")).ok()?;
        sizes.split_whitespace().last()?.parse().ok()
    };
    // What Linux has without a setting of its own, where none can be read.
    1_000_000 + most("rmem").unwrap_or(6 << 20) + most("wmem").unwrap_or(4 << 20)
}

pub(super) fn cases() -> Vec<Case> {
    let buffers = buffers();
    vec![
        case(1, "close-midway", "continued where it broke off")
            .list("{close-midway}/a.bin")
            .run(exits(0).file("a.bin", RIGHT).and(Asked(2)).and(ContinuesFrom(50_000))),
        case(1, "reset-midway", "continued, or begun again if nothing got through")
            .list("{reset-midway}/a.bin")
            .run(exits(0).file("a.bin", RIGHT).and(Asked(2))),
        case(1, "close-midway-large", "continued from far into it")
            .list("{close-midway}/a.bin?bytes=20000000")
            .run(
                exits(0)
                    .file("a.bin", Body(1, 20_000_000))
                    .and(Asked(2))
                    .and(ContinuesFrom(9_900_000)),
            ),
        case(1, "stale-connection", "a kept connection that was closed costs no retry")
            .list(numbered("{stale-connection}", 8, 1000))
            .with("--limit", 1)
            .with("--retries", 0)
            .run(some(exits(0), 8, 1000)),
        // One retry, as two of them in a row can be met with the end on its way.
        case(1, "stale-connections", "several cost no more than one")
            .list(numbered("{stale-connection}", 40, 1000))
            .with("--limit", 8)
            .with("--retries", 1)
            .run(some(exits(0), 40, 1000)),
        //
        case(2, "always-truncated", "three attempts, each from where the last ended")
            .list("{always-truncated}/a.bin\n{right}/b.bin")
            .run(exits(1).file("b.bin", RIGHT).and(Asked(4)).and(ContinuesFrom(75_000))),
        case(2, "truncated-without-range", "three attempts")
            .list("{truncated-without-range}/a.bin\n{right}/b.bin")
            .run(exits(1).file("b.bin", RIGHT).and(Asked(4))),
        //
        case(3, "longer-than-announced", "the excess is not taken for the next answer")
            .list("{longer-than-announced}/a.bin\n{right}/b.bin\n{longer-than-announced}/c.bin\n{right}/d.bin")
            .with("--limit", 1)
            .run(
                exits(0)
                    .files(&["a.bin", "b.bin", "c.bin", "d.bin"], RIGHT)
                    .and(Asked(4))
                    .and(Apart(1, 2))
                    .and(Apart(3, 4)),
            ),
        case(3, "longer-than-chunked", "nor after chunks")
            .list("{longer-than-chunked}/a.bin\n{right}/b.bin")
            .with("--limit", 1)
            .run(exits(0).files(&["a.bin", "b.bin"], RIGHT).and(Asked(2)).and(Apart(1, 2))),
        case(3, "late-excess", "nor when it comes while the connection waits")
            .run(
                exits(0)
                    .by_stdin()
                    .files(&["a.bin", "b.bin"], RIGHT)
                    .meanwhile(When::Now, Action::Say("{late-excess}/a.bin\n"))
                    .meanwhile(When::Asked(1), Action::Say("# a moment\n"))
                    .meanwhile(When::After(0.6), Action::Say("{right}/b.bin\n"))
                    .meanwhile(When::Now, Action::Close)
                    .and(Asked(2))
                    .and(Apart(1, 2)),
            ),
        //
        case(4, "conflicting-lengths", "an error")
            .list("{conflicting-lengths}/a.bin")
            .with("--retries", 1)
            .run(exits(1).and(AskedAtMost(2))),
        case(4, "negative-length", "an error")
            .list("{negative-length}/a.bin")
            .with("--retries", 1)
            .run(exits(1).and(AskedAtMost(2))),
        //
        case(5, "chunked-without-end", "incomplete, though every byte is there")
            .list("{chunked-without-end}/a.bin")
            .run(exits(1).and(Asked(3))),
        case(5, "bad-chunk-size", "an error")
            .list("{bad-chunk-size}/a.bin")
            .with("--retries", 1)
            .run(exits(1).and(AskedAtMost(2))),
        //
        case(6, "empty", "a file of no bytes")
            .list("{empty}/a.bin")
            .run(exits(0).file("a.bin", Body(1, 0)).and(Asked(1))),
        case(6, "empty-chunked", "a file of no bytes")
            .list("{empty-chunked}/a.bin")
            .run(exits(0).file("a.bin", Body(1, 0)).and(Asked(1))),
        case(6, "chunked", "accepted")
            .list("{chunked}/a.bin\n{chunked}/b.bin?bytes=5000000")
            .run(exits(0).file("a.bin", RIGHT).file("b.bin", Body(1, 5_000_000)).and(Asked(2))),
        case(6, "chunked-with-length", "accepted: the length means nothing")
            .list("{chunked-with-length}/a.bin")
            .run(exits(0).file("a.bin", RIGHT).and(Asked(1))),
        case(6, "until-close", "accepted")
            .list("{until-close}/a.bin\n{until-close}/b.bin?bytes=0")
            .run(exits(0).file("a.bin", RIGHT).file("b.bin", Body(1, 0)).and(Asked(2))),
        case(6, "until-close-1-0", "accepted")
            .list("{until-close-1-0}/a.bin")
            .run(exits(0).file("a.bin", RIGHT).and(Asked(1))),
        //
        case(7, "range-ignored", "begun again with the whole answer")
            .list("{range-ignored}/a.bin")
            .run(exits(0).file("a.bin", RIGHT).and(Asked(2)).and(ContinuesFrom(50_000))),
        //
        case(8, "wrong-range", "begun again")
            .list("{wrong-range}/a.bin")
            .run(exits(0).file("a.bin", RIGHT).and(Asked(3))),
        case(8, "range-without-content-range", "begun again")
            .list("{range-without-content-range}/a.bin")
            .run(exits(0).file("a.bin", RIGHT).and(Asked(3))),
        case(8, "multipart-range", "begun again")
            .list("{multipart-range}/a.bin")
            .run(exits(0).file("a.bin", RIGHT).and(Asked(3))),
        case(8, "unasked-206", "refused")
            .list("{unasked-206}/a.bin")
            .run(exits(1).and(AskedAtMost(3))),
        //
        case(9, "changed-etag", "begun again with what comes")
            .list("{changed-etag}/a.bin")
            .run(exits(0).file("a.bin", CHANGED).and(Asked(2)).and(ContinuesFrom(50_000))),
        case(9, "changed-ignoring-if-range", "begun again")
            .list("{changed-ignoring-if-range}/a.bin")
            .run(exits(0).file("a.bin", CHANGED).and(Asked(3))),
        case(9, "changed-last-modified", "begun again")
            .list("{changed-last-modified}/a.bin")
            .run(exits(0).file("a.bin", CHANGED).and(AskedAtMost(3))),
        case(9, "changed-size", "begun again")
            .list("{changed-size}/a.bin")
            .run(exits(0).file("a.bin", Body(2, BYTES + 1000)).and(AskedAtMost(3))),
        case(9, "weak-etag", "not continued, as a weak validator proves nothing")
            .list("{weak-etag}/a.bin")
            .run(exits(0).file("a.bin", CHANGED).and(AskedAtMost(3))),
        //
        case(10, "416-complete", "complete, as the validator agrees")
            .list("{416-complete}/a.bin")
            .run(exits(0).file("a.bin", RIGHT).and(Asked(2)).and(ContinuesFrom(100_000))),
        case(10, "416-other-validator", "begun again")
            .list("{416-other-validator}/a.bin")
            .run(exits(0).file("a.bin", CHANGED).and(Asked(3))),
        case(10, "416-no-validator", "begun again")
            .list("{416-no-validator}/a.bin")
            .run(exits(0).file("a.bin", CHANGED).and(Asked(3))),
        case(11, "416-other-size", "begun again")
            .list("{416-other-size}/a.bin")
            .run(exits(0).file("a.bin", Body(2, BYTES / 2)).and(Asked(3))),
        //
        case(12, "half-a-file", "continued by the next run")
            .list("{close-midway}/a.bin")
            .with("--retries", 0)
            .run(exits(1).and(Asked(1)))
            .run(exits(0).file("a.bin", RIGHT).and(Asked(1)).and(ContinuesFrom(50_000))),
        case(12, "half-a-file-that-changed", "begun again by the next run")
            .list("{changed-etag}/a.bin")
            .with("--retries", 0)
            .run(exits(1).and(Asked(1)))
            .run(exits(0).file("a.bin", CHANGED).and(Asked(1)).and(ContinuesFrom(50_000))),
        case(12, "half-a-file-weak", "begun again, as a weak validator proves nothing")
            .list("{weak-etag}/a.bin")
            .with("--retries", 0)
            .run(exits(1).and(Asked(1)))
            .run(exits(0).file("a.bin", CHANGED).and(Asked(1))),
        case(12, "half-a-file-checked", "the digest is that of both halves")
            .list("{close-midway}/a.bin\tsha256={SHA}")
            .with("--retries", 0)
            .run(exits(1).and(Asked(1)))
            .run(exits(0).file("a.bin", RIGHT).and(Asked(1)).and(ContinuesFrom(50_000))),
        //
        case(13, "retry-after-seconds", "neither it nor its host is asked before")
            .list("{retry-after-seconds}/a.bin\n{right}/b.bin\n{right}/c.bin")
            .with("--limit", 1)
            .run(
                exits(0)
                    .files(&["a.bin", "b.bin", "c.bin"], RIGHT)
                    .and(Asked(4))
                    .and(Pause(1, 2, 0.99, 5.0)),
            ),
        case(13, "retry-after-date", "not asked before")
            .list("{retry-after-date}/a.bin")
            .run(exits(0).file("a.bin", RIGHT).and(Asked(2)).and(Pause(1, 2, 0.99, 6.0))),
        case(13, "retry-after-other-host", "another host does not have to wait")
            .list("{retry-after-seconds}/a.bin\n{localhost:right}/b.bin")
            .with("--limit", 1)
            .run(
                exits(0)
                    .files(&["a.bin", "b.bin"], RIGHT)
                    .and(Asked(3))
                    .and(Pause(1, 2, 0.0, 0.9))
                    .and(Pause(1, 3, 0.99, 5.0)),
            ),
        case(13, "retry-after-far", "obeyed no longer than the cap")
            .list("{retry-after-far}/a.bin")
            .with("--max-retry-after", 1.5)
            .run(exits(0).file("a.bin", RIGHT).and(Asked(2)).and(Pause(1, 2, 1.49, 6.0))),
        case(13, "retry-after-thrice", "these waits use up no retries")
            .list("{retry-after-thrice}/a.bin")
            .with("--retries", 0)
            .run(exits(0).file("a.bin", RIGHT).and(Asked(4)).and(NotBefore(2.9))),
        case(13, "retry-after-always", "ten of them; the others do")
            .list("{retry-after-always}/a.bin")
            .with("--retries", 2)
            .run(exits(1).and(Asked(13)).and(Says("429"))),
        case(13, "retry-after-garbage", "backoff as without it")
            .list("{retry-after-garbage}/a.bin")
            .run(exits(0).file("a.bin", RIGHT).and(Asked(2)).and(Pause(1, 2, 0.02, 2.0))),
        //
        case(14, "flapping", "each pause about twice the one before")
            .list("{flapping}/a.bin")
            .with("--retries", 3)
            .with("--backoff", 0.4)
            .with("--max-backoff", 5)
            .run(
                exits(0)
                    .file("a.bin", RIGHT)
                    .and(Asked(4))
                    .and(Pause(1, 2, 0.19, 3.0))
                    .and(Pause(2, 3, 0.39, 3.0))
                    .and(Pause(3, 4, 0.79, 5.0)),
            ),
        case(14, "always-500", "three attempts, then failed")
            .list("{always-500}/a.bin\n{right}/b.bin")
            .run(exits(1).file("b.bin", RIGHT).and(Asked(4)).and(Says("500"))),
        case(14, "not-found", "failed at once")
            .list("{not-found}/a.bin\n{right}/b.bin")
            .run(exits(1).file("b.bin", RIGHT).and(Asked(2)).and(Says("404"))),
        case(14, "no-content", "no file")
            .list("{no-content}/a.bin")
            .run(exits(1).and(Says("204"))),
        //
        case(15, "redirect", "followed, and called what the list calls it")
            .list("{redirect}/a.bin")
            .run(exits(0).file("a.bin", RIGHT).and(Asked(2))),
        case(15, "redirect-loop", "ended after ten")
            .list("{redirect-loop}/a.bin")
            .run(exits(1).and(Asked(11)).and(Says("redirect"))),
        case(15, "redirect-to-file", "refused")
            .list("{redirect-to-file}/a.bin")
            .run(exits(1).and(Asked(1)).and(Says("file"))),
        case(15, "redirect-to-ftp", "refused")
            .list("{redirect-to-ftp}/a.bin")
            .run(exits(1).and(Asked(1)).and(Says("ftp"))),
        case(15, "redirect-to-https", "refused, like every other scheme")
            .list("{redirect-to-https}/a.bin")
            .run(exits(1).and(Asked(1)).and(Says("https"))),
        case(15, "redirect-without-location", "refused")
            .list("{redirect-without-location}/a.bin")
            .run(exits(1).and(Asked(1)).and(Says("302"))),
        case(15, "redirect-to-other-host", "credentials and own headers do not go along")
            .list("{user:redirect-to-other-host}/a.bin")
            .with("--header", "X-Own: secret")
            .run(exits(0).file("a.bin", RIGHT).and(Asked(2)).and(NoCredentialLeak)),
        //
        case(16, "drip", "ended by the minimum rate, twice")
            .list("{drip}/a.bin")
            .with("--min-rate", 1000)
            .with("--min-rate-window", 1)
            .with("--retries", 1)
            .run(exits(1).and(Asked(2)).and(NotBefore(1.5)).and(Within(6.0))),
        case(16, "drip-headers", "a head has as long as a first byte")
            .list("{drip-headers}/a.bin")
            .with("--idle-timeout", 1)
            .with("--retries", 0)
            .run(exits(1).and(Asked(1)).and(Within(4.0))),
        case(16, "slow", "fast enough is fast enough")
            .list("{slow}/a.bin")
            .with("--min-rate", 20_000)
            .with("--min-rate-window", 1)
            .run(exits(0).file("a.bin", RIGHT).and(Asked(1))),
        case(16, "hesitant", "what --idle-timeout allows, --min-rate does not end")
            .list("{hesitant}/a.bin?bytes=2000")
            .with("--min-rate", 1000)
            .with("--min-rate-window", 1)
            .with("--retries", 0)
            .run(exits(0).file("a.bin", Body(1, 2000)).and(Asked(1))),
        case(16, "slow-line", "files that share a line owe a share of the rate")
            .list(numbered("{slow-line}", 4, 100_000))
            .with("--min-rate", 60_000)
            .with("--min-rate-window", 1)
            .with("--retries", 0)
            .run(some(exits(0), 4, 100_000).and(Asked(4))),
        case(16, "own-rate", "what --rate holds back is not the server's slowness")
            .list("{right}/a.bin?bytes=200000")
            .with("--rate", 100_000)
            .with("--min-rate", 150_000)
            .with("--min-rate-window", 1)
            .run(exits(0).file("a.bin", Body(1, 200_000)).and(Asked(1)).and(NotBefore(1.5))),
        //
        case(17, "stall-midway", "ended when idle, and continued")
            .list("{stall-midway}/a.bin")
            .with("--idle-timeout", 1)
            .run(exits(0).file("a.bin", RIGHT).and(Asked(2)).and(ContinuesFrom(50_000)).and(Within(6.0))),
        case(17, "stall-headers", "no answer in time, twice")
            .list("{stall-headers}/a.bin\n{right}/b.bin")
            .with("--idle-timeout", 0.7)
            .with("--retries", 1)
            .run(exits(1).file("b.bin", RIGHT).and(Asked(3)).and(Within(5.0))),
        case(17, "stall-one", "nothing waits behind the one")
            .list(numbered("{right}", 100, 1000).replacen("{right}/50", "{stall-headers}/slow.bin\n{right}/50", 1))
            .with("--limit", 4)
            .with("--idle-timeout", 2)
            .with("--retries", 0)
            .run(some(exits(1), 100, 1000).and(AskedWithinIfConcurrent(1.5)).and(Within(6.0))),
        case(17, "stall-body", "given up, as it does not get further")
            .list("{stall-body}/a.bin")
            .with("--idle-timeout", 0.7)
            .with("--retries", 1)
            .run(exits(1).and(Asked(2)).and(ContinuesFrom(50_000)).and(Within(5.0))),
        case(17, "no-connection", "the connection does not come about in time")
            .list("{FULL BACKLOG}/a.bin")
            .with("--connect-timeout", 0.7)
            .with("--retries", 1)
            .run(exits(1).and(NotBefore(1.3)).and(Within(5.0))),
        case(17, "refused-connection", "failed, and the others go on")
            .list("{CLOSED}/a.bin\n{right}/b.bin")
            .run(exits(1).file("b.bin", RIGHT).and(Within(5.0))),
        case(17, "slow-once", "a slow answer that does not stall is waited for")
            .list("{slow-once}/a.bin")
            .with("--idle-timeout", 1)
            .run(exits(0).file("a.bin", RIGHT).and(Asked(1))),
        //
        case(18, "endless-headers", "given up after a cap")
            .list("{endless-headers}/a.bin")
            .with("--retries", 0)
            .run(exits(1).and(AskedAtMost(2)).and(SentAtMost(buffers)).and(Within(10.0))),
        case(18, "many-informational", "given up after a cap")
            .list("{many-informational}/a.bin")
            .with("--retries", 0)
            .run(exits(1).and(AskedAtMost(2)).and(SentAtMost(buffers)).and(Within(10.0))),
        //
        case(20, "informational", "skipped")
            .list("{informational}/a.bin")
            .run(exits(0).file("a.bin", RIGHT).and(Asked(1))),
        case(20, "switching-protocols", "an error: it was not asked for")
            .list("{switching-protocols}/a.bin")
            .with("--idle-timeout", 1)
            .with("--retries", 0)
            .run(exits(1).and(Asked(1)).and(Within(5.0))),
        case(20, "garbage-status", "an error")
            .list("{garbage-status}/a.bin")
            .run(exits(1).and(AskedAtMost(4))),
        case(20, "garbage-once", "tried again")
            .list("{garbage-once}/a.bin")
            .run(exits(0).file("a.bin", RIGHT).and(Asked(2))),
        case(20, "no-status", "bounded retries, the first of them free")
            .list("{no-status}/a.bin")
            .run(exits(1).and(AskedAtMost(4))),
        case(20, "no-status-once", "costs no retry")
            .list("{no-status-once}/a.bin")
            .with("--retries", 0)
            .run(exits(0).file("a.bin", RIGHT).and(Asked(2))),
        //
        case(27, "endless-body", "stopped, and no file")
            .list("{endless-body}/a.bin\n{right}/b.bin")
            .with("--max-size", 1_000_000)
            .run(exits(1).file("b.bin", RIGHT).and(Asked(2)).and(SentAtMost(buffers))),
        case(27, "huge-announced", "not even begun")
            .list("{huge-announced}/a.bin\n{right}/b.bin")
            .with("--max-size", 1_000_000)
            .run(exits(1).file("b.bin", RIGHT).and(Asked(2)).and(SentAtMost(buffers))),
        case(27, "just-max-size", "as large as is allowed is allowed")
            .list("{right}/a.bin\n{chunked}/b.bin\n{right}/c.bin?bytes=100001\n{chunked}/d.bin?bytes=100001")
            .with("--max-size", BYTES)
            .run(exits(1).files(&["a.bin", "b.bin"], RIGHT).and(Asked(4))),
    ]
}

/// A list of files of one fault, `00.bin` and so on.
pub(crate) fn numbered(fault: &str, files: usize, bytes: usize) -> String {
    (0..files)
        .map(|number| format!("{fault}/{number:02}.bin?bytes={bytes}\n"))
        .collect()
}

/// With the files that such a list names.
pub(crate) fn some(run: Run, files: usize, bytes: usize) -> Run {
    (0..files).fold(run, |run, number| {
        run.file(format!("{number:02}.bin"), Body(1, bytes))
    })
}
