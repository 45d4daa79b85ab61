//! The deadline: the service's own time limit, or that of the service which calls where it is shorter.
//!
//! What a stranger says of time is not believed: it would choose the point at which a handler ends,
//! and would be counted as a fault of ours. So the header counts once it is known that a service
//! calls, see [`client_deadline`].

use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use resilience::deadline::Deadline;
use tokio::time::timeout_at;

use super::metrics;
use super::shed::TimeIsUp;
use crate::{Next, Problem};

/// What a caller that ran out of time is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Whose requests are counted; in the request's extensions.
#[derive(Debug, Clone, Copy)]
struct Counted(&'static str);

/// Ends the handler when the service's own time is up; it reads what is left from the request's
/// extensions.
pub(super) async fn limit(
    service: &'static str,
    limit: Duration,
    mut request: Request,
    next: impl Next,
) -> Response {
    request.extensions_mut().insert(Counted(service));
    let answered = within(Deadline::within(limit), request, next).await;
    answered.unwrap_or_else(own_time_is_up)
}

/// Goes on within the deadline that the request's header states, where that is shorter than the
/// service's own. For whoever has made sure that another service calls; a request whose time is
/// over already is not begun.
pub async fn client_deadline(request: Request, next: impl Next) -> Response {
    let Some(asked) = Deadline::from_headers(request.headers()) else {
        return next.run(request).await;
    };
    let own = request.extensions().get::<Deadline>();
    match own.copied() {
        Some(own) if own.instant() <= asked.instant() => {
            within(own, request, next).await.unwrap_or_else(own_time_is_up)
        }
        Some(_) | None => {
            within(asked, request, next).await.unwrap_or_else(IntoResponse::into_response)
        }
    }
}

/// The answer when the service's own limit has passed, not that of a caller in a hurry.
fn own_time_is_up(problem: Problem) -> Response {
    let mut response = problem.into_response();
    response.extensions_mut().insert(TimeIsUp);
    response
}

async fn within(
    deadline: Deadline,
    mut request: Request,
    next: impl Next,
) -> Result<Response, Problem> {
    let counted = request.extensions().get::<Counted>().copied();
    request.extensions_mut().insert(deadline);
    if deadline.remaining().is_some()
        && let Ok(response) = timeout_at(deadline.instant(), next.run(request)).await
    {
        return Ok(response);
    }
    if let Some(Counted(service)) = counted {
        metrics::timed_out(service);
    }
    Err(Problem::unavailable("the request's time is up; try again", RETRY_AFTER))
}
