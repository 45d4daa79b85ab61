//! What in `[server]` and `[worker]` cannot work, or would quietly count as something else.

use std::net::IpAddr;
use std::time::Duration;

use tusk_config::{Bounded, ValidationError};

use super::{Interval, ServerSettings};
use crate::phases;
use crate::worker::WorkerSettings;

const HOUR: Duration = Duration::from_hours(1);
/// The largest body that is read into memory as a whole: 64 MiB.
const BODY_MAX: usize = 64 << 20;
/// The largest head of a request: 1 MiB.
const HEAD_MAX: usize = 1 << 20;
/// The most requests in flight: far more than one process has memory for.
const CONCURRENCY_MAX: usize = 65_535;

impl ServerSettings {
    /// What cannot work. Opens nothing: whether the address is this machine's is known at the start.
    pub fn check(&self) -> Vec<ValidationError> {
        let at = |key: &str| format!("server.{key}");
        let text =
            "an address to listen on is needed, without a scheme and a port: 0.0.0.0 for all";
        let all = [
            ValidationError::unless(is_host(&self.host), at("host"), text),
            ValidationError::outside(at("body_limit"), self.body_limit, 1..=BODY_MAX),
            ValidationError::outside(
                at("request_timeout"),
                self.request_timeout,
                Duration::from_millis(1)..=HOUR,
            ),
            ValidationError::outside(
                at("concurrency_limit"),
                self.concurrency_limit,
                1..=CONCURRENCY_MAX,
            ),
            ValidationError::outside(
                at("grace_period"),
                self.grace_period,
                Duration::from_secs(1)..=HOUR,
            ),
            self.cut_requests(),
            self.no_room(),
            ValidationError::outside(at("head_limit"), self.head_limit, 1_024..=HEAD_MAX),
            ValidationError::outside(
                at("service_concurrency_limit"),
                self.service_concurrency_limit,
                0..=CONCURRENCY_MAX,
            ),
            Self::time("idle_timeout", self.idle_timeout),
            Self::time("head_timeout", self.head_timeout),
            Self::time("body_timeout", self.body_timeout),
            Self::time("write_timeout", self.write_timeout),
            ValidationError::unless(
                self.drain_delay < self.grace_period,
                at("drain_delay"),
                format!(
                    "it is part of grace_period, which is {}: nothing would be left for requests",
                    self.grace_period.in_words()
                ),
            ),
        ];
        all.into_iter().flatten().collect()
    }

    /// A time that a caller has for its part.
    fn time(key: &str, time: Duration) -> Option<ValidationError> {
        ValidationError::outside(format!("server.{key}"), time, Duration::from_millis(10)..=HOUR)
    }

    /// Requests in hand could take all connections, so that probes would get none.
    fn no_room(&self) -> Option<ValidationError> {
        let in_hand = self.concurrency_limit.saturating_add(self.service_concurrency_limit);
        let is_told_otherwise = in_hand > CONCURRENCY_MAX;
        ValidationError::unless(
            (in_hand < self.connection_limit && self.connection_limit <= CONCURRENCY_MAX)
                || is_told_otherwise,
            "server.connection_limit",
            format!(
                "{} is not within {} (one more than concurrency_limit and service_concurrency_limit \
                 take together) to {CONCURRENCY_MAX}: probes would get no connection",
                self.connection_limit,
                in_hand.saturating_add(1)
            ),
        )
    }

    /// A stop would cut off requests that have their time yet.
    fn cut_requests(&self) -> Option<ValidationError> {
        let share = phases::requests(self);
        let longest = self.request_timeout;
        let is_told_otherwise = share.is_zero() || longest > HOUR;
        ValidationError::unless(
            share >= longest || is_told_otherwise,
            "server.grace_period",
            format!(
                "it leaves requests {}, less than request_timeout, {}: a stop would cut them off",
                share.in_words(),
                longest.in_words()
            ),
        )
    }
}

