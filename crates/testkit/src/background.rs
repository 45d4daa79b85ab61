//! Clean-up that may block or needs a runtime of its own: after the test, and never for ever.
//!
//! A database or a virtual host is dropped in `Drop`: there is no `await` there, and while `Drop`
//! runs, the test's runtime stands still with all its connections half open. PostgreSQL cannot drop
//! a database while somebody is about to sign in, so whoever waited there would wait for himself.
//! So the work is done when the test's thread ends: then the runtime is gone, and its connections.

use std::cell::RefCell;
use std::sync::mpsc;
use std::time::Duration;

/// How long the end of a test waits for a server. What is left behind then is a database or a
/// virtual host on a server that goes away with the test run.
const CLEAN_UP_LIMIT: Duration = Duration::from_secs(5);

type Work = Box<dyn FnOnce() + Send>;

/// What is to be done when this thread ends.
struct AtEnd(RefCell<Vec<Work>>);

thread_local! {
    static AT_END: AtEnd = const { AtEnd(RefCell::new(Vec::new())) };
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        let works = self.0.take();
        if !works.is_empty() {
            beside(CLEAN_UP_LIMIT, move || works.into_iter().for_each(|work| work()));
        }
    }
}

/// Does `work` when the calling thread ends, on a thread of its own, and waits for it, at most
/// [`CLEAN_UP_LIMIT`] for all works together. A panic in `work` ends that thread and nothing else: a
/// second panic while a test unwinds would abort the process.
pub(crate) fn clean_up(work: impl FnOnce() + Send + 'static) {
    let mut work: Option<Work> = Some(Box::new(work));
    let _ = AT_END.try_with(|at_end| at_end.0.borrow_mut().extend(work.take()));
    // The thread is ending already: now is the time.
    if let Some(work) = work {
        beside(CLEAN_UP_LIMIT, work);
    }
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
    use super::{beside, clean_up};
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    #[test]
    fn clean_up_is_done_when_the_thread_has_ended_and_not_before() {
        let (done, is_done) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let done_by_clean_up = done.clone();
            let early = mpsc::channel::<()>();
            clean_up(move || {
                let _ = early.0.send(());
                done_by_clean_up.send(()).unwrap();
            });
            early.1.try_recv().is_err()
        });
        assert!(thread.join().unwrap());
        assert!(is_done.try_recv().is_ok(), "the end of the thread waits for it");
    }

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
