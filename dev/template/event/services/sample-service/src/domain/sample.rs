pub enum Event {
    /// What `sample.occurred` says.
    Occurred,
}

impl Sample {
    /// Has `sample.occurred` told, once: what has happened stays as it is.
    #[must_use]
    pub fn mark_occurred(mut self, now: DateTime<Utc>) -> (Self, Vec<Event>) {
        if self.occurred_at.is_some() {
            return (self, vec![]);
        }
        self.occurred_at = Some(now);
        self.version += 1;
        self.updated_at = now;
        (self, vec![Event::Occurred])
    }
}

mod tests {
    #[test]
    fn mark_occurred_makes_one_version_and_one_event_however_often_it_is_called() {
        let (sample, events) = sample().mark_occurred(at(1));
        assert_eq!(events, [Event::Occurred]);
        assert_eq!((sample.version, sample.occurred_at), (2, Some(at(1))));
        assert_eq!(sample.clone().mark_occurred(at(2)), (sample, vec![]));
    }
}
