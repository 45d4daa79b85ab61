//! Who reads which event, by the settings: the queues that a publisher binds before it publishes.

use std::collections::BTreeMap;
use std::sync::Arc;

use lapin::Channel;
use lapin::options::QueueBindOptions;
use lapin::types::FieldTable;

use super::{Topology, TopologyError, bind};
use crate::settings::{MessagingSettings, SettingsError};

/// The readers of each event type, as `[subscriptions]` says. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readers(Arc<BTreeMap<String, Vec<Topology>>>);

impl Readers {
    /// Those of the settings; each queue is as its reader declares it.
    pub(crate) fn of(settings: &MessagingSettings) -> Result<Self, SettingsError> {
        let mut readers: BTreeMap<String, Vec<Topology>> = BTreeMap::new();
        for (event_type, queue_keys) in &settings.subscriptions {
            let queues = queue_keys.iter().map(|queue_key| Topology::of(settings, queue_key, []));
            readers.insert(event_type.clone(), queues.collect::<Result<_, _>>()?);
        }
        Ok(Self(Arc::new(readers)))
    }

    /// Binds the readers' queues to an exchange, without waiting for an answer; how many bindings
    /// that were. The broker closes the channel when a queue or the exchange is not there.
    pub(crate) async fn bind(&self, channel: &Channel, exchange: &str, event_type: &str) -> usize {
        let readers = self.of_event(event_type);
        for reader in readers {
            let queue = reader.queue.as_str();
            let options = QueueBindOptions { nowait: true };
            let arguments = FieldTable::default();
            // What fails here fails with the messages that follow on the same channel.
            let _ = channel
                .queue_bind(queue.into(), exchange.into(), event_type.into(), options, arguments)
                .await;
        }
        readers.len()
    }

    /// Makes the readers' queues, unless they are there, and binds them.
    pub(crate) async fn mend(
        &self,
        channel: &Channel,
        exchange: &str,
        event_type: &str,
    ) -> Result<(), TopologyError> {
        for reader in self.of_event(event_type) {
            reader.declare_queues(channel).await?;
            bind(channel, &reader.queue, exchange, event_type).await?;
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn of_event(&self, event_type: &str) -> &[Topology] {
        self.0.get(event_type).map_or(&[], Vec::as_slice)
    }
}
