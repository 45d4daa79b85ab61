//! The ring: the keys in force, read again from time to time and when an unknown one is named.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use chassis::{CancellationToken, Clock};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::EncodingKey;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout};

use super::folder::Folder;
use super::{Algorithm, JwkSet, KeyError, KeySource, Keys, made, metrics};
use crate::claims::{Claims, VerifiedTokens};
use crate::settings::{KeySettings, Rotation};
use crate::tokens::TokenError;

/// Tokens that name unknown keys have the keys read again at most this often; half as often after each
/// reading that failed, down to the longest delay.
const UNKNOWN_DELAY: Duration = Duration::from_secs(1);
const UNKNOWN_DELAY_MAX: Duration = Duration::from_secs(30);
/// The longest that a request waits for keys because of the key that its token names.
const UNKNOWN_WAIT: Duration = Duration::from_secs(1);
/// Requests that wait so at a time. Each keeps a place at the server, and who names unknown keys may be
/// anybody.
const UNKNOWN_WAITERS_MAX: usize = 16;
/// Until the first keys are there, they are asked for at least this often.
const EMPTY_DELAY: Duration = Duration::from_secs(2);

/// The keys in force. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct KeyRing(Arc<Shared>);

struct Shared {
    source: Box<dyn KeySource>,
    loaded: ArcSwap<Loaded>,
    refresh_interval: Duration,
    activation_delay: TimeDelta,
    /// How long keys are believed after they were read; for ever where they are files of our own.
    max_staleness: Option<TimeDelta>,
    clock: Clock,
    /// Locked while they are read.
    reading: Mutex<Reading>,
    /// How often they were read, or could not be.
    rounds: AtomicU64,
    /// Places to wait in for keys that are not known.
    waiters: Semaphore,
}

/// Keys, when they were read, and what was verified with them since.
struct Loaded {
    keys: Keys,
    at: DateTime<Utc>,
    verified: VerifiedTokens,
}

impl Loaded {
    fn new(keys: Keys, at: DateTime<Utc>) -> Self {
        Self { keys, at, verified: VerifiedTokens::default() }
    }
}

/// The last reading.
#[derive(Default)]
struct Reading {
    began: Option<Instant>,
    /// Readings in a row that failed, or were given up.
    failures: u32,
}

impl Reading {
    /// Whether a token with an unknown key has them read again.
    fn is_due(&self) -> bool {
        let delay = UNKNOWN_DELAY.saturating_mul(1 << self.failures.min(8)).min(UNKNOWN_DELAY_MAX);
        self.began.is_none_or(|began| began.elapsed() >= delay)
    }
}

/// The keys of the settings and their folder, and where they are read again.
pub(super) fn try_open(settings: &KeySettings) -> Result<(Folder, Keys), KeyError> {
    let rotation = settings.rotation();
    let is_too_early = rotation.activation_delay <= rotation.refresh_interval.get();
    if is_too_early && rotation.folder().is_some() {
        return Err(KeyError::ActivationTooEarly);
    }
    let folder = Folder::new(settings);
    let keys = folder.read()?;
    Ok((folder, keys))
}

impl KeyRing {
    /// The keys of the settings and their folder, read here and now.
    ///
    /// # Errors
    /// A key cannot be read, or there is none to sign with.
    pub fn open(settings: &KeySettings, clock: Clock) -> Result<Self, KeyError> {
        let (folder, keys) = try_open(settings)?;
        Ok(Self::new(Box::new(folder), keys, settings.rotation(), None, clock))
    }

    /// The keys that somebody else has. None at first: [`Self::run`] asks for them, or the first
    /// token does.
    pub fn remote(settings: &KeySettings, source: impl KeySource + 'static, clock: Clock) -> Self {
        let keys = Keys::none(settings.algorithm());
        let rotation = settings.rotation();
        Self::new(Box::new(source), keys, rotation, Some(delta(rotation.max_staleness)), clock)
    }

    fn new(
        source: Box<dyn KeySource>,
        keys: Keys,
        rotation: &Rotation,
        max_staleness: Option<TimeDelta>,
        clock: Clock,
    ) -> Self {
        let has_keys = !keys.is_empty();
        let at = clock.now();
        let delay = delta(rotation.activation_delay);
        let ring = Self(Arc::new(Shared {
            source,
            loaded: ArcSwap::from_pointee(Loaded::new(keys.at_start(at, delay), at)),
            refresh_interval: rotation.refresh_interval.get(),
            activation_delay: delay,
            max_staleness,
            clock,
            reading: Mutex::default(),
            rounds: AtomicU64::new(0),
            waiters: Semaphore::new(UNKNOWN_WAITERS_MAX),
        }));
        if has_keys {
            metrics::read(at);
        }
        metrics::show(ring.clone());
        ring
    }

