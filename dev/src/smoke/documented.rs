//! What the document of a service has a whole example of.

use serde_json::{Map, Value};

/// Every path that something can be posted to, with a body: those where each field that the body
/// has to have comes with an example, and the path has no parameter.
pub(super) fn examples(document: &Value) -> Vec<(String, Map<String, Value>)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let posts = paths.filter(|(path, item)| !path.contains('{') && item["post"].is_object());
    posts
        .filter_map(|(path, item)| {
            let body = &item["post"]["requestBody"]["content"]["application/json"]["schema"];
            Some((path.clone(), example(resolve(document, body))?))
        })
        .collect()
}

/// The required fields of an object with the example of each.
fn example(schema: &Value) -> Option<Map<String, Value>> {
    let required = schema["required"].as_array()?.iter();
    let field = |name: &Value| {
        let name = name.as_str()?;
        let property = &schema["properties"][name];
        let example = property.get("example").or_else(|| property["examples"].get(0))?;
        Some((name.to_owned(), example.clone()))
    };
    required.map(field).collect()
}

/// What a reference leads to, or the schema itself.
fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let pointer = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(schema)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_is_made_of_the_examples_of_its_required_fields() {
        let body = |name: &str| {
            let schema = json!({"$ref": format!("#/components/schemas/{name}")});
            json!({"requestBody": {"content": {"application/json": {"schema": schema}}}})
        };
        let field = |example: &str| json!({"type": "string", "example": example});
        let document = json!({
            "paths": {
                "/api/orders": {"post": body("NewOrder"), "get": {}},
                "/api/orders/{id}/lines": {"post": body("NewOrder")},
                "/api/gaps": {"post": body("Gap")},
                "/api/files": {"post": {}},
            },
            "components": {"schemas": {
                "NewOrder": {
                    "required": ["title"],
                    "properties": {"title": field("First"), "note": field("Second")},
                },
                "Gap": {"required": ["title"], "properties": {"title": {"type": "string"}}},
            }},
        });
        let expected = Map::from_iter([("title".to_owned(), json!("First"))]);
        assert_eq!(examples(&document), [("/api/orders".to_owned(), expected)]);
    }
}
