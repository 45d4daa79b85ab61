//! Spans of requests to servers that are nobody's of ours: the payment provider, an external issuer.

use http::Method;
use tracing::field::Empty;
use tracing::{Span, info_span};

/// A client span by <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>, of a request to this URL, of
/// which the query and the fragment are left out: they may hold anything.
///
/// Whoever sends the request records `http.response.status_code`, and `otel.status_code` and `error.type` when it
/// fails.
pub fn client_span(method: &Method, url: &str, host: Option<&str>, port: Option<u16>) -> Span {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    info_span!(
        "http.attempt",
        otel.name = method.as_str(),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = method.as_str(),
        http.response.status_code = Empty,
        url.full = &url[..end],
        server.address = host,
        server.port = port,
        error.type = Empty,
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::format::FmtSpan;

    use super::*;

    /// What the log has taken.
    #[derive(Clone, Default)]
    struct Taken(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Taken {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_query_and_the_fragment_of_a_url_are_in_no_span() {
        let taken = Taken::default();
        let writer = taken.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_span_events(FmtSpan::NEW)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            for url in ["https://a.example/b?code=secret", "https://a.example/b#secret"] {
                client_span(&Method::GET, url, Some("a.example"), Some(443));
            }
        });
        let text = String::from_utf8(taken.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("https://a.example/b\"").count(), 2, "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
