//! Violations of each rule, planted into what is rendered for production.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    objects::Objects,
    rules::{RULES, complaints},
    system::System,
};

/// Kind, name, and where in it what is planted; null takes away. Then what is said of it.
type Violation = (&'static str, &'static str, &'static str, Value, &'static str);

const POD: &str = "/spec/template/spec";
const CONTAINER: &str = "/spec/template/spec/containers/0";

/// Those in the pod of user-service: where, from [`POD`] or [`CONTAINER`] on.
fn in_a_pod() -> Vec<Violation> {
    let pods = [
        ("enableServiceLinks", json!(true), "user-service: enableServiceLinks is not false"),
        ("enableServiceLinks", Value::Null, "user-service: enableServiceLinks is not false"),
        ("automountServiceAccountToken", Value::Null, "user-service: automount"),
        ("serviceAccountName", json!("default"), "user-service: it runs under another's account"),
        ("securityContext/runAsNonRoot", json!(false), "user-service: it may run as root"),
        ("securityContext/runAsUser", json!(0), "user-service: it may run as root"),
        ("securityContext/seccompProfile", Value::Null, "user-service: it has no seccomp profile"),
        ("hostNetwork", json!(true), "user-service: it is in a namespace of its node"),
        ("volumes/0", json!({ "name": "node", "hostPath": { "path": "/" } }), "of its node"),
        ("terminationGracePeriodSeconds", json!(30), "user-service: it ends before all callers"),
        ("topologySpreadConstraints/0", Value::Null, "is not spread over topology.kubernetes.io"),
        ("topologySpreadConstraints/1", Value::Null, "is not spread over kubernetes.io/hostname"),
        ("topologySpreadConstraints/0/matchLabelKeys", Value::Null, "is not spread over"),
    ];
    let containers = [
        ("securityContext/runAsUser", json!(0), "user-service: a container may run as root"),
        ("securityContext/allowPrivilegeEscalation", Value::Null, "user-service: a container has"),
        ("securityContext/privileged", json!(true), "user-service: a container has rights"),
        ("securityContext/capabilities/drop", json!(["NET_RAW"]), "user-service: a container has"),
        ("securityContext/capabilities/add", json!(["SYS_PTRACE"]), "a container has rights"),
        ("securityContext/readOnlyRootFilesystem", json!(false), "its root can be written"),
        ("resources/requests/cpu", Value::Null, "user-service: a container has no requests"),
        ("resources/requests/memory", Value::Null, "user-service: a container has no requests"),
        ("resources/limits/memory", Value::Null, "user-service: a container has no requests"),
        ("startupProbe", Value::Null, "user-service: its startupProbe does not ask /live"),
        ("livenessProbe/httpGet/path", json!("/health"), "its livenessProbe does not ask /live"),
        ("readinessProbe/httpGet/path", json!("/live"), "its readinessProbe does not ask /ready"),
        ("startupProbe/failureThreshold", json!(10), "cut off too early for migrations"),
        ("lifecycle", Value::Null, "user-service: it ends before all callers know"),
        ("lifecycle/preStop/sleep/seconds", json!(5), "it ends before all callers know"),
        ("lifecycle/preStop/sleep/seconds", json!(20), "or is killed before it ends"),
        ("image", json!("user-service:latest"), "\"user-service:latest\" has no tag that stays"),
        ("image", json!("user-service"), "\"user-service\" has no tag that stays"),
        ("image", json!("users:1.0.0"), "user-service: its image is \"users:1.0.0\""),
        ("ports/1/containerPort", json!(3005), "user-service: listens on"),
        ("ports/1/containerPort", json!(3005), "3005 here, [\"127.0.0.1:3001:3001\","),
        ("ports/0/containerPort", json!(3200), "user-service: listens on"),
        ("ports/0/containerPort", json!(3200), "operators are at 3200 here, at \"3100\" there"),
        ("env/0", json!({ "name": "JWT_SECRET", "value": "x" }), "JWT_SECRET is no file"),
        ("env/0", json!({ "name": "LOG_FLITER", "value": "x" }), "nobody reads LOG_FLITER"),
        ("env/2/value", json!("/elsewhere"), "user-service: nothing is at /elsewhere"),
        ("env/2", Value::Null, "user-service: DATABASE_URL is not set"),
        ("env/6/value", json!("users"), "user-service goes by another name"),
        ("envFrom", Value::Null, "user-service is not told what all are told"),
    ];
    let place = |start: &str, at: &str| -> &'static str { format!("{start}/{at}").leak() };
    let pods = pods.map(|(at, value, said)| (place(POD, at), value, said));
    let containers = containers.map(|(at, value, said)| (place(CONTAINER, at), value, said));
    let both = pods.into_iter().chain(containers);
    both.map(|(at, value, said)| ("Deployment", "user-service", at, value, said)).collect()
}

