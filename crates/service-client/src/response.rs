//! What an answer means: the body of a success, or a [`Kind`].

use std::error::Error;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use chassis::Clock;
use http::{HeaderMap, StatusCode, header};
use reqwest::Response;
use tracing::Span;

use crate::{Kind, ProblemDocument};

/// Largest problem document read, in bytes.
const PROBLEM_BYTES_MAX: usize = 16 * 1024;
/// A longer `Retry-After` counts as this.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// Waits for the head of an answer, then reads it.
pub(crate) async fn read(
    answer: impl Future<Output = reqwest::Result<Response>>,
    bytes_max: usize,
) -> Result<Bytes, Kind> {
    let mut answer = answer.await.map_err(|error| fault(&error))?;
    let status = answer.status();
    Span::current().record("http.response.status_code", status.as_u16());
    if status.is_success() {
        return body(&mut answer, bytes_max).await;
    }
    if status.is_client_error() || status.is_server_error() {
        Span::current().record("error.type", status.as_str());
    }
    Err(refusal(&mut answer).await)
}

/// What an exchange without an answer means.
fn fault(error: &reqwest::Error) -> Kind {
    if error.is_connect() || was_never_written(error) {
        Kind::Unreachable
    } else if error.is_timeout() {
        Kind::TimedOut
    } else if error.is_builder() || error.is_redirect() {
        Kind::Unexpected("the request cannot be built")
    } else {
        Kind::ConnectionLost
    }
}

/// Whether the connection was gone before the first byte of the request was written to it.
fn was_never_written(error: &reqwest::Error) -> bool {
    let causes =
        std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| (*cause).source());
    causes.filter_map(|cause| cause.downcast_ref::<hyper::Error>()).any(hyper::Error::is_canceled)
}

/// What an answer that is no success means.
async fn refusal(answer: &mut Response) -> Kind {
    let status = answer.status();
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Kind::NotFound,
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            let retry_after = retry_after(answer.headers());
            Kind::Server { status: status.as_u16(), retry_after }
        }
        _ if status.is_client_error() => {
            let body = body(answer, PROBLEM_BYTES_MAX).await.unwrap_or_default();
            let problem = serde_json::from_slice::<ProblemDocument>(&body).ok();
            Kind::Client { status: status.as_u16(), problem }
        }
        _ => Kind::Unexpected("it is neither success nor error"),
    }
}

/// `Retry-After` (RFC 9110 §10.2.3): seconds, or a date, which is read by the clock of who sent it.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let value = text(header::RETRY_AFTER)?;
    let asked = if let Ok(seconds) = value.parse() {
        Duration::from_secs(seconds)
    } else {
        let until = httpdate::parse_http_date(value).ok()?;
        let date = text(header::DATE).and_then(|date| httpdate::parse_http_date(date).ok());
        let now = date.unwrap_or_else(|| SystemTime::from(Clock::system().now()));
        until.duration_since(now).unwrap_or_default()
    };
    Some(asked.min(RETRY_AFTER_MAX))
}

/// Reads the body up to a bound. Most answers come in one piece, which is then not copied.
async fn body(answer: &mut Response, bytes_max: usize) -> Result<Bytes, Kind> {
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut length = 0;
    while let Some(piece) = answer.chunk().await.map_err(|error| fault(&error))? {
        length += piece.len();
        if length > bytes_max {
            return Err(Kind::Unexpected("it is too large"));
        }
        pieces.push(piece);
    }
    Ok(match pieces.len() {
        0 | 1 => pieces.pop().unwrap_or_default(),
        _ => pieces.concat().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(retry_after: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, retry_after.parse().unwrap());
        if let Some(date) = date {
            headers.insert(header::DATE, date.parse().unwrap());
        }
        super::retry_after(&headers)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_clock_of_who_sends_it_and_an_hour_at_most() {
        let date = Some("Tue, 01 Jan 2036 10:00:00 GMT");
        for (value, date, seconds) in [
            ("7", None, Some(7)),
            (" 0 ", date, Some(0)),
            ("99999", None, Some(3_600)),
            ("Tue, 01 Jan 2036 10:00:09 GMT", date, Some(9)),
            ("Tue, 01 Jan 2036 09:00:00 GMT", date, Some(0)),
            ("Tue, 01 Jan 2036 10:00:09 GMT", None, Some(3_600)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None, Some(0)),
            ("soon", date, None),
            ("-1", date, None),
        ] {
            assert_eq!(asked(value, date), seconds.map(Duration::from_secs), "{value} {date:?}");
        }
    }
}
