//! The kill switch: whether most of the last messages failed for want of something outside, so that
//! taking more of them only moves the queue round in circles.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::message::MessageId;
use crate::settings::ConsumerSettings;

/// Remembers the last outcome of each of the last messages: one that comes again and again counts
/// once.
#[derive(Debug)]
pub(super) struct KillSwitch {
    /// How many messages it remembers, and judges by.
    messages: usize,
    /// The share of them that trips it; 0: never.
    ratio: f64,
    /// Whether something was unavailable to the message; the latest is the last.
    recent: Mutex<VecDeque<(MessageId, bool)>>,
    changed: Notify,
}

impl KillSwitch {
    pub(super) fn new(settings: &ConsumerSettings) -> Self {
        Self {
            messages: settings.kill_switch_messages.get().into(),
            ratio: settings.kill_switch_ratio,
            recent: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Notes how handling these messages ended.
    pub(super) fn record(&self, ids: &[MessageId], is_unavailable: bool) {
        let mut recent = self.recent();
        for id in ids {
            recent.retain(|(other, _)| other != id);
            recent.push_back((id.clone(), is_unavailable));
        }
        while recent.len() > self.messages {
            recent.pop_front();
        }
        self.changed.notify_one();
    }

    /// Returns once it has tripped. Awaited by one task at a time.
    pub(super) async fn tripped(&self) {
        while !self.has_tripped() {
            self.changed.notified().await;
        }
    }

    /// Begins anew.
    pub(super) fn reset(&self) {
        self.recent().clear();
    }

    /// Whether nothing was unavailable to one of the messages since it began anew.
    pub(super) fn went_well(&self) -> bool {
        self.recent().iter().any(|(_, is_unavailable)| !is_unavailable)
    }

    fn has_tripped(&self) -> bool {
        let recent = self.recent();
        let failed = recent.iter().filter(|(_, is_unavailable)| *is_unavailable).count();
        let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
        self.ratio > 0.0
            && recent.len() == self.messages
            && count(failed) >= self.ratio * count(self.messages)
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<(MessageId, bool)>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::KillSwitch;
    use crate::message::MessageId;
    use crate::settings::ConsumerSettings;

    fn id(number: u32) -> MessageId {
        MessageId::of(None, Some(&number.to_string()), "user.created", b"")
    }

    #[test]
    fn trips_at_its_share_of_the_last_messages() {
        let switch = KillSwitch::new(&ConsumerSettings::default());
        for number in 0..19 {
            switch.record(&[id(number)], number >= 4);
        }
        assert!(!switch.has_tripped(), "19 messages are too few to judge by");

        switch.record(&[id(19)], true);
        assert!(switch.has_tripped(), "16 of 20");
        switch.record(&[id(20)], false);
        assert!(switch.has_tripped(), "the first, which went well, is forgotten");
        switch.record(&[id(21), id(22), id(23), id(24)], false);
        assert!(!switch.has_tripped(), "15 of 20");
        switch.reset();
        assert!(!switch.went_well(), "nothing was handled");
    }

    #[test]
    fn a_message_that_fails_again_and_again_counts_once() {
        let switch = KillSwitch::new(&ConsumerSettings::default());
        for _ in 0..100 {
            switch.record(&[id(1)], true);
        }
        assert!(!switch.has_tripped());
        switch.record(&[id(1)], false);
        assert!(switch.went_well());
    }

    #[test]
    fn a_share_of_nothing_never_trips() {
        let settings = ConsumerSettings { kill_switch_ratio: 0.0, ..ConsumerSettings::default() };
        let switch = KillSwitch::new(&settings);
        for number in 0..100 {
            switch.record(&[id(number)], true);
        }
        assert!(!switch.has_tripped());
    }
}
