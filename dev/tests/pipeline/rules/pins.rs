//! What is run is what was looked at.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::repository::Repository;

/// A tag can be moved to other code; a commit cannot. The comment is for people and for Dependabot.
pub(super) fn each_action_is_pinned_by_commit(repository: &Repository) -> Vec<String> {
    let mut complaints = Vec::new();
    for document in repository.documents() {
        for uses in document.uses().into_iter().filter(|uses| !uses.starts_with("./")) {
            let commit = uses.split_once('@').map_or("", |(_, commit)| commit);
            let is_commit = commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit());
            let has_version = |line: &str| {
                let comment = line.split_once(" # v").map_or("", |(_, version)| version);
                comment.starts_with(|c: char| c.is_ascii_digit())
            };
            let mut lines = document.text.lines().filter(|line| line.contains(uses));
            if !is_commit || !lines.all(has_version) {
                let name = document.name;
                complaints.push(format!("{name}: {uses} has no commit with `# v<version>`"));
            }
        }
    }
    complaints
}

pub(super) fn an_action_has_one_commit_everywhere(repository: &Repository) -> Vec<String> {
    let documents = repository.documents();
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    let mut complaints = Vec::new();
    for document in &documents {
        for (action, commit) in document.uses().iter().filter_map(|uses| uses.split_once('@')) {
            let first = seen.entry(action).or_insert(commit);
            if *first != commit {
                complaints.push(format!("{}: {action} is also used at {first}", document.name));
            }
        }
    }
    complaints
}

/// A pin that nobody moves rots; a release of this morning is nobody's yet.
pub(super) fn dependabot_keeps_every_kind_and_waits(repository: &Repository) -> Vec<String> {
    let yaml = repository.yaml(".github/dependabot.yml");
    let updates: Vec<&Value> = yaml["updates"].as_array().into_iter().flatten().collect();
    let wanted = ["cargo", "github-actions", "docker", "docker-compose"];
    let missing = wanted
        .iter()
        .filter(|kind| !updates.iter().any(|update| update["package-ecosystem"] == **kind))
        .map(|kind| format!("dependabot.yml: nothing keeps {kind}"));
    let hasty = updates
        .iter()
        .filter(|update| update["cooldown"]["default-days"].as_u64().is_none_or(|days| days < 7))
        .map(|update| format!("dependabot.yml: {} does not wait", update["package-ecosystem"]));
    let alone = updates
        .iter()
        .filter(|update| update["groups"].as_object().is_none_or(serde_json::Map::is_empty))
        .map(|update| format!("dependabot.yml: {} has no group", update["package-ecosystem"]));
    missing.chain(hasty).chain(alone).collect()
}
