//! `cargo dev rename PROJECT`: a workspace of one's own name.
//!
//! What bears the project's name: the title, and in a cluster the namespaces and the label `part-of`.
//! The language of the settings and its crate keep theirs.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, Result, ensure};

use super::{
    files::{below, ends_in},
    names::check_form,
    parts::{replace_texts, texts},
    plan::Plan,
};
use crate::project::Project;

/// Whose namespace is the project's name.
const NAMED: &str = "k8s/overlays/production/kustomization.yaml";
/// What may follow the name in that of another namespace.
const ENDINGS: [&str; 3] = ["", "-dev", "-staging"];
const README: &str = "README.md";
/// Where the name stands.
const PLACES: [&str; 7] = [
    README,
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "Dockerfile",
    "k8s",
    ".github",
    "dev/template/wiring/k8s",
];

#[derive(Debug, clap::Args)]
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
    let longest = new.len() + "-staging".len();
    ensure!(longest <= 63, "`{new}-staging` has {longest} characters, and Kubernetes takes 63");
    let root = project.root();
    let read =
        |path: &str| fs::read_to_string(root.join(path)).with_context(|| format!("read {path}"));
    let old = namespace(&read(NAMED)?)?;
    let readme = read(README)?;
    let title = readme.lines().next().and_then(|line| line.strip_prefix("# "));
    let title = title.with_context(|| format!("{README} has no title"))?;
    let plan = planned(root, (&old, new), (title, &titled(new)))?;
    let [_, changed, _] = plan.counts();
    if changed == 0 {
        println!("it is called {new} already");
    } else if args.dry_run {
        print!("{}", plan.diff());
        println!("{changed} files would change");
    } else {
        plan.write(root)?.stay();
        println!("{old} is {new} now: {changed} files changed");
        println!("namespaces of clusters and the folder itself keep their names");
    }
    Ok(ExitCode::SUCCESS)
}

fn planned(root: &Path, names: (&str, &str), titles: (&str, &str)) -> Result<Plan> {
    let mut plan = Plan::default();
    for place in PLACES {
        let place = root.join(place);
        for file in if place.is_dir() { below(&place)? } else { vec![place] } {
            let path = file.strip_prefix(root)?.to_string_lossy().into_owned();
            let text = fs::read_to_string(&file).with_context(|| format!("read {path}"))?;
            let text = text.replace(titles.0, titles.1);
            let text = if ends_in(&path, "yaml") || ends_in(&path, "yml") {
                in_yaml(&text, names).with_context(|| path.clone())?
            } else {
                in_words(&text, names)
            };
            plan.set(root, &path, Some(text))?;
        }
    }
    Ok(plan)
}

/// The value of `namespace`.
fn namespace(text: &str) -> Result<String> {
    let texts = texts(text)?;
    let place = texts.iter().position(|(text, _)| text == "namespace");
    let value = place.and_then(|place| texts.get(place + 1));
    value.map(|(text, _)| text.clone()).with_context(|| format!("{NAMED} has no namespace"))
}

/// Every value that is the name, with or without an ending.
fn in_yaml(text: &str, (old, new): (&str, &str)) -> Result<String> {
    replace_texts(text, |key, value| {
        // What metrics are labelled with is what rules and dashboards ask for.
        if key == "replacement" {
            return None;
        }
        let mut endings = ENDINGS.iter().rev();
        let ending = endings.find(|ending| value.strip_suffix(**ending) == Some(old));
        ending.map(|ending| format!("{new}{ending}"))
    })
}

/// In commands and in prose: with an ending, or said to be a namespace.
fn in_words(text: &str, (old, new): (&str, &str)) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '/';
    let mut changed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find(old) {
        let (before, after) = (&rest[..place], &rest[place + old.len()..]);
        let length = after.find(|c: char| !is_part(c)).unwrap_or(after.len());
        let ending = &after[..length];
        changed.push_str(before);
        let is_whole = !changed.ends_with(is_part);
        let is_said = ending.is_empty()
            && ["namespace ", "namespace create "].iter().any(|word| changed.ends_with(word));
        let is_ours = is_whole && (is_said || !ending.is_empty() && ENDINGS.contains(&ending));
        changed.push_str(if is_ours { new } else { old });
        rest = after;
    }
    changed + rest
}

/// `acme-shop` as `Acme Shop`.
fn titled(name: &str) -> String {
    let words = name.split('-').map(super::words::pascal);
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NAMES: (&str, &str) = ("tusk", "acme-shop");

    #[test]
    fn a_namespace_is_renamed_and_a_word_is_not() {
        let words = |text| in_words(text, NAMES);
        assert_eq!(words("kubectl create namespace tusk"), "kubectl create namespace acme-shop");
        assert_eq!(words("--namespace tusk-dev x"), "--namespace acme-shop-dev x");
        for kept in ["cargo tusk check", "/etc/tusk/config", "tusk-config", "(`tusk`)", "tusked"] {
            assert_eq!(words(kept), kept);
        }
        assert_eq!(titled("acme-shop"), "Acme Shop");
    }

    #[test]
    fn yaml_is_renamed_by_whole_values() {
        let text = "# tusk\nnamespace: tusk-dev # why\nlabels: { part-of: tusk }\npath: /etc/tusk\nreplacement: tusk\n";
        let expected =
            text.replace("tusk-dev", "acme-shop-dev").replace(": tusk }", ": acme-shop }");
        assert_eq!(in_yaml(text, NAMES).unwrap(), expected);
        assert_eq!(namespace(&expected).unwrap(), "acme-shop-dev");
    }
}
