//! Items as they come, a line of JSON each.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use log_files::Filter;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{refused, summary};
use crate::app::App;
use crate::pages::logs::as_json;
use crate::spans::Query;

/// How often it is looked for more.
const POLL: Duration = Duration::from_millis(250);
/// How many follow at once.
static PLACES: Semaphore = Semaphore::const_new(16);
/// Traces whose growth is told.
const TRACES_MAX: usize = 200;

/// The last entries, and those that come.
pub(super) fn logs(app: App, mut filter: Filter, count: usize) -> Response {
    let mut behind = 0;
    let mut count = count;
    lines(move || {
        let last = app.logs.bounds().0;
        let found = app.logs.newer(&mut filter, behind, count);
        (behind, count) = (last.max(found.last().map_or(0, |it| it.number)), usize::MAX);
        found.iter().fold(String::new(), |mut text, it| {
            let _never_fails = writeln!(text, "{}", as_json(&it.name, &it.entry));
            text
        })
    })
}

/// Each trace of the current run that has got spans since it was told last.
pub(super) fn traces(app: App, query: Query) -> Response {
    let mut told = HashMap::new();
    lines(move || {
        let (mut found, _) = app.runs.current().find(&query, TRACES_MAX);
        found.reverse();
        let mut text = String::new();
        for it in found.iter().filter(|it| told.get(&it.trace) != Some(&it.spans)) {
            let _never_fails = writeln!(text, "{}", summary(it));
        }
        told = found.into_iter().map(|it| (it.trace, it.spans)).collect();
        text
    })
}

/// What `next` gives, again and again, as long as somebody reads it.
fn lines(next: impl FnMut() -> String + Send + 'static) -> Response {
    let Ok(place) = PLACES.try_acquire() else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "too many follow at once");
    };
    let begin = (next, place, Duration::ZERO);
    let parts = stream::unfold(
        begin,
        |(mut next, place, mut wait): (_, SemaphorePermit<'_>, _)| async move {
            loop {
                tokio::time::sleep(wait).await;
                wait = POLL;
                let text: String = next();
                if !text.is_empty() {
                    return Some((Ok::<_, Infallible>(text), (next, place, wait)));
                }
            }
        },
    );
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(parts)).into_response()
}
