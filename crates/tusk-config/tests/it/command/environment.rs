//! `tusk env`.

use std::fs;

use serde_json::{Value, json};

use super::{folder, project, tusk};

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

A secret may stand in a file: `NAME_FILE` is the name of the one that holds `NAME`.
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
fn a_default_of_several_lines_stays_in_its_row_and_in_its_comment() {
    let text =
        "a: @env(\"A\", \"\"\"x\n| y\"\"\")\nb: @env(\"B\", [1,\n  2])\nc: @env(\"C\", @a)\n";
    let (folder, path) = folder(&[("a.tsk", text)]);
    let (_, table) = tusk(&["env", &path], &[]);
    assert!(table.contains("\n| `A` | `x \\| y` |  | a |\n| `B` | `[1, 2]` |  | a |\n"), "{table}");
    let (_, template) = tusk(&["env", "--format", "dotenv", &path], &[]);
    let expected = "# A=\"x\\n| y\"\n\n# B=1,2\n\n# where not set: @a\n# C=\n";
    assert_eq!(template, expected);
    let file = folder.path().join("vars.env");
    fs::write(&file, template).unwrap();
    let (code, shown) = tusk(&["get", &path, "b", "--env-file", file.to_str().unwrap()], &[]);
    assert_eq!((code, shown.as_str()), (0, "[1,2]\n"));
}
