//! A copy of this workspace as it is now, under version control of its own.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

/// Services of different options: what they are called, and the options. A workspace that was made of
/// this one has services of its own, which are hardly called so.
pub(crate) const THREE: [(&str, &[&str]); 3] = [
    ("lanterns", &[]),
    ("lantern-wicks", &["--events", "payment"]),
    ("candles", &["--events", "user,payment"]),
];

/// What gives the project's name.
const NAMED: &str = "k8s/overlays/production/kustomization.yaml";
/// Where the language of the settings is called by its name, which the template's is too.
const LANGUAGE: [&str; 3] =
    [".cargo/config.toml", "dev/src/check.rs", "dev/src/template/rename.rs"];

pub(crate) struct Workspace {
    root: PathBuf,
    /// Where it is compiled, when it is.
    target: Option<PathBuf>,
    _folder: Option<TempDir>,
}

/// This workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

impl Workspace {
    /// With everything that is, or would be, under version control.
    pub(crate) fn copy() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { root: folder.path().to_owned(), target: None, _folder: Some(folder) }.filled()
    }

    /// The same in a place that stays, to be compiled with its own tool, as its owner would. Cargo
    /// cannot tell its packages from ours: they are compiled elsewhere.
    pub(crate) fn compiled() -> Self {
        let folder = root().join("target/template");
        let root = folder.join("workspace");
        let target = folder.join("target");
        if root.exists() {
            fs::remove_dir_all(&root).unwrap();
        }
        Self { root, target: Some(target), _folder: None }.filled()
    }

    fn filled(self) -> Self {
        let mut list = Command::new("git");
        list.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
        let listed = String::from_utf8(succeeds(list.current_dir(root())).stdout).unwrap();
        for path in listed.split('\0').filter(|path| root().join(path).is_file()) {
            let file = self.path(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::copy(root().join(path), file).unwrap();
        }
        self.git(&["init", "--quiet"]);
        self.commit();
        self
    }

    pub(crate) fn commit(&self) {
        self.git(&["add", "--all"]);
        let author = ["-c", "user.name=test", "-c", "user.email=test@example.com"];
        self.git(
            &[&author[..], &["commit", "--quiet", "--allow-empty", "--message", "test"]].concat(),
        );
    }

    /// What was changed since the last commit.
    pub(crate) fn status(&self) -> String {
        self.git(&["status", "--porcelain"])
    }

    /// Nothing differs from the first commit.
    pub(crate) fn is_as_at_first(&self) {
        self.commit();
        let first = self.git(&["rev-list", "--max-parents=0", "HEAD"]);
        assert_eq!(self.git(&["diff", "--stat", first.trim(), "HEAD"]), "");
    }

    /// What the project is called.
    pub(crate) fn project(&self) -> String {
        let named = self.text(NAMED);
        named.lines().find_map(|line| line.strip_prefix("namespace: ")).unwrap().to_owned()
    }

    /// The lines that have a project's name in them, but for what the language and the licence say.
    pub(crate) fn words_with(&self, project: &str) -> Vec<String> {
        let kept = LANGUAGE.iter().chain(&["LICENSE", "crates/tusk-config"]);
        let kept: Vec<String> = kept.map(|path| format!(":!{path}")).collect();
        let kept: Vec<&str> = kept.iter().map(String::as_str).collect();
        // An empty pattern beside it: that nothing is found is no failure.
        let grep = ["grep", "-I", "-i", "-e", project, "-e", "namespace: ", "--", "."];
        let found = self.git(&[&grep[..], &kept].concat());
        let language = ["tusk-config", "tusk_config", "tusklang", "cargo tusk"];
        let lines = found.lines().filter(|line| {
            let line =
                language.iter().fold(line.to_lowercase(), |line, word| line.replace(word, ""));
            line.contains(project)
        });
        lines.map(str::to_owned).collect()
    }

    /// The comments of Rust that have this name in their prose.
    pub(crate) fn comments_with(&self, name: &str) -> Vec<String> {
        let found = self.git(&["grep", "-h", "-e", name, "-e", "^pub ", "--", "*.rs"]);
        let prose = |line: &str| line.split('`').step_by(2).collect::<String>();
        let is_said = |line: &&str| line.starts_with("//") && prose(line).contains(name);
        found.lines().map(str::trim).filter(is_said).map(str::to_owned).collect()
    }

    /// Every file of Rust is as `cargo fmt` writes it.
    pub(crate) fn is_formatted(&self) {
        succeeds(cargo().args(["fmt", "--all", "--check"]).current_dir(self.path("")));
    }

    fn git(&self, words: &[&str]) -> String {
        let mut git = Command::new("git");
        let output = succeeds(git.args(words).current_dir(self.path("")));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn path(&self, inner: &str) -> PathBuf {
        self.root.join(inner)
    }

    pub(crate) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    pub(crate) fn append(&self, path: &str, more: &str) {
        self.write(path, &(self.text(path) + more));
        self.commit();
    }

    pub(crate) fn make_three(&self) {
        for (name, more) in THREE {
            self.succeeds("", &[&["new-service", name, "--quick", "--offline"], more].concat());
        }
    }

    /// What cargo says of the packages.
    pub(crate) fn metadata(&self) -> String {
        let mut metadata = cargo();
        metadata.args(["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"]);
        String::from_utf8(succeeds(metadata.current_dir(self.path(""))).stdout).unwrap()
    }

    /// Runs `cargo dev` in a folder of the copy; gives what it printed.
    pub(crate) fn succeeds(&self, folder: &str, words: &[&str]) -> String {
        String::from_utf8(succeeds(&mut self.dev(folder, words)).stdout).unwrap()
    }

    /// The same for what takes long: it prints where we do.
    pub(crate) fn runs(&self, words: &[&str]) {
        let status = self.dev("", words).status().unwrap();
        assert!(status.success(), "{words:?} failed; see {}", self.path("").display());
    }

    /// The same for what has to fail; gives the error.
    pub(crate) fn fails(&self, folder: &str, words: &[&str]) -> String {
        let output = self.dev(folder, words).output().unwrap();
        assert!(!output.status.success(), "{words:?} did not fail");
        String::from_utf8(output.stderr).unwrap()
    }

    pub(crate) fn dev(&self, folder: &str, words: &[&str]) -> Command {
        let mut dev = Command::new(env!("CARGO_BIN_EXE_dev"));
        if let Some(target) = &self.target {
            dev = cargo();
            dev.args(["run", "--quiet", "--package", "dev", "--"]).env("CARGO_TARGET_DIR", target);
        }
        dev.args(words).current_dir(self.path(folder));
        dev
    }
}

pub(crate) fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}:\n{printed}\n{errors}");
    output
}
