//! What the workflows say of the rest of the repository.

use std::process::Command;

use serde_json::json;

use crate::repository::Repository;

/// With every flag. What the shell fills in is left out.
pub(super) fn each_command_of_ours_exists(repository: &Repository) -> Vec<String> {
    let mut complaints = Vec::new();
    for (place, command) in commands(repository) {
        let words = command.split_whitespace().filter(|word| !word.contains('$'));
        // Asked for help, it only reads its arguments; what is after `--` is another program's.
        let ours = words.take_while(|word| *word != "--");
        let mut dev = Command::new(env!("CARGO_BIN_EXE_dev"));
        let output = dev.args(ours).arg("--help").output().unwrap();
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            let error = error.lines().next().unwrap_or_default();
            complaints.push(format!("{place}: cargo dev {command}: {error}"));
        }
    }
    complaints
}

/// `.ci/run` is the same on any machine; the workflow runs it in parts, side by side.
pub(super) fn the_workflow_runs_what_ci_runs(repository: &Repository) -> Vec<String> {
    let all = commands(repository);
    let of = |place: &str| -> Vec<String> {
        let these = all.iter().filter(|(name, _)| name == place);
        these.map(|(_, command)| command.clone()).collect()
    };
    let workflow = of("workflows/ci.yml");
    let missing = of(".ci/run").into_iter().filter(|command| !workflow.contains(command));
    missing.map(|command| format!("workflows/ci.yml: lacks `cargo dev {command}`")).collect()
}

pub(super) fn each_service_is_built_and_scanned(repository: &Repository) -> Vec<String> {
    let services = json!(repository.services);
    let everywhere = [("workflows/images.yml", "publish"), ("workflows/audit.yml", "images")];
    let mut complaints = Vec::new();
    for (file, job) in everywhere {
        let yaml = repository.yaml(&format!(".github/{file}"));
        let listed = &yaml["jobs"][job]["strategy"]["matrix"]["service"];
        if *listed != services {
            complaints.push(format!("{file}: {job} has the services {listed}, not {services}"));
        }
    }
    let quoted: Vec<String> = repository.services.iter().map(|name| format!("{name:?}")).collect();
    let matrix = format!("matrix = {{ service = [{}] }}", quoted.join(", "));
    if !repository.text("docker-bake.hcl").contains(&matrix) {
        complaints.push(format!("docker-bake.hcl: has no `{matrix}`"));
    }
    complaints
}

/// What stands after `cargo dev` in scripts and steps, and where.
fn commands(repository: &Repository) -> Vec<(String, String)> {
    let mut commands = Vec::new();
    for (place, script) in repository.shell() {
        let lines = script.lines().filter(|line| !line.trim_start().starts_with('#'));
        let found = lines.filter_map(|line| line.split_once("cargo dev ")).map(|(_, rest)| rest);
        commands.extend(found.map(|command| (place.clone(), command.trim().to_owned())));
    }
    commands
}
