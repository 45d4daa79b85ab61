//! `/admin/log`: another filter for a while. It always goes back by itself, so that nobody has to
//! remember; a restart goes back too. What lasts is `[log] filter` of the settings.

use std::sync::LazyLock;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use telemetry::{LogFilter, log_filter};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::extract::Json;
use crate::{BuildError, Clock, Problem};

/// How long another filter holds unless it is said.
const SECONDS: u32 = 600;
/// The longest that it may hold: a day.
const SECONDS_MAX: u32 = 86_400;

/// When the filter goes back; none while it is that of the settings. There is one filter in a
/// process, and so one of these.
static UNTIL: LazyLock<watch::Sender<Option<Until>>> = LazyLock::new(watch::Sender::default);

#[derive(Clone, Copy)]
struct Until {
    instant: Instant,
    time: DateTime<Utc>,
}

/// What is logged.
#[derive(Serialize, ToSchema)]
pub(super) struct LogStatus {
    /// What is in force.
    #[schema(example = "info,user_service=debug")]
    filter: String,
    /// What the settings say.
    #[schema(example = "info")]
    configured: String,
    /// When it is that of the settings again.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<DateTime<Utc>>,
}

/// What is to be logged.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogChange {
    /// A level, or levels by module.
    #[schema(example = "info,user_service=debug", min_length = 1)]
    filter: String,
    /// For how long: 1 to 86400, ten minutes when left out.
    #[schema(minimum = 1, maximum = 86_400)]
    seconds: Option<u32>,
}

/// What this process logs.
#[utoipa::path(get, path = "/admin/log", operation_id = "log", tag = "admin",
    security(("bearer" = [])), responses(
    (status = 200, body = LogStatus),
    (status = 503, body = Problem, description = "The process has no logs"),
))]
pub(super) async fn show() -> Result<Json<LogStatus>, Problem> {
    Ok(Json(now(filter()?)))
}

/// Logs something else for a while.
#[utoipa::path(put, path = "/admin/log", operation_id = "change_log", tag = "admin",
    request_body = LogChange, security(("bearer" = [])), responses(
    (status = 200, body = LogStatus),
    (status = 422, body = Problem, description = "It is no filter, or the time is out of bounds"),
    (status = 503, body = Problem, description = "The process has no logs"),
))]
pub(super) async fn change(Json(change): Json<LogChange>) -> Result<Json<LogStatus>, Problem> {
    let filter = filter()?;
    let seconds = change.seconds.unwrap_or(SECONDS);
    if !(1..=SECONDS_MAX).contains(&seconds) {
        return Err(Problem::validation().field("/seconds", "it has to be 1 to 86400"));
    }
    let lasts = Duration::from_secs(seconds.into());
    let until = Until { instant: Instant::now() + lasts, time: Clock::system().now() + lasts };
    let mut outcome = Ok(());
    // Both under one lock: an earlier change whose time is over must not take this one back.
    UNTIL.send_modify(|known| {
        outcome = filter.set(&change.filter);
        if outcome.is_ok() {
            *known = Some(until);
        }
    });
    outcome.map_err(|fault| Problem::validation().field("/filter", fault.to_string()))?;
    tracing::warn!(log.filter = change.filter, log.seconds = seconds, "log filter changed");
    Ok(Json(now(filter)))
}

/// Sets the filter of the settings again when the time of another one is over.
pub(crate) async fn go_back(shutdown: CancellationToken) -> Result<(), BuildError> {
    let mut until = UNTIL.subscribe();
    loop {
        let known = *until.borrow_and_update();
        let over = async {
            match known {
                Some(until) => sleep_until(until.instant).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = until.changed() => {}
            () = over => end(),
        }
    }
}

/// Ends a change whose time is over; a newer one stays.
fn end() {
    UNTIL.send_if_modified(|until| {
        let is_over = until.is_some_and(|until| until.instant <= Instant::now());
        let Some(filter) = log_filter().filter(|_| is_over) else { return false };
        *until = None;
        // It was good at the start.
        let _ = filter.set(filter.configured());
        tracing::warn!(log.filter = filter.configured(), "log filter changed back");
        true
    });
}

fn filter() -> Result<&'static LogFilter, Problem> {
    let none = || Problem::unavailable("this process has no logs", Duration::from_secs(60));
    log_filter().ok_or_else(none)
}

fn now(filter: &LogFilter) -> LogStatus {
    let until = UNTIL.borrow().map(|until| until.time);
    LogStatus { filter: filter.current(), configured: filter.configured().to_owned(), until }
}
