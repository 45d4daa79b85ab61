//! `etcd`: keys under a prefix, read at a revision and watched from the next one on, and
//! registration as a key with a lease.
//!
//! ```text
//!   <prefix>/<service>/<host>:<port>  =  {"host":"10.0.0.1","port":3001,"weight":1,"zone":"a"}
//! ```
//!
//! Reading at revision R and watching from R + 1 leaves no gap and tells nothing twice. When the
//! server has compacted the revision away, all is read again: to go on from the oldest one that is
//! left would lose deletions. A server that stands still, one without a leader, or a watch that was lost on
//! the way says nothing, so the newest key and the number of keys are asked for beside it now and then.
//!
//! This speaks the JSON gateway (`/v3`), which every server since 3.4 has:
//! <https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/>.

mod gateway;
mod wire;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::http::host_and_port;
use super::{Advertised, Lease, Provider, ProviderError, Registrar, Sink};
use crate::discovery::SetupError;
use crate::instance::Authority;
use crate::{DiscoverySettings, Instance};
use gateway::{Gateway, Member};
use wire::{Event, Granted, KeptAlive, KeyValue, Range, Text, Value, WatchLine};

/// How often a server is asked beside its watch, at most.
const PROBE_INTERVAL_MAX: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Etcd {
    gateway: Gateway,
    prefix: String,
    probe_interval: Duration,
}

/// What is known under one prefix.
struct Known<'a> {
    sink: &'a Sink,
    /// Who is asked for it.
    member: Member<'a>,
    /// By their keys; none where the key is no instance.
    instances: BTreeMap<Text, Option<Instance>>,
    revision: u64,
    /// The newest key and the number of keys, when they were last looked at and the watch lacked something.
    lacked: Option<(u64, u64)>,
}

impl Etcd {
    pub(crate) fn new(settings: &DiscoverySettings) -> Result<Self, SetupError> {
        let interval = settings.refresh_interval;
        Ok(Self {
            gateway: Gateway::new(&settings.etcd_endpoints)?,
            prefix: settings.etcd_prefix.trim_end_matches('/').to_owned(),
            probe_interval: interval.clamp(Duration::from_millis(100), PROBE_INTERVAL_MAX),
        })
    }

    /// What all keys of a service begin with.
    fn folder(&self, service: &str) -> String {
        format!("{}/{service}/", self.prefix)
    }

    fn key(&self, own: &Advertised) -> String {
        format!("{}{}", self.folder(&own.service), Authority(&own.host, own.port))
    }

    /// All of a service's keys.
    async fn read(&self, known: &mut Known<'_>) -> Result<(), ProviderError> {
        let range: Range =
            known.member.ask("kv/range", &all(&self.folder(known.sink.service()))).await?;
        if range.header.revision < known.revision {
            // Another cluster than before, or one that lost its data.
            known.sink.suspect();
        }
        known.revision = range.header.revision;
        known.lacked = None;
        known.instances.clear();
        range.kvs.into_iter().for_each(|kv| known.put(kv));
        known.publish();
        Ok(())
    }

    /// Follows the changes after what was read; ends in order when they are compacted away.
    async fn follow(&self, known: &mut Known<'_>) -> Result<(), ProviderError> {
        let folder = all(&self.folder(known.sink.service()));
        let mut create = folder.clone();
        create["start_revision"] = json!((known.revision + 1).to_string());
        let mut lines = known.member.watch(&json!({ "create_request": create })).await?;
        let mut probes = interval(self.probe_interval);
        probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                line = lines.next::<WatchLine>() => {
                    let line = line?.ok_or(ProviderError::Broken("the server ended the watch"))?;
                    let response = line.into_result()?;
                    if response.is_compacted() {
                        return Ok(());
                    }
                    known.apply(response.events);
                }
                _ = probes.tick() => {
                    let newest = probe(known.member, &folder).await?;
                    known.compare(&newest)?;
                }
            }
        }
    }
}

/// The newest key and how many there are: an answer that only a member with a leader gives.
async fn probe(member: Member<'_>, folder: &serde_json::Value) -> Result<Range, ProviderError> {
    let mut newest = folder.clone();
    newest["sort_target"] = json!("MOD");
    newest["sort_order"] = json!("DESCEND");
    newest["limit"] = json!("1");
    newest["keys_only"] = json!(true);
    member.ask("kv/range", &newest).await
}

/// All keys that begin so.
fn all(folder: &str) -> serde_json::Value {
    // The first key behind them: `0` comes after `/`.
    let end = format!("{}0", folder.trim_end_matches('/'));
    json!({ "key": Text::from(folder), "range_end": Text::from(end.as_str()) })
}

