//! Publishes `sample.occurred` to `sample.events`.
