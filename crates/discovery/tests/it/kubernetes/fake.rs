//! The part of a Kubernetes API server that lists and watches `EndpointSlices`.

#![allow(clippy::needless_pass_by_value, reason = "JSON that a test makes in place")]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::stream;
use serde_json::{Value, json};

use crate::support::{OTHER, PORT, SERVICE};

const POLL: Duration = Duration::from_millis(5);
/// Stands for the version of a stream that was cut.
const CUT: u64 = u64::MAX;

#[derive(Clone, Default)]
pub(crate) struct Api(Arc<Mutex<Shared>>);

#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fault to turn on")]
struct Shared {
    slices: BTreeMap<String, Value>,
    version: u64,
    /// Events by the version that they made.
    history: BTreeMap<u64, Value>,
    /// Versions below are gone.
    oldest: u64,
    gone_by_status: bool,
    no_watches: bool,
    cut_next: bool,
    hangs: bool,
    lists: usize,
    watches: usize,
    token: Option<String>,
}

impl Api {
    pub(crate) fn router(&self) -> Router {
        let path = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices";
        Router::new().route(path, get(slices)).with_state(self.clone())
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap()
    }

    pub(crate) fn put(&self, name: &str, endpoints: Value) {
        self.put_of(SERVICE, name, endpoints);
    }

    pub(crate) fn put_of(&self, service: &str, name: &str, endpoints: Value) {
        let mut shared = self.shared();
        let version = shared.version + 1;
        let slice = json!({
            "metadata": {
                "name": name, "resourceVersion": version.to_string(),
                "labels": { "kubernetes.io/service-name": service },
            },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{ "name": "metrics", "port": 9 }, { "name": "http", "port": PORT }],
        });
        let old = shared.slices.insert(name.to_owned(), slice.clone());
        shared.happened(if old.is_some() { "MODIFIED" } else { "ADDED" }, slice);
    }

    pub(crate) fn delete(&self, name: &str) {
        let mut shared = self.shared();
        let mut slice = shared.slices.remove(name).unwrap();
        slice["metadata"]["resourceVersion"] = json!((shared.version + 1).to_string());
        shared.happened("DELETED", slice);
    }

    pub(crate) fn bookmark(&self) {
        let mut shared = self.shared();
        let version = (shared.version + 1).to_string();
        let object = json!({ "kind": "EndpointSlice", "metadata": { "resourceVersion": version } });
        shared.happened("BOOKMARK", object);
    }

    /// Only the newest version can be watched from.
    pub(crate) fn forget_history(&self) {
        let mut shared = self.shared();
        shared.history.clear();
        shared.oldest = shared.version;
    }

    /// Whether a version that is gone is told as the answer's status or as an event.
    pub(crate) fn say_gone_by_status(&self, by_status: bool) {
        self.shared().gone_by_status = by_status;
    }

    /// Ends all watches and begins no more.
    pub(crate) fn stop_watches(&self) {
        self.shared().no_watches = true;
    }

    pub(crate) fn allow_watches(&self) {
        self.shared().no_watches = false;
    }

    /// The next event is cut off in its middle.
    pub(crate) fn cut_next(&self) {
        self.shared().cut_next = true;
    }

    /// Watches neither tell nor end; nothing else is answered.
    pub(crate) fn hang(&self, hangs: bool) {
        self.shared().hangs = hangs;
    }

    pub(crate) fn lists(&self) -> usize {
        self.shared().lists
    }

    pub(crate) fn watches(&self) -> usize {
        self.shared().watches
    }

    /// The last request's.
    pub(crate) fn token(&self) -> Option<String> {
        self.shared().token.clone()
    }
}

impl Shared {
    fn happened(&mut self, kind: &str, object: Value) {
        self.version += 1;
        self.history.insert(self.version, json!({ "type": kind, "object": object }));
    }
}

async fn slices(
    State(api): State<Api>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let service = query["labelSelector"].strip_prefix("kubernetes.io/service-name=").unwrap();
    assert!([SERVICE, OTHER].contains(&service), "{query:?}");
    let service = service.to_owned();
    let token = headers.get(header::AUTHORIZATION).map(|token| token.to_str().unwrap().to_owned());
    api.shared().token = token;
    while api.shared().hangs {
        tokio::time::sleep(POLL).await;
    }
    if query.contains_key("watch") {
        watch(api, service, &query).await
    } else {
        list(&api, &service)
    }
}

/// Whether a watch of this service, or a list, tells an object. Bookmarks are of no service.
fn is_of(object: &Value, service: &str) -> bool {
    let label = &object["metadata"]["labels"]["kubernetes.io/service-name"];
    label.is_null() || label == service
}

fn list(api: &Api, service: &str) -> Response {
    let mut shared = api.shared();
    shared.lists += 1;
    let items: Vec<_> =
        shared.slices.values().filter(|slice| is_of(slice, service)).cloned().collect();
    let version = shared.version.to_string();
    Json(json!({ "metadata": { "resourceVersion": version }, "items": items })).into_response()
}

async fn watch(api: Api, service: String, query: &BTreeMap<String, String>) -> Response {
    while api.shared().no_watches {
        tokio::time::sleep(POLL).await;
    }
    assert_eq!(query["allowWatchBookmarks"], "true");
    let from: u64 = query["resourceVersion"].parse().unwrap();
    let end = Instant::now() + Duration::from_secs(query["timeoutSeconds"].parse().unwrap());
    let mut shared = api.shared();
    shared.watches += 1;
    if from < shared.oldest {
        let status = json!({ "kind": "Status", "code": 410, "message": "too old" });
        if shared.gone_by_status {
            return (StatusCode::GONE, Json(status)).into_response();
        }
        return lines(&json!({ "type": "ERROR", "object": status })).into_response();
    }
    drop(shared);
    let events = stream::unfold((api, from, service), move |(api, seen, service)| async move {
        if seen == CUT {
            return Some((Err(io::Error::other("cut")), (api, CUT, service)));
        }
        loop {
            {
                let mut shared = api.shared();
                let is_over = Instant::now() > end || shared.no_watches;
                if is_over && !shared.hangs {
                    return None;
                }
                let mut news = shared.history.range(seen + 1..);
                let next = news.find(|(_, event)| is_of(&event["object"], &service));
                if let Some((version, event)) = next.filter(|_| !shared.hangs) {
                    let version = *version;
                    let mut line = lines(event);
                    let is_cut = std::mem::take(&mut shared.cut_next);
                    drop(shared);
                    if is_cut {
                        line.truncate(line.len() / 2);
                        return Some((Ok(line), (api, CUT, service)));
                    }
                    return Some((Ok(line), (api, version, service)));
                }
            }
            tokio::time::sleep(POLL).await;
        }
    });
    Body::from_stream(events).into_response()
}

fn lines(event: &Value) -> String {
    format!("{event}\n")
}
