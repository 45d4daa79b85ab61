//! The settings against the file that every service reads.

use std::time::Duration;

use contracts::user::UserCreated;
use messaging::MessagingSettings;
use messaging::settings::{QueueType, SettingsError};
use tusk_config::{Loader, Vars};

#[test]
fn the_shipped_file_is_read_whole_and_says_what_the_defaults_say() {
    let settings = load(Vars::empty()).unwrap();

    assert_eq!(settings.exchange("user_exchange").unwrap(), "user.events");
    assert_eq!(settings.queue("payment_events").unwrap(), "payment-service.events");
    assert_eq!((settings.rabbitmq.port, settings.rabbitmq.vhost.as_str()), (5672, "/"));
    let defaults = (messaging::RelaySettings::default(), messaging::ConsumerSettings::default());
    assert_eq!(format!("{:?}", settings.relay), format!("{:?}", defaults.0));
    assert_eq!(format!("{:?}", settings.consumer), format!("{:?}", defaults.1));
    assert!(!settings.outbox.is_archiving(), "what was sent is kept where somebody says so");
    assert_eq!(settings.queue, messaging::settings::QueueSettings::default());
    let delays = &settings.consumer.retry_delays;
    assert_eq!(delays.after(1), Duration::from_secs(1));
    assert_eq!(delays.after(100), delays.after(5), "the last delay serves all further attempts");
}

#[test]
fn a_bound_of_nothing_is_refused_where_it_stands() {
    let vars = Vars::of([("CONSUMER_PREFETCH".to_owned(), "0".to_owned())]);

    let refused = load(vars).unwrap_err().to_string();

    assert!(refused.contains("prefetch"), "{refused}");
}

#[test]
fn a_message_that_could_be_in_hand_for_longer_than_the_broker_waits_is_refused_at_start() {
    let vars = Vars::of([("CONSUMER_HANDLER_TIMEOUT".to_owned(), "10m".to_owned())]);
    let settings = load(vars).unwrap();
    let held = settings.consumer.held_max();
    assert_eq!(held, Duration::from_mins(170), "50 messages by 3 handlers: seventeen rounds");

    let broker = messaging::Broker::new("user-service", &settings.rabbitmq);
    let (handler, _) = crate::world::Notes::new(async |_| messaging::Verdict::Ack);
    let refused = messaging::Consumer::new(broker, &settings, "user_events", handler).err();

    let key = "user_events".to_owned();
    let unacked_max = Duration::from_mins(25);
    assert_eq!(refused, Some(SettingsError::HeldTooLong { key, held, unacked_max }));
}

#[test]
fn a_section_of_its_own_says_what_one_queue_does_otherwise() {
    let settings = load_with(
        "[consumer:payment_events]\nprefetch: 5\nconcurrency: 1\nretry_delays: [\"2s\"]\n\
         [queue:payment_events]\ntype: classic\n[queue:notification_events]\nmax_length: 1000\n",
    );

    let (own, others) = ("payment_events", "user_events");
    let consumer = settings.consumer_of(own).unwrap();
    assert_eq!((consumer.prefetch.get(), consumer.concurrency.get()), (5, 1));
    assert_eq!(consumer.retry_delays.after(3), Duration::from_secs(2));
    assert_eq!(consumer.max_attempts, settings.consumer.max_attempts);
    let queue = settings.queue_settings_of(own).unwrap();
    assert_eq!((queue.queue_type, queue.max_length), (QueueType::Classic, 0));
    let queue = settings.queue_settings_of("notification_events").unwrap();
    assert_eq!((queue.queue_type, queue.max_length), (QueueType::Quorum, 1000));
    assert_eq!(queue.delivery_limit, settings.queue.delivery_limit);
    let consumer = settings.consumer_of(others).unwrap();
    assert_eq!(format!("{consumer:?}"), format!("{:?}", settings.consumer));
    assert_eq!(settings.queue_settings_of(others).unwrap(), settings.queue);
}

#[test]
fn a_section_of_its_own_about_no_queue_is_refused() {
    let consumer = load_with("[consumer:user_event]\nprefetch: 5\n");
    let queue = load_with("[queue:user_event]\nmax_length: 5\n");

    let refused = consumer.consumer_of("user_events").unwrap_err().to_string();
    assert!(refused.contains("[consumer:user_event]"), "{refused}");
    let refused = queue.queue_settings_of("user_events").unwrap_err().to_string();
    assert!(refused.contains("[queue:user_event]"), "{refused}");
}

#[test]
fn a_limit_of_a_queue_that_would_drop_what_is_over_it_is_refused() {
    let settings = load_with("[queue:user_events]\ntype: classic\nmax_length_bytes: 5\n");

    let refused = settings.queue_settings_of("user_events").unwrap_err();

    assert_eq!(refused, SettingsError::ClassicWithLimit { key: "user_events".to_owned() });
}

