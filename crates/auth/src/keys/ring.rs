//! The ring: the keys in force, read again from time to time and when an unknown one is named.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use chassis::{CancellationToken, Clock};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{DecodingKey, EncodingKey};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::folder::Folder;
use super::{Algorithm, JwkSet, KeyError, KeySource, Keys, made, metrics};
use crate::settings::{KeySettings, Rotation};

/// Tokens that name unknown keys have the keys read again at most this often.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(1);
/// Until the first keys are there, they are asked for at least this often.
const EMPTY_PAUSE: Duration = Duration::from_secs(2);

/// The keys in force. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct KeyRing(Arc<Shared>);

struct Shared {
    source: Box<dyn KeySource>,
    keys: ArcSwap<Keys>,
    refresh_interval: Duration,
    activation_delay: TimeDelta,
    clock: Clock,
    /// When they were last asked for; held while they are.
    reading: Mutex<Option<Instant>>,
    /// How often they were asked for.
    rounds: AtomicU64,
}

/// The keys of the settings and their folder, and where they are read again.
pub(super) fn try_open(settings: &KeySettings) -> Result<(Folder, Keys), KeyError> {
    let rotation = settings.rotation();
    let rash = rotation.activation_delay <= rotation.refresh_interval.get();
    if rash && rotation.folder().is_some() {
        return Err(KeyError::Rash);
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
        Ok(Self::new(Box::new(folder), keys, settings.rotation(), clock))
    }

    /// The keys that somebody else has. None at first: [`Self::run`] asks for them, or the first
    /// token does.
    pub fn remote(settings: &KeySettings, source: impl KeySource + 'static, clock: Clock) -> Self {
        let keys = Keys::none(settings.algorithm());
        Self::new(Box::new(source), keys, settings.rotation(), clock)
    }

    fn new(source: Box<dyn KeySource>, keys: Keys, rotation: &Rotation, clock: Clock) -> Self {
        let delay = TimeDelta::from_std(rotation.activation_delay).unwrap_or(TimeDelta::MAX);
        let has_keys = !keys.is_empty();
        let ring = Self(Arc::new(Shared {
            source,
            keys: ArcSwap::from_pointee(keys),
            refresh_interval: rotation.refresh_interval.get(),
            activation_delay: delay,
            clock,
            reading: Mutex::new(None),
            rounds: AtomicU64::new(0),
        }));
        if has_keys {
            metrics::read(ring.0.clock.now());
        }
        metrics::show(ring.clone());
        ring
    }

    /// The algorithm of every key.
    pub fn algorithm(&self) -> Algorithm {
        self.0.keys.load().algorithm
    }

    /// What others verify with.
    pub fn jwks(&self) -> JwkSet {
        self.0.keys.load().jwks()
    }

    /// How long others may keep [`Self::jwks`].
    pub fn refresh_interval(&self) -> Duration {
        self.0.refresh_interval
    }

    /// The `kid` that signs now.
    pub fn signing_kid(&self) -> Option<String> {
        self.signer().map(|(kid, _)| kid)
    }

    /// Reads the keys again every `refresh_interval` until `shutdown`. The last good ones stay when
    /// that fails.
    ///
    /// # Errors
    /// None; the type is the supervisor's.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), KeyError> {
        let interval = self.0.refresh_interval;
        let mut pause = if self.is_empty() { Duration::ZERO } else { interval };
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
            self.read_again().await;
            pause = if self.is_empty() { interval.min(EMPTY_PAUSE) } else { interval };
        }
    }

    /// Reads the keys again now.
    pub async fn read_again(&self) {
        let mut last = self.0.reading.lock().await;
        self.read(&mut last).await;
    }

    /// Reads the keys again for a token that names an unknown one: at most once a second, and once
    /// for all who wait. Gives whether there are any keys.
    pub(crate) async fn read_for_unknown(&self) -> bool {
        let seen = self.0.rounds.load(Ordering::SeqCst);
        let mut last = self.0.reading.lock().await;
        let read_meanwhile = self.0.rounds.load(Ordering::SeqCst) != seen;
        if !read_meanwhile && last.is_none_or(|at| at.elapsed() >= UNKNOWN_PAUSE) {
            self.read(&mut last).await;
        }
        !self.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.0.keys.load().is_empty()
    }

    async fn read(&self, last: &mut Option<Instant>) {
        // Before the reading, so that one that is cut short counts too.
        *last = Some(Instant::now());
        let read = self.0.source.load().await;
        self.0.rounds.fetch_add(1, Ordering::SeqCst);
        match read {
            // Who had keys and has none is in trouble; who verifies goes on with the old ones.
            Ok(keys) if keys.is_empty() && !self.0.keys.load().is_empty() => {
                tracing::warn!("the key set has become empty; the last one stays");
            }
            Ok(keys) => {
                self.0.keys.store(Arc::new(keys));
                metrics::read(self.0.clock.now());
            }
            Err(error) => tracing::warn!(error = %error, "keys could not be read again"),
        }
    }

    pub(crate) fn verifier(&self, kid: &str) -> Option<DecodingKey> {
        self.0.keys.load().verifier(kid).cloned()
    }

    pub(crate) fn signer(&self) -> Option<(String, EncodingKey)> {
        let keys = self.0.keys.load();
        let (kid, _, key) = keys.signer(self.0.clock.now(), self.0.activation_delay)?;
        Some((kid.to_owned(), key.clone()))
    }

    /// When the key that signs now was made, where that is known.
    pub(super) fn signer_made(&self) -> Option<DateTime<Utc>> {
        let keys = self.0.keys.load();
        let (kid, key, _) = keys.signer(self.0.clock.now(), self.0.activation_delay)?;
        made(kid, key)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyRing").field(&self.0.keys.load()).finish()
    }
}
