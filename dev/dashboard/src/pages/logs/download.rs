//! What a filter admits as a file, written while it is read.

use std::io::Write;
use std::ops::ControlFlow;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::{Question, entry};
use crate::app::App;
use crate::download;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    #[default]
    Text,
    Ndjson,
}

#[derive(Debug, Deserialize)]
pub(super) struct How {
    #[serde(default, rename = "as")]
    form: Form,
}

pub(super) async fn download(
    State(app): State<App>,
    Query(question): Query<Question>,
    Query(how): Query<How>,
) -> Response {
    let mut filter = match question.read() {
        Ok(filter) => filter,
        Err(fault) => return (StatusCode::BAD_REQUEST, fault).into_response(),
    };
    let (name, kind) = match how.form {
        Form::Text => ("logs.txt", "text/plain; charset=utf-8"),
        Form::Ndjson => ("logs.ndjson", "application/x-ndjson"),
    };
    download::download(name, kind, move |to: &mut dyn Write| {
        app.logs.each(&mut filter, |name, found| {
            match how.form {
                Form::Text => writeln!(to, "{}", entry::as_text(name, found))?,
                Form::Ndjson => writeln!(to, "{}", entry::as_json(name, found))?,
            }
            Ok(ControlFlow::Continue(()))
        })
    })
}
