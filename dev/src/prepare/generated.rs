//! What is generated inside of files that are written by hand, between two lines that say so: tables of
//! the documents, the table of routes at the head of each service, and every list of the services that
//! compose, Kubernetes or Prometheus has.
//!
//! A list has a row for each service of services.tsk. A service that needs more than the row says has an
//! entry by hand elsewhere in the file, and is left out of the list.

mod commands;
mod fixed;
mod routes;

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;
use tusk_config::{variables, variables_table};

use crate::{cli, origin, project::Project, services::Service, template::ends_in};

/// What stands after each part.
const END: &str = "end of what is made";

const SERVICES: Block = ("README.md", "from services.tsk and the API documents");
const VARIABLES: Block = ("docs/settings.md", "from `cargo tusk env config`");
const FIXED: Block = ("docs/settings.md", "from the values of config/*.tsk");
const COMMANDS: Block = ("docs/commands.md", "from the tool's own definitions");

/// The lists of services: the file, which list of it, and the row of one service.
///
/// | in a row | is |
/// |---|---|
/// | `{name}`, `{role}`, `{ROLE}` | `user-service`, `user_service`, `USER_SERVICE` |
/// | `{port}` | where it listens |
/// | `{file}` | a row for each settings file that it reads |
/// | `{path}` | a row for each path below which it answers people: the first two segments of its routes |
const LISTS: [(&str, &str, &str); 12] = [
    (COMPOSE, "of services.tsk: hosts", "{ROLE}_HOST: {name}\n"),
    (COMPOSE, "of services.tsk: tokens", "{ROLE}_TOKEN_FILE: /run/secrets/{role}_token\n"),
    (
        COMPOSE,
        "of services.tsk: services without an entry of their own",
        r#"{name}:
  <<: *service
  image: {name}
  build: { context: ., args: { SERVICE: {name}, REVISION: "${REVISION:-unknown}" } }
  ports: ["127.0.0.1:{port}:{port}", "127.0.0.1::3100"]
  environment:
    <<: *environment
    DATABASE_URL_FILE: /run/secrets/{role}_database_url
"#,
    ),
    (
        "config/observability/prometheus.yml",
        "of services.tsk: targets",
        "- { targets: [\"{name}:3100\"], labels: { job: {name} } }\n",
    ),
    (
        "config/kustomization.yaml",
        "of the files in this folder: settings",
        "- name: {name}-config\n  files:\n    - {file}\n",
    ),
    (BASE, "of services.tsk: resources", "- {name}.yaml\n"),
    (BASE, "of services.tsk: hosts", "- {ROLE}_HOST={name}-instances\n"),
    (
        "k8s/base/user-service.yaml",
        "of services.tsk: tokens",
        "- { name: {ROLE}_TOKEN_FILE, value: /run/secrets/own/{role}_token }\n",
    ),
    (
        "k8s/base/user-service.yaml",
        "of services.tsk: secrets",
        "- secret: { name: {name}-token-secret, items: [{ key: token, path: {role}_token }] }\n",
    ),
    (
        "k8s/components/hosted/kustomization.yaml",
        "of services.tsk: images",
        "- { name: {name}, newTag: 1.0.0 }\n",
    ),
    (
        "k8s/components/hosted/ingress.yaml",
        "of auth.tsk: paths that people may ask",
        "- path: {path}\n  pathType: Prefix\n  backend: { service: { name: {name}, port: { name: http } } }\n",
    ),
    (
        "k8s/overlays/dev/kustomization.yaml",
        "of services.tsk: images",
        "- { name: {name}, newTag: dev }\n",
    ),
];
const COMPOSE: &str = "docker-compose.yml";
const BASE: &str = "k8s/base/kustomization.yaml";

/// A file, and of what the part in it is made, which tells it from others there.
type Block = (&'static str, &'static str);

/// A part of a file that is generated.
pub(crate) struct Generated {
    file: String,
    of: &'static str,
    rows: Vec<String>,
}

impl Generated {
    fn new((file, of): Block, rows: Vec<String>) -> Self {
        Self { file: file.to_owned(), of, rows }
    }