impl WorkerSettings {
    /// What cannot work when one step takes up to `work_max`, which `why` explains: a lease that ends
    /// earlier lets another worker do the same work meanwhile.
    pub fn check(&self, work_max: Duration, why: &str) -> Vec<ValidationError> {
        let lease = self.lease;
        let is_long_enough = lease > work_max;
        let short = ValidationError::unless(
            is_long_enough,
            "worker.lease",
            format!(
                "[worker] lease is {}, and {why} {}: another worker would do the same meanwhile",
                lease.in_words(),
                work_max.in_words()
            ),
        );
        let too_long = is_long_enough.then(|| {
            ValidationError::outside("worker.lease", lease, Duration::from_millis(1)..=24 * HOUR)
        });
        let all = [
            ValidationError::outside("worker.concurrency", self.concurrency, 1..=1_000),
            self.poll_interval.check("worker.poll_interval"),
            short,
            too_long.flatten(),
        ];
        all.into_iter().flatten().collect()
    }
}

impl Interval {
    /// What cannot work about the interval at `path`: one of more than a day is none.
    pub fn check(self, path: &str) -> Option<ValidationError> {
        ValidationError::outside(path, self.get(), Duration::from_millis(1)..=24 * HOUR)
    }
}

/// Whether a text may be an address or the name of one.
pub(super) fn is_host(text: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    // A name that ends in a number would be taken for an address (https://url.spec.whatwg.org/#ends-in-a-number-checker).
    let last = text.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let ends_in_number = last.bytes().all(|byte| byte.is_ascii_digit());
    text.parse::<IpAddr>().is_ok() || (!ends_in_number && text.bytes().all(is_name))
}

#[cfg(test)]
mod tests {
    use tusk_config::{Loader, Vars};

    use super::*;

    #[derive(serde::Deserialize)]
    struct Settings {
        server: ServerSettings,
        worker: WorkerSettings,
    }

    /// The keys that are told when `path` has this value in the shipped file and a step takes 40 s.
    fn reported(path: &str, value: &str) -> Vec<String> {
        let text = include_str!("../../../../config/payment-service.tsk");
        let loader = Loader::new("").text("payment-service.tsk", text).vars(Vars::empty());
        let Settings { server, worker } = loader.set(path, value).load().unwrap();
        let worker = worker.check(Duration::from_secs(40), "a charge may take");
        let errors = server.check().into_iter().chain(worker);
        errors.map(|error| error.path().to_owned()).collect()
    }

    #[test]
    fn a_value_that_cannot_work_is_reported_at_its_key() {
        for (path, value) in [
            ("server.host", "\"\""),
            ("server.host", "http://0.0.0.0"),
            ("server.host", "\"999.0.0.1\""),
            ("server.host", "\"0.0.0.0:3002\""),
            ("server.host", "\"\u{feff}127.0.0.1\""),
            ("server.body_limit", "0"),
            ("server.request_timeout", "\"0s\""),
            ("server.request_timeout", "\"2h\""),
            ("server.concurrency_limit", "0"),
            ("server.concurrency_limit", "65536"),
            ("server.connection_limit", "0"),
            ("server.connection_limit", "576"),
            ("server.connection_limit", "65536"),
            ("server.service_concurrency_limit", "65536"),
            ("server.head_limit", "0"),
            ("server.idle_timeout", "\"0s\""),
            ("server.head_timeout", "\"0s\""),
            ("server.body_timeout", "\"0s\""),
            ("server.write_timeout", "\"0s\""),
            ("server.drain_delay", "\"25s\""),
            ("worker.concurrency", "0"),
            ("worker.poll_interval", "\"25h\""),
            ("worker.lease", "\"0s\""),
            ("worker.lease", "\"40s\""),
            ("worker.lease", "\"25h\""),
        ] {
            assert_eq!(reported(path, value), [path], "{path}: {value}");
        }
        assert_eq!(
            reported("server.grace_period", "\"0s\""),
            ["server.grace_period", "server.drain_delay"]
        );
    }

    #[test]
    fn the_shipped_values_and_other_addresses_are_not_reported() {
        for host in ["0.0.0.0", "\"::\"", "localhost", "\"::1\""] {
            assert!(reported("server.host", host).is_empty(), "{host}");
        }
    }
}
