//! One test for each question that the sources of the language answer differently, under the answer
//! that holds here. Those of pure grammar stand beside the parser.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use tusk_config::{ByteSize, HttpRequest, Loader, OperatorCall, Vars};

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
    assert!(
        error.starts_with("a.tsk:2:4: `b` is the operator @query, which nothing evaluates"),
        "{error}"
    );
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
    #[derive(Debug, Deserialize)]
    struct Ports {
        a: RangeInclusive<u16>,
        b: (u16, u16),
        c: Range<u32>,
        d: String,
    }
    let file = "a: 8000-9000\nb: 1-1\nc: 0-5\nd: 8000-9000";
    let ports: Ports = load(file, &[]).unwrap();
    assert_eq!(
        (ports.a, ports.b, ports.c, ports.d.as_str()),
        (8000..=9000, (1, 1), 0..5, "8000-9000")
    );
    for date in ["2024-01-15", "2024-01", "9-1", "1-2-3"] {
        assert_eq!(text(&format!("a: {date}"), "a", &[]).as_deref(), Some(date));
    }
    let found = faults::<Ports>("a: 70000-80000\nb: 1\nc: 5\nd: x", &[]);
    let expected = [
        "1:4 `start` is 70000, not a number from 0 to 65535",
        "1:4 `end` is 80000, not a number from 0 to 65535",
        "2:4 `b` is 1, not a list",
        "3:4 `c` is 5, not a group of keys",
    ];
    assert_eq!(found, expected);
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

#[test]
fn a_word_that_is_a_key_beside_it_is_a_text() {
    assert_eq!(text("host: a\nurl: host", "url", &[]).as_deref(), Some("host"));
}

#[test]
fn a_fallback_stands_in_for_what_is_not_there() {
    let value =
        |value: &str, vars: &[(&str, &str)]| text(&format!("n: null\na: {value}"), "a", vars);
    for fallback in ["??", "|", "||"] {
        for left in ["@nowhere", "@n", "@env(\"X\")", "$nothing", "@a.b.c"] {
            let file = format!("{left} {fallback} \"d\"");
            assert_eq!(value(&file, &[]).as_deref(), Some("d"), "{file}");
        }
        assert_eq!(
            value(&format!("@env(\"X\") {fallback} d"), &[("X", "x")]).as_deref(),
            Some("x")
        );
        assert_eq!(value(&format!("\"#{{nowhere {fallback} 5}}\""), &[]).as_deref(), Some("5"));
    }
    assert_eq!(value("@env(\"X\") ?? d", &[("X", "")]).as_deref(), Some(""));
    assert_eq!(value("@env(\"X\") || d", &[("X", "")]).as_deref(), Some("d"));
    let found = faults::<Map<String>>("a: @env.secure(\"X\") ?? \"d\"", &[]);
    assert_eq!(found, ["1:4 X is not set"]);
}

#[test]
fn conditions_and_sums_read_texts_as_typed_access_does() {
    let value = |value: &str, x: &str| text(&format!("a: {value}"), "a", &[("X", x)]).unwrap();
    for no in ["false", "no", "off", "0", ""] {
        assert_eq!(value("@env.X ? yes : no", no), "no");
        assert_eq!(value("!@env.X ? yes : no", no), "yes");
    }
    assert_eq!(value("@if(@env.X == \"a\" && 1 < 2, yes, no)", "a"), "yes");
    assert_eq!(value("@env.X == 8 ? yes : no", "8.0"), "yes");
    assert_eq!(value("@env.X == true ? yes : no", "on"), "yes");
    assert_eq!(value("@env.X >= 8 ? yes : no", "10"), "yes");
    assert_eq!(value("@env.X + 1", "8"), "9");
    assert_eq!(value("\"1\" + @env.X", "8"), "18");
    assert_eq!(value("\"v\" + 2 * (3 + 4)", ""), "v14");
    assert_eq!(value("7 / 2", ""), "3.5");
    assert_eq!(value("-(8 / 2) % 3", ""), "-1");
}

