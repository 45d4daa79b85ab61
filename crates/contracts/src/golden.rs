//! Every event against its golden bytes, both ways; with the feature `schema`, its JSON Schema too.
//!
//! The module of each event calls [`assert_golden`] with one of them, and so is known to `cargo dev prepare`,
//! which runs these tests to get the schemas. `UPDATE_GOLDEN=1 cargo dev prepare` writes the golden file of an
//! event that has none yet; one that is there is what others have read, and only people change it.

use std::fmt::Debug;
use std::path::Path;
use std::{env, fs, io};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Envelope, Event, EventId, UserId};

#[cfg(feature = "schema")]
use schemars::JsonSchema as Described;

/// What has a schema: without the feature, everything that is asked for none.
#[cfg(not(feature = "schema"))]
pub(crate) trait Described {}

#[cfg(not(feature = "schema"))]
impl<T> Described for T {}

/// The user in golden messages.
pub(crate) const USER: UserId = UserId::from_uuid(id(1));

/// The event encodes to its golden bytes, the golden bytes decode to it, and what a later
/// publisher adds is skipped; no field is without bounds, and `null` is as good as left out.
pub(crate) fn assert_golden<E: Event + Described + PartialEq + Debug + Clone>(
    service: &str,
    event: E,
) {
    #[cfg(feature = "schema")]
    schema::keep::<E>();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let file = folder.join(format!("{}.v{}.json", E::TYPE, E::VERSION));
    let at = "2026-01-15T09:30:00.123456Z".parse().unwrap();
    let envelope = Envelope::new(EventId::from_uuid(id(0xe1)), at, service, event);
    let encoded = serde_json::to_string(&envelope).unwrap();
    #[allow(
        clippy::disallowed_methods,
        reason = "what a test is to write is no setting of a service"
    )]
    let writes = env::var_os("UPDATE_GOLDEN").is_some();
    let golden = golden(&file, &encoded, writes).unwrap_or_else(|fault| panic!("{fault}"));
    let golden = golden.strip_suffix('\n').expect("a golden file ends with one newline");

    assert_eq!(encoded, golden, "{} says otherwise", file.display());
    assert_eq!(serde_json::from_str::<Envelope<E>>(golden).unwrap(), envelope);

    assert_eq!(envelope.data.check(), Ok(()));
    let none = Vec::<String>::new();
    let unbounded = out_of_bounds::<E>(&envelope.data);
    assert_eq!(unbounded, none, "`Event::check` of {} gives these fields no bounds", E::TYPE);
    let strict = null_is_not_absent::<E>(&envelope.data);
    assert_eq!(strict, none, "{} may leave these fields out, but refuses null", E::TYPE);

    let newer = golden
        .replacen("\"data\":{", "\"data\":{\"added_later\":{\"deep\":[1]},", 1)
        .replacen('{', "{\"tenant\":\"added later\",", 1);
    assert_eq!(serde_json::from_str::<Envelope<E>>(&newer).unwrap(), envelope);
}

/// What a golden file says. One that is not there is written when that `writes`.
fn golden(file: &Path, encoded: &str, writes: bool) -> Result<String, String> {
    match fs::read_to_string(file) {
        Err(fault) if writes && fault.kind() == io::ErrorKind::NotFound => {
            let text = format!("{encoded}\n");
            let written = fs::write(file, &text).map(|()| text);
            written.map_err(|fault| format!("write {}: {fault}", file.display()))
        }
        read => read.map_err(|fault| {
            let file = file.display();
            format!("read {file}: {fault}; `UPDATE_GOLDEN=1 cargo dev prepare` writes one that is not there")
        }),
    }
}

/// The fields that [`Event::check`] lets be anything: texts without end, lists without end, numbers
/// below zero.
fn out_of_bounds<E: Event>(event: &E) -> Vec<String> {
    let fields = serde_json::to_value(event).unwrap();
    let mut unbounded = Vec::new();
    for (name, value) in fields.as_object().unwrap() {
        let planted = match value {
            Value::String(_) => vec![json!("x".repeat(100_000))],
            Value::Number(_) => vec![json!(-1)],
            Value::Array(_) => vec![json!(vec!["x"; 10_000]), json!(["x".repeat(100_000)])],
            _ => vec![],
        };
        for planted in planted {
            let mut fields = fields.clone();
            fields[name] = planted;
            // What is no id any more is not even decoded.
            if serde_json::from_value::<E>(fields).is_ok_and(|event| event.check().is_ok()) {
                unbounded.push(name.clone());
            }
        }
    }
    unbounded
}

/// The fields that may be left out, but may not be `null`.
fn null_is_not_absent<E: Event + PartialEq>(event: &E) -> Vec<String> {
    let fields = serde_json::to_value(event).unwrap();
    let names = fields.as_object().unwrap().keys();
    let is_refused = |name: &&String| {
        let mut absent = fields.clone();
        let mut null = fields.clone();
        absent.as_object_mut().unwrap().remove(*name);
        null[*name] = Value::Null;
        let absent = serde_json::from_value::<E>(absent).ok();
        absent.is_some() && absent != serde_json::from_value::<E>(null).ok()
    };
    names.filter(is_refused).cloned().collect()
}

#[test]
fn a_golden_file_that_is_not_there_is_named_or_written_and_one_that_is_there_stays() {
    let file = env::temp_dir().join(format!("golden-{}.json", std::process::id()));
    let fault = golden(&file, "{}", false).unwrap_err();
    let cure = "; `UPDATE_GOLDEN=1 cargo dev prepare` writes one that is not there";
    assert!(fault.starts_with(&format!("read {}: ", file.display())), "{fault}");
    assert!(fault.ends_with(cure), "{fault}");

    assert_eq!(golden(&file, "{}", true).unwrap(), "{}\n");
    assert_eq!(golden(&file, "[]", true).unwrap(), "{}\n");
    assert_eq!(fs::read_to_string(&file).unwrap(), "{}\n");
    fs::remove_file(&file).unwrap();
}

/// An id that tells itself from others by its last digits.
pub(crate) const fn id(last: u128) -> Uuid {
    Uuid::from_u128(0x0197_c1f0_5c00_7000_8000_0000_0000_0000 + last)
}

/// The JSON Schemas of messages. A schema says what a message must have to be read; what it has
/// besides is skipped.
#[cfg(feature = "schema")]
mod schema {
    use std::path::PathBuf;
    use std::{env, fs};

    use schemars::generate::SchemaSettings;
    use schemars::{JsonSchema, Schema};
    use serde_json::{Value, json};

    use crate::{Envelope, Event};

    /// Writes the schema of the event's message into the folder that `SCHEMAS` names, if it does.
    pub(super) fn keep<E: Event + JsonSchema>() {
        let (file, schema) = message::<E>();
        write(&file, &schema);
    }

    /// Of the envelope alone, for readers that look at the type first.
    #[test]
    fn the_envelope_has_a_schema_too() {
        let schema = schema::<Envelope>();
        assert!(schema.pointer("/properties/event_type").is_some());
        write("envelope.json", &named("Envelope", schema.clone(), &schema));
    }

    #[allow(clippy::disallowed_methods, reason = "where to write is no setting of a service")]
    fn write(file: &str, schema: &Value) {
        if let Some(folder) = env::var_os("SCHEMAS") {
            let text = serde_json::to_string_pretty(schema).unwrap() + "\n";
            fs::write(PathBuf::from(folder).join(file), text).unwrap();
        }
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
}
