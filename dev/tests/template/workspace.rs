//! A copy of this workspace as it is now, under version control of its own.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

/// Services of different options: what they are called, and the options.
pub(crate) const THREE: [(&str, &[&str]); 3] = [
    ("orders", &[]),
    ("order-items", &["--events", "payment"]),
    ("baskets", &["--events", "user,payment"]),
];

pub(crate) struct Workspace(TempDir);

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
        let copy = tempfile::tempdir().unwrap();
        let mut list = Command::new("git");
        list.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
        let listed = String::from_utf8(succeeds(list.current_dir(root())).stdout).unwrap();
        for path in listed.split('\0').filter(|path| root().join(path).is_file()) {
            let file = copy.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::copy(root().join(path), file).unwrap();
        }
        let workspace = Self(copy);
        workspace.git(&["init", "--quiet"]);
        workspace.commit();
        workspace
    }

    pub(crate) fn commit(&self) {
        self.git(&["add", "--all"]);
        let author = ["-c", "user.name=test", "-c", "user.email=test@example.com"];
        self.git(&[&author[..], &["commit", "--quiet", "--message", "test"]].concat());
    }

    /// What was changed since the last commit.
    pub(crate) fn status(&self) -> String {
        self.git(&["status", "--porcelain"])
    }

    fn git(&self, words: &[&str]) -> String {
        let mut git = Command::new("git");
        let output = succeeds(git.args(words).current_dir(self.path("")));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn path(&self, inner: &str) -> PathBuf {
        self.0.path().join(inner)
    }

    pub(crate) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn append(&self, path: &str, more: &str) {
        fs::write(self.path(path), self.text(path) + more).unwrap();
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

    /// The same for what has to fail; gives the error.
    pub(crate) fn fails(&self, folder: &str, words: &[&str]) -> String {
        let output = self.dev(folder, words).output().unwrap();
        assert!(!output.status.success(), "{words:?} did not fail");
        String::from_utf8(output.stderr).unwrap()
    }

    fn dev(&self, folder: &str, words: &[&str]) -> Command {
        let mut dev = Command::new(env!("CARGO_BIN_EXE_dev"));
        dev.args(words).current_dir(self.path(folder));
        // What is compiled already is not compiled again.
        let target = env::var_os("CARGO_TARGET_DIR");
        dev.env("CARGO_TARGET_DIR", target.unwrap_or_else(|| root().join("target").into()));
        dev
    }
}

fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let (printed, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}:\n{printed}\n{errors}");
    output
}
