//! What the providers need of HTTP: bounded answers, and streams of lines.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use url::Url;

use super::ProviderError;

/// Longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Largest answer that is read: thousands of instances.
const BODY_MAX: usize = 16 * 1024 * 1024;
/// How much of a refusal is quoted.
const QUOTE_MAX: usize = 200;

/// A client that goes straight to the server.
pub(crate) fn builder() -> reqwest::ClientBuilder {
    let builder = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    builder.connect_timeout(CONNECT_TIMEOUT)
}

/// The answer, if it is a success.
pub(crate) async fn send(request: RequestBuilder) -> Result<Response, ProviderError> {
    let answer = request.send().await?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let text = body(answer).await.unwrap_or_default();
    let text: String = String::from_utf8_lossy(&text).trim().chars().take(QUOTE_MAX).collect();
    Err(ProviderError::Refused { status: status.as_u16(), text })
}

/// The answer's JSON.
pub(crate) async fn json<T: DeserializeOwned>(answer: Response) -> Result<T, ProviderError> {
    parse(&body(answer).await?)
}

pub(crate) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, ProviderError> {
    serde_json::from_slice(text).map_err(|error| ProviderError::Malformed(error.to_string()))
}

async fn body(mut answer: Response) -> Result<Vec<u8>, ProviderError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > BODY_MAX {
            return Err(ProviderError::TooLong { max: BODY_MAX });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A body that is a stream of lines of JSON, each up to [`BODY_MAX`] long.
#[derive(Debug)]
pub(crate) struct Lines {
    answer: Response,
    /// What has come of the next lines.
    buffer: Vec<u8>,
}

impl Lines {
    pub(crate) fn new(answer: Response) -> Self {
        Self { answer, buffer: Vec::new() }
    }

    /// The next line; none at the end of the stream, where a line that was cut off is dropped. May
    /// be given up at any time: no line gets lost.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ProviderError> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(searched + end + 1);
                let line = std::mem::replace(&mut self.buffer, rest);
                return parse(&line).map(Some);
            }
            searched = self.buffer.len();
            let Some(chunk) = self.answer.chunk().await? else { return Ok(None) };
            if searched + chunk.len() > BODY_MAX {
                return Err(ProviderError::TooLong { max: BODY_MAX });
            }
            self.buffer.extend_from_slice(&chunk);
        }
    }
}

/// Gives up after a time.
pub(crate) async fn within<T>(
    time: Duration,
    work: impl Future<Output = Result<T, ProviderError>>,
) -> Result<T, ProviderError> {
    timeout(time, work).await.unwrap_or(Err(ProviderError::Broken("the server is silent")))
}

/// Where a URL's server is.
pub(crate) fn host_and_port(url: &Url) -> (String, u16) {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    (host.to_owned(), url.port_or_known_default().unwrap_or_default())
}
