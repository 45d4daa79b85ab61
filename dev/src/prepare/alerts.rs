//! The alert rules as an operator of Kubernetes takes them: those of `config/observability/rules`, word
//! for word, in one `PrometheusRule`. (Kustomize can put files into a `ConfigMap`, but not into this.)

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context, Result, bail};

use super::synchronise;
use crate::{folder::names, project::Project};

/// Where the rules are kept, and where the manifest is.
const RULES: &str = "config/observability/rules";
const FOLDER: &str = "k8s/components/monitoring";
const FILE: &str = "rules.yaml";

const HEAD: &str = "\
# Made by `cargo dev prepare` of config/observability/rules: change them there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: tusk
spec:
  groups:
";

/// Generates the manifest; gives it when it differs.
pub(super) fn generate(project: &Project, write: bool) -> Result<Vec<PathBuf>> {
    let folder = project.path(RULES);
    let mut text = HEAD.to_owned();
    for name in names(&folder) {
        let file = folder.join(&name);
        let rules = fs::read_to_string(&file).with_context(|| format!("read {name}"))?;
        text += &groups(&rules).with_context(|| format!("read {RULES}/{name}"))?;
    }
    let fresh = BTreeMap::from([(FILE.to_owned(), text)]);
    synchronise(&project.path(FOLDER), &fresh, |_| false, write)
}

/// The groups of a file of rules, with what is said at its head, two columns further in.
fn groups(rules: &str) -> Result<String> {
    let Some((head, groups)) = rules.split_once("groups:\n") else {
        bail!("it has no groups");
    };
    let indented =
        |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") };
    let head = head.lines().map(|line| format!("  {}", indented(line)));
    Ok(head.chain(groups.lines().map(indented)).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rules_keep_their_words_and_go_two_columns_in() {
        let rules = "# Why.\ngroups:\n  - name: a\n\n    rules: []\n";
        assert_eq!(groups(rules).unwrap(), "    # Why.\n    - name: a\n\n      rules: []\n");
        assert!(groups("rules: []").is_err());
    }
}
