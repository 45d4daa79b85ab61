//! One test for each question that the sources of the language answer differently, under the answer
//! that holds here. Those of pure grammar stand beside the parser.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use tusk_config::{HttpRequest, Loader, Vars};

use crate::{faults, load};

type Map<T> = BTreeMap<String, T>;

fn text(text: &str, path: &str, vars: &[(&str, &str)]) -> Option<String> {
    let config = Loader::new("c").text("a.tsk", text).vars(Vars::of(vars.iter().copied()));
    config.tree().unwrap().get(path).unwrap()
}

#[test]
fn a_section_name_with_a_colon_is_one_literal_key_and_has_a_view() {
    #[derive(Debug, Deserialize)]
    struct View {
        #[serde(rename = "service:*")]
        all: Map<Map<u8>>,
        #[serde(rename = "service:a")]
        one: Map<u8>,
    }
    let view: View = load("[service:a]\nx: 1\n[service:b.c]\nx: 2\n[other]\ny: 3", &[]).unwrap();
    assert_eq!(view.all.keys().collect::<Vec<_>>(), ["a", "b.c"]);
    assert_eq!((view.all["b.c"]["x"], view.one["x"]), (2, 1));
    let empty: View = load("[service:a]\nx: 1", &[]).unwrap();
    assert_eq!(empty.all.len(), 1);
}

#[test]
fn a_section_name_with_a_dot_is_a_nested_path() {
    assert_eq!(text("[a.b]\nc: x", "a.b.c", &[]).as_deref(), Some("x"));
}

#[test]
fn colon_and_equals_sign_are_the_same() {
    assert_eq!(load::<Map<u8>>("a: 1\nb = 2", &[]).unwrap(), load("a = 1\nb: 2", &[]).unwrap());
}

#[test]
fn a_quoted_default_stays_text_and_typed_access_is_lenient() {
    #[derive(Debug, Deserialize)]
    struct Lenient {
        text: String,
        number: u64,
        truth: bool,
        duration: Duration,
    }
    let entries = ["text", "number", "duration"].map(|key| format!("{key}: @env(\"X\", \"3600\")"));
    let lenient: Lenient = load(&format!("{}\ntruth: \"true\"", entries.join("\n")), &[]).unwrap();
    assert_eq!((lenient.text.as_str(), lenient.number, lenient.truth), ("3600", 3600, true));
    assert_eq!(lenient.duration, Duration::from_secs(3600));
}

#[test]
fn the_default_decides_the_type_of_a_variable() {
    let text = "a: @env(\"X\", 3001)";
    assert_eq!(load::<Map<String>>(text, &[("X", "8080")]).unwrap()["a"], "8080");
    let found = faults::<Map<String>>(text, &[("X", "abc")]);
    assert_eq!(found, ["1:4 X is \"abc\", not a number, which its default says it is"]);
    let found = faults::<Map<String>>("a: @env(\"X\", false)", &[("X", "abc")]);
    assert_eq!(found, ["1:4 X is \"abc\", not true or false, which its default says it is"]);
    let list: Map<Vec<u16>> = load("a: @env(\"X\", [1])", &[("X", "2, 3")]).unwrap();
    assert_eq!(list["a"], [2, 3]);
}

#[test]
fn an_unset_variable_without_a_default_is_null_and_an_empty_one_is_empty() {
    assert_eq!(text("a: @env(\"X\")", "a", &[]), None);
    assert_eq!(text("a: @env(\"X\", \"d\")", "a", &[("X", "")]).as_deref(), Some(""));
    assert_eq!(text("a: \"${X:-d}\"", "a", &[("X", "")]).as_deref(), Some("d"));
    let found = faults::<Map<String>>("a: @env(\"X\")", &[]);
    assert_eq!(found, ["1:4 X is not set, but `a` has to be a text"]);
}

#[test]
fn http_is_a_lazy_description_whose_text_is_the_url() {
    let file = "[s]\nh: b\nr: @http(\"post\", \"http://#{h}/\")\nt: \"see #{r}\"";
    let config = Loader::new("c").text("a.tsk", file).vars(Vars::empty()).tree().unwrap();
    let request: HttpRequest = config.get("s.r").unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "http://b/"));
    assert_eq!(config.get::<String>("s.r").unwrap(), "http://b/");
    assert_eq!(config.get::<String>("s.t").unwrap(), "see http://b/");
    assert_eq!(
        faults::<Map<String>>("a: @http(\"G T\", \"u\")", &[]),
        ["1:10 expected a method such as GET"]
    );
}

#[test]
fn other_operators_are_kept_and_refused_where_they_are_read() {
    let file = "[a]\nb: @query(\"select 1\")\n[c]\nd: 1";
    let config = Loader::new("c").text("a.tsk", file).vars(Vars::empty()).tree().unwrap();
    assert_eq!(config.get::<u8>("c.d").unwrap(), 1);
    let error = config.get::<String>("a.b").unwrap_err().to_string();
    assert!(error.starts_with("a.tsk:2:4: the operator @query is not supported"), "{error}");
}

#[test]
fn a_reference_is_a_sibling_then_a_global_then_a_path_from_the_root() {
    let file = "$x: global\n$y: global\nx: root\ny: root\nz: root\n[s]\nx: sibling\na: \"#{x} #{y} #{z} #{$x} $y $n\"";
    let expected = "sibling global root global global $n";
    assert_eq!(text(file, "s.a", &[]).as_deref(), Some(expected));
    let file = "[s]\no: {a: \"#{b} #{c.d}\", b: inner}\nb: outer\nc: {d: 1.50}";
    assert_eq!(text(file, "s.o.a", &[]).as_deref(), Some("inner 1.50"));
}

#[test]
fn an_undefined_reference_has_a_place_and_a_suggestion() {
    let errors =
        load::<Map<Map<String>>>("[s]\nhost: a\nurl: \"http://#{hots}\"", &[]).unwrap_err();
    let shown = errors.to_string();
    assert!(shown.starts_with("a.tsk:3:14: `hots` is not defined"), "{shown}");
    assert!(shown.ends_with("help: did you mean `host`?"), "{shown}");
}

#[test]
fn globals_are_no_part_of_the_output() {
    let map: Map<u8> = load("$base: 5\na: $base", &[]).unwrap();
    assert_eq!(map, Map::from([("a".to_owned(), 5)]));
    let map: Map<Map<u8>> = load("$base: {x: 1}\na: $base", &[]).unwrap();
    assert_eq!(map["a"]["x"], 1);
}

#[test]
fn a_range_needs_digits_on_both_sides_and_a_date_is_a_text() {
    assert_eq!(text("a: 2024-01-15", "a", &[]).as_deref(), Some("2024-01-15"));
}

#[test]
fn duplicate_sections_merge_and_the_last_duplicate_key_counts() {
    let map: Map<Map<u8>> = load("[a]\nx: 1\n[a]\ny: 2\nx: 3", &[]).unwrap();
    assert_eq!((map["a"]["x"], map["a"]["y"]), (3, 2));
}

#[test]
fn a_key_without_a_value_is_null() {
    assert_eq!(load::<Map<Option<u8>>>("a:\nb: 1", &[]).unwrap()["a"], None);
}

#[test]
fn operators_in_quotes_and_double_braces_are_text() {
    assert_eq!(text("a: \"@env('X')\"", "a", &[]).as_deref(), Some("@env('X')"));
    assert_eq!(text("a: \"{{x}}\"", "a", &[]).as_deref(), Some("{{x}}"));
}
