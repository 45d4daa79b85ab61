//! What stands in front of each of a service's routes.

use auth::policy::PolicyGuard;
use axum::extract::Request;
use axum::response::Response;
use chassis::{Guard, Next};
use rate_limit::RateLimits;

use crate::audit::AuditTrail;

/// The policy, and behind it what has to know who calls: the audit trail and the limits.
#[derive(Clone)]
pub(crate) struct RouteGuard {
    pub(crate) policy: PolicyGuard,
    pub(crate) audit: AuditTrail,
    pub(crate) limits: RateLimits,
}

impl Guard for RouteGuard {
    async fn decide(&self, request: Request, route: impl Next) -> Response {
        let route = |request| self.limits.count(request, route);
        let route = |request| self.audit.record_administrator(request, route);
        self.policy.decide(request, route).await
    }
}
