//! What a call sends, and what became of its attempts so far.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use discovery::Instance;
use http::{HeaderMap, Method, header};
use resilience::criticality::Criticality;
use resilience::deadline::Deadline;
use serde::Serialize;
use tokio::time::Instant;
use tusk_config::Secret;

use crate::{Kind, call};

/// What every attempt of a call sends.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    pub(crate) deadline: Deadline,
    pub(crate) client_address: Option<IpAddr>,
    pub(crate) criticality: Criticality,
    /// Whether sending it twice has the effect of sending it once.
    pub(crate) may_repeat: bool,
    /// Whether an attempt failed by the target's fault. Set by attempts, also by those that are dropped.
    pub(crate) target_failed: AtomicBool,
}

impl Request {
    pub(crate) fn authorize(&mut self, token: &Secret<String>) -> Result<(), Kind> {
        let bearer = call::sensitive(&format!("Bearer {}", token.expose()));
        let bearer = bearer.ok_or(Kind::Unexpected("the token is no header"))?;
        self.headers.insert(header::AUTHORIZATION, bearer);
        Ok(())
    }

    pub(crate) fn note_failure(&self) {
        self.target_failed.store(true, Relaxed);
    }

    /// Whether it only reads (RFC 9110 §9.2.1), so that nobody minds two at the same time.
    pub(crate) fn is_read(&self) -> bool {
        self.method == Method::GET
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

/// The attempts of one call so far.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    /// How many were begun.
    pub(crate) count: u32,
    /// The instances that they went to, the last one last.
    pub(crate) instances: Vec<Arc<Instance>>,
    /// Those that asked to be left alone, and until when.
    pub(crate) busy: Vec<(Arc<Instance>, Instant)>,
}

impl Attempts {
    /// `host:port` of the last instance that was called.
    pub(crate) fn last_instance(&self) -> Option<String> {
        self.instances.last().map(|instance| instance.authority())
    }

    /// Those that ask to be left alone now.
    pub(crate) fn busy(&self) -> Vec<Arc<Instance>> {
        let now = Instant::now();
        self.busy.iter().filter(|(_, until)| *until > now).map(|(it, _)| it.clone()).collect()
    }

    /// How long until the first of those that ask to be left alone now may be called again.
    pub(crate) fn busy_for(&self) -> Option<Duration> {
        let now = Instant::now();
        let busy = self.busy.iter().map(|(_, until)| *until).filter(|until| *until > now);
        Some(busy.min()? - now)
    }
}
