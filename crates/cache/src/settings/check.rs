//! What in `[cache]` cannot work.

use std::time::Duration;

use redis::Client;
use tusk_config::Misfit;

use super::CacheSettings;
use crate::CacheError;

impl CacheSettings {
    /// What cannot work: an address of something else, a time that Redis refuses. Opens nothing.
    pub fn check(&self) -> Vec<Misfit> {
        let is_one = Client::open(self.url.expose().as_str()).is_ok();
        let url = Misfit::unless(is_one, "cache.url", CacheError::Url.to_string());
        let bounds = Duration::from_secs(1)..=Duration::from_hours(24 * 365);
        let ttl = Misfit::outside("cache.ttl", self.ttl, bounds);
        url.map(Misfit::secret).into_iter().chain(ttl).collect()
    }
}

#[cfg(test)]
mod tests {
    use tusk_config::{Loader, Vars};

    use super::*;

    /// The keys that are told when `key` has this value in the shipped file.
    fn told(key: &str, value: &str) -> Vec<String> {
        let text = include_str!("../../../../config/cache.tsk");
        let vars = Vars::of([("REDIS_URL", "redis://:secret@cache.example.com:6379/0")]);
        let loader = Loader::new("").text("cache.tsk", text).vars(vars);
        let config = loader.set(&format!("cache.{key}"), value).tree().unwrap();
        let settings: CacheSettings = config.get("cache").unwrap();
        settings.check().iter().map(|misfit| misfit.path().to_owned()).collect()
    }

    #[test]
    fn a_value_that_cannot_work_is_told_at_its_key() {
        for (key, value) in [
            ("url", "\"\""),
            ("url", "\"cache.example.com:6379\""),
            ("url", "\"http://cache.example.com\""),
            ("url", "\"redis://\""),
            ("url", "\"redis://cache.example.com/first\""),
            ("ttl", "\"0s\""),
            ("ttl", "\"500ms\""),
            ("ttl", "\"366d\""),
        ] {
            assert_eq!(told(key, value), [format!("cache.{key}")], "{key}: {value}");
        }
        assert!(told("ttl", "\"300\"").is_empty());
    }
}
