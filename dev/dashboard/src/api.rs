//! The same as JSON: `/api/…`, with the token as a bearer, for `cargo dev mcp` and scripts.

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Json;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::spans;

pub(crate) fn router() -> Router<App> {
    Router::new().route("/api/traces", get(traces))
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    run: Option<String>,
}

async fn traces(State(app): State<App>, Query(asked): Query<Asked>) -> Json<Value> {
    let found = app.runs.with(asked.run.as_deref(), |run| run.find(&spans::Query::default(), 100));
    let (found, count) = found.unwrap_or_default();
    let items = found.iter().map(|it| {
        json!({"trace_id": spans::hex(&it.trace), "name": it.name, "service": it.service,
            "spans": it.spans, "errors": it.errors, "duration_ns": it.took()})
    });
    Json(json!({"count": count, "items": items.collect::<Vec<_>>()}))
}
