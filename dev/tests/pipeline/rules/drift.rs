//! What the workflows say of the rest of the repository.

use std::process::Command;

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

/// The folders of `services/`, asked for in the run: a list of its own would be forgotten.
pub(super) fn what_is_built_and_scanned_is_what_there_is(repository: &Repository) -> Vec<String> {
    let everywhere = [("workflows/images.yml", "publish"), ("workflows/audit.yml", "images")];
    let mut complaints = Vec::new();
    for (file, job) in everywhere {
        let yaml = repository.yaml(&format!(".github/{file}"));
        let listed = &yaml["jobs"][job]["strategy"]["matrix"]["service"];
        if *listed != "${{ fromJSON(needs.services.outputs.names) }}" {
            complaints.push(format!("{file}: {job} has services of its own: {listed}"));
        }
        let asked = yaml["jobs"]["services"]["steps"].to_string();
        if !asked.contains("find services ") {
            complaints.push(format!("{file}: services are not the folders of services/"));
        }
    }
    if !repository.text("docker-bake.hcl").contains("service = split(\",\", SERVICES)") {
        complaints.push("docker-bake.hcl: has services of its own".to_owned());
    }
    complaints
}

/// With the overlay of another environment it would work on that one's queues, under its host.
pub(super) fn an_environment_gets_the_overlay_of_its_name(repository: &Repository) -> Vec<String> {
    let mut complaints = Vec::new();
    for workflow in repository.workflows() {
        for (job, body) in workflow.jobs() {
            let steps = body["steps"].as_array().into_iter().flatten();
            for step in steps.filter(|step| step["uses"] == "./.github/actions/deploy") {
                let overlay = step["with"]["overlay"].as_str().unwrap_or_default();
                if body["environment"] != overlay {
                    complaints.push(format!("{}: {job} deploys {overlay:?}", workflow.name));
                    continue;
                }
                let overlay = format!("k8s/overlays/{overlay}/kustomization.yaml");
                let namespace = &repository.yaml(&overlay)["namespace"];
                if step["with"]["namespace"] != *namespace {
                    let place = format!("{}: {job}", workflow.name);
                    complaints.push(format!("{place}: the namespace of {overlay} is {namespace}"));
                }
            }
        }
    }
    let action = ".github/actions/deploy/action.yml";
    if !repository.text(action).contains(r#"deploy.sh "k8s/overlays/$OVERLAY""#) {
        complaints.push(format!("{action}: deploys an overlay of its own"));
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
