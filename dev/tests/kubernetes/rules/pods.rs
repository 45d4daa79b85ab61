//! What a pod may: the strict profile of the Pod Security Standards, and more.

use serde_json::{Value, json};

use super::unless;
use crate::{
    objects::{Objects, items, name},
    system::System,
};

/// A complaint for each pod of which something is not so.
fn each_pod(objects: &Objects, what: &str, is_right: impl Fn(&Value) -> bool) -> Vec<String> {
    let wrong = objects.pods().filter(|(_, pod)| !is_right(pod));
    wrong.map(|(name, _)| format!("{name}: {what}")).collect()
}

/// A complaint for each pod with a container, first ones included, of which something is not so.
fn each_container(objects: &Objects, what: &str, is_right: impl Fn(&Value) -> bool) -> Vec<String> {
    each_pod(objects, what, |pod| {
        let containers = items(&pod["initContainers"]).iter().chain(items(&pod["containers"]));
        containers.into_iter().all(&is_right)
    })
}

/// `USER_SERVICE_PORT=tcp://…` would stand in for the setting of that name.
pub(super) fn no_pod_gets_variables_of_services(objects: &Objects, _: &System) -> Vec<String> {
    let what = "enableServiceLinks is not false";
    each_pod(objects, what, |pod| pod["enableServiceLinks"] == false)
}

/// Who breaks in finds nothing to go on with.
pub(super) fn no_pod_has_a_token_for_the_api(objects: &Objects, _: &System) -> Vec<String> {
    let what = "automountServiceAccountToken is not false";
    let pods = each_pod(objects, what, |pod| pod["automountServiceAccountToken"] == false);
    let accounts = objects.of("ServiceAccount");
    let wrong = accounts.filter(|account| account["automountServiceAccountToken"] != false);
    pods.into_iter().chain(wrong.map(|account| format!("{}: {what}", name(account)))).collect()
}

/// So that what one gets is not given to all.
pub(super) fn each_service_has_an_account_of_its_own(
    objects: &Objects,
    system: &System,
) -> Vec<String> {
    let services = system.services.iter().map(|service| service.name.as_str());
    let wrong = services.filter(|name| objects.pod(name)["serviceAccountName"] != **name);
    wrong.map(|name| format!("{name}: it runs under another's account")).collect()
}

pub(super) fn no_pod_runs_as_root(objects: &Objects, _: &System) -> Vec<String> {
    let is_root = |context: &Value| context["runAsNonRoot"] == false || context["runAsUser"] == 0;
    let pods = each_pod(objects, "it may run as root", |pod| {
        let context = &pod["securityContext"];
        context["runAsNonRoot"] == true && context["runAsUser"].as_u64().is_some_and(|id| id > 0)
    });
    let again =
        each_container(objects, "a container may run as root", |c| !is_root(&c["securityContext"]));
    pods.into_iter().chain(again).collect()
}

pub(super) fn system_calls_are_filtered(objects: &Objects, _: &System) -> Vec<String> {
    each_pod(objects, "it has no seccomp profile", |pod| {
        pod["securityContext"]["seccompProfile"] == json!({ "type": "RuntimeDefault" })
    })
}

pub(super) fn no_container_has_or_gets_rights(objects: &Objects, _: &System) -> Vec<String> {
    let of_containers = each_container(objects, "a container has rights or may get some", |c| {
        let context = &c["securityContext"];
        context["allowPrivilegeEscalation"] == false
            && context["capabilities"] == json!({ "drop": ["ALL"] })
            && context["privileged"] != true
    });
    let of_pods = each_pod(objects, "it is in a namespace of its node", |pod| {
        let namespaces = ["hostNetwork", "hostPID", "hostIPC"];
        let volumes = items(&pod["volumes"]);
        namespaces.iter().all(|key| pod[key] != true)
            && volumes.iter().all(|volume| volume["hostPath"].is_null())
    });
    of_containers.into_iter().chain(of_pods).collect()
}

/// What is broken into cannot be changed.
pub(super) fn a_service_writes_to_no_root(objects: &Objects, system: &System) -> Vec<String> {
    let services = system.services.iter().map(|service| service.name.as_str());
    let complaints = services.flat_map(|name| {
        items(&objects.pod(name)["containers"]).iter().filter_map(move |container| {
            unless(container["securityContext"]["readOnlyRootFilesystem"] == true, || {
                format!("{name}: its root can be written")
            })
        })
    });
    complaints.collect()
}

/// A request of both, and a limit of what cannot be taken back. A limit of the processor would slow
/// down who could have idle time.
pub(super) fn each_container_says_what_it_needs(objects: &Objects, _: &System) -> Vec<String> {
    each_container(objects, "a container has no requests, or no limit of memory", |container| {
        let resources = &container["resources"];
        let requests = &resources["requests"];
        let limits = &resources["limits"];
        [&requests["cpu"], &requests["memory"], &limits["memory"]].iter().all(|it| it.is_string())
    })
}
