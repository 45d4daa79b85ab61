//! The bulkhead: so many calls in flight and no more, so that one slow target cannot take all of a
//! service's memory and connections.
//!
//! Calls beyond the permits are refused, or wait in a queue that is bounded too.

#[cfg(test)]
#[cfg(not(loom_resilience))]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits for calls in flight. Cheap to clone; clones share the permits.
#[derive(Debug, Clone)]
pub struct Bulkhead(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    permits: Arc<Semaphore>,
    /// How many permits there are.
    capacity: usize,
    /// How many may wait.
    queue: usize,
    waiting: AtomicUsize,
}

/// A permit, until it is dropped.
#[derive(Debug)]
#[must_use = "the permit is given back when this is dropped"]
pub struct BulkheadPermit {
    _permit: OwnedSemaphorePermit,
}

/// No permit is free, nor one to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many calls are in flight")]
pub struct Full;

impl Bulkhead {
    /// So many calls at a time; more are refused at once.
    pub fn new(permits: usize) -> Self {
        Self::with_queue(permits, 0)
    }

    /// So many calls at a time, and so many that wait for a permit, in their order.
    pub fn with_queue(permits: usize, queue: usize) -> Self {
        let capacity = permits.min(Semaphore::MAX_PERMITS);
        let permits = Arc::new(Semaphore::new(capacity));
        let waiting = AtomicUsize::new(0);
        Self(Arc::new(Shared { permits, capacity, queue, waiting }))
    }

    /// A permit, if one is free and nobody waits for it.
    pub fn try_acquire(&self) -> Option<BulkheadPermit> {
        let permit = self.0.permits.clone().try_acquire_owned().ok()?;
        Some(BulkheadPermit { _permit: permit })
    }

    /// A permit, now or when it is this caller's turn. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// [`Full`] at once when no permit is free and the queue is full.
    pub async fn acquire(&self) -> Result<BulkheadPermit, Full> {
        if let Some(permit) = self.try_acquire() {
            return Ok(permit);
        }
        let _waiting = Waiting::enter(&self.0).ok_or(Full)?;
        let permit = self.0.permits.clone().acquire_owned().await.map_err(|_| Full)?;
        Ok(BulkheadPermit { _permit: permit })
    }

    /// Permits that are free now.
    pub fn free(&self) -> usize {
        self.0.permits.available_permits()
    }

    /// Permits in all.
    pub fn capacity(&self) -> usize {
        self.0.capacity
    }

    /// Calls in flight now.
    pub fn in_use(&self) -> usize {
        self.capacity() - self.free()
    }

    /// Callers that wait now.
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }
}

/// A permit in the queue, until it is dropped.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn enter(shared: &'a Shared) -> Option<Self> {
        let enter = |waiting| (waiting < shared.queue).then_some(waiting + 1);
        let entered = shared.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter);
        // Made only when entered: its drop leaves the queue.
        entered.is_ok().then(|| Self(shared))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
