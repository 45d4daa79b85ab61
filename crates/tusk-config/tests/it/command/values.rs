//! `tusk get`, `tusk explain`, `tusk render`.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::{folder, project, tusk};

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
    let (code, shown) = get("auth.dsn", &[]);
    assert_eq!(code, 1);
    assert_eq!(shown, "`auth.dsn` is a secret\n  help: --reveal prints it\n");
    assert!(get("auth", &[]).1.starts_with("{\"secret\":\"[secret]\",\"dsn\":"), "in order");
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
        shown.contains("\n    host is \"prod\", by @env(\"HOST\", \"prod\") (config/environments/"),
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
    let locations = order.map(|key| shown.find(key).unwrap());
    assert!(locations.is_sorted(), "{shown}");

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
fn explain_names_the_file_of_a_variable_and_the_file_that_keys_are_taken_from() {
    let (folder, path) = folder(&[
        (
            "a.tsk",
            "url: @data.tsk.get(\"db.url\")\nkey: \"k#{secret}\"\nsecret: @env.secure(\"S\")\n",
        ),
        ("data.tsk", "[db]\nurl: \"db://#{host}\"\nhost: h\n"),
        ("key.txt", "hunter2\n"),
    ]);
    let file = folder.path().join("a.tsk");
    let explain = |key: &str, vars: &[(&str, &str)]| {
        let (code, shown) = tusk(&["explain", file.to_str().unwrap(), key], vars);
        assert_eq!(code, 0, "{shown}");
        shown.replace(&path, "config")
    };
    let expected = "url = \"db://h\"
  config/a.tsk:1:6  @data.tsk.get(\"db.url\")
    db.url of data.tsk is \"db://h\", by \"db://#{host}\" (config/data.tsk:2:6)
      host is h (config/data.tsk:3:7)
";
    assert_eq!(explain("url", &[]), expected);
    let expected = "key = \"[secret]\"
  config/a.tsk:2:6  \"k#{secret}\"
    secret is \"[secret]\", by @env.secure(\"S\") (config/a.tsk:3:9)
      S is set by the file that S_FILE names: config/key.txt
";
    assert_eq!(explain("key", &[("S_FILE", &format!("{path}/key.txt"))]), expected);
}

#[test]
fn explain_as_json_keeps_the_order_of_a_group_and_names_the_variables() {
    let (_folder, path) = project();
    let (code, shown) = tusk(&["explain", "--json", &path, "server"], &[]);
    let found: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, &found["value"]["port"]), (0, &json!(3001)));
    assert!(shown.contains("\"value\":{\"port\":3001,\"host\":\"a\",\"url\":"), "{shown}");
    let (_, shown) = tusk(&["explain", "--json", &path, "server.port"], &[]);
    let found: Value = serde_json::from_str(&shown).unwrap();
    let origin = &found["steps"][0]["origins"][0];
    assert_eq!((&origin["variable"], &origin["depth"]), (&json!("PORT"), &json!(0)));
    assert!(origin["place"].as_str().unwrap().ends_with("a.tsk:3:7"), "{origin}");
}

#[test]
fn render_reports_files_and_values_together_and_strictly_what_is_merely_odd() {
    let (_folder, path) =
        folder(&[("a.tsk", "a: \"x\nb: @env.secure(\"B\")\n"), ("b.tsk", "c: @nothing\n")]);
    let (code, shown) = tusk(&["render", &path], &[]);
    assert_eq!(code, 1);
    for expected in ["a.tsk:1:4: ", "a.tsk:2:4: B is not set", "b.tsk:1:4: `nothing` is not"] {
        assert!(shown.contains(expected), "{shown}");
    }

    let (_folder, path) = folder(&[("a.tsk", "a: 1\na: 2\nb:\nc: @env.C\nd: @env(\"D\", 1)\n")]);
    let (code, shown) = tusk(&["render", &path], &[]);
    let found: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, found), (0, json!({"a": 2, "b": null, "c": null, "d": 1})));
    let (code, shown) = tusk(&["render", "--strict", &path], &[]);
    assert_eq!(code, 1);
    for expected in ["a.tsk:2:1: `a` is given twice", "3:1: `b` has no", "4:4: C is not set"] {
        assert!(shown.contains(expected), "{shown}");
    }
    assert!(!shown.contains("warning"), "{shown}");
}

#[test]
fn a_file_of_variables_stands_for_the_environment_unless_both_are_wanted() {
    let (folder, path) =
        folder(&[("a.tsk", "a: @env(\"A\", \"none\")\nb: @env(\"B\", \"none\")\n")]);
    let file = folder.path().join("vars.env");
    fs::write(&file, "A=file\n").unwrap();
    let file = file.to_str().unwrap();
    let render = |more: &[&str]| {
        let arguments = [&["render", "--env-file", file], more, &[path.as_str()]].concat();
        let (_, shown) = tusk(&arguments, &[("A", "process"), ("B", "process")]);
        serde_json::from_str::<Value>(&shown).unwrap()
    };
    assert_eq!(render(&[]), json!({"a": "file", "b": "none"}));
    assert_eq!(render(&["--with-environment"]), json!({"a": "file", "b": "process"}));
}
