//! The files that the rules read.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// Files under the workspace's root, by their paths from there.
#[derive(Clone)]
pub(crate) struct Repository {
    files: BTreeMap<String, String>,
}

/// A workflow or a composite action.
pub(crate) struct Document<'a> {
    /// Its path in `.github`.
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
    pub(crate) yaml: Value,
}

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

impl Repository {
    /// As it is checked out.
    pub(crate) fn load() -> Self {
        let root = root();
        let mut files = BTreeMap::new();
        read(&root, &root.join(".github"), &mut files);
        read(&root, &root.join("k8s/overlays"), &mut files);
        for name in [".ci/run", "docker-bake.hcl"] {
            files.insert(name.to_owned(), fs::read_to_string(root.join(name)).unwrap());
        }
        Self { files }
    }

    /// A copy in which one piece of one file, which has to be there, is another.
    pub(crate) fn with(&self, file: &str, piece: &str, other: &str) -> Self {
        let mut copy = self.clone();
        let text = copy.files.get_mut(file).unwrap();
        assert!(text.contains(piece), "{file} has no {piece:?}");
        *text = text.replacen(piece, other, 1);
        copy
    }

    pub(crate) fn text(&self, file: &str) -> &str {
        &self.files[file]
    }

    pub(crate) fn yaml(&self, file: &str) -> Value {
        serde_saphyr::from_str(self.text(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    pub(crate) fn workflows(&self) -> Vec<Document<'_>> {
        self.documents().into_iter().filter(|document| !document.yaml["jobs"].is_null()).collect()
    }

    /// Workflows and composite actions.
    pub(crate) fn documents(&self) -> Vec<Document<'_>> {
        let folders = [".github/workflows/", ".github/actions/"];
        let files = self.files.iter();
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
        let scripts = self.files.iter().filter(|(name, _)| is_script(name));
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

fn read(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.insert(name, fs::read_to_string(path).unwrap());
        }
    }
}