impl Known<'_> {
    fn put(&mut self, kv: KeyValue) {
        match serde_json::from_slice::<Value>(kv.value.as_bytes()) {
            Ok(value) => {
                let mut instance = self.sink.instance(&value.host, value.port).weight(value.weight);
                instance.zone = value.zone;
                self.instances.insert(kv.key, Some(instance));
            }
            Err(error) => {
                let key = String::from_utf8_lossy(kv.key.as_bytes());
                tracing::warn!(etcd.key = %key, error = %error, "this key is no instance");
                self.instances.insert(kv.key, None);
            }
        }
    }

    fn apply(&mut self, events: Vec<Event>) {
        if events.is_empty() {
            return self.sink.confirm();
        }
        for Event { kind, kv } in events {
            // Not that of the answer, which may be ahead of what is still to come.
            self.revision = self.revision.max(kv.mod_revision);
            if kind == "DELETE" {
                self.instances.remove(&kv.key);
            } else {
                self.put(kv);
            }
        }
        self.publish();
    }

    /// Ends a watch that lacks the same thing at two looks: a change that has just been made may be on its
    /// way, and one that was lost never comes.
    fn compare(&mut self, newest: &Range) -> Result<(), ProviderError> {
        let modified = newest.kvs.iter().map(|kv| kv.mod_revision).max().unwrap_or_default();
        if modified <= self.revision && newest.count == self.instances.len() as u64 {
            self.lacked = None;
            self.sink.confirm();
            return Ok(());
        }
        let before = self.lacked.replace((modified, newest.count));
        let is_lost = |(modified, count)| modified > self.revision || count == newest.count;
        if before.is_some_and(is_lost) {
            return Err(ProviderError::Broken("the watch lacks changes"));
        }
        Ok(())
    }

    fn publish(&self) {
        self.sink.publish(self.instances.values().flatten().cloned().collect());
    }
}

impl Provider for Etcd {
    fn name(&self) -> &'static str {
        "etcd"
    }

    fn watch<'a>(&'a self, sink: &'a Sink) -> BoxFuture<'a, Result<Infallible, ProviderError>> {
        Box::pin(async move {
            let member = self.gateway.member();
            let instances = BTreeMap::new();
            let mut known = Known { sink, member, instances, revision: 0, lacked: None };
            loop {
                self.read(&mut known).await?;
                self.follow(&mut known).await?;
            }
        })
    }

    fn registrar(&self) -> Option<&dyn Registrar> {
        Some(self)
    }
}

impl Registrar for Etcd {
    fn server(&self) -> (String, u16) {
        host_and_port(self.gateway.member().url())
    }

    fn register<'a>(&'a self, own: &'a Advertised) -> BoxFuture<'a, Result<Lease, ProviderError>> {
        Box::pin(async move {
            let ttl = own.ttl.as_secs().to_string();
            let member = self.gateway.member();
            let granted: Granted = member.ask("lease/grant", &json!({ "TTL": ttl })).await?;
            let put = self.put(own, &granted.id);
            member.ask::<serde_json::Value>("kv/put", &put).await?;
            Ok(Lease(granted.id))
        })
    }

    /// The key is put again if somebody removed it; as it is, its revision does not move.
    fn renew<'a>(
        &'a self,
        own: &'a Advertised,
        lease: &'a Lease,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move {
            let member = self.gateway.member();
            let kept: KeptAlive = member.ask("lease/keepalive", &json!({ "ID": lease.0 })).await?;
            if kept.result.ttl == 0 {
                return Err(ProviderError::Lost);
            }
            let key = Text::from(self.key(own).as_str());
            let absent = json!({ "key": key, "target": "CREATE", "create_revision": "0" });
            let put = json!({ "request_put": self.put(own, &lease.0) });
            let put_if_absent = json!({ "compare": [absent], "success": [put] });
            member.ask::<serde_json::Value>("kv/txn", &put_if_absent).await.map(drop)
        })
    }

    /// The key goes by itself, since it may be there under a lease that nobody was told of.
    fn deregister<'a>(
        &'a self,
        own: &'a Advertised,
        lease: Option<&'a Lease>,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move {
            let member = self.gateway.member();
            let key = json!({ "key": Text::from(self.key(own).as_str()) });
            member.ask::<serde_json::Value>("kv/deleterange", &key).await?;
            let Some(lease) = lease else { return Ok(()) };
            let revoke = json!({ "ID": lease.0 });
            match member.ask::<serde_json::Value>("lease/revoke", &revoke).await {
                Err(ProviderError::Refused { status: 404, .. }) => Ok(()),
                other => other.map(drop),
            }
        })
    }
}

impl Etcd {
    fn put(&self, own: &Advertised, lease: &str) -> serde_json::Value {
        let value = Value {
            host: own.host.clone(),
            port: own.port,
            version: Some(own.version.clone()),
            weight: 1,
            zone: Some(own.zone.clone()).filter(|zone| !zone.is_empty()),
        };
        let value = json!(value).to_string();
        let key = self.key(own);
        json!({ "key": Text::from(key.as_str()), "value": Text::from(value.as_str()), "lease": lease })
    }
}
