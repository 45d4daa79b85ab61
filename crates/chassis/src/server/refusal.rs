//! Answers to what is no request: a problem document, as every other error has.

use http::StatusCode;

use crate::Problem;

/// The bytes of an answer with this status, after which the connection is closed.
pub(super) fn answer(status: StatusCode) -> Vec<u8> {
    let problem = problem(status);
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

/// The status of an answer that hyper gives by itself: one to what it cannot read.
pub(super) fn status(head: &[u8]) -> Option<StatusCode> {
    let status = head.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    StatusCode::from_bytes(status).ok().filter(StatusCode::is_client_error)
}

fn problem(status: StatusCode) -> Problem {
    match status {
        StatusCode::REQUEST_TIMEOUT => {
            Problem::request_timeout("the head of a request did not end")
        }
        StatusCode::URI_TOO_LONG => {
            Problem::new(status, "uri-too-long", "The request's target is too long")
        }
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            Problem::new(status, "head-too-large", "The head of the request is too large")
        }
        _ => Problem::bad_request("this is no HTTP/1.1 request"),
    }
}