#[test]
fn what_cannot_be_reckoned_is_a_fault_that_tells_no_value() {
    let cases = [
        ("1 / 0", "this divides by zero"),
        ("1 % 0", "this divides by zero"),
        ("\"a\" * 2", "only numbers can be reckoned with"),
        ("\"a\" < 2", "only two numbers or two texts can be compared in size"),
        ("170141183460469231731687303715884105727 + 1", "the result is too large"),
        ("1e308 * 10", "the result is too large"),
        ("@env.secure(\"S\") * 2", "only numbers can be reckoned with"),
    ];
    for (value, expected) in cases {
        let found = faults::<Map<String>>(&format!("a: {value}"), &[("S", "hunter2")]);
        assert_eq!(found, [format!("1:4 {expected}")], "{value}");
    }
}

#[test]
fn only_the_chosen_side_is_evaluated() {
    assert_eq!(text("a: true ? 1 : @env.secure(\"X\")", "a", &[]).as_deref(), Some("1"));
    assert_eq!(text("a: @if(false, @nowhere, 2)", "a", &[]).as_deref(), Some("2"));
    assert_eq!(text("a: true || @nowhere.at.all", "a", &[]).as_deref(), Some("true"));
}

#[test]
fn a_typed_entry_converts_or_refuses() {
    assert_eq!(text("a: string = 5", "a", &[]).as_deref(), Some("5"));
    assert_eq!(load::<Map<u8>>("a: int = @env(\"X\", \"7\")", &[]).unwrap()["a"], 7);
    assert_eq!(
        faults::<Map<String>>("a: int = five", &[]),
        ["1:10 this is not a whole number, as its type says"]
    );
    assert_eq!(
        faults::<Map<String>>("a: list = 5", &[]),
        ["1:11 this is not a list, as its type says"]
    );
}

#[test]
fn dates_come_from_a_clock_that_can_be_set() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_768_469_400);
    let file = "a: @date(\"Y-m-d\")\nb: @date()\nc: @date(\"Q\")";
    let config = Loader::new("c").text("a.tsk", file).vars(Vars::empty()).now(now).tree().unwrap();
    assert_eq!(config.get::<String>("a").unwrap(), "2026-01-15");
    assert_eq!(config.get::<String>("b").unwrap(), "2026-01-15T09:30:00Z");
    assert!(
        config.get::<String>("c").unwrap_err().to_string().contains("`Q` is no letter of a date")
    );
}

#[test]
fn a_cached_value_is_the_value() {
    assert_eq!(text("a: @cache(\"5m\", @env(\"X\", \"d\"))", "a", &[]).as_deref(), Some("d"));
}

#[test]
fn an_operator_runs_only_where_the_host_answers_it() {
    let file = "a: @query(\"select #{b}\", 2)\nb: x\nc: @shell(\"rm\")";
    let loader = Loader::new("c").text("a.tsk", file).vars(Vars::empty());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let loader = loader.operator("query", move |arguments| {
        count.fetch_add(1, Ordering::SeqCst);
        match arguments {
            [query, limit] => Ok(serde_json::json!({"query": query, "limit": [limit]})),
            _ => Err("two arguments".to_owned()),
        }
    });
    let config = loader.tree().unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 0, "loading asks nothing");
    let answer: Answer = config.get("a").unwrap();
    assert_eq!((answer.query.as_str(), answer.limit), ("select x", vec![2]));
    let call: OperatorCall = config.get("c").unwrap();
    assert_eq!((call.name.as_str(), &call.arguments[0].value), ("shell", &serde_json::json!("rm")));
    assert_eq!(asked.load(Ordering::SeqCst), 1, "and reading it asks once");
}

#[derive(Debug, Deserialize)]
struct Answer {
    query: String,
    limit: Vec<u8>,
}

#[test]
fn sizes_have_units() {
    let sizes: Map<ByteSize> = load("a: 64KiB\nb: 5\nc: @env(\"X\", \"1MB\")", &[]).unwrap();
    assert_eq!(sizes.values().map(|size| size.bytes()).collect::<Vec<_>>(), [65_536, 5, 1_000_000]);
    let found = faults::<Map<ByteSize>>("a: @env(\"X\", \"1MB\")\nb: [1]", &[("X", "much")]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("1:4 "), "{found:?}");
}