/// Those in other objects.
fn elsewhere() -> Vec<Violation> {
    let (autoscaler, budget) = ("HorizontalPodAutoscaler", "PodDisruptionBudget");
    let user = "user-service";
    let cpu = "/spec/metrics/0/resource/target/averageUtilization";
    let namespace = json!({ "kubernetes.io/metadata.name": "anybody" });
    vec![
        ("Deployment", user, "/spec/replicas", json!(3), "user-service: replicas is 3, not null"),
        ("Deployment", user, "/spec/strategy/rollingUpdate/maxUnavailable", json!(1), "a rollout"),
        (autoscaler, user, "/spec/minReplicas", json!(1), "user-service: has [1,10"),
        (autoscaler, user, "/spec/maxReplicas", json!(11), "user-service: has [2,11"),
        (autoscaler, user, cpu, json!(75), "user-service: has [2,10"),
        (autoscaler, user, "/spec/scaleTargetRef/name", json!("x"), "scales something else"),
        (budget, user, "/spec/maxUnavailable", json!("100%"), "its budget is not one replica"),
        (budget, user, "/spec/selector/matchLabels", json!({}), "payment-service: 2 budgets"),
        ("Service", user, "/spec/ports/0/port", json!(3001), "does not lead from 80"),
        ("Service", user, "/spec/ports/0/targetPort", json!(80), "does not lead from 80"),
        ("Service", user, "/spec/ports/0/targetPort", json!("management"), "for operators"),
        ("Service", user, "/spec/ports/0/targetPort", json!(3100), "for operators"),
        ("Deployment", user, "/spec/template/metadata/labels", json!({}), "scraped are ["),
        ("Service", "user-service-instances", "/spec/clusterIP", Value::Null, "lead from 3001"),
        ("Service", "user-service-instances", "/spec/ports/0/port", json!(80), "lead from 3001"),
        ("PodMonitor", "", "/spec/podMetricsEndpoints/0/path", json!("/"), "nothing answers at"),
        ("PodMonitor", "", "/spec/podMetricsEndpoints/0/port", json!("http"), "nothing answers at"),
        ("PodMonitor", "", "/spec/podMetricsEndpoints/0/honorLabels", Value::Null, "overwritten"),
        (
            "PodMonitor",
            "",
            "/spec/podMetricsEndpoints/0/relabelings/0",
            Value::Null,
            "no rule looks",
        ),
        ("ConfigMap", "environment", "/data/MANAGEMENT_PORT", json!("3101"), "the pod says"),
        ("ConfigMap", "environment", "/data/MANAGEMENT_PORT", Value::Null, "the pod says"),
        ("ServiceAccount", user, "/automountServiceAccountToken", json!(true), "is not false"),
        (
            "ConfigMap",
            "environment",
            "/data/USER_SERVICE_HOST",
            json!(user),
            "USER_SERVICE_HOST is",
        ),
        (
            "ConfigMap",
            "environment",
            "/data/SERVICE_DISCOVERY_REFRESH",
            json!("30"),
            "it ends before",
        ),
        (
            "ConfigMap",
            "user-service-config",
            "/data/auth.tsk",
            json!("[auth]"),
            "is not the one in",
        ),
        ("ConfigMap", "user-service-config", "/data/auth.tsk", Value::Null, "user-service reads"),
        (
            "NetworkPolicy",
            "default-deny",
            "/spec/policyTypes",
            json!(["Ingress"]),
            "gone: all closed",
        ),
        (
            "NetworkPolicy",
            user,
            "/spec/ingress/0/from",
            Value::Null,
            "not reviewed: name=user-service <- EVERYTHING",
        ),
        ("NetworkPolicy", user, "/spec/ingress/0/ports", Value::Null, "payment-service EVERYTHING"),
        ("NetworkPolicy", user, "/spec/ingress/0/ports/0/port", json!("management"), "others than"),
        (
            "NetworkPolicy",
            "every-service",
            "/spec/ingress/1/ports/0/port",
            json!("http"),
            "monitoring is let in where",
        ),
        (
            "NetworkPolicy",
            "every-service",
            "/spec/ingress/0/from/0/namespaceSelector/matchLabels",
            namespace,
            "[metadata.name=anybody]",
        ),
        // What is there under another kind or name is missing under its own.
        ("ConfigMap", "environment", "/kind", json!("Secret"), "environment-"),
        ("Deployment", user, "/metadata/name", json!("users"), "users is in services/ no longer"),
    ]
}

