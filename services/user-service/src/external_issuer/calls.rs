//! Calls to the issuer: each so long, and answers of so many bytes.

use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use reqwest::redirect::Policy;
use reqwest::{Client, Request, RequestBuilder, Url};
use serde::de::DeserializeOwned;
use telemetry::client_span;
use tracing::{Instrument, Span};

use super::IssuerError::{self, Unavailable};

/// Far above what metadata, keys and tokens take.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Connections kept open between calls.
const IDLE_CONNECTIONS_MAX: usize = 4;

/// The way to the issuer.
pub(super) struct Http {
    client: Client,
}

/// What was answered.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

impl Http {
    /// Opens nothing yet.
    pub(super) fn new(timeout: Duration, https_only: bool) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .https_only(https_only)
            // Whoever the issuer sends us to would get our secret, and may be a machine that only we reach.
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .build()?;
        Ok(Self { client })
    }

    /// Reads a document.
    pub(super) async fn get<T: DeserializeOwned>(&self, url: &Url) -> Result<T, IssuerError> {
        let answer = self.send(self.client.get(url.clone())).await?;
        if !answer.status.is_success() {
            return Err(Unavailable("gives no document"));
        }
        let unreadable = |_| Unavailable("gives a document that cannot be read");
        serde_json::from_slice(&answer.body).map_err(unreadable)
    }

    /// Sends a form, with what proves who sends it.
    pub(super) async fn post(
        &self,
        url: &Url,
        proof: Option<HeaderValue>,
        form: String,
    ) -> Result<Answered, IssuerError> {
        let request = self.client.post(url.clone()).header(ACCEPT, "application/json");
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = proof.into_iter().fold(request, |it, proof| it.header(AUTHORIZATION, proof));
        self.send(request.body(form)).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answered, IssuerError> {
        let request = request.build().map_err(|error| reason(&error))?;
        let span = span(&request);
        let answer = self.exchange(request).instrument(span.clone()).await;
        let error = match &answer {
            Ok(answer) if answer.status.as_u16() < 400 => None,
            Ok(answer) => Some(answer.status.as_str()),
            Err(_) => Some("unavailable"),
        };
        if let Some(error) = error {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", error);
        }
        answer
    }

    async fn exchange(&self, request: Request) -> Result<Answered, IssuerError> {
        let sent = self.client.execute(request).await;
        let mut response = sent.map_err(|error| reason(&error))?;
        let status = response.status();
        Span::current().record("http.response.status_code", status.as_u16());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| reason(&error))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Unavailable("answers too much"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answered { status, body })
    }
}

fn span(request: &Request) -> Span {
    let url = request.url();
    client_span(request.method(), url.as_str(), url.host_str(), url.port_or_known_default())
}

fn reason(error: &reqwest::Error) -> IssuerError {
    Unavailable(if error.is_timeout() {
        "does not answer in time"
    } else if error.is_connect() {
        "is not reached"
    } else {
        "does not answer"
    })
}
