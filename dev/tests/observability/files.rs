//! The files that the rules read.

use std::fs;

use serde_json::Value;

use crate::texts::{Texts, root};

/// Files of `config/observability`, by their paths from there; and the services.
#[derive(Clone)]
pub(crate) struct Files {
    texts: Texts,
    /// The folders of `services/`, each with the port that operators have in compose.
    pub(crate) services: Vec<(String, u16)>,
}

/// A rule, with the file that it is in.
pub(crate) struct AlertRule {
    pub(crate) file: String,
    /// The name, when it is an alert.
    pub(crate) alert: Option<String>,
    pub(crate) yaml: Value,
}

impl Files {
    /// As they are checked out.
    pub(crate) fn load() -> Self {
        let folder = root().join("config/observability");
        let mut texts = Texts::default();
        texts.add(&folder, &folder);
        let names = fs::read_dir(root().join("services")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let compose = fs::read_to_string(root().join("docker-compose.yml")).unwrap();
        let compose: Value = serde_saphyr::from_str(&compose).unwrap();
        let services = names.map(|name| {
            let port = compose["services"][&name]["environment"]["MANAGEMENT_PORT"].as_str();
            let port = port.and_then(|port| port.parse().ok());
            (name, port.unwrap_or_default())
        });
        Self { texts, services: services.collect() }
    }

    /// A copy in which one piece of one file, which has to be there, is another.
    pub(crate) fn with(&self, file: &str, piece: &str, other: &str) -> Self {
        Self { texts: self.texts.with(file, piece, other), services: self.services.clone() }
    }

    pub(crate) fn text(&self, file: &str) -> &str {
        self.texts.text(file)
    }

    /// The files in a folder, and what they say.
    pub(crate) fn of(&self, folder: &str) -> impl Iterator<Item = (&str, Value)> {
        let files = self.texts.0.iter().filter(move |(file, _)| file.starts_with(folder));
        files.map(|(file, _)| (file.as_str(), self.yaml(file)))
    }

    pub(crate) fn yaml(&self, file: &str) -> Value {
        self.texts.yaml(file)
    }

    pub(crate) fn rules(&self) -> Vec<AlertRule> {
        let rules = self.of("rules/").flat_map(|(file, yaml)| {
            let rules = items(&yaml["groups"]).iter().flat_map(|group| items(&group["rules"]));
            let rule = |yaml: &Value| {
                let alert = yaml["alert"].as_str().map(str::to_owned);
                AlertRule { file: file.to_owned(), alert, yaml: yaml.clone() }
            };
            rules.map(rule).collect::<Vec<_>>()
        });
        rules.collect()
    }

    /// Every expression, with its place.
    pub(crate) fn expressions(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let rules = self.rules().into_iter().map(|rule| {
            let name = rule.alert.unwrap_or_else(|| text(&rule.yaml["record"]));
            (name, text(&rule.yaml["expr"]))
        });
        let dashboards = self.of("grafana/dashboards/").flat_map(|(file, dashboard)| {
            let variables = items(&dashboard["templating"]["list"]).iter();
            let variables = variables.map(|variable| text(&variable["query"]));
            let panels = items(&dashboard["panels"]).iter();
            let queries = panels.flat_map(|panel| items(&panel["targets"]));
            let queries = queries.map(|target| text(&target["expr"]));
            let all = variables.chain(queries);
            all.map(|query| (file.to_owned(), query)).collect::<Vec<_>>()
        });
        rules.chain(dashboards).collect()
    }
}

/// What is in a list; nothing where there is none.
pub(crate) fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}
