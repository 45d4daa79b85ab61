pub enum Event {
    /// What `sample.occurred` says.
    Occurred,
}

impl Sample {
    /// Has `sample.occurred` told. Nothing else of it changes, so that each call tells it anew.
    #[must_use]
    pub fn mark_occurred(mut self, now: DateTime<Utc>) -> (Self, Vec<Event>) {
        self.version += 1;
        self.updated_at = now;
        (self, vec![Event::Occurred])
    }
}

mod tests {
    #[test]
    fn mark_occurred_makes_one_version_and_one_event() {
        let (sample, events) = sample().mark_occurred(at(1));
        assert_eq!(events, [Event::Occurred]);
        assert_eq!((sample.version, sample.updated_at), (2, at(1)));
    }
}
