use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::bail;
use suite::Result;

/// Many times what the slowest test takes.
const PATIENCE: Duration = Duration::from_secs(180);

/// Fails a test that hangs, instead of hanging with it.
pub fn with_timeout(test: fn(&'static str) -> Result<()>, program: &'static str) -> Result<()> {
    within(PATIENCE, test, program)
}

fn within(
    patience: Duration,
    test: fn(&'static str) -> Result<()>,
    program: &'static str,
) -> Result<()> {
    let (done, ended) = channel();
    let body = thread::spawn(move || {
        let result = test(program);
        // The receiver is gone if this took too long.
        let _ = done.send(());
        result
    });
    match ended.recv_timeout(patience) {
        Err(RecvTimeoutError::Timeout) => bail!("it hangs: not done after {patience:?}"),
        // Disconnected: it panicked, which is a failed assertion.
        Ok(()) | Err(RecvTimeoutError::Disconnected) => body
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hangs(_: &'static str) -> Result<()> {
        loop {
            thread::park();
        }
    }

    fn fails(program: &'static str) -> Result<()> {
        bail!("{program} fails")
    }

    #[test]
    fn a_test_that_hangs_fails() {
        let error = within(Duration::from_millis(1), hangs, "").expect_err("it hangs");
        assert!(error.to_string().contains("1ms"), "{error}");
    }

    #[test]
    fn a_test_keeps_its_own_result() {
        assert!(with_timeout(|_| Ok(()), "").is_ok());
        let error = with_timeout(fails, "it").expect_err("it fails");
        assert_eq!(error.to_string(), "it fails");
    }

    #[test]
    #[should_panic(expected = "its own words")]
    fn a_test_panics_in_its_own_words() {
        let _ = with_timeout(|_| panic!("its own words"), "");
    }
}
