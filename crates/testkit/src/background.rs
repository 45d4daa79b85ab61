//! Work that may block or needs a runtime of its own, done beside the caller and never for ever.
//!
//! Dropping a database or a virtual host happens in `Drop`: there is no `await` there, the test's
//! own runtime may be going away, and the server may be the very thing that the test has broken.

use std::sync::mpsc;
use std::time::Duration;

/// How long `Drop` waits for a server. What is left behind then is a database or a virtual host on
/// a server that goes away with the test run.
const CLEAN_UP_LIMIT: Duration = Duration::from_secs(5);

/// Runs `work` on a thread of its own and waits for it, at most [`CLEAN_UP_LIMIT`]. A panic in
/// `work` ends the thread and nothing else: a second panic while a test unwinds would abort the
/// process.
pub(crate) fn clean_up(work: impl FnOnce() + Send + 'static) {
    beside(CLEAN_UP_LIMIT, work);
}

fn beside(limit: Duration, work: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel::<()>();
    let thread = std::thread::Builder::new().name("testkit-clean-up".to_owned());
    let spawned = thread.spawn(move || {
        work();
        drop(done);
    });
    if spawned.is_ok() {
        // Ends by disconnection when the thread is through, whether it returned or panicked.
        let _ = wait.recv_timeout(limit);
    }
}

/// Runs a future to its end on the calling thread, with a small runtime of its own. Not to be
/// called from inside a runtime: use it on a thread given by [`clean_up`].
pub(crate) fn run<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

#[cfg(test)]
mod tests {
    use super::beside;
    use std::time::{Duration, Instant};

    #[test]
    fn work_that_hangs_does_not_hold_the_caller_for_ever() {
        let started = Instant::now();
        beside(Duration::from_millis(50), || {
            std::thread::sleep(Duration::from_secs(60));
        });
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn work_that_panics_is_over() {
        let started = Instant::now();
        beside(Duration::from_secs(60), || panic!("expected in this test"));
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
