//! What a run may do, and what it may be made to do.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::repository::Repository;

/// Every right to write: workflow, job, scope.
const WRITES: [(&str, &str, &str); 14] = [
    ("audit", "images", "security-events"),
    // What a called workflow may do its caller has to be allowed.
    ("deliver", "images", "attestations"),
    ("deliver", "images", "id-token"),
    ("deliver", "images", "packages"),
    ("deliver", "images", "security-events"),
    ("deliver", "staging", "packages"),
    ("images", "build", "packages"),
    ("images", "publish", "attestations"),
    ("images", "publish", "id-token"),
    ("images", "publish", "packages"),
    ("images", "publish", "security-events"),
    ("release", "production", "packages"),
    ("scorecard", "scorecard", "id-token"),
    ("scorecard", "scorecard", "security-events"),
];

const MINUTES_MAX: u64 = 60;

/// What a job needs it says itself; `permissions` of the workflow would reach the next job as well.
pub(super) fn the_token_may_nothing_by_default(repository: &Repository) -> Vec<String> {
    let workflows = repository.workflows();
    let open = workflows.iter().filter(|workflow| {
        workflow.yaml["permissions"].as_object().is_none_or(|scopes| !scopes.is_empty())
    });
    open.map(|workflow| format!("{}: `permissions: {{}}` is missing", workflow.name)).collect()
}

/// Both ways: a right that is not listed, and a listed one that nobody needs any more.
pub(super) fn a_job_may_write_only_what_is_listed(repository: &Repository) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut found = BTreeSet::new();
    for workflow in repository.workflows() {
        let file = workflow.name.trim_start_matches("workflows/").trim_end_matches(".yml");
        for (job, body) in workflow.jobs() {
            let Some(scopes) = body["permissions"].as_object() else {
                complaints.push(format!("{file}/{job}: its permissions are not a table"));
                continue;
            };
            let writes = scopes.iter().filter(|(_, right)| *right != "read" && *right != "none");
            found.extend(writes.map(|(scope, _)| (file.to_owned(), job.clone(), scope.clone())));
        }
    }
    let listed: BTreeSet<_> =
        WRITES.map(|(file, job, scope)| (file.to_owned(), job.to_owned(), scope.to_owned())).into();
    let place = |(file, job, scope): &(String, String, String)| format!("{file}/{job}: {scope}");
    complaints.extend(found.difference(&listed).map(|it| place(it) + " may be written"));
    complaints.extend(listed.difference(&found).map(|it| place(it) + " is listed, but not used"));
    complaints
}

/// These run code of a pull request, or answer to one, with the rights of the main branch.
pub(super) fn no_trigger_gives_strangers_our_rights(repository: &Repository) -> Vec<String> {
    let allowed = [
        "branch_protection_rule",
        "merge_group",
        "pull_request",
        "push",
        "schedule",
        "workflow_call",
        "workflow_dispatch",
    ];
    let mut complaints = Vec::new();
    for workflow in repository.workflows() {
        let triggers = workflow.yaml["on"].as_object();
        let Some(triggers) = triggers else {
            complaints.push(format!("{}: `on` is not a table", workflow.name));
            continue;
        };
        let others = triggers.keys().filter(|trigger| !allowed.contains(&trigger.as_str()));
        complaints.extend(others.map(|trigger| format!("{}: runs on {trigger}", workflow.name)));
    }
    complaints
}

/// The value would be read as shell, and a branch's name is anybody's text. Through `env` it stays
/// a value.
pub(super) fn no_expression_is_pasted_into_a_script(repository: &Repository) -> Vec<String> {
    let shell = repository.shell();
    let pasted = shell.iter().filter(|(_, script)| script.contains("${{"));
    pasted.map(|(place, script)| format!("{place}: an expression in `{}`", script.trim())).collect()
}

/// Otherwise the token lies in `.git/config`, where every later step and every artifact finds it.
pub(super) fn a_checkout_leaves_no_credentials(repository: &Repository) -> Vec<String> {
    let mut complaints = Vec::new();
    for document in repository.documents() {
        let steps = document.steps().into_iter();
        let checkouts = steps.filter(|step| {
            step["uses"].as_str().is_some_and(|uses| uses.starts_with("actions/checkout@"))
        });
        let keeping = checkouts.filter(|step| step["with"]["persist-credentials"] != false);
        complaints
            .extend(keeping.map(|_| format!("{}: a checkout keeps its token", document.name)));
    }
    complaints
}

/// A secret of the repository is there for every branch; that of an environment only after its
/// rules, and so after the approval.
pub(super) fn secrets_stay_in_environments(repository: &Repository) -> Vec<String> {
    let mut complaints = Vec::new();
    for workflow in repository.workflows() {
        for (job, body) in workflow.jobs() {
            let names_one = body.to_string().contains("secrets.");
            if body["secrets"] != Value::Null || (names_one && body["environment"].is_null()) {
                complaints.push(format!("{}: {job} has secrets outside of one", workflow.name));
            }
        }
    }
    complaints
}

/// Six hours is what it would be otherwise.
pub(super) fn each_job_has_a_time_limit(repository: &Repository) -> Vec<String> {
    let mut complaints = Vec::new();
    for workflow in repository.workflows() {
        // A call has none of its own: the jobs that it calls have.
        for (job, body) in workflow.jobs().filter(|(_, body)| body["uses"].is_null()) {
            let minutes = body["timeout-minutes"].as_u64();
            if minutes.is_none_or(|minutes| minutes > MINUTES_MAX) {
                complaints.push(format!("{}: {job} may run for hours", workflow.name));
            }
        }
    }
    complaints
}

/// A workflow that is only called runs within its caller's group.
pub(super) fn runs_of_one_kind_do_not_overlap(repository: &Repository) -> Vec<String> {
    let workflows = repository.workflows();
    let free = workflows.iter().filter(|workflow| {
        let triggers = workflow.yaml["on"].as_object();
        let is_only_called =
            triggers.is_some_and(|on| on.len() == 1 && on.contains_key("workflow_call"));
        !is_only_called && workflow.yaml["concurrency"]["group"].is_null()
    });
    free.map(|workflow| format!("{}: has no concurrency group", workflow.name)).collect()
}
