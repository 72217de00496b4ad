//! Children come to their end, whatever they do.

use std::process::Command;
use std::time::Duration;

use lab::error::{Interrupted, TimedOut};
use lab::interrupt::Interrupt;
use lab::process::{Limits, Moment, Observer, adopt_orphans, run};
use nix::errno::Errno;
use nix::sys::wait::waitpid;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn limits(timeout: Duration) -> Limits {
    Limits {
        timeout,
        interrupt: Interrupt::default(),
    }
}

// A test of its own, in a process of its own: what has been used is counted over
// all children at once, and tests run side by side.
#[test]
fn a_child_is_run_observed_and_ended() {
    adopt_orphans().expect("a kernel that knows subreapers");
    let patient = limits(Duration::from_secs(30));

    let script = "echo out; echo err >&2; exit 3";
    let done = run(&mut shell(script), &patient, None).expect("it ends");
    assert_eq!(done.status.code(), Some(3));
    assert_eq!((&*done.stdout, &*done.stderr), ("out\n", "err\n"));
    assert_eq!(done.left_behind, 0);

    // It ends only because its input does, after its line was seen.
    let mut lines = 0;
    let mut observe = |_, moment| lines += usize::from(moment == Moment::Line);
    let observer = Observer {
        every: Duration::from_millis(1),
        hold: true,
        observe: &mut observe,
    };
    let done = run(&mut shell("echo line; cat"), &patient, Some(observer)).expect("it ends");
    assert!(done.status.success());
    assert_eq!(lines, 1);

    let script = "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done";
    let busy = run(&mut shell(script), &patient, None).expect("it ends");
    let idle = run(&mut shell("sleep 0.05"), &patient, None).expect("it ends");
    assert!(idle.wall >= Duration::from_millis(50));
    assert!(busy.usage.user > idle.usage.user, "{busy:?} {idle:?}");

    // Orphans are found and ended, and so is a whole tree at a timeout.
    let done = run(&mut shell("sleep 1000 & exit 0"), &patient, None).expect("it ends");
    assert_eq!(done.left_behind, 1);
    let tree = "sleep 1001 & (sleep 1002 & wait) & wait";
    let late = run(&mut shell(tree), &limits(Duration::from_millis(200)), None);
    let late = late.expect_err("it takes too long");
    assert!(late.is::<TimedOut>(), "{late}");
    assert_eq!(waitpid(None, None), Err(Errno::ECHILD));

    let missing = run(&mut Command::new("/no/such/program"), &patient, None);
    let error = missing.expect_err("it cannot be started");
    assert!(!error.is::<TimedOut>() && !error.is::<Interrupted>());
    assert!(error.to_string().contains("/no/such/program"), "{error}");
}
