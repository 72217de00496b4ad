//! What a case is made of: what is prepared, what is run, what happens meanwhile, and
//! what is right.
//!
//! In lists, arguments and texts, `{NAME}` stands for the origin's URL of
//! the fault NAME with a token of the case's own, so that a file is
//! `{close-midway}/a.bin`; `Sandbox::expand` says what
//! else there is.

use nix::sys::signal::Signal;

/// Where all bookkeeping has to be, in the directory that is downloaded into.
pub(crate) const STATE: &str = ".paces-download";

/// Bytes of a file whose URL does not say how many.
pub(crate) const BYTES: usize = 100_000;

/// The file that the origin's faults have, as it is at first.
pub(crate) const RIGHT: Content = Content::Body(1, BYTES);
/// The same file, when it has changed.
pub(crate) const CHANGED: Content = Content::Body(2, BYTES);

/// A list, what is done with it, and what is right.
#[derive(Debug, Clone)]
pub struct Case {
    /// Which of the faults it belongs to.
    pub fault: u8,
    /// What it is called.
    pub name: &'static str,
    /// What is right, in a phrase.
    pub(crate) right: &'static str,
    /// The list of URLs.
    pub(crate) list: String,
    /// Arguments, in pairs; a later one takes the place of an earlier one.
    pub(crate) arguments: Vec<(&'static str, String)>,
    /// What is done, one step after the other.
    pub(crate) steps: Vec<Step>,
}

/// One step of a case.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Prepares what the next run meets.
    Setup(Setup),
    /// Runs the program.
    Run(Run),
}

