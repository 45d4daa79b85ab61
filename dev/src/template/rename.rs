//! `cargo dev rename PROJECT`: a workspace of one's own name.
//!
//! The name is a word of many texts: namespaces and the label `part-of`, what metrics are labelled
//! with, who issues tokens, the broker's virtual host, the title. Wherever it stands, also before a
//! dash, it is replaced. The language of the settings, whose word is the template's name too, keeps
//! it; the licence tells whose work this was, and does so for good.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, ensure};

use super::{
    files::{ends_in, formatted},
    names::check_form,
    plan::Plan,
    words::pascal,
};
use crate::{programs, project::Project};

/// Whose namespace is the project's name.
const NAMED: &str = "k8s/overlays/production/kustomization.yaml";
/// What the project's name ends in where it may be no longer than this.
const LONGEST: (&str, usize) = ("-resilience", 40);
/// The language, in its own words.
const LANGUAGE: [&str; 5] =
    ["tusk-config", "cargo tusk", "--bin tusk", r#"tusk = "run"#, r#"["tusk", ""#];
/// What is the language's alone, what is a licence, and this, which speaks of both.
const KEPT: [&str; 3] = ["crates/tusk-config/", "LICENSE", "dev/src/template/rename.rs"];
/// Has names only as examples.
const EXAMPLES: &str = "dev/";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every file that bears the project's name bears the new one: namespaces and labels of Kubernetes, what
metrics, alerts and dashboards go by, who issues tokens and for whom, the broker's virtual host, titles.
TuskLang, the language of config/*.tsk, its crate tusk-config and `cargo tusk` keep their names, and so
does LICENSE. Tokens issued before are not believed after it.")]
pub(crate) struct Args {
    /// In lower case, with dashes between words: acme-shop
    project: String,
    /// Shows what would change, and changes nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(project: &Project, args: &Args) -> Result<ExitCode> {
    let new = args.project.as_str();
    check_form("the project", new)?;
    let (ending, length_max) = LONGEST;
    let length = new.len() + ending.len();
    ensure!(
        length <= length_max,
        "a dashboard's id, `{new}{ending}`, has {length} characters, and Grafana takes {length_max}"
    );
    let root = project.root();
    let named = fs::read_to_string(root.join(NAMED)).with_context(|| format!("read {NAMED}"))?;
    let old = namespace(&named).with_context(|| format!("{NAMED} has no namespace"))?;
    if old == new {
        println!("it is called {new} already");
        return Ok(ExitCode::SUCCESS);
    }
    let plan = planned(root, old, new)?;
    let [_, changed, _] = plan.counts();
    if args.dry_run {
        print!("{}", plan.diff());
        println!("{changed} files would change");
    } else {
        plan.write()?.stay();
        println!("{old} is {new} now: {changed} files changed");
        println!("what runs in clusters, and the folder itself, keep their names");
    }
    Ok(ExitCode::SUCCESS)
}

fn planned(root: &Path, old: &str, new: &str) -> Result<Plan> {
    let mut plan = Plan::of(root);
    for path in of_git(root)? {
        // A file that is removed and still in git's index has no name any more; an image has none.
        let Ok(text) = fs::read_to_string(root.join(&path)) else { continue };
        if KEPT.iter().any(|kept| path.starts_with(kept)) {
            continue;
        }
        // It could not be told from the name any more.
        ensure!(
            path.starts_with(EXAMPLES) || with_name(&text, new, "") == text,
            "`{new}` is a word of {path} already: choose another name"
        );
        let renamed = renamed(&text, old, new);
        if renamed != text {
            // Lines are longer or shorter now.
            let is_rust = ends_in(&path, "rs");
            let renamed = if is_rust { formatted(root, &renamed)? } else { renamed };
            plan.set(&path, Some(renamed))?;
        }
    }
    Ok(plan)
}

/// The files that git knows or would take: what it leaves alone, such as a `.env` or an editor's, is the user's.
fn of_git(root: &Path) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = programs::output(git.current_dir(root))?;
    Ok(listed.split_terminator('\0').map(str::to_owned).collect())
}

/// The value of `namespace`, a line of its own.
fn namespace(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("namespace: "))
}

/// With another name, and with another title.
fn renamed(text: &str, old: &str, new: &str) -> String {
    let title = titled(old);
    let new_title = titled(new);
    let text = with_name(text, old, new);
    let text = with_name(&text, &format!("{title} Microservices"), &new_title);
    with_name(&text, &title, &new_title)
}

/// Every `old` that is a word, or the begin of one with dashes, and not the language's.
fn with_name(text: &str, old: &str, new: &str) -> String {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut changed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find(old) {
        changed.push_str(&rest[..place]);
        let at = text.len() - rest.len() + place;
        rest = &rest[place + old.len()..];
        let is_word =
            !text[..at].ends_with(|c| is_inner(c) || c == '-') && !rest.starts_with(is_inner);
        changed.push_str(if is_word && !is_language(text, at) { new } else { old });
    }
    changed + rest
}

/// Whether the word at this place is in one of the language's phrases.
fn is_language(text: &str, at: usize) -> bool {
    LANGUAGE.iter().any(|phrase| {
        let offset = phrase.find("tusk").unwrap_or_default();
        at.checked_sub(offset)
            .and_then(|start| text.get(start..))
            .is_some_and(|from| from.starts_with(phrase))
    })
}

/// `acme-shop` as `Acme Shop`.
fn titled(name: &str) -> String {
    let words = name.split('-').map(pascal);
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_git_ignores_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let init = Command::new("git").args(["init", "--quiet"]).current_dir(&root).status();
        assert!(init.unwrap().success());
        fs::create_dir_all(root.path().join("config/editor")).unwrap();
        fs::write(root.path().join(".gitignore"), ".env\neditor\n").unwrap();
        for file in [".env", "config/editor/state.json", "config/a.tsk"] {
            fs::write(root.path().join(file), "elm").unwrap();
        }
        let plan = planned(root.path(), "elm", "oak").unwrap();
        let [made, changed, removed] = plan.counts();
        assert_eq!([made, changed, removed], [0, 1, 0], "{}", plan.diff());
    }

    #[test]
    fn a_name_is_replaced_wherever_it_is_a_word() {
        let renamed = |text| renamed(text, "elm", "oak-tree");
        for (from, to) in [
            ("namespace: elm-dev # why", "namespace: oak-tree-dev # why"),
            ("up{part_of=\"elm\"} == 0", "up{part_of=\"oak-tree\"} == 0"),
            ("VHOST=elm, amqp://elm:secret@", "VHOST=oak-tree, amqp://oak-tree:secret@"),
            ("/etc/elm/config", "/etc/oak-tree/config"),
            ("# Elm Microservices", "# Oak Tree"),
            ("Elm <no-reply@example.com>", "Oak Tree <no-reply@example.com>"),
        ] {
            assert_eq!(renamed(from), to);
        }
        for kept in ["elms", "helm", "elm_x", "an-elm", "Elmer", "ELM"] {
            assert_eq!(renamed(kept), kept);
        }
    }

    #[test]
    fn what_is_the_languages_is_not_the_projects() {
        let text = LANGUAGE.join(" ") + " TuskLang";
        assert_eq!(renamed(&text, "tusk", "oak-tree"), text);
    }
}
