//! The `tusk` command, as it is run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

mod environment;
mod layout;
mod secrets;
mod values;

fn tusk(arguments: &[&str], vars: &[(&str, &str)]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tusk"));
    let output = command.args(arguments).env_clear().envs(vars.iter().copied()).output().unwrap();
    let code = output.status.code().unwrap();
    let shown = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (code, shown)
}

fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let path = folder.path().to_str().unwrap().to_owned();
    (folder, path)
}

/// Two files, an overlay, a secret.
fn project() -> (tempfile::TempDir, String) {
    folder(&[
        (
            "a.tsk",
            "$zone: \"eu\"\n[server]\nport: @env(\"PORT\", 3001)\nhost: a\nurl: \"http://#{host}:#{port}/$zone\"\n",
        ),
        (
            "b.tsk",
            "# The key.\n[auth]\nsecret: @env.secure(\"SECRET\") # for tokens\ndsn: \"db://#{secret}@h\"\nkeys: [1, two, {x: 8000-9000}]\n",
        ),
        ("environments/production/a.tsk", "[server]\nhost: @env(\"HOST\", \"prod\")\n"),
    ])
}

#[test]
fn a_system_of_three_services_and_our_own_configuration_are_clean() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own: PathBuf = root.join("../../config");
    for path in [root.join("tests/fixtures/microservices"), own] {
        let (code, shown) = tusk(&["check", "--strict", path.to_str().unwrap()], &[]);
        assert_eq!(code, 0, "{shown}");
        assert!(shown.contains(" 0 errors, 0 warnings"), "{shown}");
    }
}

#[test]
fn every_kind_of_finding_is_printed() {
    let (_folder, path) = folder(&[
        (
            "a.tsk",
            "[a]\nx: \"#{nothing}\"\ny: 1\ny: 2\nz:\nw: \"#{b.v}\"\nt: y\nu: \"@env('X')\"\n",
        ),
        ("b.tsk", "[b]\nv: 1\nq: @enw(\"x\")\nbroken\n"),
        ("environments/production/b.tsk", "[b]\nw: \"#{v}\"\n"),
        ("c.txt", "not read"),
    ]);
    let (code, shown) = tusk(&["check", &path], &[]);
    assert_eq!(code, 1, "{shown}");
    for expected in [
        "a.tsk:2:5: `nothing` is not defined",
        "a.tsk:4:1: warning: `y` is given twice; this one counts",
        "a.tsk:5:1: warning: `z` has no value",
        "a.tsk:7:4: warning: this is the text `y`, not the value of the key `y`",
        "a.tsk:8:4: warning: an operator in quotes is a text",
        "b.tsk:3:4: warning: nothing evaluates the operator @enw",
        "b.tsk:4:7: expected `:` or `=` after `broken`, found the end of the line",
        "3 files, 0 variables: 2 errors, 5 warnings",
    ] {
        assert!(shown.contains(expected), "{expected}\n{shown}");
    }
    let (_, strict) = tusk(&["check", "--strict", &path], &[]);
    assert!(strict.contains("4 errors, 3 warnings"), "{strict}");
}

#[test]
fn unset_variables_matter_only_when_they_are_to_be_resolved() {
    let text =
        "a: @env.secure(\"A\")\nb: @env(\"B\", 5)\nc: \"#{a}${C}\"\nd: @http(@env.M, \"#{a}\")\n";
    let (_folder, path) = folder(&[("a.tsk", text)]);
    let (code, shown) = tusk(&["check", "--strict", &path], &[]);
    assert_eq!((code, shown.trim_end()), (0, "1 files, 4 variables: 0 errors, 0 warnings"));
    let (code, shown) = tusk(&["check", "--resolve", &path], &[("B", "x")]);
    assert_eq!(code, 1, "{shown}");
    assert!(
        shown.contains("A is not set") && shown.contains("B is \"x\", not a number"),
        "{shown}"
    );
    let vars = [("A", "1"), ("B", "2"), ("C", "3"), ("M", "GET")];
    let (code, shown) = tusk(&["check", "--strict", "--resolve", &path], &vars);
    assert_eq!(code, 0, "{shown}");
}

#[test]
fn groups_that_hold_each_other_are_found_without_anybody_reading_them() {
    let (_folder, path) = folder(&[("a.tsk", "a: {x: @b}\nb: {y: @a}\nc: 1\n")]);
    let (code, shown) = tusk(&["check", &path], &[]);
    assert!(code == 1 && shown.matches("leads to a group that holds it").count() == 2, "{shown}");
}

