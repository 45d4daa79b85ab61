//! The rules, each with its reason.

mod access;
mod drift;
mod pins;

use crate::repository::Repository;

/// Gives a line for each place that breaks it.
pub(crate) type Rule = fn(&Repository) -> Vec<String>;

pub(crate) const RULES: [Rule; 15] = [
    pins::each_action_is_pinned_by_commit,
    pins::an_action_has_one_commit_everywhere,
    pins::dependabot_keeps_every_kind_and_waits,
    access::the_token_may_nothing_by_default,
    access::a_job_may_write_only_what_is_listed,
    access::no_trigger_gives_strangers_our_rights,
    access::no_expression_is_pasted_into_a_script,
    access::a_checkout_leaves_no_credentials,
    access::secrets_stay_in_environments,
    access::each_job_has_a_time_limit,
    access::runs_of_one_kind_do_not_overlap,
    drift::each_command_of_ours_exists,
    drift::the_workflow_runs_what_ci_runs,
    drift::what_is_built_and_scanned_is_what_there_is,
    drift::an_environment_gets_the_overlay_of_its_name,
];

/// All that is wrong.
pub(crate) fn complaints(repository: &Repository) -> Vec<String> {
    RULES.iter().flat_map(|rule| rule(repository)).collect()
}
