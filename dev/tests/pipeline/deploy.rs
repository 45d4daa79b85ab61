//! `.github/scripts/deploy.sh`, on a fake of kubectl: a cluster is not to be had here. It keeps
//! a revision for each deployment, and notes what it was asked.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use crate::texts::root;

/// Deployments with their revisions; what is applied changes payment-service.
struct Cluster(tempfile::TempDir);

impl Cluster {
    fn new(revisions: &[(&str, u32)], broken: &str) -> Self {
        let cluster = Self(tempfile::tempdir().unwrap());
        for folder in ["revisions", "overlays/production"] {
            fs::create_dir_all(cluster.path().join(folder)).unwrap();
        }
        for (name, revision) in revisions {
            cluster.write(&format!("revisions/{name}"), &format!("{revision}\n"));
        }
        cluster.write("overlay", "user-service\npayment-service\n");
        cluster.write("changes", "payment-service\n");
        cluster.write("broken", broken);
        cluster.write(
            "images",
            "user-service ghcr.io/o/r/user-service@sha256:aa\n\
             payment-service ghcr.io/o/r/payment-service@sha256:bb\n",
        );
        cluster
    }

    #[allow(clippy::disallowed_methods, reason = "the fake goes before the programs there are")]
    fn deploy(&self, check: &[&str]) -> Output {
        let path = std::env::var("PATH").unwrap();
        let fake = root().join("dev/tests/pipeline/fake");
        Command::new("bash")
            .arg(root().join(".github/scripts/deploy.sh"))
            .arg(self.path().join("overlays/production"))
            .arg("shop")
            .arg(self.path().join("images"))
            .args(check)
            .env("PATH", format!("{}:{path}", fake.display()))
            .env("CLUSTER", self.path())
            .output()
            .unwrap()
    }

    /// What kubectl was asked that begins with these words.
    fn asked(&self, words: &str) -> Vec<String> {
        let log = self.read("log");
        log.lines().filter(|line| line.starts_with(words)).map(str::to_owned).collect()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

const BOTH: [(&str, u32); 2] = [("user-service", 4), ("payment-service", 7)];
const BACK: &str = "rollout undo deployment/payment-service --to-revision=7";

#[test]
fn digests_are_laid_over_the_overlay_and_each_rollout_is_awaited() {
    let cluster = Cluster::new(&BOTH, "");
    let output = cluster.deploy(&["true"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        cluster.read("applied"),
        "# namespace: shop\n\
         # resources: [../production]\n\
         # images:\n\
         #   - { name: user-service, newName: ghcr.io/o/r/user-service, digest: sha256:aa }\n\
         #   - { name: payment-service, newName: ghcr.io/o/r/payment-service, digest: sha256:bb }\n\
         image: ghcr.io/o/r/user-service@sha256:aa\n\
         image: ghcr.io/o/r/payment-service@sha256:bb\n"
    );
    assert_eq!(cluster.asked("rollout status").len(), 2);
    assert!(cluster.asked("rollout undo").is_empty());
    assert_eq!(fs::read_dir(cluster.path().join("overlays")).unwrap().count(), 1);
}

#[test]
fn a_rollout_that_does_not_end_is_taken_back_and_only_what_changed() {
    let cluster = Cluster::new(&BOTH, "payment-service\n");
    let output = cluster.deploy(&["true"]);
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(cluster.asked("rollout undo"), [BACK]);
    let log = cluster.read("log");
    let (_, after) = log.split_once(BACK).unwrap();
    assert!(after.contains("rollout status deployment/payment-service"), "{log}");
}

#[test]
fn a_check_that_fails_takes_it_back() {
    let cluster = Cluster::new(&BOTH, "");
    let output = cluster.deploy(&["bash", "-c", "exit 3"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_eq!(cluster.asked("rollout undo"), [BACK]);
}

#[test]
fn a_first_deployment_that_fails_stays_for_a_look() {
    let cluster = Cluster::new(&[("user-service", 4)], "payment-service\n");
    let output = cluster.deploy(&["true"]);
    assert!(!output.status.success(), "{output:?}");
    assert!(cluster.asked("rollout undo").is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("was not there before"));
}

#[test]
fn an_overlay_that_calls_an_image_otherwise_is_refused_before_anything_changes() {
    let cluster = Cluster::new(&BOTH, "");
    cluster.write("overlay", "user-service\n");
    let output = cluster.deploy(&["true"]);
    assert!(!output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no image \"payment-service\""));
    assert!(cluster.asked("apply").is_empty());
    assert!(cluster.asked("rollout").is_empty());
}
