//! Whether a schema changed additively: what was valid before is valid now, and what is written now
//! is valid for those who read by the old schema.
//!
//! Old messages wait in queues and outboxes, and services are updated one after the other; so a
//! published version may gain optional properties and better words, and nothing else. To widen a
//! type breaks its readers as to narrow it breaks its writers.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Keywords that are words for people.
const WORDS: [&str; 5] = ["$comment", "deprecated", "description", "examples", "title"];

/// What is not additive in `new`, compared with `old`; each with its place.
pub(super) fn breaks(old: &Value, new: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", old, new, &mut found);
    found
}

fn compare(place: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        if old != new {
            found.push(format!("`{place}` changed"));
        }
        return;
    };
    let keywords: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for keyword in keywords.into_iter().filter(|keyword| !WORDS.contains(&keyword.as_str())) {
        let inner = at(place, keyword);
        match keyword.as_str() {
            "properties" => properties(place, map(old), map(new), found),
            "required" => required(place, &names(old), &names(new), found),
            _ => match (old.get(keyword), new.get(keyword)) {
                (Some(old), Some(new)) => compare(&inner, old, new, found),
                (None, _) => found.push(format!("`{inner}` is new")),
                (_, None) => found.push(format!("`{inner}` is gone")),
            },
        }
    }
}

fn properties(
    place: &str,
    old: Option<&Map<String, Value>>,
    new: Option<&Map<String, Value>>,
    found: &mut Vec<String>,
) {
    for (name, schema) in old.into_iter().flatten() {
        let inner = at(place, name);
        match new.and_then(|new| new.get(name)) {
            Some(now) => compare(&inner, schema, now, found),
            None => found.push(format!("`{inner}` is gone")),
        }
    }
}

fn required(place: &str, old: &BTreeSet<&str>, new: &BTreeSet<&str>, found: &mut Vec<String>) {
    for name in new.difference(old) {
        found.push(format!("`{}` is required now", at(place, name)));
    }
    for name in old.difference(new) {
        found.push(format!("`{}` is no longer required", at(place, name)));
    }
}

fn map(schema: &Map<String, Value>) -> Option<&Map<String, Value>> {
    schema.get("properties")?.as_object()
}

fn names(schema: &Map<String, Value>) -> BTreeSet<&str> {
    let names = schema.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str).collect()
}

fn at(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::breaks;
    use serde_json::{Value, json};

    fn published() -> Value {
        json!({
            "title": "user.created",
            "type": "object",
            "properties": {
                "version": {"type": "integer", "maximum": 65_535, "const": 1},
                "data": {
                    "type": "object",
                    "properties": {
                        "email": {"type": "string", "description": "an address"},
                        "title": {"type": "string", "default": ""},
                        "changed": {"type": "array", "items": {"type": "string"}},
                    },
                    "required": ["email"],
                },
            },
            "required": ["data"],
        })
    }

    /// What is found when the value at a pointer is another one; null takes it away.
    fn after(pointer: &str, value: Value) -> Vec<String> {
        let mut changed = published();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = changed.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Value::Null => drop(parent.remove(name).unwrap()),
            value => drop(parent.insert(name.to_owned(), value)),
        }
        breaks(&published(), &changed)
    }

    #[test]
    fn optional_properties_and_words_are_additive() {
        let data = "/properties/data/properties";
        let added = [
            after(&format!("{data}/nickname"), json!({"type": ["string", "null"]})),
            after(&format!("{data}/email/description"), json!("where mail goes")),
            after("/title", json!("a user signed up")),
            breaks(&published(), &published()),
        ];
        assert_eq!(added.concat(), Vec::<String>::new());
    }

    #[test]
    fn everything_else_breaks_a_writer_or_a_reader() {
        let data = "/properties/data";
        let inner = "/properties/data/properties";
        let planted = [
            (format!("{inner}/email"), Value::Null, "`data.email` is gone"),
            // A property may be called as a keyword of words is.
            (format!("{inner}/title"), Value::Null, "`data.title` is gone"),
            (format!("{data}/properties"), Value::Null, "`data.email` is gone"),
            (format!("{data}/required"), json!(["email", "title"]), "`data.title` is required now"),
            (format!("{data}/required"), Value::Null, "`data.email` is no longer required"),
            (format!("{inner}/email/type"), json!("integer"), "`data.email.type` changed"),
            (format!("{inner}/email/type"), json!(["string", "null"]), "`data.email.type` changed"),
            (format!("{inner}/email/minLength"), json!(3), "`data.email.minLength` is new"),
            (format!("{inner}/title/default"), json!("-"), "`data.title.default` changed"),
            (
                format!("{inner}/changed/items/type"),
                json!("number"),
                "`data.changed.items.type` changed",
            ),
            (
                format!("{data}/additionalProperties"),
                json!(false),
                "`data.additionalProperties` is new",
            ),
            ("/properties/version/maximum".to_owned(), json!(255), "`version.maximum` changed"),
            ("/properties/version/const".to_owned(), Value::Null, "`version.const` is gone"),
            ("/required".to_owned(), json!(["data", "version"]), "`version` is required now"),
        ];
        for (pointer, value, expected) in planted {
            let found = after(&pointer, value);
            assert!(found.iter().any(|found| found == expected), "{pointer}: {found:?}");
        }
    }
}
