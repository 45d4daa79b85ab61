//! `consul`: blocking queries to the local agent, and registration there with a TTL check.
//!
//! - **All instances are asked for, not the passing ones.** When Consul itself stood still, all
//!   heartbeats have lapsed and nobody passes; they are [`Readiness::NotReady`] then, and still
//!   there.
//! - **Only the agent's endpoints register.** What is put into the catalog directly is removed
//!   again by the agent's anti-entropy.
//! - **A blocking query returns for reasons of its own**, so each answer is compared with the set.
//!   Its index may go backwards (after a restart): what that answer lacks may only be forgotten.
//!
//! <https://developer.hashicorp.com/consul/api-docs/features/blocking>

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::{Client, Method, RequestBuilder};
use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;
use tusk_config::Secret;
use url::Url;

use super::http::{builder, json, send, within};
use super::{Advertised, Lease, Provider, ProviderError, Registrar, Sink};
use crate::discovery::SetupError;
use crate::{DiscoverySettings, Instance, Readiness};

/// The longest wait that is asked for.
const WAIT_MAX: Duration = Duration::from_secs(55);
/// The server adds up to a sixteenth to a wait; this is for the way there and back.
const WAIT_SLACK: Duration = Duration::from_secs(5);
/// Longest time for a request that does not wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two queries, so that a busy index cannot make them a storm.
const DELAY: Duration = Duration::from_millis(50);
/// When an instance that lost its heartbeat is removed; Consul takes no less.
const REMOVE_AFTER_MIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Consul {
    http: Client,
    url: Url,
    token: Secret<String>,
    wait: Duration,
}

impl Consul {
    pub(crate) fn new(settings: &DiscoverySettings) -> Result<Self, SetupError> {
        Ok(Self {
            http: builder().build()?,
            url: SetupError::base_url("consul_url", &settings.consul_url)?,
            token: settings.consul_token.clone(),
            wait: settings.refresh_interval.clamp(Duration::from_secs(1), WAIT_MAX),
        })
    }

    /// A request for a path, each part of which is quoted.
    fn request(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.request(method, url);
        match self.token.expose().as_str() {
            "" => request,
            token => request.header("x-consul-token", token),
        }
    }

    async fn put(
        &self,
        path: &[&str],
        body: Option<&serde_json::Value>,
    ) -> Result<(), ProviderError> {
        let mut request = self.request(Method::PUT, path, &[]);
        if let Some(body) = body {
            request = request.json(body);
        }
        within(ANSWER_TIMEOUT, send(request)).await.map(drop)
    }

    /// The instances after `index`, and the index they have; at once when it is 0.
    async fn ask(&self, service: &str, index: u64) -> Result<(Vec<Entry>, u64), ProviderError> {
        let index = index.to_string();
        let wait = format!("{}ms", self.wait.as_millis());
        let blocking = [("index", index.as_str()), ("wait", &wait)];
        let (query, limit) = if index == "0" {
            (&[][..], ANSWER_TIMEOUT)
        } else {
            (&blocking[..], self.wait + self.wait / 16 + WAIT_SLACK)
        };
        let request = self.request(Method::GET, &["health", "service", service], query);
        within(limit, async {
            let answer = send(request).await?;
            let header = |name: &str| answer.headers().get(name)?.to_str().ok();
            if header("x-consul-knownleader") == Some("false") {
                return Err(ProviderError::Broken("consul has no leader"));
            }
            let index = header("x-consul-index").and_then(|index| index.parse().ok());
            let index = index.ok_or_else(|| ProviderError::Malformed("no index".to_owned()))?;
            let entries: Vec<serde_json::Value> = json(answer).await?;
            Ok((entries.into_iter().filter_map(Entry::read).collect(), index))
        })
        .await
    }
}

