//! Dead letters, by the admin routes of the services. A look takes messages out of their queue and puts
//! them back, so that it is repeated only when their number has changed, or now and then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use crate::app::App;

/// How soon a look is repeated at the earliest, and at the latest.
const SOONEST: Duration = Duration::from_secs(2);
const LATEST: Duration = Duration::from_secs(60);
/// How long a page waits for a look, which goes on when that is over.
const WAIT: Duration = Duration::from_millis(700);
/// How long a service may look.
const LIMIT: Duration = Duration::from_secs(10);
/// Dead letters of one queue that are listed.
const LISTED_MAX: &str = "100";
/// Bytes of an answer.
const ANSWER_MAX: usize = 4 << 20;

/// What looks have found, by the queue's name.
#[derive(Debug, Default)]
pub(crate) struct DeadLetters(Mutex<HashMap<String, Look>>);

#[derive(Debug, Clone)]
struct Look {
    /// How many there were, by the broker's figures.
    count: u64,
    at: Instant,
    /// None while the first look is under way.
    found: Option<Result<Arc<Listing>, String>>,
    is_under_way: bool,
}

/// What a look has found.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Listing {
    pub(crate) items: Vec<DeadLetter>,
    pub(crate) seen: u64,
    pub(crate) dead_letters: u64,
    pub(crate) stopped: Option<String>,
}

/// A message that a consumer has given up on.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DeadLetter {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) event_type: Option<String>,
    pub(crate) cause: String,
    pub(crate) attempts: u64,
    pub(crate) first_failed_at: Option<String>,
    pub(crate) last_failed_at: Option<String>,
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
    pub(crate) bytes: u64,
    pub(crate) replays: u64,
}

/// One of them with what it says.
#[derive(Debug, Deserialize)]
pub(crate) struct Peeked {
    #[serde(flatten)]
    pub(crate) dead_letter: DeadLetter,
    #[serde(default)]
    pub(crate) headers: Map<String, Value>,
    pub(crate) payload: Value,
}

/// The service whose queue this is, and the queue of which a queue holds the dead letters.
pub(crate) fn queue_of<'a>(services: &'a [String], name: &'a str) -> Option<(&'a str, &'a str)> {
    let queue = name.strip_suffix(".dead-letters")?;
    let own = |service: &&String| {
        queue.strip_prefix(service.as_str()).is_some_and(|rest| rest.starts_with('.'))
    };
    Some((services.iter().find(own)?, queue))
}

impl DeadLetters {
    /// What the last look into the dead letters of a queue has found, which is repeated when their
    /// number has changed; none while the first one is under way.
    pub(crate) async fn list(
        &self,
        app: &App,
        service: &str,
        queue: &str,
        count: u64,
    ) -> Option<Result<Arc<Listing>, String>> {
        if count == 0 {
            self.forget(queue);
            return Some(Ok(Arc::default()));
        }
        if self.begins(queue, count) {
            let app = app.clone();
            let service = service.to_owned();
            let dead_letters = Arc::clone(&app.dead_letters);
            let queue = queue.to_owned();
            let look = tokio::spawn(async move {
                let path = ["admin", "queues", &queue, "dead-letters"];
                let listed = get(&app, &service, &path, &[("limit", LISTED_MAX)]).await;
                dead_letters.end(&queue, listed.map(Arc::new));
            });
            // It goes on by itself.
            let _not_waited_for_longer = tokio::time::timeout(WAIT, look).await;
        }
        self.all().get(queue).and_then(|look| look.found.clone())
    }

    /// One with what it says; none when it is not there.
    pub(crate) async fn peek(
        app: &App,
        service: &str,
        queue: &str,
        id: &str,
    ) -> Result<Peeked, String> {
        get(app, service, &["admin", "queues", queue, "dead-letters", id], &[]).await
    }

