//! Header trust: whose word on traces, request ids and criticality counts.
//!
//! A stranger who chose the trace would have every request of his recorded, or none, and could put
//! them into somebody else's trace; the ids go on from here into rows, messages and logs. So these
//! headers count from another service, whose token the [`ServiceCheck`] has verified, and from the
//! proxies of `[server] tracing_proxies`. It is known before the request's span begins, which
//! cannot change its trace afterwards.
//!
//! Anybody may say that a request matters less than others, and only another service that it matters
//! more: a stranger's request that is `critical` is like any other.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request};
use http::{Extensions, HeaderName, header};
use resilience::criticality::Criticality;

use super::request_id::HEADER;
use crate::settings::TrustedProxies;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Tells whether another service of this system sends a request, by what is known without waiting:
/// the keys that are here. It may leave what it has found out in the request's extensions.
pub type ServiceCheck = Arc<dyn Fn(&mut Request) -> bool + Send + Sync>;

/// Whose word counts.
#[derive(Clone)]
pub(super) struct TrustedCallers {
    pub(super) proxies: TrustedProxies,
    pub(super) services: ServiceCheck,
}

/// Whether the headers of a request count; an extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderTrust {
    /// From another service, or from a proxy that begins traces.
    Trusted,
    /// From anybody.
    Untrusted,
}

impl HeaderTrust {
    /// Of a request.
    pub(super) fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or(Self::Untrusted)
    }
}

/// Finds out whether the headers of a request count, if it has any, and how much it
/// matters.
pub(super) fn find(trusted: &TrustedCallers, request: &mut Request) {
    let says = |name: HeaderName| request.headers().contains_key(name);
    let has_ids = says(TRACEPARENT) || says(HEADER);
    let said = Criticality::from_headers(request.headers()).unwrap_or_default();
    let is_critical = said > Criticality::default();
    let is_proxy = has_ids && trusted.include_proxy(request);
    let is_service = (is_critical || has_ids && !is_proxy) && trusted.include_service(request);
    let is_trusted = is_proxy || has_ids && is_service;
    let trust = if is_trusted { HeaderTrust::Trusted } else { HeaderTrust::Untrusted };
    let criticality = if is_critical && !is_service { Criticality::default() } else { said };
    request.extensions_mut().insert(trust);
    request.extensions_mut().insert(criticality);
}

impl TrustedCallers {
    fn include_proxy(&self, request: &Request) -> bool {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        peer.is_some_and(|ConnectInfo(peer)| self.proxies.contains(peer.ip()))
    }

    fn include_service(&self, request: &mut Request) -> bool {
        request.headers().contains_key(header::AUTHORIZATION) && (self.services)(request)
    }
}
