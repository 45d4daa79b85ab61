//! What the build needs beyond what this tool itself was built with, and what some commands would like to have.

use std::path::Path;

use testkit::native::find::on_path;

use super::{Finding, version_of};

const PACKAGES: &str =
    "sudo apt-get install build-essential pkg-config git (or your system's packages of these)";

pub(super) fn examine(root: &Path) -> Vec<Finding> {
    let mut findings = vec![components(root), make(root), git(root)];
    findings.extend(
        OPTIONAL.iter().map(|(program, what_for, how)| optional(program, what_for, how, root)),
    );
    findings
}

fn components(root: &Path) -> Finding {
    let missing: Vec<&str> = [("cargo-clippy", "clippy"), ("rustfmt", "rustfmt")]
        .into_iter()
        .filter(|(program, _)| version_of(program, root).is_none())
        .map(|(_, component)| component)
        .collect();
    if missing.is_empty() {
        return Finding::ok("components", "clippy, rustfmt");
    }
    let what = format!("missing: {}; `cargo dev check` needs them", missing.join(", "));
    Finding::warn("components", what, format!("rustup component add {}", missing.join(" ")))
}

/// jemalloc, in every service, is built by it.
fn make(root: &Path) -> Finding {
    ["make", "gmake"].iter().find_map(|name| version_of(name, root)).map_or_else(
        || Finding::fault("make", "it is not there, and no service is built without", PACKAGES),
        |version| Finding::ok("make", version),
    )
}

fn git(root: &Path) -> Finding {
    version_of("git", root).map_or_else(
        || Finding::warn("git", "it is not there: binaries do not know their commit", PACKAGES),
        |version| Finding::ok("git", version),
    )
}

/// Programs, what they are for, and where they come from.
const OPTIONAL: [(&str, &str, &str); 5] = [
    ("cargo-nextest", "faster runs of `cargo dev test`", "cargo install cargo-nextest --locked"),
    ("cargo-deny", "the licences in `cargo dev check`", "cargo install cargo-deny --locked"),
    ("gdb", "`cargo dev run SERVICE --debugger gdb`", "sudo apt-get install gdb"),
    ("lldb", "`cargo dev run SERVICE --debugger lldb`", "sudo apt-get install lldb"),
    (
        "docker",
        "`docker compose up` and `cargo dev rehearse`",
        "https://docs.docker.com/engine/install",
    ),
];

/// That one of these is not there is no reason to worry.
fn optional(program: &'static str, what_for: &str, how: &str, root: &Path) -> Finding {
    match on_path(program).and_then(|path| version_of(path, root)) {
        Some(version) => Finding::ok(program, version),
        None => Finding {
            mend: Some(how.to_owned()),
            ..Finding::ok(program, format!("not there; it is for {what_for}"))
        },
    }
}
