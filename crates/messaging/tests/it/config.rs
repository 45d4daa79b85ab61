//! The settings against the file that every service reads.

use std::time::Duration;

use messaging::MessagingSettings;
use messaging::settings::SettingsError;
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
    let delays = &settings.consumer.retry_delays;
    assert_eq!(delays.after(1), Duration::from_secs(1));
    assert_eq!(delays.after(100), delays.after(5), "the last pause serves all further attempts");
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
    assert_eq!(held, Duration::from_mins(50), "50 messages by 10 handlers: five rounds");

    let broker = messaging::Broker::new("user-service", &settings.rabbitmq);
    let (handler, _) = crate::world::Notes::new(async |_| messaging::Verdict::Ack);
    let refused = messaging::Consumer::new(broker, &settings, "user_events", handler).err();

    assert_eq!(refused, Some(SettingsError::HeldTooLong { held }));
}

fn load(vars: Vars) -> Result<MessagingSettings, tusk_config::Errors> {
    Loader::new(testkit::config_dir()).file("message_queue").vars(vars).load()
}