/// Those of a server without TLS, and of a key where it does not belong.
fn of_encryption() -> Vec<Violation> {
    vec![
        (
            "ConfigMap",
            "environment",
            "/data/DB_SSLMODE",
            json!("prefer"),
            "DB_SSLMODE is \"prefer\", not verify-full",
        ),
        ("ConfigMap", "environment", "/data/RABBITMQ_TLS", Value::Null, "RABBITMQ_TLS is null"),
        (
            "ConfigMap",
            "environment",
            "/data/TRACING_ENDPOINT",
            json!("http://collector.observability:4317"),
            "without TLS",
        ),
        (
            "ConfigMap",
            "environment",
            "/data/TLS_REQUIRED_IN",
            json!(""),
            "encryption: TLS_REQUIRED_IN is set",
        ),
        ("ConfigMap", "environment", "/data/ENVIRONMENT", json!("live"), "is none of [tls]"),
        ("NetworkPolicy", "servers", "/spec/egress/0/ports/2/port", json!(5672), "lets 5672"),
        (
            "ConfigMap",
            "environment",
            "/data/JWT_ALGORITHM",
            json!("HS256"),
            "signed with \"HS256\"",
        ),
        (
            "Deployment",
            "payment-service",
            "/spec/template/spec/volumes/0",
            json!({ "name": "keys", "secret": { "secretName": "signing-keys-secret" } }),
            "payment-service mounts signing-keys-secret: true",
        ),
    ]
}

#[test]
#[ignore = "needs kubectl; `cargo dev check` runs it"]
fn each_violation_is_seen_and_each_rule_can_fail() {
    let objects = Objects::render("production");
    let system = System::load();
    let mut failed: BTreeSet<String> = BTreeSet::new();
    let violations = in_a_pod().into_iter().chain(elsewhere()).chain(of_encryption());
    for (kind, name, place, value, expected) in violations {
        let found = complaints(&objects.with(kind, name, place, value.clone()), &system);
        let seen: Vec<&String> = found.iter().filter(|line| line.contains(expected)).collect();
        assert!(!seen.is_empty(), "{value} at {place} of {kind} {name} gave {found:#?}");
        failed.extend(seen.iter().filter_map(|line| Some(line.split(": ").nth(1)?.to_owned())));
    }
    let rules: BTreeSet<String> = RULES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(failed, rules, "rules without a violation");
}

#[test]
#[ignore = "needs kubectl; `cargo dev check` runs it"]
fn whatever_is_missing_is_missed() {
    let objects = Objects::render("production");
    let system = System::load();
    let kinds = [
        "Deployment",
        "Service",
        "ServiceAccount",
        "ConfigMap",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "PodMonitor",
    ];
    for kind in kinds {
        for object in objects.of(kind) {
            let name = object["metadata"]["name"].as_str().unwrap();
            let complaints = complaints(&objects.without(kind, name), &system);
            assert!(!complaints.is_empty(), "{kind} {name}");
        }
    }
}
