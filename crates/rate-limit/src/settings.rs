//! The settings of `[rate_limit]` in a service's own file.

use std::collections::BTreeMap;
use std::time::Duration;

use auth::policy::Route;
use serde::Deserialize;

mod check;

/// Section `[rate_limit]`.
#[derive(Debug, Clone, Deserialize)]
pub struct RateLimitSettings {
    /// Whether anything is limited; off for tests of load.
    pub enabled: bool,
    /// Longest wait for Redis, 1 ms to half a second, which is the cache's own limit; then this
    /// process counts alone.
    pub redis_timeout: Duration,
    /// The limits of each route, by `METHOD /path/{parameter}`. A route that is not there has none,
    /// and neither has one with an empty list; one that anybody may call to change something has either.
    #[serde(default)]
    pub routes: BTreeMap<Route, Vec<LimitSettings>>,
}

/// One limit of a route.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    /// Whose requests are counted together.
    pub by: By,
    /// Requests in `per`, and at once after a quiet time; 1 or more.
    pub requests: u32,
    /// Whole seconds, up to a week.
    pub per: Duration,
}

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Those from one client address.
    Address,
    /// Those of one signed-in user.
    User,
    /// Those that name one account; see [`AccountLimit`](crate::AccountLimit).
    Account,
}

impl LimitSettings {
    /// Its name in fields and metrics: `address-1m`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.by.as_str(), in_words(self.per))
    }
}

impl By {
    fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::User => "user",
            Self::Account => "account",
        }
    }
}

/// A time in the largest unit that it is a whole number of.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(24 * 3_600, "d"), (3_600, "h"), (60, "m")];
    let unit = units.into_iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    let (unit, letter) = unit.unwrap_or((1, "s"));
    format!("{}{letter}", seconds / unit)
}
