//! System: what runs, and what goes from whom to whom.

use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use maud::html;

use super::{Asked, page, shown};
use crate::app::App;
use crate::system::Usage;

pub(crate) fn router() -> Router<App> {
    Router::new().route("/", get(show))
}

async fn show(State(app): State<App>, asked: Asked) -> Response {
    let state = app.system.now();
    let edges = app.runs.edges().all(Instant::now());
    let main = html! {
        table #processes data-live {
            thead { tr { th { "process" } th { "pid" } th { "uptime" } th { "memory" } } }
            tbody {
                @for process in &state.processes {
                    @let usage = Usage::of(process.pid);
                    tr { td { (process.name) } td { (process.pid) }
                        td { (shown::uptime(usage.uptime)) } td { (shown::bytes(usage.memory)) } }
                }
            }
        }
        table #edges data-live {
            thead { tr { th { "from" } th { "to" } th { "a second" } th { "p95" } th { "errors" } } }
            tbody {
                @for edge in &edges {
                    tr { td { (edge.from) } td { (edge.to) } td { (format!("{:.1}", edge.rate)) }
                        td { (shown::duration(edge.p95)) } td { (edge.errors) } }
                }
            }
        }
    };
    page(&app, &asked, "System", &main)
}
