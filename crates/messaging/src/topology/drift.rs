//! Queues that are there with other arguments than the settings say. The broker keeps a queue as it
//! was made, so such a queue is used as it is, and the difference is said: in the log, and by the
//! gauge `messaging_topology_drift`, until the queue is deleted and made anew.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::metrics;

/// The names of such queues. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Drifts(Arc<Mutex<BTreeSet<String>>>);

impl Drifts {
    pub(super) fn contains(&self, queue: &str) -> bool {
        self.names().contains(queue)
    }

    /// Notes a queue and says, once, how it differs.
    pub(super) fn note(&self, queue: &str, text: &str) {
        if self.names().insert(queue.to_owned()) {
            metrics::drift(queue, true);
            tracing::error!(
                messaging.queue = queue,
                difference = text,
                "queue has other arguments than the settings say; it is used as it is until it is \
                 empty, deleted and made anew"
            );
        }
    }

    /// Forgets a queue that is gone.
    pub(super) fn forget(&self, queue: &str) {
        if self.names().remove(queue) {
            metrics::drift(queue, false);
        }
    }

    fn names(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
