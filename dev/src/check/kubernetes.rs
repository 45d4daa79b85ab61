//! The manifests of `k8s/`: rendered, held to their rules and to the schemas of Kubernetes, without a
//! cluster.

use std::{fs, process::Command};

use anyhow::{Context, Result};

use super::{Passed, cargo, python::Tool};
use crate::{features::UNIFIED, folder, interrupt::Interrupt, programs, project::Project};

/// The schemas, from Python's package index.
const SCHEMAS: Tool =
    Tool { program: "kubernetes-validate", package: "kubernetes-validate==1.37.0" };
/// The oldest Kubernetes that has all that is used, and the newest that the schemas know.
const VERSIONS: [&str; 2] = ["1.30", "1.37"];
/// The oldest kustomize that renders them.
const KUSTOMIZE: u32 = 5;

/// The rules, and that each of them can fail: `dev/tests/kubernetes`.
pub(super) fn rules(project: &Project, interrupt: &Interrupt) -> Result<Passed> {
    rendering(project, interrupt, &["--test", "kubernetes", "--", "--include-ignored"])
}

/// The same rules once services were made of the template: `dev/tests/template`.
pub(super) fn new_services(project: &Project, interrupt: &Interrupt) -> Result<Passed> {
    let name = "three_more_services_keep_every_rule";
    rendering(project, interrupt, &["--test", "template", "--", "--ignored", name])
}

/// Tests of ours that render the manifests.
fn rendering(project: &Project, interrupt: &Interrupt, tests: &[&str]) -> Result<Passed> {
    if let Some(why) = cannot_render() {
        return Ok(Passed::Skipped(why));
    }
    cargo(project, interrupt, &[&["test", "-p", "dev"], &UNIFIED[..], tests].concat())
}

/// Every name and type in every object, of every overlay.
pub(super) fn schemas(project: &Project, install: bool, interrupt: &Interrupt) -> Result<Passed> {
    if let Some(why) = cannot_render() {
        return Ok(Passed::Skipped(why));
    }
    let tool = match SCHEMAS.find(project, install, interrupt)? {
        Ok(program) => program,
        Err(skipped) => return Ok(skipped),
    };
    let folder = project.path("target/kubernetes-validate");
    let overlays = project.path("k8s/overlays");
    for overlay in folder::names(&overlays).iter().map(|name| overlays.join(name)) {
        let rendered = programs::output(Command::new("kubectl").arg("kustomize").arg(&overlay))?;
        let file = folder.join("rendered.yaml");
        fs::write(&file, rendered).context("write what was rendered")?;
        for version in VERSIONS {
            let mut validate = Command::new(&tool);
            // Kinds of operators have no schema there; the rules look at them.
            validate.args(["--strict", "--quiet", "--no-warn", "--kubernetes-version"]);
            programs::succeed(validate.arg(format!("{version}.0")).arg(&file), interrupt)
                .with_context(|| format!("{}, Kubernetes {version}", overlay.display()))?;
        }
    }
    Ok(Passed::Fully)
}

/// Why the manifests cannot be rendered here; none when they can.
fn cannot_render() -> Option<String> {
    let said = programs::says(Command::new("kubectl").args(["version", "--client"]));
    match said.as_deref().and_then(kustomize_major) {
        Some(major) if major >= KUSTOMIZE => None,
        _ => Some(format!("needs kubectl with kustomize {KUSTOMIZE} or newer")),
    }
}

/// From the line `Kustomize Version: v5.5.0`; kubectl before 1.24 has none.
fn kustomize_major(text: &str) -> Option<u32> {
    let version = text.lines().find_map(|line| line.strip_prefix("Kustomize Version: v"))?;
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_kustomize_is_read_from_what_kubectl_prints() {
        let printed = "Client Version: v1.32.4\nKustomize Version: v5.5.0\n";
        assert_eq!(kustomize_major(printed), Some(5));
        assert_eq!(
            kustomize_major("Client Version: version.Info{Major:\"1\", Minor:\"20\"}"),
            None
        );
        assert_eq!(kustomize_major(""), None);
    }
}