/// What is prepared. Paths are relative to the directory that is downloaded into,
/// and with `../outside/` outside of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Setup {
    /// A file.
    File(&'static str, Content),
    /// A directory.
    Directory(&'static str),
    /// A symbolic link, and where it leads.
    Link(&'static str, &'static str),
    /// Another list.
    List(&'static str),
    /// Links in the place of every partial file.
    LinkedParts(&'static str),
    /// Partial files get this length.
    PartsOf(u64),
    /// Nothing any more.
    Gone(&'static str),
    /// A byte in the middle of the journal is another one.
    JournalFlipped,
    /// The journal's last bytes are missing.
    JournalTorn,
    /// The journal goes on with what is no journal.
    JournalGarbage,
}

/// One run of the program, from its start to its end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    /// What the program is run in.
    pub(crate) wrapper: Option<Wrapper>,
    /// Whether the list comes by standard input, as [`Action::Say`] sends it.
    pub(crate) by_stdin: bool,
    /// What is done while it runs, in this order.
    pub(crate) meanwhile: Vec<(When, Action)>,
    /// How it exits: with this code; less than 0: it is ended by this signal.
    pub(crate) exit: i32,
    /// What is in the directory then: this, and nothing else but bookkeeping.
    pub(crate) files: Vec<(String, Content)>,
    /// Whether some of these may be missing.
    pub(crate) some_missing: bool,
    /// What else is right.
    pub(crate) expect: Vec<Expect>,
}

/// A shell that prepares what the program runs in. `"$@"` is the program, and
/// `$DIR` the directory that it downloads into.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wrapper {
    /// Whether it mounts something, and so wants name spaces of its own.
    pub(crate) mounts: bool,
    /// The shell's script.
    pub(crate) script: &'static str,
}

/// When something is done.
#[derive(Debug, Clone, Copy)]
pub(crate) enum When {
    /// At once.
    Now,
    /// After this many seconds.
    After(f64),
    /// When the origin has got this many requests in this run.
    Asked(usize),
    /// When the origin has sent this many bytes in this run.
    Sent(u64),
    /// When there is a file of this name.
    There(&'static str),
}

/// What is done while a program runs.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// The program gets a signal.
    Signal(Signal),
    /// So does everything that it has started, as from a terminal.
    SignalAll(Signal),
    /// It gets this by standard input.
    Say(&'static str),
    /// Standard input ends.
    Close,
    /// Another run at the same time.
    Concurrently(Box<Run>),
}

/// One thing that is right.
#[derive(Debug, Clone)]
pub(crate) enum Expect {
    /// It says this on standard error.
    Says(&'static str),
    /// It takes at most this many seconds.
    Within(f64),
    /// It takes at least this many seconds.
    NotBefore(f64),
    /// After the last signal it takes at most this many seconds.
    StopsWithin(f64),
    /// It ends before it has begun: it has nothing to sum up.
    NotBegun,
    /// The origin gets this many requests.
    Asked(usize),
    /// The origin gets at most this many requests.
    AskedAtMost(usize),
    /// One request asks for the rest of a file, from this byte on or a later one,
    /// and for all of it if the file is another one by now.
    ContinuesFrom(u64),
    /// The time between two requests (counted from 1), in seconds: the least and the
    /// most.
    Pause(usize, usize, f64, f64),
    /// The first request has `Authorization` and `X-Own`, and no other has them.
    NoCredentialLeak,
    /// Two requests come over two connections.
    Apart(usize, usize),
    /// The origin sends at most this many bytes.
    SentAtMost(u64),
    /// If it does several things at once, it says this.
    SaysIfConcurrent(&'static str),
    /// If it does several things at once, all requests come within this many seconds.
    AskedWithinIfConcurrent(f64),
}

/// What something in the directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// A version of the origin's file, with this many bytes.
    Body(u32, usize),
    /// The right file, which has this many bytes, compressed with gzip.
    Gzip(usize),
    /// A text.
    Text(&'static str),
    /// A symbolic link.
    Link,
    /// A directory.
    Directory,
}

/// The name of a file of which only that is known that it is there: under a safe
/// name, and none of the others.
pub(crate) const SOME_OTHER_NAME: &str = "?";

/// A new case, of the fault with this number.
pub(crate) fn case(fault: u8, name: &'static str, right: &'static str) -> Case {
    Case {
        fault,
        name,
        right,
        list: String::new(),
        arguments: Vec::new(),
        steps: Vec::new(),
    }
}

impl Case {
    /// With this list.
    pub(crate) fn list(mut self, list: impl Into<String>) -> Self {
        self.list = list.into();
        self
    }

    /// With an argument.
    pub(crate) fn with(mut self, flag: &'static str, value: impl ToString) -> Self {
        self.arguments.push((flag, value.to_string()));
        self
    }

    /// Then this is prepared.
    pub(crate) fn setup(mut self, setup: Setup) -> Self {
        self.steps.push(Step::Setup(setup));
        self
    }

    /// Then it runs.
    pub(crate) fn run(mut self, run: Run) -> Self {
        self.steps.push(Step::Run(run));
        self
    }
}

/// A run that exits so; and there are no files unless [`Run::file`] says so.
pub(crate) fn exits(code: i32) -> Run {
    Run {
        exit: code,
        ..Run::default()
    }
}

/// A run that SIGKILL ends.
pub(crate) fn is_killed() -> Run {
    exits(-(Signal::SIGKILL as i32))
}

/// A run that Ctrl-C ends, in time.
pub(crate) fn is_interrupted() -> Run {
    exits(130).and(Expect::StopsWithin(1.0))
}

impl Run {
    /// And this is right.
    pub(crate) fn and(mut self, expect: Expect) -> Self {
        self.expect.push(expect);
        self
    }

    /// And this file is there.
    pub(crate) fn file(mut self, name: impl Into<String>, content: Content) -> Self {
        self.files.push((name.into(), content));
        self
    }

    /// And these files are there.
    pub(crate) fn files(self, names: &[&str], content: Content) -> Self {
        names
            .iter()
            .fold(self, |run, &name| run.file(name, content))
    }

    /// Some of these files may be missing.
    pub(crate) fn at_most(mut self) -> Self {
        self.some_missing = true;
        self
    }

    /// Within a shell.
    pub(crate) fn wrapper(mut self, wrapper: Wrapper) -> Self {
        self.wrapper = Some(wrapper);
        self
    }

    /// The list comes by standard input.
    pub(crate) fn by_stdin(mut self) -> Self {
        self.by_stdin = true;
        self
    }

    /// While it runs, this is done.
    pub(crate) fn meanwhile(mut self, when: When, what: Action) -> Self {
        self.meanwhile.push((when, what));
        self
    }
}
