//! Requests to the members of a cluster, the next one when one fails.
//!
//! A watch belongs to one member: the stream, the read before it and the probes beside it go to that
//! one. Were a probe to ask whichever member is current, it would be answered by one that is well while
//! the stream hangs on one that stands still.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
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
    members: Vec<Url>,
    /// Counts the errors that moved on to the next.
    current: AtomicUsize,
}

/// One member, as long as it answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member<'a> {
    gateway: &'a Gateway,
    number: usize,
}

impl Gateway {
    pub(super) fn new(endpoints: &[String]) -> Result<Self, SetupError> {
        const KEY: &str = "etcd_endpoints";
        let url = |endpoint: &String| SetupError::base_url(KEY, endpoint.trim());
        let members: Vec<Url> = endpoints.iter().map(url).collect::<Result<_, _>>()?;
        if members.is_empty() {
            return Err(SetupError::Url { key: KEY, value: String::new() });
        }
        Ok(Self { http: builder().build()?, members, current: AtomicUsize::new(0) })
    }

    /// The member that is asked now.
    pub(super) fn member(&self) -> Member<'_> {
        Member { gateway: self, number: self.current.load(Relaxed) }
    }
}

impl Member<'_> {
    /// Its address.
    pub(super) fn url(&self) -> &Url {
        &self.gateway.members[self.number % self.gateway.members.len()]
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
        let mut url = self.url().clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v3").extend(path.split('/'));
        }
        self.gateway.http.post(url).json(body)
    }

    /// Several who ask the same member move on by one together.
    fn or_next<T>(&self, answer: Result<T, ProviderError>) -> Result<T, ProviderError> {
        if answer.is_err() {
            let number = self.number;
            let next = self.number.wrapping_add(1);
            let _moved_on = self.gateway.current.compare_exchange(number, next, Relaxed, Relaxed);
        }
        answer
    }
}