    /// The file that it belongs to, from the root.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// The text of its file with this part in place of the one that is there.
    pub(crate) fn put_into(&self, text: &str) -> Result<String> {
        let Self { file, of, .. } = self;
        // What a document is written behind, where it is one.
        let document = [("md", ""), ("rs", "//! ")];
        let document = document.iter().find(|(end, _)| ends_in(file, end)).map(|(_, sign)| *sign);
        let comment = |words: &str| match document {
            Some(sign) => format!("{sign}<!-- {words} -->"),
            None => format!("# {words}"),
        };
        let begin = comment(&format!("made by `cargo dev prepare` {of}"));
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let find = |from: usize, mark: &str| {
            let rest = lines.get(from..).unwrap_or_default();
            rest.iter().position(|line| line.trim() == mark).map(|at| from + at)
        };
        let block = find(0, &begin).and_then(|start| Some((start, find(start, &comment(END))?)));
        let (start, end) = block.with_context(|| format!("{file} has no place for: {begin}"))?;
        let before = &lines[..=start];
        let after = &lines[end..];
        if let Some(sign) = document {
            let blank = sign.trim_end();
            let rows = self.rows.concat();
            let rows: String = rows.split_inclusive('\n').flat_map(|line| [sign, line]).collect();
            return Ok(format!("{}{blank}\n{rows}{blank}\n{}", before.concat(), after.concat()));
        }
        let indent: String = lines[start].chars().take_while(|sign| *sign == ' ').collect();
        let rows = self.rows.iter().map(|row| {
            row.split_inclusive('\n').flat_map(|line| [&indent, line]).collect::<String>()
        });
        let is_by_hand = |row: &String| {
            let head = row.split_inclusive('\n').next();
            before.iter().chain(after).any(|line| Some(*line) == head)
        };
        let rows: String = rows.filter(|row| !is_by_hand(row)).collect();
        Ok(format!("{}{rows}{}", before.concat(), after.concat()))
    }
}

/// The files that have such a part.
pub(crate) fn files() -> impl Iterator<Item = &'static str> {
    [SERVICES, VARIABLES, COMMANDS].into_iter().map(|block| block.0).chain(LISTS.map(|list| list.0))
}

/// Puts all parts into their files, or only tells which files differ.
pub(crate) fn generate(project: &Project, write: bool) -> Result<Vec<PathBuf>> {
    let read =
        |path: &str| fs::read_to_string(project.path(path)).with_context(|| format!("read {path}"));
    let mut parts =
        of_settings(project, |service| read(&format!("services/{service}/openapi.json")))?;
    parts.push(Generated::new(COMMANDS, vec![commands::table(cli::definition())]));
    parts.push(routes::of_template(project)?);
    let mut differing = Vec::new();
    for part in parts {
        let text = read(part.file())?;
        let fresh = part.put_into(&text)?;
        if fresh == text {
            continue;
        }
        let file = project.path(part.file());
        if write {
            fs::write(&file, fresh).with_context(|| format!("write {}", part.file()))?;
        }
        differing.push(file);
    }
    differing.dedup();
    Ok(differing)
}

/// The parts that say what the settings of a project and the API document of each service say.
pub(crate) fn of_settings(
    project: &Project,
    openapi: impl Fn(&str) -> Result<String>,
) -> Result<Vec<Generated>> {
    let mut table = vec!["| service | port | what |\n|---|---|---|\n".to_owned()];
    let mut parts = Vec::new();
    for Service { name, port } in project.services() {
        let document: Value = serde_json::from_str(&openapi(name)?)
            .with_context(|| format!("read openapi.json of {name}"))?;
        let what = document["info"]["description"].as_str().unwrap_or_default();
        table.push(format!("| [{name}](services/{name}) | {port} | {what} |\n"));
        parts.push(routes::of_service(project, name, &document)?);
    }
    let settings = variables_table(&variables([project.path("config")])?);
    parts.extend([
        Generated::new(SERVICES, table),
        Generated::new(VARIABLES, vec![settings]),
        Generated::new(FIXED, vec![fixed::table(&project.path("config"))?]),
    ]);
    for (file, of, row) in LISTS {
        let rows = project.services().iter().map(|service| rows_of(project, service, row));
        let rows = rows.collect::<Result<Vec<_>>>()?.concat();
        parts.push(Generated::new((file, of), rows));
    }
    Ok(parts)
}

