//! Requests to the members of a cluster, the next one when one fails.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::discovery::SetupError;
use crate::provider::ProviderError;
use crate::provider::http::{Lines, builder, json, send, within};

/// Longest time for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct Gateway {
    http: Client,
    /// At least one.
    endpoints: Vec<Url>,
    current: AtomicUsize,
}

impl Gateway {
    pub(super) fn new(endpoints: &[String]) -> Result<Self, SetupError> {
        const KEY: &str = "etcd_endpoints";
        let url = |endpoint: &String| SetupError::base_url(KEY, endpoint.trim());
        let endpoints: Vec<Url> = endpoints.iter().map(url).collect::<Result<_, _>>()?;
        if endpoints.is_empty() {
            return Err(SetupError::Url { key: KEY, value: String::new() });
        }
        Ok(Self { http: builder().build()?, endpoints, current: AtomicUsize::new(0) })
    }

    /// The member that is asked now.
    pub(super) fn endpoint(&self) -> &Url {
        &self.endpoints[self.current.load(Ordering::Relaxed) % self.endpoints.len()]
    }

    /// One answer to one request.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<T, ProviderError> {
        let answer =
            within(ANSWER_TIMEOUT, async { json(send(self.post(path, body)).await?).await });
        self.or_next(answer.await)
    }

    /// A stream of answers.
    pub(super) async fn watch(&self, body: &Value) -> Result<Lines, ProviderError> {
        let answer = within(ANSWER_TIMEOUT, send(self.post("watch", body))).await;
        self.or_next(answer).map(Lines::new)
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        let mut url = self.endpoint().clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v3").extend(path.split('/'));
        }
        self.http.post(url).json(body)
    }

    fn or_next<T>(&self, answer: Result<T, ProviderError>) -> Result<T, ProviderError> {
        if answer.is_err() {
            self.current.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }
}