#[test]
fn more_handlers_than_database_connections_are_a_fault_with_its_place() {
    for (more, place) in [
        ("", "consumer.concurrency"),
        ("[consumer:user_events]\nconcurrency: 3\n", "consumer:user_events.concurrency"),
        ("[consumer:user_events]\nprefetch: 9\n", "consumer.concurrency"),
    ] {
        let settings = load_with(more);

        let why = "three handlers, two batches of the relay, one for everything else";
        assert_eq!(errors(&settings, 6), "", "{why}");
        let found = errors(&settings, 5);

        assert!(found.contains(&format!("{place:?}")), "{found}");
        assert!(found.contains("handles 3 messages at a time"), "{found}");
    }
}

#[test]
fn a_share_that_is_none_is_a_fault_with_its_place() {
    let mut settings = load(Vars::empty()).unwrap();
    settings.consumer.kill_switch_ratio = 80.0;

    let found = errors(&settings, 6);

    assert!(found.contains("\"consumer.kill_switch_ratio\""), "{found}");
}

#[test]
fn an_inbox_that_forgets_before_the_last_attempt_is_a_fault_with_its_place() {
    let vars = Vars::of([("CONSUMER_INBOX_RETENTION".to_owned(), "24h".to_owned())]);

    let found = errors(&load(vars).unwrap(), 6);

    assert!(found.contains("\"consumer.inbox_retention\""), "{found}");
}

#[test]
fn a_batch_that_can_never_be_full_is_refused() {
    let settings = load_with("[consumer:user_events]\nprefetch: 9\n");
    let handler = async |(): (), _: Vec<messaging::Delivery<UserCreated>>| messaging::Verdict::Ack;
    let handlers = messaging::Handlers::new(()).on_batch(10, Duration::ZERO, handler);
    let error =
        SettingsError::BatchOverPrefetch { key: "user_events".to_owned(), batch: 10, prefetch: 9 };

    let found = format!("{:?}", handlers.check(&settings, "user_events"));
    assert!(
        found.contains("\"consumer:user_events\"") && found.contains(&error.to_string()),
        "{found}"
    );

    let broker = messaging::Broker::new("user-service", &settings.rabbitmq);
    let refused = messaging::Consumer::new(broker, &settings, "user_events", handlers).err();
    assert_eq!(refused, Some(error));
}

#[test]
fn times_names_and_readers_that_nothing_can_work_with_are_reported() {
    let changes: [(Change, &str); 8] = [
        (
            |settings| settings.relay.confirm_timeout = Duration::from_hours(480),
            "is not within 100ms to 5m",
        ),
        (|settings| settings.consumer.handler_timeout = Duration::ZERO, "is not within 100ms to"),
        (|settings| name(&mut settings.exchanges, "user_exchange", ""), "is empty"),
        (|settings| name(&mut settings.exchanges, "user_exchange", "amq.foo"), "keeps to itself"),
        (|settings| name(&mut settings.queues, "user_events", &"q".repeat(201)), "200 bytes"),
        (
            |settings| {
                name(&mut settings.queues, "user_events", "payment-service.events.dead-letters");
            },
            "is a retry or dead-letter queue of `payment_events`",
        ),
        (
            |settings| {
                let twice = ["user_events", "user_events"].map(str::to_owned).to_vec();
                settings.subscriptions.insert("notification.failed".to_owned(), twice);
            },
            "`user_events` is named twice",
        ),
        (
            |settings| {
                let unknown = vec!["order_events".to_owned()];
                settings.subscriptions.insert("notification.failed".to_owned(), unknown);
            },
            "[queues] has no `order_events`",
        ),
    ];
    for (change, said) in changes {
        let mut settings = load(Vars::empty()).unwrap();
        assert_eq!(errors(&settings, 6), "");
        change(&mut settings);
        let found = errors(&settings, 6);
        assert!(found.contains(said), "{said}: {found}");
    }
}

/// What somebody did to the settings.
type Change = fn(&mut MessagingSettings);

fn name(names: &mut std::collections::BTreeMap<String, String>, key: &str, name: &str) {
    names.insert(key.to_owned(), name.to_owned());
}

/// What `--check-config` would say of a service that consumes `user_events`; empty when all fits.
fn errors(settings: &MessagingSettings, pool_size: u32) -> String {
    let errors = settings.check("user_events", ["user_exchange"], pool_size.try_into().unwrap());
    if errors.is_empty() { String::new() } else { format!("{errors:?}") }
}

/// The shipped file, with more at its end.
fn load_with(more: &str) -> MessagingSettings {
    let shipped = std::fs::read_to_string(testkit::config_dir().join("message_queue.tsk")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("message_queue.tsk"), format!("{shipped}\n{more}")).unwrap();
    Loader::new(folder.path()).file("message_queue").vars(Vars::empty()).load().unwrap()
}

fn load(vars: Vars) -> Result<MessagingSettings, tusk_config::Errors> {
    Loader::new(testkit::config_dir()).file("message_queue").vars(vars).load()
}
