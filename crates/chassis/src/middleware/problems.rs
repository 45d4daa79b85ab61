//! An error that brings no JSON becomes a problem document, whoever made it: the router, a file that
//! is not there, a layer of another crate.

use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::CACHE_CONTROL;

use crate::Problem;
use crate::extract::media_type;

/// Gives an error without JSON the problem document of its status. What its headers say besides of
/// its body stays: `Allow`, for one.
pub(super) fn documented(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || is_json(response.headers()) {
        return response;
    }
    let mut problem = Problem::of(status).into_response();
    for (name, value) in response.headers() {
        // The document has said of caches what is to be said.
        if !name.as_str().starts_with("content-") && name != CACHE_CONTROL {
            problem.headers_mut().append(name, value.clone());
        }
    }
    problem
}

/// Whether the body is JSON of some kind: a problem already, a report of health, an error of OAuth.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = media_type(headers);
    kind == "application/json" || kind.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;

    use super::*;

    #[test]
    fn json_is_distinguished_from_what_only_looks_like_it() {
        for (kind, expected) in [
            ("application/json", true),
            ("application/problem+json; charset=utf-8", true),
            ("text/plain; charset=utf-8", false),
            ("text/html; a=+json", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().unwrap())]);
            assert_eq!(is_json(&headers), expected, "{kind}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
