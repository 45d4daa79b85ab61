//! No subcommand prints a secret.

use std::fs;

use super::{folder, project, tusk};

/// What the secret is; in no output may it be found.
const MARKER: &str = "hunter2";

fn assert_hidden(calls: &[&[&str]], vars: &[(&str, &str)]) {
    for arguments in calls {
        let (_, shown) = tusk(arguments, vars);
        assert!(!shown.is_empty() && !shown.contains(MARKER), "{arguments:?}: {shown}");
    }
}

#[test]
fn no_subcommand_prints_a_secret() {
    let (folder, path) = project();
    let file = folder.path().join("vars.env");
    fs::write(&file, format!("SECRET={MARKER}\n")).unwrap();
    let file = file.to_str().unwrap();
    let calls: [&[&str]; 13] = [
        &["check", &path],
        &["check", "--resolve", &path],
        &["check", "--resolve", "--json", &path],
        &["get", &path, "auth.secret"],
        &["get", &path, "auth"],
        &["get", &path, "auth", "--env-file", file],
        &["explain", &path, "auth.secret"],
        &["explain", "--json", &path, "auth.dsn"],
        &["render", "--set", "server.port=1", &path],
        &["render", "--strict", "--env-file", file, &path],
        &["env", &path],
        &["env", "--format", "json", &path],
        &["env", "--format", "dotenv", &path],
    ];
    assert_hidden(&calls, &[("SECRET", MARKER)]);
}

/// Whatever is made of it is a secret too, and so are the reasons why nothing can be made of it.
#[test]
fn no_subcommand_prints_what_was_made_of_a_secret() {
    let values = [
        ("reference", "@s"),
        ("text", "\"a#{s}b\""),
        ("global", "\"$g\""),
        ("joined", "@s + \"x\""),
        ("list", "[1, @s]"),
        ("group", "{x: @s}"),
        ("choice", "true ? @s : 1"),
        ("default", "@env(\"UNSET\", @s)"),
        ("fallback", "@nothing ?? @s"),
        ("request", "@http(\"GET\", \"http://#{s}/\")"),
        ("method", "@http(@s, \"http://h/\")"),
        ("operator", "@query(@s)"),
        ("file", "@file.read(@s)"),
        ("number", "@s * 2"),
        ("count: int", "@s"),
        ("order", "@s < 3"),
    ];
    for (key, value) in values {
        let separator = if key.contains(':') { "=" } else { ":" };
        let text =
            format!("$g: @env.secure(\"S\")\ns: @env.secure(\"S\")\n{key}{separator} {value}\n");
        let (folder, path) = folder(&[("a.tsk", &text)]);
        let file = folder.path().join("secret.txt");
        fs::write(&file, MARKER).unwrap();
        let key = key.split(':').next().unwrap();
        let calls: [&[&str]; 6] = [
            &["check", "--strict", "--resolve", &path],
            &["check", "--resolve", "--json", &path],
            &["get", &path, key],
            &["explain", &path, key],
            &["explain", "--json", &path, key],
            &["render", "--strict", &path],
        ];
        assert_hidden(&calls, &[("S", MARKER)]);
        assert_hidden(&calls, &[("S_FILE", file.to_str().unwrap())]);
        let (_, shown) = tusk(&["get", &path, "s", "--reveal"], &[("S", MARKER)]);
        assert_eq!(shown.trim_end(), MARKER, "{key}: the marker is there to be found");
    }
}

#[test]
fn a_bad_file_of_variables_does_not_show_its_values() {
    let (folder, path) = project();
    let file = folder.path().join("vars.env");
    for text in ["SECRET hunter2", "SECRET='hunter2", "1=hunter2", "SECRET=\"hunter2\" hunter2"] {
        fs::write(&file, format!("# variables\n{text}\n")).unwrap();
        let (code, shown) = tusk(&["render", "--env-file", file.to_str().unwrap(), &path], &[]);
        assert!(code == 1 && shown.contains("vars.env:2: "), "{shown}");
        assert!(!shown.contains(MARKER), "{shown}");
    }
}
