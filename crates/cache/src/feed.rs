//! A feed: entries that one service has for all others in Redis, in order, each for a time.
//!
//! It is a stream. A reader asks for what came after the entry that it read last, so that a look
//! costs the same however much there is, and none is missed by looking seldom.
//!
//! After a failover another process serves, which may lack the newest entries, or count them by a clock
//! that is behind: readers begin anew then, and whoever appends asks [`ServiceCache::served_by`] to know when
//! to append all again.

use std::time::Duration;

use crate::{CacheError, ServiceCache};

/// Entries at most, some tens of bytes each; the oldest ones make room.
const ENTRIES_MAX: usize = 100_000;
/// Entries that one look gives at most.
pub const FEED_PAGE: usize = 1_000;

/// Appends the entries, and drops what is older than ARGV[1] ms. The whole key goes when nothing was added for
/// as long as that.
const APPEND: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 3, #ARGV do
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'word', ARGV[i])
end
redis.call('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', now - ARGV[1]))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return #ARGV - 2";

/// How far a reader has read; the beginning by default.
#[derive(Debug, Clone, Default)]
pub struct FeedPosition {
    /// The last entry.
    after: Option<String>,
    /// The process that it is of.
    served_by: String,
}

impl ServiceCache {
    /// The same connection, for keys that all services share.
    #[must_use]
    pub fn shared(&self) -> Self {
        Self { prefix: "service_cache:shared:".to_owned(), ..self.clone() }
    }

    /// Appends entries to a feed, for `keep`.
    ///
    /// # Errors
    /// Redis is away; some may have been appended already.
    pub async fn append(
        &self,
        feed: &str,
        entries: &[String],
        keep: Duration,
    ) -> Result<(), CacheError> {
        if entries.is_empty() {
            return Ok(());
        }
        let keep = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut append = redis::cmd("EVAL");
        append.arg(APPEND).arg(1).arg(self.key(feed)).arg(keep).arg(ENTRIES_MAX).arg(entries);
        self.run::<i64>(&mut append).await.map(drop)
    }

    /// Whether a feed holds anything: one that Redis has lost does not.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn has_feed(&self, feed: &str) -> Result<bool, CacheError> {
        self.run(redis::cmd("EXISTS").arg(self.key(feed))).await
    }

    /// Which process serves: another one after a restart or a failover.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn served_by(&self) -> Result<String, CacheError> {
        let info: String = self.run(redis::cmd("INFO").arg("server")).await?;
        let run_id = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        Ok(run_id.unwrap_or_default().to_owned())
    }

    /// What was appended since `position`, which moves on: [`FEED_PAGE`] entries at most, so that fewer
    /// are the last.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn appended_since(
        &self,
        feed: &str,
        position: &mut FeedPosition,
    ) -> Result<Vec<String>, CacheError> {
        let served_by = self.served_by().await?;
        if position.served_by != served_by {
            *position = FeedPosition { after: None, served_by };
        }
        let after = position.after.as_ref().map_or("-".to_owned(), |id| format!("({id}"));
        let mut range = redis::cmd("XRANGE");
        range.arg(self.key(feed)).arg(after).arg("+").arg("COUNT").arg(FEED_PAGE);
        let entries: Vec<(String, (String, String))> = self.run(&mut range).await?;
        if let Some((last, _)) = entries.last() {
            position.after = Some(last.clone());
        }
        Ok(entries.into_iter().map(|(_, (_, word))| word).collect())
    }
}
