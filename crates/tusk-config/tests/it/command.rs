//! `tusk check` as a command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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

#[test]
fn the_seed_and_our_own_configuration_are_clean() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own: PathBuf = root.join("../../config");
    for path in [root.join("tests/fixtures/seed"), own] {
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
        ("b.tsk", "[b]\nv: 1\nq: @query(\"x\")\nbroken\n"),
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
        "b.tsk:3:4: the operator @query is not supported",
        "b.tsk:4:7: expected `:` or `=` after `broken`, found the end of the line",
        "3 files, 0 variables: 3 errors, 4 warnings",
    ] {
        assert!(shown.contains(expected), "{expected}\n{shown}");
    }
    let (_, strict) = tusk(&["check", "--strict", &path], &[]);
    assert!(strict.contains("5 errors, 2 warnings"), "{strict}");
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
fn a_wrong_call_says_how_to_call_it() {
    for arguments in [&[][..], &["check"], &["check", "--nothing", "x"], &["destroy", "x"]] {
        let (code, shown) = tusk(arguments, &[]);
        assert!(code == 2 && shown.starts_with("usage: tusk check"), "{shown}");
    }
    let (code, shown) = tusk(&["check", "/nowhere"], &[]);
    assert!(code == 1 && shown.contains("cannot read /nowhere"), "{shown}");
}
