//! `kubernetes`: the `EndpointSlices` of a service, listed and watched.
//!
//! ```text
//!   list ─▶ resourceVersion R ─▶ watch from R ─┬─ the stream ends (as it does by its own limit)
//!    ▲                              ▲          │          └─▶ watch from the last version seen
//!    │                              └──────────┘
//!    └── 410 Gone: that version is no longer kept
//! ```
//!
//! A service has several slices; an address may be in two of them while it moves, and counts once.
//! The rights that this needs: `get`, `list` and `watch` on `endpointslices.discovery.k8s.io`.
//!
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes>

mod account;
mod slices;

use std::convert::Infallible;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::{Client, Response};
use tokio::time::sleep;
use url::Url;

use super::http::{Lines, json, send, within};
use super::{Provider, ProviderError, Sink};
use crate::DiscoverySettings;
use crate::discovery::SetupError;
use account::Account;
use slices::{Event, List, Slices};

/// Longest time for an answer that is no watch, and for the begin of one that is.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How much longer than it should a watch may take to end.
const WATCH_SLACK: Duration = Duration::from_secs(5);
/// Before the next request, so that a server that ends each at once is not stormed.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Kubernetes {
    http: Client,
    url: Url,
    namespace: String,
    account: Account,
    /// How long one watch lasts.
    watch_time: Duration,
}

/// Whether the files of the pod's account are there that are read before the first question.
pub(crate) fn check_account(settings: &DiscoverySettings) -> Result<(), SetupError> {
    let account = Account::at(&settings.kubernetes_account_dir);
    if settings.kubernetes_namespace.is_empty() {
        account.namespace()?;
    }
    account.authorities().map(drop)
}

impl Kubernetes {
    pub(crate) fn new(settings: &DiscoverySettings) -> Result<Self, SetupError> {
        let account = Account::at(&settings.kubernetes_account_dir);
        let namespace = match settings.kubernetes_namespace.as_str() {
            "" => account.namespace()?,
            namespace => namespace.to_owned(),
        };
        Ok(Self {
            http: account.client()?,
            url: SetupError::base_url("kubernetes_url", &settings.kubernetes_url)?,
            namespace,
            account,
            watch_time: settings.refresh_interval.max(Duration::from_secs(1)),
        })
    }

    /// Asks for the slices of a service; `query` makes it a list or a watch.
    async fn get(&self, service: &str, query: &[(&str, &str)]) -> Result<Response, ProviderError> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            let group = ["apis", "discovery.k8s.io", "v1"];
            let slices = ["namespaces", &self.namespace, "endpointslices"];
            segments.pop_if_empty().extend(group).extend(slices);
        }
        let selector = format!("kubernetes.io/service-name={service}");
        url.query_pairs_mut().append_pair("labelSelector", &selector).extend_pairs(query);
        let mut request = self.http.get(url);
        if let Some(token) = self.account.token().await? {
            request = request.bearer_auth(token.expose());
        }
        within(ANSWER_TIMEOUT, send(request)).await
    }

    async fn list(&self, service: &str) -> Result<List, ProviderError> {
        let answer = self.get(service, &[]).await?;
        within(ANSWER_TIMEOUT, json(answer)).await
    }

    /// Follows the changes until the stream ends in order. Gone is an error here.
    async fn follow(&self, sink: &Sink, slices: &mut Slices) -> Result<(), Followed> {
        let limit = self.watch_time.as_secs().to_string();
        let query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", slices.version()),
            ("timeoutSeconds", &limit),
        ];
        let answer = self.get(sink.service(), &query).await?;
        sink.confirm();
        let mut lines = Lines::new(answer);
        let all = async {
            while let Some(event) = lines.next::<Event>().await? {
                if slices.apply(event)? {
                    sink.publish(slices.instances(sink));
                } else {
                    sink.confirm();
                }
            }
            Ok(())
        };
        let silent = ProviderError::Broken("the server does not end the watch");
        let limit = self.watch_time + WATCH_SLACK;
        tokio::time::timeout(limit, all).await.unwrap_or(Err(silent.into()))
    }
}

/// Why a watch ended before its time.
enum Followed {
    /// The version that it began at is no longer kept.
    Gone,
    Failed(ProviderError),
}

impl From<ProviderError> for Followed {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Refused { status: 410, .. } => Self::Gone,
            error => Self::Failed(error),
        }
    }
}

impl Provider for Kubernetes {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn watch<'a>(&'a self, sink: &'a Sink) -> BoxFuture<'a, Result<Infallible, ProviderError>> {
        Box::pin(async move {
            loop {
                let mut slices = Slices::from(self.list(sink.service()).await?);
                sink.publish(slices.instances(sink));
                loop {
                    match self.follow(sink, &mut slices).await {
                        Ok(()) => sleep(PAUSE).await,
                        Err(Followed::Gone) => break,
                        Err(Followed::Failed(error)) => return Err(error),
                    }
                }
                sleep(PAUSE).await;
            }
        })
    }
}
