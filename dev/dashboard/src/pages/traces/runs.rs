//! The runs that are kept: export and import.

use std::fs::File;
use std::io::{self, Read, Write};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use futures_util::StreamExt;
use maud::{Markup, html};

use super::super::link::link;
use super::super::{Asked, page, shown};
use crate::app::App;
use crate::download::download;
use crate::spans::{Import, Kept, Run};

use super::look;

pub(super) async fn show(State(app): State<App>, asked: Asked) -> Response {
    let runs = app.runs.kept();
    let main = html! {
        p { "A run is what a system did from its " code { "up" } " to its end. The last ten are kept, 64 MiB of each." }
        div.wide {
            table {
                thead { tr { th scope="col" { "run" } th.number scope="col" { "size" } th scope="col" { "look" } th scope="col" { "export" } } }
                tbody #runs data-live="items" { @for (place, run) in runs.iter().enumerate() { (row(run, &runs[..place])) } }
            }
        }
        (import_form(app.settings.port))
    };
    page(&app, &asked, "Runs", &main)
}

fn row(run: &Kept, newer: &[Kept]) -> Markup {
    let name = if run.is_current { "" } else { run.name.as_str() };
    // Its logs are in the files of all runs; where it ends is where the next one begins.
    let until =
        newer.iter().rev().find_map(|next| began(&next.name)).map(stamp).unwrap_or_default();
    html! {
        tr id=(format!("r{}", run.name)) {
            th scope="row" { (run.name) @if run.is_current { " (now)" } }
            td.number { (shown::bytes(run.bytes)) }
            td { a href=(link("/traces", &[("run", name)])) { "traces" } " "
                @if let Some(began) = began(&run.name) {
                    a href=(link("/logs", &[("since", &stamp(began)), ("until", &until)])) { "logs" } } }
            td { a href=(format!("/runs/{}/export", run.name)) { "NDJSON" } }
        }
    }
}

fn import_form(port: u16) -> Markup {
    html! {
        h2 { "Import" }
        form.fields data-upload method="post" action="/runs/import" {
            label for="file" { "An exported run" }
            input #file name="file" type="file" accept=".ndjson" required;
            button { "Import" }
            span role="status" {}
        }
        p.dim { "From a shell: " code { "curl -H \"Authorization: Bearer $TOKEN\" --data-binary @run.ndjson http://localhost:" (port) "/runs/import" } }
    }
}

/// When a run of this system began; none of one that was imported.
fn began(name: &str) -> Option<DateTime<Utc>> {
    Some(NaiveDateTime::parse_from_str(name, "%Y%m%dT%H%M%SZ").ok()?.and_utc())
}

fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

pub(super) async fn export(State(app): State<App>, Path(name): Path<String>) -> Response {
    let Some(files) = look(&app, &name, Run::files).await else {
        return (StatusCode::NOT_FOUND, "There is no such run.").into_response();
    };
    download(&format!("{name}.ndjson"), "application/x-ndjson", move |to: &mut dyn Write| {
        for (file, length) in files {
            match File::open(file) {
                Ok(file) => io::copy(&mut file.take(length), to)?,
                // The oldest file goes while others come.
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                Err(error) => return Err(error),
            };
        }
        Ok(())
    })
}

pub(super) async fn import(State(app): State<App>, body: Body) -> Response {
    match take(&app, body).await {
        Ok((name, _)) => Redirect::to(&link("/traces", &[("run", &name)])).into_response(),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

/// Keeps the run while it comes.
async fn take(app: &App, body: Body) -> io::Result<(String, usize)> {
    let mut parts = body.into_data_stream();
    let mut import = app.runs.import()?;
    while let Some(part) = parts.next().await {
        let part = part.map_err(io::Error::other)?;
        import = blocking(move || {
            import.push(&part)?;
            Ok::<Import, io::Error>(import)
        })
        .await?;
    }
    let app = App::clone(app);
    blocking(move || app.runs.imported(import)).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
