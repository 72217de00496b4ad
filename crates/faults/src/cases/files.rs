//! Names, the disk and what is wanted of a file: faults 21 to 23, and 26.

use super::answers::{numbered, some};
use crate::case::{
    Case,
    Content::{Body, Directory, Link, Text},
    Expect::{Asked, Says, SaysIfConcurrent, Within},
    RIGHT, Run, SOME_OTHER_NAME, Setup, Wrapper, case, exits,
};

/// A small disk. What is on it is kept when it goes.
const SMALL_DISK: Wrapper = Wrapper {
    mounts: true,
    script: r#"
        mkdir "$DIR" "$DIR.kept" && mount -t tmpfs -o size=200k none "$DIR" || exit 99
        "$@"; code=$?
        cp -a "$DIR/." "$DIR.kept" && umount "$DIR" && cp -a "$DIR.kept/." "$DIR"
        rm -r "$DIR.kept"; exit $code
    "#,
};
/// A small disk that then is a large one.
const GROWING_DISK: Wrapper = Wrapper {
    mounts: true,
    script: r#"
        mkdir "$DIR" "$DIR.kept" && mount -t tmpfs -o size=200k none "$DIR" || exit 99
        "$@" > "$DIR.kept/first"; echo "first exit code: $?" >&2
        rm "$DIR.kept/first"; mount -o remount,size=4m "$DIR" || exit 99
        "$@"; code=$?
        cp -a "$DIR/." "$DIR.kept" && umount "$DIR" && cp -a "$DIR.kept/." "$DIR"
        rm -r "$DIR.kept"; exit $code
    "#,
};
/// A disk that has room for some more files, however small.
const FEW_FILES: Wrapper = Wrapper {
    mounts: true,
    script: r#"
        mkdir "$DIR" "$DIR.kept" && mount -t tmpfs -o nr_inodes=12 none "$DIR" || exit 99
        "$@"; code=$?
        cp -a "$DIR/." "$DIR.kept" && umount "$DIR" && cp -a "$DIR.kept/." "$DIR"
        rm -r "$DIR.kept"; exit $code
    "#,
};
const READ_ONLY_DISK: Wrapper = Wrapper {
    mounts: true,
    script: r#"mkdir "$DIR" && mount -t tmpfs -o ro none "$DIR" || exit 99; "$@""#,
};
const A_FILE_IN_ITS_PLACE: Wrapper = Wrapper {
    mounts: false,
    script: r#": > "$DIR"; exec "$@""#,
};
const A_FIFO_FOR_A_JOURNAL: Wrapper = Wrapper {
    mounts: false,
    script: r#"mkdir -p "$DIR/.paces-download"; mkfifo "$DIR/.paces-download/journal"; exec "$@""#,
};
/// Every partial file is a file outside, too.
const HARD_LINKS: Wrapper = Wrapper {
    mounts: false,
    script: r#"
        for part in "$DIR"/.paces-download/*.part; do ln -f "$DIR/../outside/file" "$part"; done
        exec "$@"
    "#,
};
const FEW_DESCRIPTORS: Wrapper = Wrapper {
    mounts: false,
    script: r#"ulimit -n 40; exec "$@""#,
};

pub fn cases() -> Vec<Case> {
    let long = "x".repeat(300);
    let collisions =
        "{right}/a/x.bin?bytes=10\n{right}/b/x.bin?bytes=20\n{right}/c/X.BIN?bytes=30\n";
    let two_other = |run: Run| {
        run.file("x.bin", Body(1, 10))
            .file(SOME_OTHER_NAME, Body(1, 20))
            .file(SOME_OTHER_NAME, Body(1, 30))
    };
    let journal_gone = Setup::Gone(".paces-download/journal");
    vec![
        case(21, "same-name", "two names, and each file once")
            .list(collisions)
            .run(two_other(exits(0)).and(Asked(3)))
            .run(two_other(exits(0)).and(Asked(0))),
        case(21, "same-name-anew", "the same names when nothing is remembered")
            .list(collisions)
            .run(two_other(exits(0)))
            .setup(journal_gone)
            .run(two_other(exits(0))),
        case(21, "name-is-taken", "what stands there stays")
            .list("{right}/a.bin")
            .setup(Setup::File("a.bin", Text("mine")))
            .run(exits(0).file("a.bin", Text("mine")).file(SOME_OTHER_NAME, RIGHT))
            .run(exits(0).file("a.bin", Text("mine")).file(SOME_OTHER_NAME, RIGHT).and(Asked(0))),
        case(21, "name-is-a-directory", "it stays, too")
            .list("{right}/a.bin")
            .setup(Setup::Directory("a.bin"))
            .run(exits(0).file("a.bin", Directory).file(SOME_OTHER_NAME, RIGHT)),
        case(21, "name-is-a-link", "it is not followed")
            .list("{right}/a.bin")
            .setup(Setup::Link("a.bin", "../outside/file"))
            .run(exits(0).file("a.bin", Link).file(SOME_OTHER_NAME, RIGHT)),
        //
        case(22, "traversal-encoded", "a name in the directory")
            .list("{right}/..%2f..%2fevil")
            .run(exits(0).file(SOME_OTHER_NAME, RIGHT)),
        case(22, "traversal-plain", "a name in the directory")
            .list("{right}/a/b/%2e%2e/../outside\n{right}/a/b/..\\..\\c\n{right}/%2e%2e%5c%2e%2e%5cd")
            .run(exits(0).files(&[SOME_OTHER_NAME; 3], RIGHT)),
        case(22, "traversal-listed", "a name in the directory")
            .list("{right}/1\t../../evil\n{right}/2\t/etc/passwd\n{right}/3\t..\n{right}/4\t.paces-download")
            .run(exits(0).files(&[SOME_OTHER_NAME; 4], RIGHT)),
        case(22, "traversal-into-the-bookkeeping", "a name in the directory")
            .list("{right}/.paces-download\n{right}/.paces-download%2fjournal\n{right}/.bashrc")
            .run(exits(0).files(&[SOME_OTHER_NAME; 3], RIGHT))
            .run(exits(0).files(&[SOME_OTHER_NAME; 3], RIGHT).and(Asked(0))),
        case(22, "odd-names", "safe names")
            .list("{right}/\n{right}/%00\n{right}/a%0ab\n{right}/CON\n{right}/%ff%fe\n{right}/%1b%5b2J")
            .run(exits(0).files(&[SOME_OTHER_NAME; 6], RIGHT)),
        case(22, "names-of-300-bytes", "shortened, and still two")
            .list(format!("{{right}}/{long}1.bin\n{{right}}/{long}2.bin\n{{right}}/3\t{long}3"))
            .run(exits(0).files(&[SOME_OTHER_NAME; 3], RIGHT)),
        case(22, "content-disposition", "the server does not name files")
            .list("{content-disposition}/a.bin")
            .run(exits(0).file("a.bin", RIGHT)),
        case(22, "redirect-hostile-name", "nor does a redirect")
            .list("{redirect-hostile-name}/a.bin")
            .run(exits(0).file("a.bin", RIGHT)),
        //
        case(23, "disk-full", "exit 3, and no file that is not whole")
            .list("{right}/a.bin?bytes=1000000")
            .run(exits(3).wrapper(SMALL_DISK).and(Says("No space left")).and(Within(10.0))),
        case(23, "disk-full-once", "continued when there is room")
            .list("{right}/a.bin?bytes=1000000\n{right}/b.bin?bytes=500000")
            .run(
                exits(0)
                    .wrapper(GROWING_DISK)
                    .and(Says("first exit code: 3"))
                    .file("a.bin", Body(1, 1_000_000))
                    .file("b.bin", Body(1, 500_000)),
            ),
        case(23, "disk-full-among-many", "exit 3, and what is there is whole")
            .list(numbered("{right}", 40, 16_000))
            .run(
                some(exits(3).wrapper(SMALL_DISK), 40, 16_000)
                    .at_most()
                    .and(Says("No space left")),
            ),
        case(23, "disk-out-of-files", "exit 3, and what is there is whole")
            .list(numbered("{right}", 40, 100))
            .run(
                some(exits(3).wrapper(FEW_FILES), 40, 100)
                    .at_most()
                    .and(Says("No space left")),
            ),
        case(23, "disk-read-only", "exit 3")
            .list("{right}/a.bin")
            .run(exits(3).wrapper(READ_ONLY_DISK).and(Says("Read-only")).and(Asked(0))),
        case(23, "directory-is-a-file", "exit 3")
            .list("{right}/a.bin")
            .run(exits(3).wrapper(A_FILE_IN_ITS_PLACE).and(Asked(0))),
        case(23, "few-descriptors", "fewer at once, with a note")
            .list(numbered("{slow}", 60, 15_000))
            .with("--limit", 60)
            .run(
                some(exits(0).wrapper(FEW_DESCRIPTORS), 60, 15_000)
                    .and(SaysIfConcurrent("too many files are open")),
            ),
        //
        case(24, "state-is-a-link", "exit 3: nothing is written through it")
            .list("{right}/a.bin")
            .setup(Setup::Link(".paces-download", "../outside"))
            .run(exits(3).and(Asked(0))),
        case(24, "journal-is-a-link", "exit 3: nothing is written through it")
            .list("{right}/a.bin")
            .setup(Setup::Directory(".paces-download"))
            .setup(Setup::Link(".paces-download/journal", "../../outside/file"))
            .run(exits(3).and(Asked(0))),
        case(24, "journal-is-a-fifo", "exit 3: nobody waits for its other end")
            .list("{right}/a.bin")
            .run(exits(3).wrapper(A_FIFO_FOR_A_JOURNAL).and(Asked(0)).and(Within(5.0))),
        case(24, "partial-file-has-another-name", "exit 3: what is outside stays as it is")
            .list("{close-midway}/a.bin")
            .with("--retries", 0)
            .run(exits(1))
            .run(exits(3).wrapper(HARD_LINKS)),
        case(24, "partial-file-is-a-link", "exit 3: nothing is written through it")
            .list("{close-midway}/a.bin")
            .with("--retries", 0)
            .run(exits(1))
            .setup(Setup::LinkedParts("../../outside/file"))
            .run(exits(3)),
        //
        case(26, "checksum-right", "complete")
            .list("{right}/a.bin\tsha256={SHA}\n{close-midway}/b.bin\tb\tsha256={SHA}")
            .run(exits(0).files(&["a.bin", "b"], RIGHT)),
        case(26, "checksum-wrong", "failed, and kept aside")
            .list("{right}/a.bin?bytes=99999\tsha256={SHA}\n{right}/b.bin")
            .run(
                exits(1)
                    .file("a.bin.sha256-mismatch", Body(1, 99_999))
                    .file("b.bin", RIGHT)
                    .and(Says("a.bin"))
                    .and(Says("SHA-256")),
            )
            .run(
                exits(1)
                    .file("a.bin.sha256-mismatch", Body(1, 99_999))
                    .file("b.bin", RIGHT),
            ),
        case(26, "checksum-of-what-is-there", "what an earlier run left is checked, too")
            .list("{right}/a.bin\n{right}/b.bin?bytes=9\n")
            .run(exits(0).file("a.bin", RIGHT).file("b.bin", Body(1, 9)))
            .setup(Setup::List("{right}/a.bin\tsha256={SHA}\n{right}/b.bin?bytes=9\tsha256={SHA}"))
            .run(
                exits(1)
                    .file("a.bin", RIGHT)
                    .file("b.bin", Body(1, 9))
                    .and(Asked(0))
                    .and(Says("b.bin")),
            ),
        case(26, "checksum-malformed", "a bad line, and the rest goes on")
            .list("{right}/a.bin\tsha256=12\n{right}/b.bin")
            .run(exits(1).file("b.bin", RIGHT).and(Says("line 1"))),
    ]
}
