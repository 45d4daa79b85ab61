//! What a handler passes on to the services that it calls.

use axum::extract::FromRequestParts;
use http::request::Parts;
use resilience::criticality::Criticality;
use resilience::deadline::Deadline;

use crate::{ClientAddress, Problem, RequestId};

/// What the services called for a request are to know of it.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// When the caller stops waiting.
    pub deadline: Deadline,
    /// The request's id.
    pub request_id: RequestId,
    /// Where the request comes from.
    pub client_address: ClientAddress,
    /// How much it matters that it is answered.
    pub criticality: Criticality,
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Problem;

    /// Fails only outside of the chassis, whose layers give every request all of them.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let of = &parts.extensions;
        let known = (of.get().copied(), of.get().cloned(), of.get().copied());
        let (Some(deadline), Some(request_id), Some(client_address)) = known else {
            return Err(Problem::internal());
        };
        let criticality = of.get().copied().unwrap_or_default();
        Ok(Self { deadline, request_id, client_address, criticality })
    }
}
