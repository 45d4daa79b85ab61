//! The files that the rules read.

use serde_json::Value;

use crate::texts::{Texts, root};

/// Files under the workspace's root, by their paths from there.
#[derive(Clone)]
pub(crate) struct Repository(Texts);

/// A workflow or a composite action.
pub(crate) struct Document<'a> {
    /// Its path in `.github`.
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
    pub(crate) yaml: Value,
}

impl Repository {
    /// As it is checked out.
    pub(crate) fn load() -> Self {
        let root = root();
        let mut texts = Texts::default();
        for path in [".github", "k8s/overlays", ".ci/run", "docker-bake.hcl"] {
            texts.add(&root, &root.join(path));
        }
        Self(texts)
    }

    /// A copy in which one piece of one file, which has to be there, is another.
    pub(crate) fn with(&self, file: &str, piece: &str, other: &str) -> Self {
        Self(self.0.with(file, piece, other))
    }

    pub(crate) fn text(&self, file: &str) -> &str {
        self.0.text(file)
    }

    pub(crate) fn yaml(&self, file: &str) -> Value {
        self.0.yaml(file)
    }

    pub(crate) fn workflows(&self) -> Vec<Document<'_>> {
        self.documents().into_iter().filter(|document| !document.yaml["jobs"].is_null()).collect()
    }

    /// Workflows and composite actions.
    pub(crate) fn documents(&self) -> Vec<Document<'_>> {
        let folders = [".github/workflows/", ".github/actions/"];
        let files = self.0.0.iter();
        files
            .filter(|(name, _)| folders.iter().any(|folder| name.starts_with(folder)))
            .map(|(file, text)| {
                let name = file.strip_prefix(".github/").unwrap();
                Document { name, text, yaml: self.yaml(file) }
            })
            .collect()
    }

    /// Every line of shell: of steps, one string for each, and of scripts.
    pub(crate) fn shell(&self) -> Vec<(String, String)> {
        let documents = self.documents();
        let steps = documents.iter().flat_map(|document| {
            let steps = document.steps().into_iter();
            steps
                .filter_map(|step| {
                    Some((document.name.to_owned(), step["run"].as_str()?.to_owned()))
                })
                .collect::<Vec<_>>()
        });
        let is_script = |name: &str| name.starts_with(".github/scripts/") || name == ".ci/run";
        let scripts = self.0.0.iter().filter(|(name, _)| is_script(name));
        steps.chain(scripts.map(|(name, text)| (name.clone(), text.clone()))).collect()
    }
}

impl Document<'_> {
    pub(crate) fn jobs(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.yaml["jobs"].as_object().into_iter().flatten()
    }

    /// The steps of all jobs, or those of the action.
    pub(crate) fn steps(&self) -> Vec<&Value> {
        let jobs = self.jobs().map(|(_, job)| &job["steps"]);
        let lists = jobs.chain([&self.yaml["runs"]["steps"]]);
        lists.filter_map(Value::as_array).flatten().collect()
    }

    /// What jobs and steps use.
    pub(crate) fn uses(&self) -> Vec<&str> {
        let jobs = self.jobs().map(|(_, job)| &job["uses"]);
        let steps = self.steps().into_iter().map(|step| &step["uses"]);
        jobs.chain(steps).filter_map(Value::as_str).collect()
    }
}
