//! A call on its way through the guards: what each attempt sends, and what was tried so far.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use discovery::Instance;
use http::{HeaderMap, Method, header};
use resilience::deadline::{Deadline, HasDeadline};
use resilience::retry::Repeatable;
use serde::Serialize;
use tusk_config::Secret;

use crate::{Kind, call};

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

impl Request {
    pub(crate) fn authorize(&mut self, token: &Secret<String>) -> Result<(), Kind> {
        let bearer = call::sensitive(&format!("Bearer {}", token.expose()));
        let bearer = bearer.ok_or(Kind::Unexpected("the token is no header"))?;
        self.headers.insert(header::AUTHORIZATION, bearer);
        Ok(())
    }
}

/// A body that is written.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) content_type: &'static str,
    pub(crate) bytes: Bytes,
}

impl Body {
    pub(crate) fn json(value: &impl Serialize) -> Result<Self, Kind> {
        let bytes = serde_json::to_vec(value);
        let bytes = bytes.map_err(|_| Kind::Unexpected("the request is no JSON"))?.into();
        Ok(Self { content_type: "application/json", bytes })
    }

    pub(crate) fn form(fields: &[(&str, &str)]) -> Self {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        Self { content_type: "application/x-www-form-urlencoded", bytes: form.into() }
    }
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

    fn set_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
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