    /// What was found last of one of them, without a look.
    pub(crate) fn known(&self, queue: &str, id: &str) -> Option<DeadLetter> {
        let all = self.all();
        let listing = all.get(queue)?.found.as_ref()?.as_ref().ok()?;
        listing.items.iter().find(|it| it.id == id).cloned()
    }

    /// Has the next look look again.
    pub(crate) fn forget(&self, queue: &str) {
        self.all().remove(queue);
    }

    /// Whether a look is due, which is noted as begun then.
    fn begins(&self, queue: &str, count: u64) -> bool {
        let mut all = self.all();
        let now = Instant::now();
        let before = all.get(queue).cloned();
        if let Some(look) = &before {
            let age = now.duration_since(look.at);
            let has_changed = look.count != count || matches!(look.found, Some(Err(_)));
            let is_due = age > LATEST || has_changed && age > SOONEST;
            if look.is_under_way && age < LIMIT || !is_due {
                return false;
            }
        }
        let found = before.and_then(|look| look.found);
        all.insert(queue.to_owned(), Look { count, at: now, found, is_under_way: true });
        true
    }

    fn end(&self, queue: &str, found: Result<Arc<Listing>, String>) {
        if let Some(look) = self.all().get_mut(queue) {
            (look.found, look.is_under_way) = (Some(found), false);
        }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<String, Look>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an admin route of a service answers.
async fn get<T: serde::de::DeserializeOwned>(
    app: &App,
    service: &str,
    path: &[&str],
    query: &[(&str, &str)],
) -> Result<T, String> {
    let state = app.system.now();
    let base = state.process(service).and_then(crate::system::Process::url);
    let base = base.ok_or_else(|| format!("{service} does not run"))?;
    let mut url = Url::parse(&base).map_err(|error| error.to_string())?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.extend(path);
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    let token = app.tool.administrator().await.map_err(|error| error.to_string())?;
    let asked = app.http.get(url).bearer_auth(token).timeout(LIMIT);
    let no_answer = |error: reqwest::Error| format!("{service}: {}", error.without_url());
    let mut answer = asked.send().await.map_err(no_answer)?;
    let status = answer.status();
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(no_answer)? {
        bytes.extend_from_slice(&part);
        if bytes.len() > ANSWER_MAX {
            return Err(format!("{service}: its answer is too large to be shown"));
        }
    }
    if !status.is_success() {
        let problem: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let detail = problem["detail"].as_str().or(problem["title"].as_str());
        return Err(format!("{service} answers {status}: {}", detail.unwrap_or_default()));
    }
    serde_json::from_slice(&bytes).map_err(|_| format!("{service}: its answer cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_queue_is_that_of_a_services_queue() {
        let services = ["user".to_owned(), "user-service".to_owned()];
        let of = |name| queue_of(&services, name);
        assert_eq!(
            of("user-service.events.dead-letters"),
            Some(("user-service", "user-service.events"))
        );
        assert_eq!(of("user-service.events"), None);
        assert_eq!(of("other.events.dead-letters"), None);
    }

    #[test]
    fn a_look_is_repeated_when_the_number_has_changed_and_not_while_one_is_under_way() {
        let letters = DeadLetters::default();
        assert!(letters.begins("q", 1));
        assert!(!letters.begins("q", 2), "the first one is under way");
        letters.end("q", Ok(Arc::default()));
        assert!(!letters.begins("q", 2), "it is too soon");
        let ago = |letters: &DeadLetters, age| {
            let before = Instant::now().checked_sub(age).unwrap();
            letters.all().get_mut("q").unwrap().at = before;
        };
        ago(&letters, SOONEST * 2);
        assert!(!letters.begins("q", 1), "nothing has changed");
        assert!(letters.begins("q", 2));
        letters.end("q", Ok(Arc::default()));
        ago(&letters, LATEST * 2);
        assert!(letters.begins("q", 2));
        letters.forget("q");
        assert!(letters.begins("q", 2));
    }
}