#[test]
fn a_text_in_an_expression_that_is_spelt_like_a_key_is_odd_too() {
    let text = "host: h\na: host == \"x\" ? 1 : 2\nb: @if(@host == host, 1, 2)\n";
    let (_folder, path) = folder(&[("a.tsk", text)]);
    let (code, shown) = tusk(&["check", &path], &[]);
    for location in ["a.tsk:2:4", "a.tsk:3:17"] {
        let expected = format!("{location}: warning: this is the text `host`, not the value");
        assert!(shown.contains(&expected), "{shown}");
    }
    assert!(code == 0 && shown.contains(" 0 errors, 2 warnings"), "{shown}");
}

/// What an overlay lies over takes its keys from files beside itself, not beside the overlay; and
/// what is wrong with such a file is said once.
#[test]
fn a_check_reads_imports_as_loading_does() {
    let import = "url: @data.tsk.get(\"db.url\")\n";
    let (_folder, path) = folder(&[
        ("a.tsk", import),
        ("b.tsk", import),
        ("data.tsk", "[db]\nurl: \"db://h\"\nurl: \"db://i\"\n"),
        ("environments/production/a.tsk", "full: \"#{url}/x\"\n"),
    ]);
    let (code, shown) = tusk(&["check", &path], &[]);
    assert!(code == 0 && shown.contains("4 files") && shown.contains(" 0 errors, 1 w"), "{shown}");
    let production = [("ENVIRONMENT", "production")];
    assert_eq!(tusk(&["get", &path, "full"], &production), (0, "db://i/x\n".to_owned()));
    let mut here = Command::new(env!("CARGO_BIN_EXE_tusk"));
    let output = here.args(["check", "a.tsk"]).current_dir(&path).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("1 files") && shown.contains(" 0 errors, 1 w"), "{shown}");
    let mut here = Command::new(env!("CARGO_BIN_EXE_tusk"));
    let output = here.args(["get", "a.tsk", "url"]).current_dir(&path).output().unwrap();
    assert_eq!(output.stdout, b"db://i\n");
}

#[test]
fn a_value_that_cannot_be_had_for_two_reasons_is_reported_once() {
    let text = "a: @env.secure(\"A\")\nb: @env(\"B\", @a)\n";
    let (_folder, path) = folder(&[("a.tsk", text)]);
    let (_, shown) = tusk(&["check", "--resolve", &path], &[]);
    assert_eq!(shown.matches("A is not set").count(), 1, "{shown}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_fault() {
    let lines: Vec<_> = (0..9000).map(|n| format!("k{n}: @env(\"V{n}\", \"x\")")).collect();
    let (_folder, path) = folder(&[("a.tsk", &lines.join("\n"))]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tusk"));
    let mut child = command.args(["env", &path]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_wrong_call_says_how_to_call_it() {
    for arguments in [&[][..], &["check", "--nothing", "x"], &["destroy", "x"], &["get", "x"]] {
        let (code, shown) = tusk(arguments, &[]);
        assert!(code == 2 && shown.contains("Usage: tusk"), "{shown}");
    }
    for arguments in [["--set", "z"].as_slice(), &["--with-environment"]] {
        let (code, shown) = tusk(&[&["get", "x", "y"], arguments].concat(), &[]);
        assert!(code == 2 && shown.starts_with("error: "), "{shown}");
    }
    let (code, shown) = tusk(&["check", "/nowhere"], &[]);
    assert!(code == 1 && shown.contains("cannot read /nowhere"), "{shown}");
}

#[test]
fn a_check_can_be_read_by_programs() {
    let (_folder, path) = folder(&[("a.tsk", "[a]\nx: 1\nx: 2\ny: \"#{z}\"\n")]);
    let (code, shown) = tusk(&["check", "--json", &path], &[]);
    let faults: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, faults.as_array().unwrap().len()), (1, 2));
    let warning = &faults[0];
    let error = &faults[1];
    assert_eq!(warning["severity"], "warning");
    assert_eq!((&warning["line"], &warning["notes"][0]["line"]), (&json!(3), &json!(2)));
    assert_eq!(error["text"], "`z` is not defined");
    let location = ["line", "column", "end_column"].map(|key| error[key].as_u64().unwrap());
    assert_eq!(location, [4, 5, 9]);
    assert!(error["file"].as_str().unwrap().ends_with("a.tsk"));
}