/// An instance as Consul tells of it: what is read of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    node: Node,
    service: Service,
    #[serde(default)]
    checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    address: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    /// Empty: the node's.
    address: String,
    port: u16,
    #[serde(default)]
    weights: Weights,
    meta: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Weights {
    passing: u32,
    warning: u32,
}

impl Default for Weights {
    fn default() -> Self {
        Self { passing: 1, warning: 1 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Check {
    status: String,
}

impl Entry {
    /// None for a registration that is no instance, as with a port that is none: others may register
    /// what they like, and it must not hide the rest.
    fn read(entry: serde_json::Value) -> Option<Self> {
        let id = entry["Service"]["ID"].as_str().unwrap_or_default().to_owned();
        let read = serde_json::from_value(entry);
        read.inspect_err(|error| {
            tracing::warn!(consul.service_id = id, error = %error, "this registration is no instance");
        })
        .ok()
    }

    fn instance(&self, sink: &Sink) -> Instance {
        let service = &self.service;
        let host = if service.address.is_empty() { &self.node.address } else { &service.address };
        let any = |status: &str| self.checks.iter().any(|check| check.status == status);
        let weight = if any("warning") { service.weights.warning } else { service.weights.passing };
        let readiness = if any("critical") { Readiness::NotReady } else { Readiness::Ready };
        let mut instance = sink.instance(host, service.port).weight(weight).readiness(readiness);
        instance.zone = service.meta.as_ref().and_then(|meta| meta.get("zone").cloned());
        instance
    }
}

impl Provider for Consul {
    fn name(&self) -> &'static str {
        "consul"
    }

    fn watch<'a>(&'a self, sink: &'a Sink) -> BoxFuture<'a, Result<Infallible, ProviderError>> {
        Box::pin(async move {
            let mut index = 0;
            loop {
                let (entries, new_index) = self.ask(sink.service(), index).await?;
                if new_index < index {
                    sink.suspect();
                }
                sink.publish(entries.iter().map(|entry| entry.instance(sink)).collect());
                // 0 would not block.
                index = new_index.max(1);
                sleep(DELAY).await;
            }
        })
    }

    fn registrar(&self) -> Option<&dyn Registrar> {
        Some(self)
    }
}

impl Registrar for Consul {
    fn server(&self) -> (String, u16) {
        super::http::host_and_port(&self.url)
    }

    /// A check with a TTL starts as critical unless told otherwise, and a repeated registration
    /// leaves the check as it is: so it is passed at once.
    fn register<'a>(&'a self, own: &'a Advertised) -> BoxFuture<'a, Result<Lease, ProviderError>> {
        Box::pin(async move {
            let id = own.id();
            let lease = Lease(format!("service:{id}"));
            let mut meta = BTreeMap::from([("version", &own.version)]);
            if !own.zone.is_empty() {
                meta.insert("zone", &own.zone);
            }
            let remove_after = REMOVE_AFTER_MIN.max(own.ttl * 2);
            let registration = json!({
                "ID": id,
                "Name": own.service,
                "Address": own.host,
                "Port": own.port,
                "Meta": meta,
                "Check": {
                    "CheckID": lease.0,
                    "TTL": format!("{}ms", own.ttl.as_millis()),
                    "Status": "passing",
                    "DeregisterCriticalServiceAfter": format!("{}s", remove_after.as_secs()),
                },
            });
            self.put(&["agent", "service", "register"], Some(&registration)).await?;
            self.renew(own, &lease).await?;
            Ok(lease)
        })
    }

    fn renew<'a>(
        &'a self,
        _own: &'a Advertised,
        lease: &'a Lease,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move { self.put(&["agent", "check", "pass", &lease.0], None).await })
    }

    fn deregister<'a>(
        &'a self,
        own: &'a Advertised,
        _lease: Option<&'a Lease>,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move {
            match self.put(&["agent", "service", "deregister", &own.id()], None).await {
                Err(ProviderError::Refused { status: 404, .. }) => Ok(()),
                other => other,
            }
        })
    }
}
