//! System: what runs, and what goes from whom to whom.

mod graph;
mod layout;
mod picture;
mod processes;

use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use maud::html;

use self::graph::{Graph, Sources};
use super::{Asked, commands, page};
use crate::app::App;
use crate::system::{self, faults, survey};

pub(crate) fn router() -> Router<App> {
    Router::new().route("/", get(show)).route("/processes/{name}", post(processes::act))
}

async fn show(State(app): State<App>, asked: Asked) -> Response {
    let (seen, broker) = tokio::join!(survey(&app), system::broker(&app));
    let folder = &app.settings.folder;
    let faults = faults(folder);
    let edges = app.runs.edges().all(Instant::now());
    let ports = graph::ports(&app.system.now(), folder);
    let broker = broker.as_deref();
    let graph = Graph::of(Sources {
        seen: &seen,
        edges,
        broker: broker.and_then(|broker| broker.as_ref().ok()),
        faults: &faults,
        ports: &ports,
    });
    let main = html! {
        div #faulty data-live { (super::faults::banner(&faults)) }
        section aria-labelledby="graph-heading" {
            h2 #graph-heading { "Graph" }
            p.dim { "Calls and messages of the last minute: how many a second, and within which time 95 of 100 ended." }
            div #graph data-live { (picture::picture(&graph)) }
            p #broker-fault data-live {
                @if let Some(Err(error)) = broker { span.bad { "✗ " (format!("{error:#}")) } }
            }
        }
        section aria-labelledby="processes-heading" {
            h2 #processes-heading { "Processes" }
            (processes::table(&app, &seen))
        }
        section aria-labelledby="edges-heading" {
            h2 #edges-heading { "What goes between them" }
            (picture::table(&graph))
        }
        (commands::list(&app))
    };
    page(&app, &asked, "System", &main)
}
