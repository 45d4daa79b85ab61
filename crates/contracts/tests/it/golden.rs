//! Every event against its golden bytes, both ways; and no golden file without an event.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::PathBuf;

use contracts::notification::{NotificationFailed, NotificationSent};
use contracts::payment::{PaymentCompleted, PaymentFailed};
use contracts::user::{UserCreated, UserDeleted, UserUpdated};
use contracts::{Envelope, Event, EventId, NotificationId, PaymentId, UserId};
use uuid::Uuid;

const USER: UserId = UserId::from_uuid(id(1));
const PAYMENT: PaymentId = PaymentId::from_uuid(id(2));
const NOTIFICATION: NotificationId = NotificationId::from_uuid(id(3));
const EVENT: EventId = EventId::from_uuid(id(0xe1));

#[test]
fn user_created() {
    let (email, name) = ("ada@example.com".to_owned(), "Ada Lovelace".to_owned());
    holds("user-service", UserCreated { user_id: USER, email, name });
}

#[test]
fn user_updated() {
    holds(
        "user-service",
        UserUpdated {
            user_id: USER,
            email: "ada@example.org".to_owned(),
            name: "Ada King".to_owned(),
            changed: vec!["email".to_owned(), "name".to_owned()],
            previous_email: Some("ada@example.com".to_owned()),
        },
    );
}

#[test]
fn user_deleted() {
    holds("user-service", UserDeleted { user_id: USER });
}

#[test]
fn payment_completed() {
    let (amount, currency) = (1999, "EUR".to_owned());
    let event = PaymentCompleted { payment_id: PAYMENT, user_id: USER, amount, currency };
    holds("payment-service", event);
}

#[test]
fn payment_failed() {
    holds(
        "payment-service",
        PaymentFailed {
            payment_id: PAYMENT,
            user_id: USER,
            amount: 1999,
            currency: "EUR".to_owned(),
            reason: "the card has insufficient funds".to_owned(),
            decline_code: Some("insufficient_funds".to_owned()),
        },
    );
}

#[test]
fn notification_sent() {
    let (kind, channel) = ("welcome".to_owned(), "email".to_owned());
    let event = NotificationSent { notification_id: NOTIFICATION, user_id: USER, kind, channel };
    holds("notification-service", event);
}

#[test]
fn notification_failed() {
    holds(
        "notification-service",
        NotificationFailed {
            notification_id: NOTIFICATION,
            user_id: USER,
            kind: "welcome".to_owned(),
            channel: "email".to_owned(),
            reason: "mailbox does not exist".to_owned(),
            permanent: true,
        },
    );
}

#[test]
fn each_golden_file_belongs_to_a_known_event() {
    let known = BTreeSet::from([
        file::<UserCreated>(),
        file::<UserUpdated>(),
        file::<UserDeleted>(),
        file::<PaymentCompleted>(),
        file::<PaymentFailed>(),
        file::<NotificationSent>(),
        file::<NotificationFailed>(),
    ]);
    let found: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, known, "one golden file per event and version");
}

/// The event encodes to its golden bytes, the golden bytes decode to it, and what a later
/// publisher adds is skipped.
fn holds<E: Event + PartialEq + Debug + Clone>(service: &str, event: E) {
    let golden = fs::read_to_string(folder().join(file::<E>())).unwrap();
    let golden = golden.strip_suffix('\n').expect("a golden file ends with one newline");
    let at = "2026-01-15T09:30:00.123456Z".parse().unwrap();
    let envelope = Envelope::new(EVENT, at, service, event);

    assert_eq!(serde_json::to_string(&envelope).unwrap(), golden);
    assert_eq!(serde_json::from_str::<Envelope<E>>(golden).unwrap(), envelope);

    let newer = golden
        .replacen("\"data\":{", "\"data\":{\"added_later\":{\"deep\":[1]},", 1)
        .replacen('{', "{\"tenant\":\"added later\",", 1);
    assert_eq!(serde_json::from_str::<Envelope<E>>(&newer).unwrap(), envelope);
}

fn file<E: Event>() -> String {
    format!("{}.v{}.json", E::TYPE, E::VERSION)
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/golden"))
}

const fn id(last: u128) -> Uuid {
    Uuid::from_u128(0x0197_c1f0_5c00_7000_8000_0000_0000_0000 + last)
}
