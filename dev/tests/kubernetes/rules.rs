//! The rules, each with its reason.

mod agreement;
mod encryption;
mod images;
mod network;
mod pods;
mod running;
mod scaling;
mod secrets;
mod variables;

use crate::{objects::Objects, system::System};

/// Gives a line for each object that breaks it.
pub(crate) type Rule = fn(&Objects, &System) -> Vec<String>;

pub(crate) const RULES: [(&str, Rule); 28] = [
    ("complete", agreement::each_service_has_one_of_everything),
    ("ports", agreement::ports_are_those_of_the_settings),
    ("settings", agreement::settings_are_the_files_that_the_service_reads),
    ("compose", agreement::compose_has_the_same_services_and_ports),
    ("operators", agreement::the_port_for_operators_is_closed_to_strangers),
    ("scraped", agreement::each_service_is_scraped_once),
    ("images", images::images_have_a_tag_that_stays),
    ("image names", images::an_image_is_named_as_its_service),
    ("links", pods::no_pod_gets_variables_of_services),
    ("tokens", pods::no_pod_has_a_token_for_the_api),
    ("accounts", pods::each_service_has_an_account_of_its_own),
    ("user", pods::no_pod_runs_as_root),
    ("seccomp", pods::system_calls_are_filtered),
    ("rights", pods::no_container_has_or_gets_rights),
    ("root", pods::a_service_writes_to_no_root),
    ("resources", pods::each_container_says_what_it_needs),
    ("probes", running::probes_ask_what_was_decided),
    ("migrations", running::a_start_may_take_its_migrations),
    ("drain", running::a_pod_leaves_before_it_ends),
    ("spread", running::replicas_are_spread),
    ("rollout", running::a_rollout_takes_nothing_away),
    ("autoscaler", scaling::autoscalers_have_the_numbers_of_the_settings),
    ("disruption", scaling::one_replica_at_a_time_may_be_taken),
    ("network", network::nothing_may_talk_but_for_what_is_reviewed),
    ("secrets", secrets::secrets_are_files_from_secrets),
    ("encryption", encryption::servers_are_spoken_to_over_tls),
    ("signing", encryption::one_service_alone_can_sign),
    ("variables", variables::variables_are_read_by_somebody),
];

/// All that is wrong.
pub(crate) fn complaints(objects: &Objects, system: &System) -> Vec<String> {
    let complaints = RULES.iter().flat_map(|(rule, complaints)| {
        let lines = complaints(objects, system).into_iter();
        lines.map(move |line| format!("{rule}: {line}"))
    });
    complaints.map(|line| format!("{}: {line}", objects.overlay)).collect()
}

/// The text, where something is not as it should be.
fn unless(is_right: bool, complaint: impl FnOnce() -> String) -> Option<String> {
    (!is_right).then(complaint)
}
