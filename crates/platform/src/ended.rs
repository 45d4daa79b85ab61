//! Which sessions have ended: from user-service, which ends them, to every service, which refuses
//! their access tokens for as long as those last.
//!
//! ```text
//! user-service   the end of a session, and its row in `ended_sessions`, in one transaction
//!                  └▶ a task, each second: rows not published yet ─▶ a feed in Redis, kept for a token's life
//! every service    a task, each second: what is new in the feed ─▶ `auth::EndedSessions`, in memory
//!                  a request: one look into that memory
//! ```
//!
//! So a token is refused two seconds after the end at the latest, and no request waits for anybody.
//! It is a feed and no event, because the queue of a service gives each event to one of its replicas
//! and all of them must know; and because a replica that starts needs what was before.
//!
//! A replica that starts reads the feed before it serves. With Redis away a service goes on with what it
//! knows, which is nothing in one that has just started, and lets tokens of other sessions that have ended in
//! until their own time is up, `[auth] jwt_expiration` at most: to refuse everybody instead would make Redis
//! a thing without which nothing works. The row stays, and is published once Redis answers. A Redis that has
//! lost the feed, or another process that serves after a failover and may lack the newest, has everything
//! published again.
//!
//! | metric | tells |
//! |---|---|
//! | `auth_ended_sessions_reads_total{outcome}` | looks into the feed: `ok`, or `failed`, when ends pass unseen |
//! | `auth_ended_sessions_read_timestamp_seconds` | the last look that was answered, in Unix time; the start before that |
//! | `auth_ended_sessions` | sessions that are refused now |
//! | `auth_ended_session_refusals_total` | requests that were refused |

use std::convert::Infallible;
use std::time::Duration;

use auth::Tokens;
use cache::{CacheError, FEED_PAGE, FeedPosition, ServiceCache};
use chassis::{CancellationToken, Clock};
use chrono::{DateTime, Utc};
use telemetry::metrics::{counter, gauge};
use uuid::Uuid;

/// The key of the feed among those that all services share.
const FEED: &str = "ended_sessions";
/// So long a start waits for what ended before it.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// Delay between two looks into the feed.
const DELAY: Duration = Duration::from_secs(1);

/// The feed of sessions that have ended. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct EndedFeed {
    cache: ServiceCache,
    tokens: Tokens,
    clock: Clock,
}

impl EndedFeed {
    pub(crate) fn new(cache: &ServiceCache, tokens: Tokens, clock: Clock) -> Self {
        Self { cache: cache.shared(), tokens, clock }
    }

    /// How long the end of a session is kept in the feed: until its last access token is over.
    pub fn kept(&self) -> Duration {
        self.tokens.outlives_session()
    }

    /// Tells all services that these sessions have ended.
    ///
    /// # Errors
    /// Redis is away; some may have been published already.
    pub async fn publish(&self, sessions: &[Uuid]) -> Result<(), CacheError> {
        let words: Vec<String> = sessions.iter().map(Uuid::to_string).collect();
        self.cache.append(FEED, &words, self.kept()).await
    }

    /// Whether Redis has the feed; one that has just been set up has none.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn is_there(&self) -> Result<bool, CacheError> {
        self.cache.has_feed(FEED).await
    }

    /// Which process serves the feed: another one may lack the newest.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn served_by(&self) -> Result<String, CacheError> {
        self.cache.served_by().await
    }

    /// Reads what ended before this process began, before it serves; not for longer than [`FIRST_LOOK`]. Gives
    /// how far that went.
    pub(crate) async fn catch_up(&self) -> FeedPosition {
        let mut position = FeedPosition::default();
        match tokio::time::timeout(FIRST_LOOK, self.read(&mut position)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = %error, "starts without knowing ended sessions");
            }
            Err(_) => tracing::warn!("starts without knowing all ended sessions: Redis is slow"),
        }
        position
    }

    /// Follows the feed from `position` on, until `shutdown`.
    pub(crate) async fn follow(
        self,
        mut position: FeedPosition,
        shutdown: CancellationToken,
    ) -> Result<(), Infallible> {
        let mut was_ok = true;
        count("failed", 0);
        // Its age counts from the start of the process: one that never reached Redis is alerted on too.
        was_read(self.clock.now());
        loop {
            let read = self.read(&mut position).await;
            match &read {
                Ok(()) => count("ok", 1),
                Err(error) => {
                    count("failed", 1);
                    if was_ok {
                        tracing::warn!(error = %error, "ended sessions cannot be read: their tokens are let in");
                    }
                }
            }
            was_ok = read.is_ok();
            let delay = tokio::time::sleep(DELAY);
            if shutdown.run_until_cancelled(delay).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Reads all that is new.
    async fn read(&self, position: &mut FeedPosition) -> Result<(), CacheError> {
        loop {
            let ended = self.cache.appended_since(FEED, position).await?;
            let is_last = ended.len() < FEED_PAGE;
            let now = self.clock.now();
            // Of whatever else stands there, nothing is a session.
            for session in ended.iter().filter_map(|entry| entry.parse().ok()) {
                self.tokens.ended_sessions().end(session, now + self.kept(), now);
            }
            if is_last {
                break;
            }
        }
        let now = self.clock.now();
        self.tokens.ended_sessions().forget(now);
        was_read(now);
        Ok(())
    }
}

/// Shows when the feed was last read.
fn was_read(at: DateTime<Utc>) {
    let help = "When the sessions that have ended were last read, in Unix time; when the process began, \
                if they were not yet.";
    let read = gauge("auth_ended_sessions_read_timestamp_seconds", help, &[]);
    read.with_label_values::<&str>(&[]).set(at.timestamp());
}

/// Counts looks into the feed.
fn count(outcome: &str, looks: u64) {
    let help = "Looks for sessions that have ended, by outcome: ok or failed.";
    let reads = counter("auth_ended_sessions_reads_total", help, &["outcome"]);
    reads.with_label_values(&[outcome]).inc_by(looks);
}
