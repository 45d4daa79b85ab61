//! Inside and outside: whose word on traces and request ids counts.
//!
//! A stranger who chose the trace would have every request of his recorded, or none, and could put
//! them into somebody else's trace; the ids go on from here into rows, messages and logs. So these
//! headers count from another service, whose token the [`ServiceCheck`] has verified, and from the
//! proxies of `[server] tracing_proxies`. It is known before the request's span begins, which
//! cannot change its trace afterwards.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request};
use http::{Extensions, HeaderName, header};

use super::request_id::HEADER;
use crate::settings::TrustedProxies;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Tells whether another service of this system sends a request, by what is known without waiting:
/// the keys that are here. It may leave what it has found out in the request's extensions.
pub type ServiceCheck = Arc<dyn Fn(&mut Request) -> bool + Send + Sync>;

/// Whose word counts.
#[derive(Clone)]
pub(super) struct Insiders {
    pub(super) proxies: TrustedProxies,
    pub(super) services: ServiceCheck,
}

/// Where a request comes from; an extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// From another service, or from a proxy that begins traces.
    Inside,
    /// From anybody.
    Outside,
}

impl Origin {
    /// The origin of a request.
    pub(super) fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or(Self::Outside)
    }
}

/// Finds out where a request comes from, if it says anything of which that decides.
pub(super) fn find(insiders: &Insiders, request: &mut Request) {
    let says = |name: HeaderName| request.headers().contains_key(name);
    let is_inside = (says(TRACEPARENT) || says(HEADER)) && insiders.include_sender(request);
    let origin = if is_inside { Origin::Inside } else { Origin::Outside };
    request.extensions_mut().insert(origin);
}

impl Insiders {
    fn include_sender(&self, request: &mut Request) -> bool {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let is_proxy = peer.is_some_and(|ConnectInfo(peer)| self.proxies.contains(peer.ip()));
        is_proxy
            || request.headers().contains_key(header::AUTHORIZATION) && (self.services)(request)
    }
}
