//! What a report says, and what it never says.

use std::collections::BTreeMap;

use serde::Deserialize;
use tusk_config::{Loader, Secret, Vars};

use crate::{faults, load};

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Settings {
    auth: Auth,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Auth {
    secret: Secret,
    url: Secret,
    port: u16,
    number: Secret<u64>,
}

const TEXT: &str = "[auth]\nsecret: @env.secure(\"S\")\nurl: \"amqp://u:#{secret}@h\"\nport: @env.secure(\"S\")\nnumber: @env(\"N\")\n";

#[test]
fn a_secret_is_in_no_output() {
    let settings = |port: &str| TEXT.replace("port: @env.secure(\"S\")", port);
    let vars = [("S", "hunter2"), ("N", "1234567")];
    let good: Settings = load(&settings("port: 1"), &vars).unwrap();
    assert_eq!(good.auth.url.expose(), "amqp://u:hunter2@h");
    assert_eq!(good.auth.number.expose(), &1_234_567);
    let shown = format!("{good:?} {}", good.auth.secret);
    assert!(!shown.contains("hunter2") && !shown.contains("1234567"), "{shown}");

    let vars = [("S", "hunter2"), ("N", "pass-word")];
    let errors = load::<Settings>(TEXT, &vars).unwrap_err();
    let shown = format!("{errors} {errors:?}");
    assert_eq!(errors.len(), 2, "{shown}");
    assert!(shown.contains("S is a secret that is not a number from 0 to 65535"), "{shown}");
    assert!(shown.contains("N is a secret that is not a whole number"), "{shown}");
    assert!(!shown.contains("hunter2") && !shown.contains("pass-word"), "{shown}");
}

#[test]
fn a_fault_shows_place_line_and_carets() {
    let errors = load::<Settings>("[auth]\n\tsecrte: \"x\" # é\n", &[]).unwrap_err();
    let expected = "\
a.tsk:1:1: missing key `secret` in `auth`
  1 | [auth]
    | ^^^^^^ missing in here

a.tsk:1:1: missing key `url` in `auth`
  1 | [auth]
    | ^^^^^^ missing in here

a.tsk:1:1: missing key `port` in `auth`
  1 | [auth]
    | ^^^^^^ missing in here

a.tsk:1:1: missing key `number` in `auth`
  1 | [auth]
    | ^^^^^^ missing in here

a.tsk:2:2: unknown key `secrte`, did you mean `secret`?
  2 | \tsecrte: \"x\" # é
    | \t^^^^^^ nothing reads it
  help: a new key is read by a field of the struct `Auth`";
    assert_eq!(errors.to_string(), expected);
    assert_eq!(format!("{errors:?}"), expected);
}

#[test]
fn columns_count_characters_and_long_lines_are_cut() {
    let text = format!("# é\na: {{b: \"{}\", port: x}}", "é".repeat(300));
    let errors = load::<BTreeMap<String, BTreeMap<String, u8>>>(&text, &[]).unwrap_err();
    let fault = errors.iter().last().unwrap();
    assert_eq!(fault.location().unwrap().column(), 318);
    let longest = fault.to_string().lines().map(|line| line.chars().count()).max().unwrap();
    assert!(longest < 200, "{fault}");
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let errors = load::<BTreeMap<String, u8>>("a: \"\u{1b}[31mred\"", &[]).unwrap_err();
    assert!(!errors.to_string().contains('\u{1b}'), "{errors:?}");
}

#[test]
fn a_circle_of_references_names_every_step() {
    let text = "[s]\na: \"#{b}\"\nb: \"x#{c}\"\nc: \"#{a}\"\nd: 1\n[t]\ne: \"#{e}\"";
    let config = Loader::new("c").text("a.tsk", text).vars(Vars::empty()).tree().unwrap();
    let errors = config.get::<String>("s.a").unwrap_err().to_string();
    let expected = "\
a.tsk:2:4: these values refer to each other in a circle: `a` -> `b` -> `c` -> `a`
  2 | a: \"#{b}\"
    |    ^^^^^^
  2 | a: \"#{b}\"
    |     ^^^^ here to `b`
  3 | b: \"x#{c}\"
    |      ^^^^ here to `c`
  4 | c: \"#{a}\"
    |     ^^^^ here back to `a`";
    assert_eq!(errors, expected);
    assert!(config.get::<String>("t.e").unwrap_err().to_string().contains("`e` -> `e`"));
}

#[test]
fn references_that_double_each_other_end() {
    let lines = (0..60).map(|n| format!("a{n}: \"#{{a{}}}#{{a{}}}\"", n + 1, n + 1));
    let empty = format!("{}\na60: \"\"", lines.clone().collect::<Vec<_>>().join("\n"));
    let full = empty.replace("a60: \"\"", "a60: \"x\"");
    for text in [empty, full] {
        let found = faults::<BTreeMap<String, String>>(&text, &[]);
        assert!(!found.is_empty());
    }
}

#[test]
fn interpolation_has_a_length_limit() {
    let text = format!("a: \"{}\"\nb: \"#{{a}}#{{a}}\"", "x".repeat(40_000));
    let found = faults::<BTreeMap<String, String>>(&text, &[]);
    assert_eq!(found, ["2:4 interpolation makes a text of more than 65536 bytes"]);
}

#[test]
fn every_fault_of_the_grammar_joins_those_of_the_types() {
    let text = "[auth]\nsecret: \"x\nport: many\nurl ~ y\nnumber: 5\n";
    let found = faults::<Settings>(text, &[]);
    let expected = [
        "2:9 this text has no closing \"",
        "3:7 `port` is \"many\", not a number from 0 to 65535",
        "4:5 expected `:` or `=` after `url`, found `~`",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_secret_that_stands_in_a_file_is_not_shown_by_faults_beside_it() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Plain {
        key: Secret,
        number: Secret<u64>,
        port: u16,
    }
    let one_line = "a: {key: \"hunter2\", port: x, number: \"pass-word\"}";
    let errors = load::<BTreeMap<String, Plain>>(one_line, &[]).unwrap_err();
    let shown = errors.to_string();
    assert_eq!(errors.len(), 2, "{shown}");
    assert!(!shown.contains("hunter2") && !shown.contains("pass-word"), "{shown}");
    assert!(shown.contains("a.tsk:1:27: `port` is \"x\""), "{shown}");
}
