//! What in `message_queue.tsk` does not fit: names that the service needs and that are not there,
//! sections about no queue, and values that cannot work together.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use tusk_config::{Bounded, ValidationError};

use super::{MessagingSettings, SettingsError};
use crate::relay;

mod values;

/// The longest name of an exchange or queue, in bytes: AMQP takes 255, and those of retry queues and
/// dead-letter queues are longer.
const NAME_BYTES_MAX: usize = 200;

impl MessagingSettings {
    /// What does not fit a service that consumes the queue of `queue_key`, and publishes through or
    /// is bound to `exchanges`, both keys, with `pool_size` database connections for background work.
    /// Opens nothing.
    pub fn check<'a>(
        &self,
        queue_key: &str,
        exchanges: impl IntoIterator<Item = &'a str>,
        pool_size: NonZeroU32,
    ) -> Vec<ValidationError> {
        let missing = exchanges.into_iter().filter_map(|key| {
            let error = self.exchange(key).err()?;
            Some(ValidationError::missing("exchanges", key, error.to_string()))
        });
        let queue = self.queue(queue_key).err();
        let queue =
            queue.map(|error| ValidationError::missing("queues", queue_key, error.to_string()));
        let mut errors: Vec<ValidationError> = missing.chain(queue).collect();
        errors.extend(self.values());
        errors.extend(self.unusable_names());
        errors.extend(self.readers());
        errors.extend(self.shared_names());
        errors.extend(self.sections_of_no_queue());
        errors.extend(self.limits(queue_key, pool_size.get()));
        errors
    }

    /// Names that the broker does not take, or keeps to itself.
    fn unusable_names(&self) -> Vec<ValidationError> {
        let exchanges = self.exchanges.iter().map(|(key, name)| ("exchanges", key, name));
        let queues = self.queues.iter().map(|(key, name)| ("queues", key, name));
        let unusable = exchanges.chain(queues).filter_map(|(section, key, name)| {
            let why = if name.is_empty() {
                "is empty"
            } else if name.starts_with("amq.") {
                "begins with `amq.`, which the broker keeps to itself"
            } else if name.len() > NAME_BYTES_MAX {
                "is longer than 200 bytes, and the broker takes 255 with what is added to it"
            } else {
                return None;
            };
            Some(ValidationError::at(format!("{section}.{key}"), format!("the name {why}")))
        });
        unusable.collect()
    }

    /// Readers without a queue, and readers twice.
    fn readers(&self) -> Vec<ValidationError> {
        let mut errors = Vec::new();
        for (event_type, queue_keys) in &self.subscriptions {
            for (index, queue_key) in queue_keys.iter().enumerate() {
                let text = match self.queue(queue_key) {
                    Err(error) => error.to_string(),
                    Ok(_) if queue_keys[..index].contains(queue_key) => {
                        format!("`{queue_key}` is named twice")
                    }
                    Ok(_) => continue,
                };
                errors.push(ValidationError::at(format!("subscriptions.{event_type}"), text));
            }
        }
        errors
    }

    /// Two services would take each other's messages.
    fn shared_names(&self) -> Vec<ValidationError> {
        let mut first: BTreeMap<&str, &str> = BTreeMap::new();
        let mut errors = Vec::new();
        for (key, name) in &self.queues {
            if let Some(other) = first.insert(name, key) {
                let text = format!("`{other}` and `{key}` are one queue, {name}");
                errors.push(ValidationError::at(format!("queues.{key}"), text));
            }
            let of_another = self.queues.iter().find(|(_, other)| is_derived(name, other));
            if let Some((other, _)) = of_another {
                let text = format!("{name} is a retry or dead-letter queue of `{other}`");
                errors.push(ValidationError::at(format!("queues.{key}"), text));
            }
        }
        errors
    }

    fn sections_of_no_queue(&self) -> Vec<ValidationError> {
        let consumers = self.consumers.keys().map(|key| ("consumer", key));
        let queues = self.queue_overrides.keys().map(|key| ("queue", key));
        let unknown = consumers.chain(queues).filter(|(_, key)| !self.queues.contains_key(*key));
        unknown
            .map(|(section, key)| {
                let error = SettingsError::SectionOfNoQueue { section, key: key.clone() };
                ValidationError::at(format!("{section}:{key}"), error.to_string())
            })
            .collect()
    }

    /// What goes for the queue of this key and its consumer. Told at the section of its own, else
    /// at that of all.
    fn limits(&self, key: &str, pool_size: u32) -> Vec<ValidationError> {
        let of = |section: &str, has_own: bool| {
            if has_own { format!("{section}:{key}") } else { section.to_owned() }
        };
        let at_queue = of("queue", self.queue_overrides.contains_key(key));
        let at_consumer = of("consumer", self.consumers.contains_key(key));
        let own = self.queue_overrides.get(key);
        let queue = own.map_or_else(|| self.queue.clone(), |own| self.queue.with(own));
        let own = self.consumers.get(key);
        let consumer = own.map_or_else(|| self.consumer.clone(), |own| self.consumer.with(own));
        let has_own_concurrency = own.is_some_and(|own| own.concurrency.is_some());
        let of_concurrency = format!("{}.concurrency", of("consumer", has_own_concurrency));
        let mut errors = Vec::new();
        if queue.may_drop() {
            let error = SettingsError::ClassicWithLimit { key: key.to_owned() };
            errors.push(ValidationError::at(at_queue, error.to_string()));
        }
        if let Err(error) = consumer.check_held(key, 1) {
            errors.push(ValidationError::at(at_consumer, error.to_string()));
        }
        let concurrency = u32::from(consumer.concurrency.get());
        // The relay keeps its connections until its confirms are there; workers, sweeps and measuring
        // take one for a statement or a transaction, one after the other.
        let wanted = concurrency.saturating_add(relay::BATCHES).saturating_add(1);
        if wanted > pool_size {
            let text = format!(
                "the consumer of `{key}` handles {concurrency} messages at a time, each with a \
                 database connection; with {} of the relay and one for other background work these \
                 are {wanted}, and [database] background_pool_size is {pool_size}",
                relay::BATCHES
            );
            errors.push(ValidationError::at(&*of_concurrency, text));
        }
        if consumer.concurrency > consumer.prefetch {
            let text = format!(
                "the broker sends {} messages ahead, and {concurrency} are to be handled at a time: \
                 make prefetch no less than concurrency",
                consumer.prefetch
            );
            errors.push(ValidationError::at(&*of_concurrency, text));
        }
        let kept = consumer.inbox_retention;
        let takes = consumer.attempts_take_max();
        if kept < takes {
            let text = format!(
                "the inbox forgets a message after {}, while all attempts of one of `{key}` \
                 may take {}: it would have its effect twice",
                kept.in_words(),
                takes.in_words()
            );
            errors.push(ValidationError::at("consumer.inbox_retention", text));
        }
        errors
    }
}

/// Whether a name is that of a queue that messages of another one move to.
fn is_derived(name: &str, other: &str) -> bool {
    let rest = name.strip_prefix(other);
    rest.is_some_and(|rest| rest.starts_with(".retry.") || rest == ".dead-letters")
}
