//! Two members of one etcd cluster, built to what its gateway was seen to do: the reads, writes and
//! watches that are used. Each member can be frozen by itself, which no pair of real ones survives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::stream;
use serde_json::{Value, json};

use crate::support::Hosted;

/// How often a watch looks for changes, and a frozen member whether it may run on.
const POLL: Duration = Duration::from_millis(5);

pub(crate) struct Cluster {
    shared: Arc<Mutex<Shared>>,
    members: [Hosted; 2],
}

#[derive(Default)]
struct Shared {
    /// The value of each, and the revision that it is of.
    keys: BTreeMap<String, (String, String)>,
    /// Whether watches alone stand still.
    is_deaf: bool,
    changes: Vec<(String, Value)>,
    frozen: [bool; 2],
    /// The member that watches of a folder were last opened at.
    watched_at: BTreeMap<String, usize>,
    /// A folder that is not read until another is watched, and then refused once.
    held_back: Option<(String, String)>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let member = |number: usize| {
            let router = Router::new()
                .route("/v3/{*path}", post(answer))
                .with_state((shared.clone(), number));
            Hosted::start(router)
        };
        Self { members: [member(0), member(1)], shared }
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.members.iter().map(Hosted::url).collect()
    }

    pub(crate) fn put(&self, key: &str, value: &Value) {
        let mut shared = self.shared.lock().unwrap();
        let revision = (shared.changes.len() + 2).to_string();
        let event = json!({ "kv": kv(key, &value.to_string(), &revision) });
        shared.keys.insert(key.to_owned(), (value.to_string(), revision));
        shared.changes.push((key.to_owned(), event));
    }

    pub(crate) fn remove(&self, key: &str) {
        let mut shared = self.shared.lock().unwrap();
        let event = json!({ "type": "DELETE", "kv": { "key": base64(key) } });
        shared.keys.remove(key);
        shared.changes.push((key.to_owned(), event));
    }

    /// From now on this member neither answers nor says anything on its streams.
    pub(crate) fn freeze(&self, member: usize) {
        self.shared.lock().unwrap().frozen[member] = true;
    }

    /// From now on no open watch says anything, at members that answer whatever they are asked.
    pub(crate) fn deafen(&self) {
        self.shared.lock().unwrap().is_deaf = true;
    }

    /// At which member the keys of a folder are watched.
    pub(crate) fn watched_at(&self, folder: &str) -> Option<usize> {
        self.shared.lock().unwrap().watched_at.get(folder).copied()
    }

    /// Reads of `folder` wait until `other` is watched, and the first of them is refused then.
    pub(crate) fn hold_back(&self, folder: &str, other: &str) {
        self.shared.lock().unwrap().held_back = Some((folder.to_owned(), other.to_owned()));
    }
}

impl Shared {
    fn header(&self) -> Value {
        json!({ "revision": (self.changes.len() + 1).to_string() })
    }

    /// The keys of a range, the newest one first; as many as are asked for.
    fn range(&self, asked: &Value, from: &str, to: &str) -> Value {
        let kvs = self.keys.range(from.to_owned()..to.to_owned());
        let mut kvs: Vec<_> = kvs.collect();
        kvs.sort_by_key(|(_, (_, revision))| std::cmp::Reverse(revision.parse::<u64>().unwrap()));
        let count = kvs.len().to_string();
        let limit = asked["limit"].as_str().map_or(usize::MAX, |limit| limit.parse().unwrap());
        let kvs = kvs.into_iter().take(limit);
        let kvs: Vec<_> = kvs.map(|(key, (value, revision))| kv(key, value, revision)).collect();
        json!({ "header": self.header(), "count": count, "kvs": kvs })
    }

    /// The line that tells what changed after the first `seen` changes; none while nothing did.
    fn line(&self, seen: usize, from: &str, to: &str) -> Option<Bytes> {
        let news = self.changes.get(seen..).filter(|news| !news.is_empty())?;
        let events: Vec<_> = news
            .iter()
            .filter(|(key, _)| (from..to).contains(&key.as_str()))
            .map(|(_, event)| event.clone())
            .collect();
        Some(line(&json!({ "header": self.header(), "events": events })))
    }
}

async fn answer(
    State((shared, member)): State<(Arc<Mutex<Shared>>, usize)>,
    Path(path): Path<String>,
    Json(body): Json<Value>,
) -> Response {
    thaw(&shared, member).await;
    let asked = if path == "watch" { &body["create_request"] } else { &body };
    let from = text(&asked["key"]);
    let to = text(&asked["range_end"]);
    if path == "watch" {
        let seen = asked["start_revision"].as_str().unwrap().parse::<usize>().unwrap() - 2;
        shared.lock().unwrap().watched_at.insert(from.clone(), member);
        return watch(shared, member, seen, from, to);
    }
    if is_refused(&shared, &from).await {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    Json(shared.lock().unwrap().range(asked, &from, &to)).into_response()
}

async fn thaw(shared: &Mutex<Shared>, member: usize) {
    while shared.lock().unwrap().frozen[member] {
        tokio::time::sleep(POLL).await;
    }
}

async fn is_refused(shared: &Mutex<Shared>, folder: &str) -> bool {
    loop {
        {
            let mut shared = shared.lock().unwrap();
            let Some((held, other)) = &shared.held_back else { return false };
            if held != folder {
                return false;
            }
            if shared.watched_at.contains_key(other) {
                shared.held_back = None;
                return true;
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

fn watch(
    shared: Arc<Mutex<Shared>>,
    member: usize,
    seen: usize,
    from: String,
    to: String,
) -> Response {
    let created = json!({ "header": shared.lock().unwrap().header(), "created": true });
    let lines = stream::unfold((Some(line(&created)), seen), move |(first, seen)| {
        let shared = shared.clone();
        let from = from.clone();
        let to = to.clone();
        async move {
            if let Some(first) = first {
                return Some((Ok::<_, std::io::Error>(first), (None, seen)));
            }
            loop {
                thaw(&shared, member).await;
                let (news, count) = {
                    let shared = shared.lock().unwrap();
                    let news = shared.line(seen, &from, &to).filter(|_| !shared.is_deaf);
                    (news, shared.changes.len())
                };
                if let Some(news) = news {
                    return Some((Ok(news), (None, count)));
                }
                tokio::time::sleep(POLL).await;
            }
        }
    });
    Body::from_stream(lines).into_response()
}

fn kv(key: &str, value: &str, revision: &str) -> Value {
    json!({ "key": base64(key), "value": base64(value), "mod_revision": revision })
}

fn line(result: &Value) -> Bytes {
    format!("{}\n", json!({ "result": result })).into()
}

fn text(base64: &Value) -> String {
    let bytes = BASE64_STANDARD.decode(base64.as_str().unwrap()).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn base64(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}
