//! A page again and again, as long as somebody looks at it: `GET /live?page=/logs?filter=…`.
//!
//! The page is asked for within the process, like any browser would, and what has changed of it is sent
//! as an event, whose data is the content of `<main>`. So a page is written once, and is live by that.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Query, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use serde::Deserialize;
use tower::ServiceExt;

use crate::app::App;
use crate::pages::Fragment;

/// How often a page is written anew.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many pages are kept live at once: each costs a little for as long as its tab is open.
const VIEWERS_MAX: usize = 32;
/// The most bytes of a page.
const PAGE_MAX: usize = 8 << 20;

#[derive(Deserialize)]
struct Asked {
    /// Path and query of the page.
    page: String,
}

/// A place among those who look on, given back when their stream ends.
struct Viewer(Arc<AtomicUsize>);

impl Drop for Viewer {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) fn router(pages: Router) -> Router<App> {
    let viewers = Arc::<AtomicUsize>::default();
    let stream = move |State(_): State<App>, Query(asked): Query<Asked>| async move {
        if viewers.fetch_add(1, Ordering::Relaxed) >= VIEWERS_MAX {
            viewers.fetch_sub(1, Ordering::Relaxed);
            return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open").into_response();
        }
        updates(pages, asked.page, Viewer(viewers))
    };
    Router::new().route("/live", get(stream))
}

/// The page's content, each time that it differs from the last.
fn updates(pages: Router, page: String, viewer: Viewer) -> Response {
    let begin = (pages, page, String::new(), viewer);
    let events = stream::unfold(begin, |(pages, page, last, viewer)| async move {
        loop {
            let main = render(&pages, &page).await?;
            if main != last {
                let event = Event::default().event("page").data(main.clone());
                tokio::time::sleep(INTERVAL).await;
                return Some((Ok::<_, Infallible>(event), (pages, page, main, viewer)));
            }
            tokio::time::sleep(INTERVAL).await;
        }
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

/// The content of a page now; none where there is no such page.
async fn render(pages: &Router, page: &str) -> Option<String> {
    let mut request =
        Request::builder().method(Method::GET).uri(page).body(axum::body::Body::empty()).ok()?;
    request.extensions_mut().insert(Fragment);
    let response = pages.clone().oneshot(request).await.ok()?;
    if !response.status().is_success() {
        return None;
    }
    let bytes = to_bytes(response.into_body(), PAGE_MAX).await.ok()?;
    // An event of several lines comes out of a browser as it went in, but for a lone carriage return.
    String::from_utf8(bytes.into()).ok().map(|text| text.replace('\r', ""))
}
