//! A call on its way through the guards: what each attempt sends, and what was tried so far.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use discovery::Instance;
use http::{HeaderMap, Method};
use resilience::deadline::{Deadline, HasDeadline};
use resilience::retry::Repeatable;

/// What is sent. Cheap to clone: each attempt gets one.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: Arc<str>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    pub(crate) deadline: Deadline,
    pub(crate) client_address: Option<IpAddr>,
    pub(crate) may_repeat: bool,
    pub(crate) journey: Journey,
}

/// What was tried for one call; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journey(Arc<Mutex<Tried>>);

#[derive(Debug, Default)]
struct Tried {
    attempts: u32,
    instances: Vec<Arc<Instance>>,
}

impl Journey {
    /// Counts an attempt; gives its number, from 1, and the instances before it.
    pub(crate) fn begin(&self) -> (u32, Vec<Arc<Instance>>) {
        let mut tried = self.lock();
        tried.attempts += 1;
        (tried.attempts, tried.instances.clone())
    }

    /// Notes whom the attempt goes to.
    pub(crate) fn goes_to(&self, instance: &Arc<Instance>) {
        self.lock().instances.push(instance.clone());
    }

    /// Attempts made, and the last instance that was called.
    pub(crate) fn so_far(&self) -> (u32, Option<String>) {
        let tried = self.lock();
        let last = tried.instances.last();
        (tried.attempts, last.map(|instance| format!("{}:{}", instance.host, instance.port)))
    }

    fn lock(&self) -> MutexGuard<'_, Tried> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HasDeadline for Request {
    fn deadline(&self) -> Option<Deadline> {
        Some(self.deadline)
    }
}

impl Repeatable for Request {
    fn may_repeat(&self) -> bool {
        self.may_repeat
    }

    fn try_clone(&self) -> Option<Self> {
        Some(self.clone())
    }
}
