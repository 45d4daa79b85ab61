//! Values in `message_queue.tsk` with which nothing could work, or that would quietly count as
//! something else.

use std::ops::RangeInclusive;
use std::time::Duration;

use tusk_config::{ValidationError, is_loopback};

use crate::settings::{ConsumerSettings, MessagingSettings, RabbitSettings, RelaySettings};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);
/// The longest delay in a retry queue. The broker counts milliseconds in 32 bits, and a queue is there
/// for longer than its messages.
const RETRY_DELAY_MAX: Duration = Duration::from_hours(7 * 24);
/// The largest message that a broker of version 3.8 or later can be told to take: 512 MiB.
const MESSAGE_BYTES_MAX: usize = 512 << 20;
/// The user whom a new broker has, and their password.
const GUEST: &str = "guest";
/// The longest name of a virtual host: AMQP knows no longer one.
const VHOST_BYTES_MAX: usize = 255;

impl MessagingSettings {
    /// Values out of their bounds, of all sections but `[rabbitmq]`.
    pub(super) fn values(&self) -> Vec<ValidationError> {
        let mut errors = relay(&self.relay);
        errors.extend(consumer(&self.consumer));
        let is_remembered = self.outbox.archive <= self.consumer.inbox_retention;
        let text = "[consumer] inbox_retention is shorter: what is fed to a reader again out of the \
                    archive would have its effect twice";
        errors.extend(ValidationError::unless(is_remembered, "outbox.archive", text));
        for (key, own) in &self.consumers {
            let section = format!("consumer:{key}");
            let timed = own.handler_timeout;
            let timed = timed.and_then(|time| handler_timeout(&section, time));
            let delayed = own.retry_delays.as_ref();
            let delayed = delayed.and_then(|delays| retry_delays(&section, delays.iter()));
            errors.extend(timed.into_iter().chain(delayed));
        }
        errors
    }
}

fn relay(relay: &RelaySettings) -> Vec<ValidationError> {
    let millis = Duration::from_millis;
    let minute = Duration::from_mins(1);
    let all = [
        ValidationError::outside("relay.poll_interval", relay.poll_interval, millis(1)..=minute),
        ValidationError::outside(
            "relay.confirm_timeout",
            relay.confirm_timeout,
            millis(100)..=5 * minute,
        ),
        ValidationError::outside(
            "relay.message_bytes_max",
            relay.message_bytes_max,
            1_024..=MESSAGE_BYTES_MAX,
        ),
    ];
    all.into_iter().flatten().collect()
}

fn consumer(consumer: &ConsumerSettings) -> Vec<ValidationError> {
    let ratio: RangeInclusive<f64> = 0.0..=1.0;
    let delay = consumer.kill_switch_delay_max;
    let all = [
        handler_timeout("consumer", consumer.handler_timeout),
        retry_delays("consumer", consumer.retry_delays.iter()),
        ValidationError::outside("consumer.kill_switch_ratio", consumer.kill_switch_ratio, ratio),
        ValidationError::outside("consumer.kill_switch_delay_max", delay, SECOND..=DAY),
        ValidationError::outside(
            "consumer.unavailable_max",
            consumer.unavailable_max,
            Duration::ZERO..=30 * DAY,
        ),
        ValidationError::outside(
            "consumer.inbox_retention",
            consumer.inbox_retention,
            SECOND..=3_650 * DAY,
        ),
    ];
    all.into_iter().flatten().collect()
}

fn handler_timeout(section: &str, time: Duration) -> Option<ValidationError> {
    let bounds = Duration::from_millis(100)..=Duration::from_mins(25);
    ValidationError::outside(format!("{section}.handler_timeout"), time, bounds)
}

fn retry_delays(
    section: &str,
    mut delays: impl Iterator<Item = Duration>,
) -> Option<ValidationError> {
    let bounds = Duration::from_millis(1)..=RETRY_DELAY_MAX;
    delays.find_map(|delay| {
        ValidationError::outside(format!("{section}.retry_delays"), delay, bounds.clone())
    })
}

impl RabbitSettings {
    /// What cannot work, or must not in this environment (`[tracing] environment`). Opens no
    /// connection; the file of `tls_ca` is read.
    pub fn check(&self, environment: &str) -> Vec<ValidationError> {
        let at = |key: &str| format!("rabbitmq.{key}");
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        let is_host = !self.host.is_empty() && self.host.bytes().all(is_name);
        let is_host_alone = is_host && (!self.host.contains(':') || self.is_ipv6());
        let needed = |key, value: &str| {
            ValidationError::unless(
                !value.is_empty(),
                at(key),
                "it is empty: the broker would refuse us",
            )
        };
        let all = [
            ValidationError::unless(
                is_host_alone,
                at("host"),
                "a host name or an address is needed, without a scheme and a port",
            ),
            ValidationError::outside(at("port"), self.port, 1..=u16::MAX),
            needed("username", &self.username),
            needed("password", self.password.expose()).map(ValidationError::secret),
            needed("vhost", &self.vhost),
            ValidationError::unless(
                self.vhost.len() <= VHOST_BYTES_MAX,
                at("vhost"),
                format!("AMQP takes a virtual host of {VHOST_BYTES_MAX} bytes at most"),
            ),
            self.guest(environment),
            ValidationError::authorities(at("tls_ca"), &self.tls_ca, self.tls),
            ValidationError::outside(
                at("heartbeat"),
                self.heartbeat,
                SECOND..=Duration::from_mins(10),
            ),
            ValidationError::outside(
                at("connect_timeout"),
                self.connect_timeout,
                Duration::from_millis(100)..=Duration::from_mins(5),
            ),
        ];
        all.into_iter().flatten().collect()
    }

