//! The style and the script, which are in the binary.

use axum::Router;
use axum::http::header;
use axum::routing::get;

const STYLE: &str = include_str!("../assets/dashboard.css");
const SCRIPT: &str = include_str!("../assets/dashboard.js");

pub(crate) fn router() -> Router {
    let style = || async { ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE) };
    let script = || async { ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT) };
    Router::new()
        .route("/assets/dashboard.css", get(style))
        .route("/assets/dashboard.js", get(script))
}
