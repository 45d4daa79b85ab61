//! Queues and exchanges that are there with other arguments than the settings say. The broker keeps
//! them as they were made, so they are used as they are, and the difference is said: in the log, and
//! by the gauge `messaging_topology_drift`, until they are deleted and made anew, by whomever.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::metrics;

/// The names of such queues and exchanges. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Drifts(Arc<Mutex<Names>>);

#[derive(Debug, Default)]
struct Names {
    /// Those that are used as they are.
    known: BTreeSet<String>,
    /// Those that were told of.
    reported: BTreeSet<String>,
}

impl Drifts {
    pub(super) fn contains(&self, name: &str) -> bool {
        self.names().known.contains(name)
    }

    /// Notes a name and says, once, how it differs.
    pub(super) fn note(&self, name: &str, text: &str) {
        let mut names = self.names();
        names.known.insert(name.to_owned());
        if names.reported.insert(name.to_owned()) {
            metrics::drift(name, true);
            tracing::error!(
                name,
                difference = text,
                "queue or exchange has other arguments than the settings say; it is used as it is \
                 until it is deleted and made anew"
            );
        }
    }

    /// Forgets a name that is gone.
    pub(super) fn forget(&self, name: &str) {
        self.names().known.remove(name);
    }

    /// Lets each name show once more that it differs.
    pub(super) fn ask_again(&self) {
        self.names().known.clear();
    }

    /// Takes back what was told of names that have not shown it again.
    pub(super) fn settle(&self) {
        let mut names = self.names();
        let Names { known, reported } = &mut *names;
        reported.retain(|name| {
            let differs = known.contains(name);
            if !differs {
                metrics::drift(name, false);
            }
            differs
        });
    }

    fn names(&self) -> std::sync::MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
