//! The service cache: JSON values on Redis, under keys of the service's own, each with a time to live.
//!
//! | to | there is |
//! |---|---|
//! | read | [`ServiceCache::get`]; a value that does not parse is a miss |
//! | keep | [`ServiceCache::set`], [`ServiceCache::set_for`] |
//! | forget one | [`ServiceCache::delete`] |
//! | do several steps as one | [`ServiceCache::eval`], a Lua script |
//! | forget many | [`ServiceCache::clear_pattern`], by `SCAN` and `UNLINK`: `KEYS` would stop Redis for everybody |
//!
//! What one service has for all others, in order: [`ServiceCache::append`] and [`ServiceCache::appended_since`], on
//! the keys of [`ServiceCache::shared`].
//!
//! Where a value must not outlive a change at its source: [`ServiceCache::withhold`] before the change
//! is committed, and [`ServiceCache::add_for`] by those who read.
//!
//! | metric | tells |
//! |---|---|
//! | `service_cache_lookups_total{service, outcome}` | look-ups: `hit`, `miss`, `error` |
//! | `db_client_operation_duration_seconds{db_system_name, db_operation_name, error_type}` | time of a command, OpenTelemetry's; the kind of fault, or empty |
//!
//! A cache may be away at any time: every call fails within half a second, and the caller goes to
//! the source instead. Nothing waits for Redis at start-up.
//!
//! ```no_run
//! # async fn example(settings: &cache::CacheSettings) -> Result<(), cache::CacheError> {
//! let cache = cache::ServiceCache::connect("user-service", settings)?;
//! cache.set("profile:7", &vec!["ada"]).await?; // service_cache:user-service:profile:7
//! assert_eq!(cache.get::<Vec<String>>("profile:7").await?, Some(vec!["ada".to_owned()]));
//! # Ok(())
//! # }
//! ```

mod feed;
mod metrics;
mod settings;
mod trace;

pub use feed::{FEED_PAGE, FeedPosition};
pub use settings::CacheSettings;

use std::time::{Duration, Instant};

pub use redis::FromRedisValue;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, TlsCertificates};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::Instrument;

use crate::metrics::Lookups;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Longest wait for one answer.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Longest delay between two attempts to connect again.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(2);
/// Keys asked of one `SCAN` step, and deleted by one `UNLINK`.
const SCAN_COUNT: usize = 500;
/// Largest value, in bytes of JSON.
const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// What stands under a key that is withheld: no JSON, so that every reader takes it for a miss.
const WITHHELD: &[u8] = b"";

/// Why the cache did not do it. The caller can go on without it.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// `[cache] url` is no Redis address. The address itself is a secret and not shown.
    #[error("[cache] url is not a Redis address (redis://host:port or rediss://host:port)")]
    Url,
    /// The file of `[cache] tls_ca` cannot be read, or holds what is no certificate.
    #[error("the file of [cache] tls_ca cannot be used")]
    Authorities,
    /// Redis is away, too slow, or refuses.
    #[error("the cache did not answer: {}", self.kind())]
    Redis(redis::RedisError),
    /// The value is no JSON, or larger than a mebibyte.
    #[error("the value cannot be kept: {0}")]
    Value(&'static str),
}

impl CacheError {
    /// The kind of fault, fit for a label or a health check.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Url | Self::Authorities => "address",
            Self::Value(_) => "value",
            Self::Redis(error) if error.is_timeout() => "timed out",
            Self::Redis(error) if error.is_io_error() => "connection",
            Self::Redis(_) => "redis",
        }
    }
}

/// The cache of one service. Cheap to clone; clones share one connection.
#[derive(Clone)]
pub struct ServiceCache {
    redis: ConnectionManager,
    /// `service_cache:<service>:`
    prefix: String,
    ttl: Duration,
    lookups: Lookups,
    server: trace::Server,
}

impl ServiceCache {
    /// A cache that connects at its first use. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The address is none.
    pub fn connect(service: &str, settings: &CacheSettings) -> Result<Self, CacheError> {
        let client = client(settings)?;
        let server = trace::Server::of(client.get_connection_info());
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_number_of_retries(1)
            .set_max_delay(RECONNECT_DELAY_MAX);
        let redis =
            ConnectionManager::new_lazy_with_config(client, config).map_err(CacheError::Redis)?;
        Ok(Self {
            redis,
            prefix: format!("service_cache:{service}:"),
            ttl: settings.ttl,
            lookups: Lookups::new(service),
            server,
        })
    }

