//! Who reads the events of a campaign, and the settings that say so.

use messaging::MessagingSettings;
use messaging::settings::QueueOverrides;
use testkit::config_dir;
use tusk_config::{Loader, Vars};

use crate::campaign::intent::Kind;

/// A queue and its consumers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reader {
    /// The consumers compete for messages, and handle several at the same time.
    Competing,
    /// One consumer is active at a time, the other one is ready: effects are in order.
    Ordered,
    /// It reads events that nobody else does, and is there for a while only.
    Late,
}

impl Reader {
    pub(crate) const ALL: [Self; 3] = [Self::Competing, Self::Ordered, Self::Late];
    /// Those that publishers know of, by `[subscriptions]`.
    pub(crate) const SUBSCRIBED: [Self; 2] = [Self::Competing, Self::Ordered];

    /// The key of its queue.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Competing => "user_events",
            Self::Ordered => "notification_events",
            Self::Late => "payment_events",
        }
    }

    pub(crate) fn of_key(key: &str) -> Self {
        *Self::ALL.iter().find(|reader| reader.key() == key).unwrap()
    }

    /// Whether it is to get an intent of this kind.
    pub(crate) fn reads(self, kind: Kind) -> bool {
        (self == Self::Late) == (kind == Kind::Unroutable)
    }
}

/// The settings of `config/`, with the readers of the campaign and with what makes faults short.
pub(crate) fn settings(vars: Vars) -> MessagingSettings {
    let vars = vars.with("CONSUMER_MAX_ATTEMPTS", "2").with("RELAY_CONFIRM_TIMEOUT", "3s");
    let loader = Loader::new(config_dir()).file("message_queue").vars(vars);
    let mut settings: MessagingSettings = loader.load().unwrap();
    let keys = Reader::SUBSCRIBED.map(|reader| reader.key().to_owned());
    settings.subscriptions = [("user.updated".to_owned(), keys.to_vec())].into();
    let ordered =
        QueueOverrides { single_active_consumer: Some(true), ..QueueOverrides::default() };
    settings.queue_overrides = [(Reader::Ordered.key().to_owned(), ordered)].into();
    settings
}