    /// The password that everybody knows. A broker takes that user from its own machine only, unless
    /// somebody has told it otherwise, and then it takes everybody.
    fn guest(&self, environment: &str) -> Option<ValidationError> {
        let is_guest = self.username == GUEST && self.password.expose() == GUEST;
        let fits = environment != "production" || !is_guest || is_loopback(&self.host);
        let text = "the user guest with the password guest, whom every new broker has, must not be \
                    used in production: set RABBITMQ_USERNAME and RABBITMQ_PASSWORD, or \
                    RABBITMQ_PASSWORD_FILE";
        Some(ValidationError::unless(fits, "rabbitmq.password", text)?.secret())
    }

    /// That the broker is spoken to without TLS, unless it is on this machine.
    pub fn plaintext(&self) -> Option<ValidationError> {
        if self.tls {
            return None;
        }
        let remedy =
            "set RABBITMQ_TLS to true, and RABBITMQ_PORT to the broker's port for it, such as 5671";
        ValidationError::plaintext("rabbitmq.tls", &self.host, remedy)
    }

    fn is_ipv6(&self) -> bool {
        self.host.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::num::NonZeroU32;

    use tusk_config::{Loader, Vars};

    use super::*;

    /// The keys that are told to payment-service when these have these values in the shipped file.
    fn reported_in(environment: &str, changes: &[(&str, &str)]) -> Vec<String> {
        let text = include_str!("../../../../../config/message_queue.tsk");
        let loader = Loader::new("").text("message_queue.tsk", text).vars(Vars::empty());
        let set = |loader: Loader, (path, value): &(&str, &str)| loader.set(path, value);
        let settings: MessagingSettings = changes.iter().fold(loader, set).load().unwrap();
        let pool = NonZeroU32::new(6).unwrap();
        let errors = settings.check("payment_events", ["payment_exchange"], pool);
        let errors = errors.into_iter().chain(settings.rabbitmq.check(environment));
        errors.map(|error| error.path().to_owned()).collect()
    }

    #[test]
    fn a_value_that_cannot_work_is_reported_at_its_key() {
        let long = format!("\"{}\"", "v".repeat(VHOST_BYTES_MAX + 1));
        for (path, value) in [
            ("rabbitmq.host", "\"\""),
            ("rabbitmq.host", "\"amqp://broker\""),
            ("rabbitmq.host", "\"broker:5672\""),
            ("rabbitmq.port", "0"),
            ("rabbitmq.username", "\"\""),
            ("rabbitmq.password", "\"\""),
            ("rabbitmq.vhost", "\"\""),
            ("rabbitmq.vhost", &long),
            ("rabbitmq.tls_ca", "/nowhere/ca.pem"),
            ("rabbitmq.heartbeat", "\"0s\""),
            ("rabbitmq.connect_timeout", "\"0s\""),
            ("exchanges.payment_exchange", "\"amq.topic\""),
            ("queues.payment_events", "\"\""),
            ("outbox.archive", "\"8d\""),
            ("relay.poll_interval", "\"0s\""),
            ("relay.confirm_timeout", "\"0s\""),
            ("relay.message_bytes_max", "0"),
            ("consumer.handler_timeout", "\"0s\""),
            ("consumer.retry_delays", "[\"1s\", \"8d\"]"),
            ("consumer.kill_switch_ratio", "1.5"),
            ("consumer.kill_switch_delay_max", "\"0s\""),
            ("consumer.unavailable_max", "\"31d\""),
            ("consumer.inbox_retention", "\"12m\""),
            ("consumer.concurrency", "5"),
            ("consumer:payment_events.handler_timeout", "\"1ms\""),
            ("consumer:payment_events.retry_delays", "[\"50d\"]"),
        ] {
            let mut reported = reported_in("development", &[(path, value)]);
            // What takes longer than the inbox remembers is told at the inbox as well.
            reported.retain(|reported| reported == path || reported != "consumer.inbox_retention");
            assert_eq!(reported, [path], "{path}: {value}");
        }
    }

    #[test]
    fn a_file_of_authorities_is_read_where_there_is_tls_and_told_where_there_is_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = format!("\"{}\"", file.path().display());
        let changes = [("rabbitmq.tls", "true"), ("rabbitmq.tls_ca", path.as_str())];
        assert_eq!(reported_in("development", &changes), ["rabbitmq.tls_ca"], "it is empty");
        fs::write(file.path(), "-----BEGIN CERTIFICATE-----\n").unwrap();
        assert!(reported_in("development", &changes).is_empty());
        assert_eq!(reported_in("development", &changes[1..]), ["rabbitmq.tls_ca"]);
    }

    #[test]
    fn guest_with_the_password_guest_is_a_fault_in_production_unless_the_broker_is_on_this_machine()
    {
        let broker = [("rabbitmq.host", "broker.example.com")];
        assert_eq!(reported_in("production", &broker), ["rabbitmq.password"]);
        assert!(reported_in("staging", &broker).is_empty());
        for host in ["localhost", "127.0.0.1", "\"::1\""] {
            assert!(reported_in("production", &[("rabbitmq.host", host)]).is_empty(), "{host}");
        }
        let own = [broker[0], ("rabbitmq.password", "of-its-own")];
        assert!(reported_in("production", &own).is_empty());
    }
}
