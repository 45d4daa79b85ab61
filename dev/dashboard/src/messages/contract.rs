//! The contract of an event: its schema as it is checked in, and whether a message fits it. Fields that
//! have to be there and their types are looked at; who reads a message for real is the judge of the rest.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// Bytes of a schema.
const SCHEMA_MAX: u64 = 1 << 20;
/// How deep objects in objects are looked at, and fields in all.
const DEPTH_MAX: usize = 8;
const FIELDS_MAX: usize = 200;

/// A contract.
#[derive(Debug)]
pub(crate) struct Contract {
    /// Where it stands, from the top of the workspace.
    pub(crate) file: PathBuf,
    schema: Value,
}

/// A field of a contract, beside what a message has there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// `data.user_id`.
    pub(crate) path: String,
    /// `string (uuid)`, `integer or null`.
    pub(crate) kind: String,
    pub(crate) is_required: bool,
    pub(crate) description: String,
    pub(crate) fit: Fit,
}

/// How a message has a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fit {
    Fits,
    /// It is not there, and need not be.
    Absent,
    /// A sentence without the value.
    Violation(String),
}

impl Contract {
    /// Of an event type and its version, from the folder of the schemas. Blocks.
    pub(crate) fn read(root: &Path, event_type: &str, version: u64) -> Option<Self> {
        let is_name = |text: &str| {
            !text.starts_with('.')
                && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"._-".contains(&it))
        };
        if event_type.is_empty() || event_type.len() > 255 || !is_name(event_type) {
            return None;
        }
        let file = PathBuf::from(format!("crates/contracts/schemas/{event_type}.v{version}.json"));
        let mut text = String::new();
        File::open(root.join(&file)).ok()?.take(SCHEMA_MAX).read_to_string(&mut text).ok()?;
        Some(Self { file, schema: serde_json::from_str(&text).ok()? })
    }

    /// The schema as it stands there.
    pub(crate) fn schema(&self) -> String {
        format!("{:#}", self.schema)
    }

    /// What it says in a sentence.
    pub(crate) fn description(&self) -> &str {
        self.schema["description"].as_str().unwrap_or_default()
    }

    /// Each field, beside what the message has there.
    pub(crate) fn fields(&self, message: &Value) -> Vec<Field> {
        let mut fields = Vec::new();
        self.compare("", &self.schema, Some(message), 0, &mut fields);
        fields
    }

    fn compare(
        &self,
        path: &str,
        schema: &Value,
        message: Option<&Value>,
        depth: usize,
        fields: &mut Vec<Field>,
    ) {
        let nothing = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&nothing);
        for (name, property) in properties {
            if depth > DEPTH_MAX || fields.len() >= FIELDS_MAX {
                return;
            }
            let property = self.resolved(property);
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let is_required =
                schema["required"].as_array().is_some_and(|all| all.iter().any(|it| it == name));
            let found = message.and_then(|message| message.get(name));
            let description = property["description"].as_str().unwrap_or_default();
            fields.push(Field {
                kind: kind(property),
                is_required,
                description: description.split_whitespace().collect::<Vec<_>>().join(" "),
                fit: self.fit(property, found, is_required),
                path: path.clone(),
            });
            self.compare(&path, property, found, depth + 1, fields);
        }
    }

    fn fit(&self, schema: &Value, found: Option<&Value>, is_required: bool) -> Fit {
        match found {
            None if is_required => Fit::Violation("is missing".to_owned()),
            None => Fit::Absent,
            Some(value) => match self.violation(schema, value, 0) {
                None => Fit::Fits,
                Some(violation) => Fit::Violation(violation),
            },
        }
    }

    /// Why a value is none of a schema's, without the value; fields of objects are looked at elsewhere.
    fn violation(&self, schema: &Value, value: &Value, depth: usize) -> Option<String> {
        let schema = self.resolved(schema);
        if depth > DEPTH_MAX {
            return None;
        }
        for choice in ["anyOf", "oneOf"] {
            if let Some(choices) = schema[choice].as_array() {
                let fits = choices.iter().any(|it| self.violation(it, value, depth + 1).is_none());
                return (!fits).then(|| "is none of what it may be".to_owned());
            }
        }
        if schema.get("const").is_some_and(|only| only != value) {
            return Some(format!("is not {}", schema["const"]));
        }
        if schema["enum"].as_array().is_some_and(|all| !all.contains(value)) {
            return Some("is none of the values that there are".to_owned());
        }
        let kinds = kinds(schema);
        if !kinds.is_empty() && !kinds.iter().any(|kind| is_of(kind, value)) {
            return Some(format!("is {} where {} is due", name(value), kinds.join(" or ")));
        }
        if let (Some(items), Some(all)) = (schema.get("items"), value.as_array()) {
            return all.iter().find_map(|item| self.violation(items, item, depth + 1));
        }
        let number = value.as_f64();
        let is_past = |bound: &str, is_past: fn(&f64, &f64) -> bool| {
            number.zip(schema[bound].as_f64()).is_some_and(|(it, bound)| is_past(&it, &bound))
        };
        if is_past("minimum", f64::lt) || is_past("maximum", f64::gt) {
            return Some("is out of its bounds".to_owned());
        }
        let format = schema["format"].as_str().zip(value.as_str());
        format
            .filter(|(format, text)| !is_written(format, text))
            .map(|(it, _)| format!("is no {it}"))
    }

    /// What a reference leads to, or the schema itself.
    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let pointer = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        pointer.and_then(|pointer| self.schema.pointer(pointer)).unwrap_or(schema)
    }
}

