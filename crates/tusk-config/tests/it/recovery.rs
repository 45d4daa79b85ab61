//! A bracket that nothing closes: one fault, where it was opened, and all that follows is read.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use tusk_config::{Check, Loader, Vars};

use crate::{faults, load};

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Settings {
    server: Server,
    log: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Server {
    port: Value,
    host: String,
    name: String,
}

/// The only fault of a file in which `port` has this value and keys and a section follow.
fn only_fault(port: &str) -> String {
    let text = format!("[server]\n{port}\nhost: a\n\nname: b\n[log]\nlevel: info\n");
    let errors = load::<Settings>(&text, &[]).unwrap_err();
    assert_eq!(errors.len(), 1, "{port}\n{errors}");
    let fault = errors.iter().next().unwrap();
    let location = fault.location().unwrap();
    format!("{}:{} {}", location.line(), location.column(), fault.text())
}

#[test]
fn an_open_bracket_is_reported_where_it_was_opened_and_brings_no_other_fault() {
    for (port, expected) in [
        ("port: @env(\"PORT\", 3002", "2:11 nothing closes this; expected `)`"),
        ("port: @env(\"PORT\", 3002 # the port", "2:11 nothing closes this; expected `)`"),
        ("port: @env(\"PORT\",", "2:11 nothing closes this; expected `)`"),
        ("port: @env(\"PORT\"", "2:11 nothing closes this; expected `)`"),
        ("port: @env(", "2:11 nothing closes this; expected `)`"),
        ("port: @http(\"GET\",\n    \"http://a\"", "2:12 nothing closes this; expected `)`"),
        ("port: [1, 2", "2:7 nothing closes this; expected `]`"),
        ("port: [1, 2,", "2:7 nothing closes this; expected `]`"),
        ("port: [\n  1\n  2", "2:7 nothing closes this; expected `]`"),
        ("port: [1, @env(\"A\", 2]", "2:15 nothing closes this; expected `)`"),
        ("port: [1, [2]", "2:7 nothing closes this; expected `]`"),
        ("port: {a: 1", "2:7 nothing closes this; expected `}`"),
        ("port: {\n  a: 1", "2:7 nothing closes this; expected `}`"),
        ("port {\n  a: {b: 1}", "2:6 nothing closes this; expected `}`"),
        ("port: {a: @env(\"A\", 1", "2:15 nothing closes this; expected `)`"),
    ] {
        assert_eq!(only_fault(port), expected, "{port}");
    }
}

#[test]
fn a_fault_inside_of_brackets_that_are_closed_stays_what_it_is() {
    for (port, expected) in [
        ("port: @env(\"PORT\" 3002)", "2:19 expected the end of the value, found `3`"),
        ("port: @env(\"PORT\",\n  \"1\" 2)", "3:7 expected the end of the value, found `2`"),
        ("port: [\n  \"a\" \"b\"\n]", "3:7 expected the end of the value"),
        ("port: {\na: \"a\" \"b\"\n}", "3:8 expected the end of the value"),
        ("port: [1 }]", "2:10 expected"),
    ] {
        let found = only_fault(port);
        assert!(found.starts_with(expected), "{port}: {found}");
    }
}

#[test]
fn the_last_bracket_of_a_file_and_those_of_every_line_are_reported() {
    assert_eq!(faults::<Value>("a: @env(\"A\", 1", &[]).len(), 1);
    let text = "a: @env(\"A\", 1\nb: [1\nc: {d: 1\ne: 1\n";
    let found = load::<BTreeMap<String, Value>>(text, &[]).unwrap_err();
    let locations: Vec<_> =
        found.iter().map(|fault| fault.location().unwrap().to_string()).collect();
    assert_eq!(locations, ["a.tsk:1:8", "a.tsk:2:4", "a.tsk:3:4"], "{found}");
}

#[test]
fn ten_thousand_open_brackets_are_read_in_one_go() {
    for line in ["a: [1\n", "a: @f(1,\n", "a: {b: 1\n", "a: [@f({\n"] {
        let text = line.repeat(10_000);
        let loader = Loader::new("").text("a.tsk", &text).vars(Vars::empty());
        assert!(loader.load::<Value>().unwrap_err().len() <= 201);
    }
}

#[test]
fn a_text_in_back_ticks_is_a_text_and_is_filled_in_where_it_leads_somewhere() {
    let text = "table: users\nsql: `select * from \"#{table}\" where id = ${id} -- it's`\n\
                code: `a => ${x ? 'y' : z} \\n \\` b`\nlines: `one\n  two ${HOME:-none}`\n\
                home: `${HOME}/${NOWHERE}`\ncall: @query(`select ${table}`)\n";
    let loaded: BTreeMap<String, Value> = load(text, &[("HOME", "/h")]).unwrap();
    assert_eq!(loaded["sql"], "select * from \"users\" where id = ${id} -- it's");
    assert_eq!(loaded["code"], "a => ${x ? 'y' : z} \\n ` b");
    assert_eq!(loaded["lines"], "one\n  two /h");
    assert_eq!(loaded["home"], "/h/${NOWHERE}");
    assert_eq!(loaded["call"]["arguments"][0]["value"], "select users");
    assert_eq!(faults::<Value>("a: `b\nc: 1\n", &[]), ["1:4 this text has no closing `"]);
}

#[test]
fn a_reference_in_back_ticks_that_leads_nowhere_is_a_warning_and_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let text = "table: users\nsql: `select * from #{table} where id = #{tabel}`\n";
    std::fs::write(folder.path().join("a.tsk"), text).unwrap();
    let report = Check::new().run([folder.path()]);
    assert!(!report.has_errors(), "{:?}", report.faults);
    let found: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("a.tsk:2:41") && found[0].contains("tabel"), "{found:?}");
    assert!(found[0].contains("did you mean") && found[0].contains("as it stands"), "{found:?}");
}

