//! The JSON Schemas of the messages, as one object of file names and schemas.
//!
//! `cargo dev prepare` runs this and keeps what it prints in `schemas/`: one file for each event, of
//! its current version, and one of the envelope alone, for readers that look at the type first. A
//! schema says what a message must have to be read; what it has besides is skipped.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use contracts::notification::{NotificationFailed, NotificationSent};
use contracts::payment::{PaymentCompleted, PaymentFailed};
use contracts::user::{UserCreated, UserDeleted, UserUpdated};
use contracts::{Envelope, Event};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

fn main() {
    let schemas: Map<String, Value> = [
        (
            "envelope.json".to_owned(),
            named("Envelope", schema::<Envelope>(), &schema::<Envelope>()),
        ),
        message::<UserCreated>(),
        message::<UserUpdated>(),
        message::<UserDeleted>(),
        message::<PaymentCompleted>(),
        message::<PaymentFailed>(),
        message::<NotificationSent>(),
        message::<NotificationFailed>(),
    ]
    .into_iter()
    .collect();
    println!("{}", Value::from(schemas));
}

/// The schema of a message that carries `E`, and the name of its file.
fn message<E: Event + JsonSchema>() -> (String, Value) {
    let mut message = schema::<Envelope<E>>();
    for (field, value) in [("event_type", json!(E::TYPE)), ("version", json!(E::VERSION))] {
        let pointer = format!("/properties/{field}");
        let property = message.pointer_mut(&pointer).and_then(Value::as_object_mut);
        property.expect("the envelope has it").insert("const".to_owned(), value);
    }
    let file = format!("{}.v{}.json", E::TYPE, E::VERSION);
    (file, named(E::TYPE, message, &schema::<E>()))
}

/// The schema of what is read as `T`, in one piece.
fn schema<T: JsonSchema>() -> Schema {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>()
}

/// With a title, and the first paragraph of what `about` says: the next ones are for Rust.
fn named(title: &str, mut schema: Schema, about: &Schema) -> Value {
    let words = about.get("description").and_then(Value::as_str).unwrap_or_default();
    let words = words.split("\n\n").next().unwrap_or_default();
    schema.insert("title".to_owned(), json!(title));
    schema.insert("description".to_owned(), json!(words));
    schema.into()
}
