//! One violation of each kind, planted into the files as they are.

use crate::{
    repository::Repository,
    rules::{RULES, complaints},
};

/// File, what is there, what is planted instead, and what is said of it.
type Violation = (&'static str, &'static str, &'static str, &'static str);

const CI: &str = ".github/workflows/ci.yml";
const DELIVER: &str = ".github/workflows/deliver.yml";
const IMAGES: &str = ".github/workflows/images.yml";
const DEPENDABOT: &str = ".github/dependabot.yml";
const DEPLOY: &str = ".github/actions/deploy/action.yml";

const VIOLATIONS: [Violation; 34] = [
    // Pins
    (CI, "@3d3c42e5aac5ba805825da76410c181273ba90b1 #", "@v7 #", "has no commit"),
    (CI, " # v7.0.1", "", "has no commit with `# v<version>`"),
    (CI, " # v7.0.1", " # the newest", "has no commit with `# v<version>`"),
    (CI, "@3d3c42e5", "@00000000", "actions/checkout is also used at"),
    (DEPLOY, "@dbcb8138", "@main", "actions/deploy/action.yml: docker/login-action"),
    (DELIVER, "./.github/workflows/ci.yml", "else/where/ci.yml@main", "has no commit"),
    (DEPENDABOT, "ecosystem: cargo", "ecosystem: npm", "nothing keeps cargo"),
    (DEPENDABOT, "{ default-days: 7 }", "{ default-days: 1 }", "does not wait"),
    (DEPENDABOT, "actions: { patterns: [\"*\"] }", "{}", "has no group"),
    // Access
    (CI, "permissions: {}", "permissions: { contents: read }", "`permissions: {}` is missing"),
    (CI, "permissions: {}", "permissions: write-all", "`permissions: {}` is missing"),
    (CI, "contents: read", "contents: write", "ci/check: contents may be written"),
    (CI, "permissions:\n      contents: read", "permissions: write-all", "are not a table"),
    (CI, "    permissions:\n      contents: read\n", "", "are not a table"),
    (IMAGES, "attestations: write", "attestations: read", "is listed, but not used"),
    (CI, "  pull_request:", "  pull_request_target:", "runs on pull_request_target"),
    (CI, "  merge_group:", "  issue_comment:", "runs on issue_comment"),
    (CI, "run: cargo dev check", "run: echo ${{ github.head_ref }}", "an expression in `echo"),
    (DEPLOY, "\"$NAMESPACE\"", "${{ inputs.namespace }}", "an expression in"),
    (CI, "persist-credentials: false", "fetch-depth: 0", "a checkout keeps its token"),
    (CI, "persist-credentials: false", "persist-credentials: true", "a checkout keeps its token"),
    (DELIVER, "    environment: staging\n", "", "staging has secrets outside of one"),
    (DELIVER, "needs: ci\n", "needs: ci\n    secrets: inherit\n", "images has secrets outside"),
    (CI, "    timeout-minutes: 45\n", "", "check may run for hours"),
    (CI, "timeout-minutes: 45", "timeout-minutes: 300", "check may run for hours"),
    (CI, "group: ci-", "# group: ci-", "has no concurrency group"),
    // Drift
    (CI, "cargo dev rehearse\n", "cargo dev rehearse --quiet\n", "unexpected argument '--quiet'"),
    (CI, "- run: cargo dev test", "- run: cargo dev tests", "lacks `cargo dev test`"),
    (IMAGES, "${{ fromJSON(needs.services.outputs.names) }}", "[a]", "publish has services of"),
    (IMAGES, "find services ", "find others ", "are not the folders of services/"),
    (DELIVER, "overlay: staging", "overlay: production", "staging deploys \"production\""),
    (DELIVER, "namespace: tusk-staging", "namespace: default", "staging/kustomization.yaml is"),
    (DEPLOY, "overlays/$OVERLAY", "overlays/production", "deploys an overlay of its own"),
    ("docker-bake.hcl", "split(\",\", SERVICES)", "[\"a\"]", "has services of its own"),
];

#[test]
fn each_violation_is_seen() {
    let repository = Repository::load();
    for (file, piece, other, expected) in VIOLATIONS {
        let complaints = complaints(&repository.with(file, piece, other));
        let is_seen = complaints.iter().any(|complaint| complaint.contains(expected));
        assert!(is_seen, "{other:?} in {file} gave {complaints:?}");
    }
}

#[test]
fn each_rule_has_a_violation() {
    let repository = Repository::load();
    for (index, rule) in RULES.iter().enumerate() {
        let breaks = |(file, piece, other, _): &Violation| {
            !rule(&repository.with(file, piece, other)).is_empty()
        };
        assert!(VIOLATIONS.iter().any(breaks), "nothing breaks rule {index}");
    }
}