#[test]
fn calls_on_an_operator_are_kept_with_it_and_survive_the_formatter() {
    let before = "a=@query(\"Users\").where( \"active\",true ).count()\n\
                  b: @query(\"Users\")\n    .order(by: name)\n\n    .get()\nc: 1\n";
    let formatted = tusk_config::format("a.tsk", before).unwrap();
    assert_eq!(tusk_config::format("a.tsk", &formatted).unwrap(), formatted);
    for text in [before, &formatted] {
        let loaded: BTreeMap<String, Value> = load(text, &[]).unwrap();
        let names = |key: &str| {
            let then = loaded[key]["then"].as_array().unwrap();
            then.iter().map(|call| call["name"].as_str().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!((names("a"), names("b")), (vec!["where", "count"], vec!["order", "get"]));
        assert_eq!(loaded["a"]["name"], "query");
        let arguments = &loaded["a"]["then"][0]["arguments"];
        assert_eq!(
            (&arguments[0]["value"], &arguments[1]["value"]),
            (&"active".into(), &true.into())
        );
        assert_eq!(loaded["b"]["then"][0]["arguments"][0]["name"], "by");
        assert_eq!(loaded["c"], 1);
    }
    assert_eq!(faults::<Value>("a: @query(\"x\").where(1\nb: 1\n", &[]).len(), 1);
}

#[test]
fn a_call_on_the_answer_of_the_host_is_not_asked_of_the_host() {
    let text = "a: @query(\"Users\").count()\nb: @query(\"Users\")\n";
    let loader = Loader::new("").text("a.tsk", text).vars(Vars::empty());
    let loader = loader.operator("query", |_| Ok("answered".into()));
    let loaded: BTreeMap<String, Value> = loader.load().unwrap();
    assert_eq!(loaded["a"]["then"][0]["name"], "count");
    assert_eq!(loaded["b"], "answered");
}

#[test]
fn a_secret_of_white_space_alone_is_empty_and_a_variable_of_kubernetes_is_explained() {
    let secret = "a: @env.secure(\"S\")\n";
    assert!(faults::<Value>(secret, &[("S", " \t")])[0].contains("S is empty"));
    let port = "a: @env(\"USER_SERVICE_PORT\", 3001)\n";
    let found = load::<Value>(port, &[("USER_SERVICE_PORT", "tcp://10.96.0.1:80")]).unwrap_err();
    let found = found.to_string();
    for said in ["USER_SERVICE_PORT is", "service links", "enableServiceLinks: false"] {
        assert!(found.contains(said), "{found}");
    }
    let other = load::<Value>(port, &[("USER_SERVICE_PORT", "http://a")]).unwrap_err().to_string();
    assert!(!other.contains("Kubernetes"), "{other}");
}
