//! `/problems` and `/problems/{kind}`: what the `type` of a problem document leads to. For people, so
//! it is a page; it needs no token, since whoever has none gets problems too.

use axum::Router;
use axum::extract::Path;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::header;

use super::kind::{self, Kind};
use crate::Problem;

/// How long a page may be kept: it changes with a release.
const CACHE_CONTROL: &str = "public, max-age=3600";

pub(crate) fn router() -> Router {
    Router::new().route("/problems", get(index)).route("/problems/{kind}", get(page))
}

async fn index() -> Response {
    let line = |kind: &Kind| {
        let Kind { name, status, title, .. } = kind;
        format!("<li><a href=\"/problems/{name}\">{name}</a>: {}, {title}</li>\n", status.as_u16())
    };
    answer("Problems", &format!("<ul>\n{}</ul>", kind::ALL.iter().map(line).collect::<String>()))
}

async fn page(Path(name): Path<String>) -> Response {
    let Some(kind) = Kind::named(&name) else {
        return Problem::not_found("there is no such kind of problem").into_response();
    };
    let Kind { name, status, title, meaning } = kind;
    let body = format!("<p><code>/problems/{name}</code>, {status}</p>\n<p>{meaning}</p>");
    answer(title, &body)
}

/// A page of texts from the list, which are not a caller's and hold no markup.
fn answer(title: &str, body: &str) -> Response {
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title>\
         </head>\n<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    );
    ([(header::CACHE_CONTROL, CACHE_CONTROL)], Html(page)).into_response()
}