fn rows_of(project: &Project, service: &Service, row: &str) -> Result<Vec<String>> {
    let role = service.role();
    let row = row
        .replace("{name}", &service.name)
        .replace("{role}", &role)
        .replace("{ROLE}", &role.to_uppercase())
        .replace("{port}", &service.port.to_string());
    if row.contains("{path}") {
        let paths = paths(project, &service.name)?.into_iter();
        return Ok(paths.map(|path| row.replace("{path}", &path)).collect());
    }
    let Some((head, line)) = row.split_once("    - {file}") else { return Ok(vec![row]) };
    let files = files_of(project, &service.name)?.into_iter();
    let files = files.map(|file| format!("    - {file}{line}"));
    Ok(vec![[head.to_owned()].into_iter().chain(files).collect()])
}

/// The settings files that a service reads, its own last; what an environment lays over them is no part of an image.
fn files_of(project: &Project, service: &str) -> Result<Vec<String>> {
    let config = project.path("config");
    let files = origin::settings_files(project, service)?.into_iter();
    let files = files.filter(|file| file.parent() == Some(&config));
    let names = files.filter_map(|file| Some(file.file_name()?.to_str()?.to_owned()));
    let own = format!("{service}.tsk");
    let mut names: Vec<String> = names.filter(|name| *name != own).collect();
    names.push(own);
    Ok(names)
}

/// The first two segments of what its policy lets people ask.
fn paths(project: &Project, service: &str) -> Result<Vec<String>> {
    let mut paths: Vec<String> = Vec::new();
    for (route, callers) in routes::policy(&project.path("config/auth.tsk"), service)? {
        let is_for_people = callers.iter().any(|who| who == "user" || who == "anybody");
        let path: Vec<&str> = route.split(['/', ' ']).skip(2).take(2).collect();
        let path = format!("/{}", path.join("/"));
        if is_for_people && path.starts_with("/api/") && !paths.contains(&path) {
            paths.push(path);
        }
    }
    Ok(paths)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{env, path::Path};

    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let mark = |words: &str| format!("<!-- {words} -->\n");
        let [begin, other] =
            [COMMANDS, SERVICES].map(|(_, of)| mark(&format!("made by `cargo dev prepare` {of}")));
        let end = mark(END);
        let text = format!("a\n{begin}old\n{end}b\n{other}{end}");
        let table = Generated::new(COMMANDS, vec!["| new |\n".to_owned()]);
        let once = table.put_into(&text).unwrap();
        assert_eq!(once, format!("a\n{begin}\n| new |\n\n{end}b\n{other}{end}"));
        assert_eq!(table.put_into(&once).unwrap(), once);
        let fault = table.put_into("a").unwrap_err().to_string();
        assert!(fault.starts_with("docs/commands.md has no place for: <!-- made by"), "{fault}");
    }

    #[test]
    fn a_generated_list_keeps_the_indent_of_its_mark_and_skips_what_is_written_by_hand() {
        let rows = ["a:\n  x: 1\n", "b:\n  x: 2\n"].map(str::to_owned).to_vec();
        let list = Generated::new((COMPOSE, "of x"), rows);
        let text = "s:\n  a:\n    y: 3\n  # made by `cargo dev prepare` of x\n  old: 1\n  # end of what is made\nv: 1\n";
        let expected = text.replace("  old: 1\n", "  b:\n    x: 2\n");
        assert_eq!(list.put_into(text).unwrap(), expected);
    }

    #[test]
    fn what_is_generated_is_as_the_settings_and_the_tool_say() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let write = env::var_os("UPDATE_GOLDEN").is_some();
        let differing = generate(&Project::at(root).unwrap(), write).unwrap();
        assert!(write || differing.is_empty(), "run `cargo dev prepare`: {differing:?}");
    }
}
