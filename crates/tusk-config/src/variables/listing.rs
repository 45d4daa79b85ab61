//! Variables as a Markdown table, and as a template for a file of variables.

use std::path::Path;

use super::Variable;

/// The variables as a Markdown table.
pub fn variables_table(variables: &[Variable]) -> String {
    let mut table = "| variable | default | meaning | read in |\n|---|---|---|---|\n".to_owned();
    for variable in variables {
        let quoted = |default: &String| match default.as_str() {
            "" => "empty".to_owned(),
            default => format!("`{}`", cell(default)),
        };
        let default = match variable.defaults.as_slice() {
            _ if variable.secret => "**required**, secret".to_owned(),
            _ if variable.required => "**required**".to_owned(),
            [] => "none".to_owned(),
            defaults => defaults.iter().map(quoted).collect::<Vec<_>>().join(", "),
        };
        let mut files: Vec<&str> = Vec::new();
        for location in &variable.locations {
            let name = Path::new(location.file()).file_stem().and_then(|name| name.to_str());
            files.extend(name.filter(|name| !files.contains(name)));
        }
        let name = &variable.name;
        let meaning = cell(&variable.meaning());
        let files = files.join(", ");
        let row = format!("| `{name}` | {default} | {meaning} | {files} |\n");
        table.push_str(&row);
    }
    table
}

/// Text for a cell, which has one line.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// A file of variables to fill in: required ones stand empty, others as comments with their
/// defaults. [`Vars::with_file`](crate::Vars::with_file) reads it, and so does a shell.
pub fn variables_template(variables: &[Variable]) -> String {
    variables.iter().map(entry).collect::<Vec<_>>().join("\n")
}

fn entry(variable: &Variable) -> String {
    let name = &variable.name;
    let mut lines = Vec::new();
    if !variable.meanings.is_empty() {
        lines.push(format!("# {}", variable.meaning()));
    }
    if variable.secret {
        lines.push(format!("# or {name}_FILE, the name of a file that holds it"));
    }
    let others = variable.defaults.iter().skip(1);
    let expression = variable.defaults.first().filter(|_| variable.assigned.is_none());
    for default in expression.into_iter().chain(others) {
        let default = default.split_whitespace().collect::<Vec<_>>().join(" ");
        lines.push(format!("# where not set: {default}"));
    }
    let (sign, value) = match &variable.assigned {
        _ if variable.required => ("", String::new()),
        value => ("# ", value.as_deref().map_or(String::new(), assigned)),
    };
    lines.push(format!("{sign}{name}={value}\n"));
    lines.join("\n")
}

/// A value as it stands in a file of variables, in quotes where it needs them.
fn assigned(value: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:,@%+=".contains(c);
    if value.chars().all(plain) {
        return value.to_owned();
    }
    if !value.contains(['\'', '\n', '\r']) {
        return format!("'{value}'");
    }
    let mut quoted = String::from("\"");
    for c in value.chars() {
        match c {
            '\n' => quoted.push_str("\\n"),
            '"' | '\\' | '$' => quoted.extend(['\\', c]),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{Loader, Vars, variables, variables_table};

    #[test]
    fn what_files_say_otherwise_of_a_variable_is_told_of_each() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("a.tsk", "a: @env(\"N\", 4) # Mails at a time.\nb: @env(\"M\", 1) # The same.\n");
        write("b.tsk", "a: @env(\"N\", 4) # Orders | at a time.\nb: @env(\"M\", 1) # The same.\n");
        write("c.tsk", "a: @env(\"N\", 4) # Mails at a time.\nb: @env(\"M\", 1)\n");
        let variables = variables([folder.path()]).unwrap();
        let expected = "| `M` | `1` | The same. | a, b, c |\n\
                        | `N` | `4` | a, c: Mails at a time. b: Orders \\| at a time. | a, b, c |\n";
        assert!(variables_table(&variables).ends_with(expected), "{}", variables_table(&variables));
        let template = super::variables_template(&variables);
        assert!(
            template.contains("# a, c: Mails at a time. b: Orders | at a time.\n"),
            "{template}"
        );
    }

    /// Every default in the template, with the comment sign before it taken away, gives the value
    /// that it stands for.
    #[test]
    fn the_defaults_of_the_template_mean_what_those_of_the_files_mean() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"
a: @env("A", "it's # a \"q\" \\ \$x")
b: @env("B", """x
y""")
c: @env("C", [1,
  two])
d: @env("D", 0x10)
e: "${E:- spaced }"
f: @env("F", "")
g: @env("G", "ünï — code")
h: @env("H", @d)
"#;
        std::fs::write(folder.path().join("a.tsk"), text).unwrap();
        let template = super::variables_template(&variables([folder.path()]).unwrap());
        assert!(template.contains("# where not set: @d\n# H=\n"), "{template}");
        let set = template.replace("# H=\n", "").lines().fold(String::new(), |set, line| {
            let line = line.strip_prefix("# ").filter(|rest| rest.as_bytes()[1] == b'=');
            set + line.unwrap_or("") + "\n"
        });
        let file = folder.path().join("vars.env");
        std::fs::write(&file, set).unwrap();
        let vars = Vars::empty().with_file(&file).unwrap();
        assert_eq!(vars.get("A"), Some("it's # a \"q\" \\ $x"));
        let render = |vars| {
            let loader = Loader::new(folder.path()).file("a").vars(vars);
            serde_json::to_value(loader.render(true, false).unwrap()).unwrap()
        };
        let without = render(Vars::empty());
        let mut with = render(vars);
        // What is a list of numbers and texts in the file is a list of texts out of a variable.
        assert_eq!(with["c"], serde_json::json!(["1", "two"]));
        with["c"] = without["c"].clone();
        assert_eq!(without, with, "{template}");
    }
}
