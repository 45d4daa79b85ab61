//! The `tusk` command, as it is run.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

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
fn a_wrong_call_says_how_to_call_it() {
    for arguments in [&[][..], &["check", "--nothing", "x"], &["destroy", "x"], &["get", "x"]] {
        let (code, shown) = tusk(arguments, &[]);
        assert!(code == 2 && shown.contains("Usage: tusk"), "{shown}");
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
    let (warning, error) = (&faults[0], &faults[1]);
    assert_eq!(warning["severity"], "warning");
    assert_eq!((&warning["line"], &warning["notes"][0]["line"]), (&json!(3), &json!(2)));
    assert_eq!(error["text"], "`z` is not defined");
    let place = ["line", "column", "end_column"].map(|key| error[key].as_u64().unwrap());
    assert_eq!(place, [4, 5, 9]);
    assert!(error["file"].as_str().unwrap().ends_with("a.tsk"));
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
fn get_prints_a_value_for_a_shell_and_a_group_as_json() {
    let (_folder, path) = project();
    let get = |key: &str, more: &[&str]| {
        let arguments = [&["get", path.as_str(), key], more].concat();
        tusk(&arguments, &[("SECRET", "hunter2"), ("PORT", "80")])
    };
    assert_eq!(get("server.port", &[]), (0, "80\n".to_owned()));
    assert_eq!(get("server.url", &[]), (0, "http://a:80/eu\n".to_owned()));
    assert_eq!(get("server.url", &["--set", "server.host=\"c\""]).1, "http://c:80/eu\n");
    assert_eq!(get("auth.keys", &[]).1, "[1,\"two\",{\"x\":\"8000-9000\"}]\n");
    assert_eq!(get("auth.dsn", &[]).1, "[secret]\n");
    assert_eq!(get("auth.dsn", &["--reveal"]).1, "db://hunter2@h\n");
    let (code, shown) = get("server.prot", &[]);
    assert!(code == 1 && shown.contains("`server.prot` is not in the configuration"), "{shown}");
}

#[test]
fn explain_tells_the_history_of_a_value() {
    let (_folder, path) = project();
    let explain = |key: &str, vars: &[(&str, &str)], more: &[&str]| {
        let (code, shown) = tusk(&[&["explain", path.as_str(), key], more].concat(), vars);
        assert_eq!(code, 0, "{shown}");
        shown.replace(&path, "config")
    };
    let vars = [("ENVIRONMENT", "production"), ("SECRET", "hunter2"), ("APP__SERVER__PORT", "81")];
    let expected = "server.host = \"prod\"
  config/environments/production/a.tsk:2:7  @env(\"HOST\", \"prod\")
    HOST is not set, its default stands in
  replaced config/a.tsk:4:7  a
";
    assert_eq!(explain("server.host", &vars, &[]), expected);
    let shown = explain("server.url", &vars, &["--env-prefix", "APP"]);
    assert!(
        shown.starts_with("server.url = \"http://prod:81/eu\"\n  config/a.tsk:5:6  "),
        "{shown}"
    );
    assert!(
        shown.contains("\n    host is @env(\"HOST\", \"prod\") (config/environments/"),
        "{shown}"
    );
    assert!(shown.contains("\n    $zone is \"eu\" (config/a.tsk:1:8)"), "{shown}");
    let shown = explain("server.port", &vars, &["--env-prefix", "APP", "--set", "server.port=1+1"]);
    assert!(
        shown.contains("  replaced the variable APP__SERVER__PORT:1:1  the variable"),
        "{shown}"
    );
    assert!(shown.contains("  replaced config/a.tsk:3:7  @env(\"PORT\", 3001)"), "{shown}");
    let shown = explain("auth.dsn", &vars, &[]);
    assert!(
        shown.starts_with("auth.dsn = \"[secret]\"") && shown.contains("SECRET is set"),
        "{shown}"
    );
    assert!(
        explain("auth.secret", &[], &[]).starts_with("auth.secret has no value: SECRET is not set")
    );
    let json: Value = serde_json::from_str(&explain("server.host", &vars, &["--json"])).unwrap();
    assert_eq!((&json["value"], json["steps"].as_array().unwrap().len()), (&json!("prod"), 2));
}

#[test]
fn render_prints_everything_in_order_or_every_fault() {
    let (folder, path) = project();
    let vars = folder.path().join("vars.env");
    fs::write(&vars, "export SECRET='hunter2'\nPORT=82 # why\nENVIRONMENT=production\n").unwrap();
    let file = vars.to_str().unwrap();
    let (code, shown) = tusk(&["render", "--format", "json", "--env-file", file, &path], &[]);
    assert_eq!(code, 0, "{shown}");
    let expected = json!({
        "server": {"port": 82, "host": "prod", "url": "http://prod:82/eu"},
        "auth": {"secret": "[secret]", "dsn": "[secret]", "keys": [1, "two", {"x": "8000-9000"}]},
    });
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), expected);
    let order =
        ["\"server\"", "\"port\"", "\"host\"", "\"url\"", "\"auth\"", "\"secret\"", "\"keys\""];
    let places = order.map(|key| shown.find(key).unwrap());
    assert!(places.is_sorted(), "{shown}");

    let single = folder.path().join("a.tsk");
    let (code, shown) =
        tusk(&["render", single.to_str().unwrap()], &[("ENVIRONMENT", "production")]);
    assert!(code == 0 && shown.contains("\"prod\"") && !shown.contains("auth"), "{shown}");

    let output = Command::new(env!("CARGO_BIN_EXE_tusk"))
        .args(["render", &path])
        .env_clear()
        .output()
        .unwrap();
    let faults = String::from_utf8(output.stderr).unwrap();
    assert!(output.stdout.is_empty() && faults.contains("SECRET is not set"), "{faults}");
    fs::write(&vars, "SECRET hunter2\n").unwrap();
    let (code, shown) = tusk(&["render", "--env-file", file, &path], &[]);
    assert!(code == 1 && shown.contains("vars.env:1: expected NAME=VALUE"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn env_lists_every_variable_with_its_default_place_and_meaning() {
    let (folder, path) = project();
    let env = |format: &str| tusk(&["env", "--format", format, &path], &[("SECRET", "hunter2")]);
    let (code, table) = env("table");
    assert_eq!(code, 0);
    let expected = "| variable | default | meaning | read in |
|---|---|---|---|
| `HOST` | `prod` |  | a |
| `PORT` | `3001` |  | a |
| `SECRET` | **required**, secret | for tokens | b |
";
    assert_eq!(table, expected);
    let json: Value = serde_json::from_str(&env("json").1).unwrap();
    let secret = &json[2];
    assert_eq!((&secret["required"], &secret["secret"]), (&json!(true), &json!(true)));
    assert!(secret["places"][0].as_str().unwrap().ends_with("b.tsk:3:9"), "{secret}");

    let template = env("dotenv").1;
    assert!(
        template.contains(
            "# for tokens\n# or SECRET_FILE, the name of a file that holds it\nSECRET=\n"
        ),
        "{template}"
    );
    let file = folder.path().join("filled.env");
    fs::write(&file, template.replace("SECRET=", "SECRET=s")).unwrap();
    let (code, shown) =
        tusk(&["get", &path, "server.url", "--env-file", file.to_str().unwrap()], &[]);
    assert_eq!((code, shown.as_str()), (0, "http://a:3001/eu\n"));
}

#[test]
fn fmt_changes_files_or_only_names_them() {
    let (folder, path) =
        folder(&[("a.tsk", "a=1;\n"), ("sub/b.tsk", "b: 2\n"), ("c.tsk", "c: \"x\n")]);
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let (code, shown) = tusk(&["fmt", "--check", &path], &[]);
    assert!(code == 1 && shown.contains("a.tsk\n") && !shown.contains("b.tsk"), "{shown}");
    assert_eq!(text("a.tsk"), "a=1;\n");
    let (code, shown) = tusk(&["fmt", &path], &[]);
    assert!(code == 1 && shown.contains("c.tsk:1:4: this text has no closing"), "{shown}");
    assert_eq!((text("a.tsk"), text("c.tsk")), ("a: 1\n".to_owned(), "c: \"x\n".to_owned()));
    fs::remove_file(folder.path().join("c.tsk")).unwrap();
    assert_eq!(tusk(&["fmt", "--check", &path], &[]), (0, String::new()));
    let mut child = Command::new(env!("CARGO_BIN_EXE_tusk"))
        .args(["fmt", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"[a]\nx = 1").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"[a]\nx: 1\n");
}

#[test]
fn no_subcommand_prints_a_secret() {
    let (_folder, path) = project();
    let calls: [&[&str]; 10] = [
        &["check", &path],
        &["check", "--resolve", &path],
        &["check", "--resolve", "--json", &path],
        &["get", &path, "auth.secret"],
        &["get", &path, "auth"],
        &["explain", &path, "auth.secret"],
        &["explain", "--json", &path, "auth.dsn"],
        &["render", "--set", "server.port=1", &path],
        &["env", "--format", "json", &path],
        &["env", "--format", "dotenv", &path],
    ];
    for arguments in calls {
        let (_, shown) = tusk(arguments, &[("SECRET", "hunter2")]);
        assert!(!shown.is_empty() && !shown.contains("hunter2"), "{arguments:?}: {shown}");
    }
}
