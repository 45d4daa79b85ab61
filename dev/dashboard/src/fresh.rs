//! A value that is asked for again and again, and is had anew at most every so often: what a page shows
//! of others, who may take their time, without the page waiting for them.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// How long a page waits for a newer value than the one that it has.
const PATIENCE: Duration = Duration::from_millis(30);
/// From this age on a value tells nothing of now: nobody has looked for a while.
const STALE: Duration = Duration::from_secs(5);
/// How long a page waits where it has none but such a one, or none.
const PATIENCE_FIRST: Duration = Duration::from_secs(3);

/// The last value, and whether somebody is having another one.
#[derive(Debug)]
pub(crate) struct Fresh<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    last: watch::Sender<Option<(Instant, Arc<T>)>>,
    is_asked: AtomicBool,
}

/// Lets the next one ask when this one has an answer, or none.
struct Asking<T>(Arc<Shared<T>>);

impl<T> Drop for Asking<T> {
    fn drop(&mut self) {
        self.0.is_asked.store(false, Ordering::Release);
    }
}

impl<T> Default for Fresh<T> {
    fn default() -> Self {
        Self(Arc::new(Shared { last: watch::Sender::default(), is_asked: AtomicBool::new(false) }))
    }
}

impl<T: Send + Sync + 'static> Fresh<T> {
    /// The value, had anew when the last one is older than this; the last one when that takes longer
    /// than a page can wait, and none when there is no last one either.
    pub(crate) async fn get<F>(&self, age: Duration, ask: impl FnOnce() -> F) -> Option<Arc<T>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut seen = self.0.last.subscribe();
        let last = seen.borrow_and_update().clone();
        if let Some((at, value)) = &last
            && at.elapsed() < age
        {
            return Some(Arc::clone(value));
        }
        if !self.0.is_asked.swap(true, Ordering::AcqRel) {
            let asking = Asking(Arc::clone(&self.0));
            let answer = ask();
            tokio::spawn(async move {
                let value = Arc::new(answer.await);
                asking.0.last.send_replace(Some((Instant::now(), value)));
            });
        }
        let is_recent = last.is_some_and(|(at, _)| at.elapsed() < STALE);
        let patience = if is_recent { PATIENCE } else { PATIENCE_FIRST };
        let _the_last_one_then = tokio::time::timeout(patience, seen.changed()).await;
        self.0.last.borrow().as_ref().map(|(_, value)| Arc::clone(value))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_answer_is_waited_for_once_and_the_last_one_serves_meanwhile() {
        let fresh = Fresh::<u32>::default();
        assert_eq!(*fresh.get(Duration::ZERO, || async { 1 }).await.unwrap(), 1);
        let hour = Duration::from_secs(3600);
        assert_eq!(*fresh.get(hour, || async { 2 }).await.unwrap(), 1, "it is young enough");
        let (answer, wait) = tokio::sync::oneshot::channel();
        let slow = fresh.get(Duration::ZERO, || async { wait.await.unwrap_or_default() });
        assert_eq!(*slow.await.unwrap(), 1);
        let none = fresh.get(Duration::ZERO, || async { unreachable!("one asks already") });
        assert_eq!(*none.await.unwrap(), 1);
        let mut seen = fresh.0.last.subscribe();
        answer.send(3).unwrap();
        seen.wait_for(|last| last.as_ref().is_some_and(|(_, value)| **value == 3)).await.unwrap();
    }
}
