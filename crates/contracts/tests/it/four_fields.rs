//! What a client sends that knows the envelope's first four fields alone is understood.

use chrono::{DateTime, Utc};
use contracts::notification::NotificationFailed;
use contracts::payment::PaymentCompleted;
use contracts::user::{UserCreated, UserUpdated};
use contracts::{Envelope, UserId};
use serde_json::json;

const USER: &str = "0197c1f0-5c00-7000-8000-000000000001";

#[test]
fn four_fields_are_an_envelope() {
    let body = json!({
        "event_type": "user.created",
        "data": {"user_id": USER, "email": "ada@example.com"},
        "timestamp": "2024-01-15T09:30:00Z",
        "service": "user_service",
    });

    let envelope: Envelope = serde_json::from_value(body).unwrap();

    assert_eq!(envelope.event_id, None);
    assert_eq!(envelope.version, 1);
    let event: UserCreated = serde_json::from_value(envelope.data).unwrap();
    assert_eq!(event.user_id, USER.parse::<UserId>().unwrap());
    assert_eq!(event.name, "", "a name may be left out");
}

#[test]
fn a_timestamp_with_an_offset_is_the_same_moment() {
    let body = json!({
        "event_type": "user.deleted",
        "data": {"user_id": USER},
        "timestamp": "2024-01-15T11:30:00+02:00",
        "service": "user_service",
    });

    let envelope: Envelope = serde_json::from_value(body).unwrap();

    assert_eq!(envelope.timestamp, "2024-01-15T09:30:00Z".parse::<DateTime<Utc>>().unwrap());
}

#[test]
fn an_update_needs_no_history() {
    let data = json!({"user_id": USER, "email": "ada@example.com", "name": "Ada"});

    let event: UserUpdated = serde_json::from_value(data).unwrap();

    assert!(event.changed.is_empty());
    assert_eq!((event.previous_email, event.version), (None, None));
}

#[test]
fn what_was_published_before_there_were_versions_is_read_without_one() {
    let created = json!({"user_id": USER, "email": "ada@example.com", "name": "Ada"});
    let failed = json!({
        "notification_id": "0197c1f0-5c00-7000-8000-000000000003", "user_id": USER,
        "kind": "welcome", "channel": "email", "reason": "no such mailbox", "permanent": true,
    });

    let created: UserCreated = serde_json::from_value(created).unwrap();
    let failed: NotificationFailed = serde_json::from_value(failed).unwrap();

    assert_eq!((created.version, failed.user_version), (None, None));
}

#[test]
fn a_payment_without_a_payer_is_not_guessed() {
    let data = json!({"payment_id": "0197c1f0-5c00-7000-8000-000000000002"});

    let error = serde_json::from_value::<PaymentCompleted>(data).unwrap_err();

    assert!(error.to_string().contains("user_id"), "{error}");
}

#[test]
fn a_version_of_null_is_the_first() {
    let body = json!({
        "event_type": "user.deleted",
        "data": {"user_id": USER},
        "timestamp": "2024-01-15T11:30:00Z",
        "service": "user_service",
        "event_id": null,
        "version": null,
    });

    let envelope: Envelope = serde_json::from_value(body).unwrap();

    assert_eq!((envelope.event_id, envelope.version), (None, 1));
}
