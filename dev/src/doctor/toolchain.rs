//! What the build needs, and what some commands would like to have.

use std::{env, fs, path::Path};

use testkit::native::find::on_path;

use super::{Finding, version_of};

const PACKAGES: &str =
    "sudo apt-get install build-essential pkg-config git (or your system's packages of these)";

pub(super) fn examine(root: &Path) -> Vec<Finding> {
    let mut findings = vec![rustc(root), components(root)];
    findings.push(program("C compiler", &["cc", "gcc", "clang"], root));
    findings.push(program("linker", &["ld", "ld.lld", "lld", "mold"], root));
    findings.push(program("make", &["make", "gmake"], root));
    findings.push(git(root));
    findings.extend(
        OPTIONAL.iter().map(|(program, what_for, how)| optional(program, what_for, how, root)),
    );
    findings
}

/// The toolchain that rust-toolchain.toml asks for.
fn wanted(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join("rust-toolchain.toml")).ok()?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("channel"))?;
    Some(line.trim_start_matches([' ', '=']).trim().trim_matches('"').to_owned())
}

fn rustc(root: &Path) -> Finding {
    let wanted = wanted(root);
    let install = format!("rustup toolchain install {}", wanted.as_deref().unwrap_or("stable"));
    let Some(version) = version_of(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()), root)
    else {
        let how = format!("{install} (https://rustup.rs)");
        return Finding::fault(
            "rustc",
            "it is not there, or the toolchain that is asked for is not",
            how,
        );
    };
    match wanted {
        None => Finding::warn(
            "rustc",
            format!("{version}; rust-toolchain.toml is not there"),
            "git restore rust-toolchain.toml",
        ),
        Some(wanted) if version.contains(&format!(" {wanted}")) => Finding::ok("rustc", version),
        Some(wanted) => Finding::warn(
            "rustc",
            format!("{version}; rust-toolchain.toml asks for {wanted}"),
            install,
        ),
    }
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

fn program(check: &'static str, names: &[&str], root: &Path) -> Finding {
    let found = names.iter().find_map(|name| version_of(name, root));
    found.map_or_else(
        || Finding::fault(check, format!("none of {} runs", names.join(", ")), PACKAGES),
        |version| Finding::ok(check, version),
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn another_toolchain_than_the_one_asked_for_is_reported_with_the_line_that_installs_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rust-toolchain.toml");
        fs::write(&file, "[toolchain]\nchannel = \"1.2.3\"\n").unwrap();
        assert_eq!(wanted(folder.path()).as_deref(), Some("1.2.3"));
        let finding = rustc(folder.path());
        assert_eq!(
            finding.mend.as_deref().map(|line| line.contains("rustup toolchain install 1.2.3")),
            Some(true)
        );
    }
}