    /// The algorithm of every key.
    pub fn algorithm(&self) -> Algorithm {
        self.0.loaded.load().keys.algorithm
    }

    /// What others verify with.
    pub fn jwks(&self) -> JwkSet {
        self.0.loaded.load().keys.jwks()
    }

    /// How long others may keep [`Self::jwks`].
    pub fn refresh_interval(&self) -> Duration {
        self.0.refresh_interval
    }

    /// Reads the keys again every `refresh_interval` until `shutdown`. While that fails the last ones
    /// stay: files of our own for ever, fetched keys for `max_staleness`.
    ///
    /// # Errors
    /// None; the type is the supervisor's.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), KeyError> {
        let interval = self.0.refresh_interval;
        let mut delay = if self.has_keys() { interval } else { Duration::ZERO };
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(delay) => {}
            }
            self.read_again().await;
            delay = if self.has_keys() { interval } else { interval.min(EMPTY_DELAY) };
        }
    }

    /// Reads the keys again now.
    pub async fn read_again(&self) {
        let mut reading = self.0.reading.lock().await;
        self.read(&mut reading).await;
    }

    /// Reads the keys again for a token that names an unknown one, once for all who wait, and gives
    /// whether there are any keys. Returns at once where they were read shortly before, or could not
    /// be, or enough requests wait already; in any case after a second.
    pub(crate) async fn read_for_unknown(&self) -> bool {
        if let Ok(_place) = self.0.waiters.try_acquire() {
            let _given_up = timeout(UNKNOWN_WAIT, self.read_if_due()).await;
        }
        self.has_keys()
    }

    async fn read_if_due(&self) {
        let seen = self.0.rounds.load(Ordering::SeqCst);
        let mut reading = self.0.reading.lock().await;
        let read_meanwhile = self.0.rounds.load(Ordering::SeqCst) != seen;
        if !read_meanwhile && reading.is_due() {
            self.read(&mut reading).await;
        }
    }

    /// Whether there are keys that are believed.
    fn has_keys(&self) -> bool {
        let loaded = self.0.loaded.load();
        !loaded.keys.is_empty() && self.believes(&loaded)
    }

    fn believes(&self, loaded: &Loaded) -> bool {
        let age = self.0.clock.now() - loaded.at;
        self.0.max_staleness.is_none_or(|max| age <= max)
    }

    async fn read(&self, reading: &mut Reading) {
        // Before the reading, so that one that is given up counts as a failure too.
        reading.began = Some(Instant::now());
        reading.failures = reading.failures.saturating_add(1);
        let read = self.0.source.load().await;
        self.0.rounds.fetch_add(1, Ordering::SeqCst);
        let loaded = self.0.loaded.load();
        match read {
            // Who had keys and has none is in trouble; who verifies goes on with the old ones.
            Ok(keys) if keys.is_empty() && !loaded.keys.is_empty() => {
                tracing::warn!("the key set has become empty; the last one stays for a while");
            }
            Ok(keys) => {
                reading.failures = 0;
                let at = self.0.clock.now();
                let keys = keys.after(&loaded.keys, at);
                self.0.loaded.store(Arc::new(Loaded::new(keys, at)));
                metrics::read(at);
            }
            Err(error) => tracing::warn!(error = %error, "keys could not be read again"),
        }
    }

    /// The claims of a token, which `decode` reads with these keys where that was not done before.
    pub(crate) fn verified(
        &self,
        token: &str,
        decode: impl FnOnce(&Keys) -> Result<Claims, TokenError>,
    ) -> Result<Arc<Claims>, TokenError> {
        let loaded = self.0.loaded.load();
        if !self.believes(&loaded) {
            return decode(&Keys::none(loaded.keys.algorithm)).map(Arc::new);
        }
        loaded.verified.claims(token, || decode(&loaded.keys))
    }

    pub(crate) fn signer(&self) -> Option<(String, EncodingKey)> {
        let loaded = self.0.loaded.load();
        let (kid, _, key) = loaded.keys.signer(self.0.clock.now(), self.0.activation_delay)?;
        Some((kid.to_owned(), key.clone()))
    }

    /// When the key that signs now was made, where that is known.
    pub(super) fn signer_made(&self) -> Option<DateTime<Utc>> {
        let loaded = self.0.loaded.load();
        let (kid, key, _) = loaded.keys.signer(self.0.clock.now(), self.0.activation_delay)?;
        made(kid, key)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyRing").field(&self.0.loaded.load().keys).finish()
    }
}

fn delta(time: Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX)
}
