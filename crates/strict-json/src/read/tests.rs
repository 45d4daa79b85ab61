use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::*;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    amount: i64,
    currency: String,
    id: Uuid,
    at: DateTime<Utc>,
    kind: Kind,
    lines: Vec<Line>,
    note: Option<String>,
    size: Option<u32>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Plain,
    Odd,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    title: String,
    count: u8,
}

const REST: &str = r#""currency": "EUR", "id": "0197c1f0-5c00-7000-8000-000000000001",
    "at": "2026-01-01T00:00:00Z", "kind": "odd", "lines": []"#;

fn told(text: &str) -> Vec<(String, String)> {
    let Err(Unreadable::Fields(faults)) = from_slice::<Order>(text.as_bytes()) else {
        panic!("{text}: {:?}", from_slice::<Order>(text.as_bytes()))
    };
    faults.into_iter().map(|fault| (fault.pointer, fault.detail)).collect()
}

fn pointers(text: &str) -> Vec<String> {
    told(text).into_iter().map(|(pointer, _)| pointer).collect()
}

#[test]
fn whole_numbers_are_integers_at_every_depth_and_others_are_none() {
    let order = |amount: &str, count: &str| {
        let line = format!(r#"{{"title": "1.0", "count": {count}}}"#);
        format!(
            r#"{{"amount": {amount}, "size": 2.0, {}}}"#,
            REST.replace("[]", &format!("[{line}]"))
        )
    };
    let read: Order = from_slice(order("-5.0e1", "2.55e2").as_bytes()).unwrap();
    assert_eq!((read.amount, read.lines[0].count, read.size), (-50, 255, Some(2)));
    assert_eq!(read.lines[0].title, "1.0");
    let read: Order = from_slice(order("9007199254740993.0", "1").as_bytes()).unwrap();
    assert_eq!(read.amount, 9_007_199_254_740_993);
    let wrong = vec!["/amount".to_owned(), "/lines/0/count".to_owned()];
    let mut faults = pointers(&order("5.5", "256.0"));
    faults.sort();
    assert_eq!(faults, wrong);
    assert_eq!(pointers(&order("9223372036854775808.0", "1")), wrong[..1]);
    assert_eq!(pointers(&order("1", "-1.0")), wrong[1..]);
}

#[test]
fn every_wrong_unknown_and_missing_field_is_reported_at_once() {
    let text = r#"{"amount": "5", "colour": "red", "4242424242424242": 1, "id": "x", "kind": "none",
        "lines": [{"title": 7, "more": 1}, [], {"count": 1}], "note": 7, "size": -1}"#;
    let mut told = told(text);
    told.sort();
    let expected = [
        ("/amount", "expected an integer"),
        ("/at", "is missing"),
        ("/colour", "unknown field `colour`"),
        ("/currency", "is missing"),
        ("/id", "expected a UUID"),
        ("/kind", "expected `plain` or `odd`"),
        ("/lines/0/count", "is missing"),
        ("/lines/0/more", "unknown field `more`"),
        ("/lines/0/title", "expected a string"),
        ("/lines/1", "expected an object"),
        ("/lines/2/title", "is missing"),
        ("/note", "expected a string"),
        ("/size", "expected an integer of 0 or more"),
        ("/…", "unknown field"),
    ];
    let found: Vec<&str> = told.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(found, expected.map(|(pointer, _)| pointer), "{told:#?}");
    for ((_, detail), (_, words)) in told.iter().zip(expected) {
        assert!(detail.contains(words), "{detail}: {words}");
    }
}

#[test]
fn a_doubled_field_is_reported_with_the_others() {
    let text = format!(r#"{{"amount": 1, "amount": 2, "colour": 1, {REST}}}"#);
    assert_eq!(pointers(&text), ["/amount", "/colour"]);
}

#[test]
fn faults_are_reported_up_to_a_bound_and_of_a_long_text_the_first() {
    let many: Vec<_> = (0..50).map(|n| format!(r#""x{n}": 1"#)).collect();
    let many = many.join(", ");
    assert_eq!(pointers(&format!(r#"{{{many}, "amount": 1, {REST}}}"#)).len(), 32);
    let long = format!(r#"{{"x": 1, "y": 1, "amount": 1, "note": "{}"}}"#, "z".repeat(16 << 10));
    assert_eq!(pointers(&long), ["/x"]);
}

#[test]
fn what_is_no_json_is_distinguished_from_wrong_fields() {
    let unreadable = |text: &[u8]| from_slice::<Order>(text).unwrap_err();
    assert_eq!(unreadable(b"\"\xff\""), Unreadable::NotUtf8);
    assert_eq!(unreadable(b"{\"amount\": 1"), Unreadable::CutShort);
    assert_eq!(unreadable(b"{\n1}"), Unreadable::Syntax { line: 2, column: 1 });
    let text = format!(r#"{{"amount": 1.0, {REST}}} {{}}"#);
    assert!(matches!(unreadable(text.as_bytes()), Unreadable::Syntax { .. }));
}