    /// The value under a key. None when there is none, or when it is not of this shape.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, CacheError> {
        let kept: Result<Option<Vec<u8>>, _> = self.run(redis::cmd("GET").arg(self.key(key))).await;
        let value = kept.map(|kept| kept.and_then(|json| serde_json::from_slice(&json).ok()));
        self.lookups.record(&value);
        value
    }

    /// Keeps a value for the time of the settings.
    ///
    /// # Errors
    /// Redis is away, or the value cannot be kept.
    pub async fn set<T: Serialize>(&self, key: &str, value: &T) -> Result<(), CacheError> {
        self.set_for(key, value, self.ttl).await
    }

    /// Keeps a value for `ttl`, at least a millisecond.
    ///
    /// # Errors
    /// Redis is away, or the value cannot be kept.
    pub async fn set_for<T: Serialize>(
        &self,
        key: &str,
        value: &T,
        ttl: Duration,
    ) -> Result<(), CacheError> {
        self.run(&mut self.set_command(key, json(value)?, ttl)).await
    }

    /// Keeps a value for `ttl`, at least a millisecond, unless there is one or the key is withheld;
    /// tells whether it is kept now.
    ///
    /// # Errors
    /// Redis is away, or the value cannot be kept.
    pub async fn add_for<T: Serialize>(
        &self,
        key: &str,
        value: &T,
        ttl: Duration,
    ) -> Result<bool, CacheError> {
        let mut add = self.set_command(key, json(value)?, ttl);
        let kept: Option<String> = self.run(add.arg("NX")).await?;
        Ok(kept.is_some())
    }

    /// Forgets the value under a key and lets [`add_for`](Self::add_for) keep none until `ttl`, at
    /// least a millisecond, is over. Done *before* a change at the source is committed, it keeps
    /// out both the value before and what a reader has read meanwhile, and it needs nothing to
    /// happen after the commit.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn withhold(&self, key: &str, ttl: Duration) -> Result<(), CacheError> {
        self.run(&mut self.set_command(key, WITHHELD.to_vec(), ttl)).await
    }

    /// Forgets a key, also one that is withheld; tells whether there was one.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn delete(&self, key: &str) -> Result<bool, CacheError> {
        let deleted: i64 = self.run(redis::cmd("UNLINK").arg(self.key(key))).await?;
        Ok(deleted > 0)
    }

    /// Forgets all keys of this service that match a glob pattern (`*`, `?`, `[a-z]`); tells how
    /// many. Other services' keys are never touched.
    ///
    /// # Errors
    /// Redis is away; some keys may be gone already.
    pub async fn clear_pattern(&self, pattern: &str) -> Result<u64, CacheError> {
        let pattern = format!("{}{pattern}", escape_glob(&self.prefix));
        let (mut cursor, mut cleared) = (0_u64, 0);
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(SCAN_COUNT);
            let (next, keys): (u64, Vec<Vec<u8>>) = self.run(&mut scan).await?;
            for keys in keys.chunks(SCAN_COUNT) {
                let unlinked: u64 = self.run(redis::cmd("UNLINK").arg(keys)).await?;
                cleared += unlinked;
            }
            if next == 0 {
                return Ok(cleared);
            }
            cursor = next;
        }
    }

    /// Runs a Lua script over keys of this service, as one step and in one round trip. Redis keeps
    /// the script compiled.
    ///
    /// # Errors
    /// Redis is away, or the script fails.
    pub async fn eval<T: FromRedisValue>(
        &self,
        script: &str,
        keys: &[String],
        arguments: &[u64],
    ) -> Result<T, CacheError> {
        let mut eval = redis::cmd("EVAL");
        eval.arg(script).arg(keys.len());
        for key in keys {
            eval.arg(self.key(key));
        }
        self.run(eval.arg(arguments)).await
    }

    /// Whether Redis answers, for the health check.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<(), CacheError> {
        self.run::<String>(&mut redis::cmd("PING")).await.map(drop)
    }

    async fn run<T: FromRedisValue>(&self, command: &mut redis::Cmd) -> Result<T, CacheError> {
        let span = self.server.span(command);
        let began = Instant::now();
        let answer = command.query_async(&mut self.redis.clone()).instrument(span.clone()).await;
        let answer = answer.map_err(CacheError::Redis);
        metrics::record_duration(command, answer.as_ref().err(), began.elapsed());
        if let Err(error) = &answer {
            trace::record(&span, error);
        }
        answer
    }

    fn set_command(&self, key: &str, value: Vec<u8>, ttl: Duration) -> redis::Cmd {
        let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut set = redis::cmd("SET");
        set.arg(self.key(key)).arg(value).arg("PX").arg(millis);
        set
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

/// A client that trusts whom the settings say.
fn client(settings: &CacheSettings) -> Result<Client, CacheError> {
    let url = settings.url.expose().as_str();
    if settings.tls_ca.as_os_str().is_empty() {
        return Client::open(url).map_err(|_| CacheError::Url);
    }
    let authorities = std::fs::read(&settings.tls_ca).map_err(|_| CacheError::Authorities)?;
    let trusted = TlsCertificates { client_tls: None, root_cert: Some(authorities) };
    Client::build_with_tls(url, trusted).map_err(|_| CacheError::Authorities)
}

/// A value as it is kept.
fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, CacheError> {
    let json = serde_json::to_vec(value).map_err(|_| CacheError::Value("it is no JSON"))?;
    if json.len() > VALUE_BYTES_MAX {
        return Err(CacheError::Value("it is larger than a mebibyte"));
    }
    Ok(json)
}

/// The name of a command, which is all that metrics and spans show of it.
fn name(command: &redis::Cmd) -> &str {
    match command.args_iter().next() {
        Some(redis::Arg::Simple(name)) => str::from_utf8(name).unwrap_or_default(),
        _ => "",
    }
}

/// The text with glob characters escaped, so that it matches only itself.
fn escape_glob(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