/// Event type and version as the message itself says them; 1 where it says no version.
pub(crate) fn named(message: &Value) -> Option<(&str, u64)> {
    let version = message.get("version").map_or(Some(1), Value::as_u64)?;
    Some((message["event_type"].as_str()?, version))
}

fn kinds(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn kind(schema: &Value) -> String {
    let kinds = kinds(schema).join(" or ");
    let kinds = if kinds.is_empty() { "anything".to_owned() } else { kinds };
    match schema["format"].as_str() {
        Some(format) => format!("{kinds} ({format})"),
        None => kinds,
    }
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|it| it.fract() == 0.0)
        }
        other => name(value) == other,
    }
}

fn name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn is_written(format: &str, text: &str) -> bool {
    match format {
        "uuid" => {
            text.len() == 36
                && text.bytes().enumerate().all(|(at, byte)| match at {
                    8 | 13 | 18 | 23 => byte == b'-',
                    _ => byte.is_ascii_hexdigit(),
                })
        }
        "date-time" => chrono::DateTime::parse_from_rfc3339(text).is_ok(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    fn example() -> Value {
        let file = root().join("crates/contracts/golden/user.created.v1.json");
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
    }

    fn violations(message: &Value) -> Vec<(String, String)> {
        let contract = Contract::read(&root(), "user.created", 1).unwrap();
        let fields = contract.fields(message).into_iter();
        fields
            .filter_map(|field| match field.fit {
                Fit::Violation(why) => Some((field.path, why)),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn the_example_of_a_contract_fits_it() {
        assert_eq!(named(&example()), Some(("user.created", 1)));
        assert_eq!(violations(&example()), []);
    }

    #[test]
    fn what_is_missing_or_of_another_type_is_named_without_its_value() {
        let mut message = example();
        message["data"] = json!({"user_id": "ada", "name": 3, "version": "secret"});
        message["event_type"] = json!("user.updated");
        let found = violations(&message);
        let of = |path: &str| {
            found.iter().find(|(at, _)| at == path).map_or("", |(_, why)| why.as_str())
        };
        assert_eq!(of("data.email"), "is missing");
        assert_eq!(of("data.user_id"), "is no uuid");
        assert_eq!(of("data.name"), "is number where string is due");
        assert_eq!(of("data.version"), "is string where integer or null is due");
        assert_eq!(of("event_type"), "is not \"user.created\"");
        assert_eq!(found.len(), 5);
    }

    #[test]
    fn a_message_that_is_no_object_misses_what_is_required() {
        assert_eq!(violations(&json!("text")).len(), 6);
    }

    #[test]
    fn a_type_that_leads_out_of_the_folder_has_no_contract() {
        assert!(Contract::read(&root(), "../golden/user.created", 1).is_none());
        assert!(Contract::read(&root(), "user.created", 9).is_none());
    }
}
