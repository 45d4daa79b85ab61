//! The checked-in JSON Schemas beside the golden bytes: what other clients are told is what is sent.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use jsonschema::Validator;
use serde_json::{Value, json};

const ENVELOPE: &str = "envelope.json";

#[test]
fn every_golden_message_is_valid_by_its_schema_and_the_envelopes() {
    let mut schemas = names("schemas");
    assert!(schemas.remove(ENVELOPE));
    assert_eq!(names("golden"), schemas, "one schema per event and version");

    for name in schemas {
        let golden = read("golden", &name);
        for schema in [name.as_str(), ENVELOPE] {
            let errors: Vec<String> =
                validator(schema).iter_errors(&golden).map(|error| error.to_string()).collect();
            assert_eq!(errors, Vec::<String>::new(), "{name} by {schema}");
        }
    }
}

#[test]
fn what_a_client_that_knows_four_fields_sends_is_valid() {
    let message = json!({
        "event_type": "user.created",
        "data": {"user_id": "0197c1f0-5c00-7000-8000-000000000001", "email": "ada@example.com"},
        "timestamp": "2024-01-15T11:30:00+02:00",
        "service": "user_service",
    });
    assert!(validator("user.created.v1.json").is_valid(&message));
}

#[test]
fn what_could_not_be_decoded_is_not_valid() {
    let planted = [
        ("/data/user_id", None),
        ("/data/user_id", Some(json!("7"))),
        ("/data/email", None),
        ("/data/email", Some(json!(7))),
        ("/data/name", Some(json!(null))),
        ("/timestamp", Some(json!("yesterday"))),
        ("/event_type", Some(json!("user.deleted"))),
        ("/version", Some(json!(2))),
        ("/service", None),
    ];
    let name = "user.created.v1.json";
    let validator = validator(name);
    let golden = read("golden", name);
    for (pointer, value) in planted {
        let mut message = golden.clone();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let parent = message.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Some(value) => drop(parent.insert(field.to_owned(), value).unwrap()),
            None => drop(parent.remove(field).unwrap()),
        }
        assert!(!validator.is_valid(&message), "{pointer}: {message}");
    }
}

fn validator(name: &str) -> Validator {
    let options = jsonschema::draft202012::options().should_validate_formats(true);
    options.build(&read("schemas", name)).unwrap()
}

fn read(folder: &str, name: &str) -> Value {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder).join(name);
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

fn names(folder: &str) -> BTreeSet<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    let names = fs::read_dir(folder).unwrap();
    names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
