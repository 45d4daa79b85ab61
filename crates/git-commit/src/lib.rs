//! The commit that a binary is built of, as a literal in its source.
//!
//! A macro, and no build script: a build script that runs again makes cargo build its whole package
//! anew, the service's library included. What this macro reads belongs to the one file that calls
//! it, a binary's `main.rs`, so that a commit costs the binary's last step and nothing else.

use std::path::PathBuf;
use std::process::Command;

use proc_macro::TokenStream;

/// What git writes to when another commit is checked out or made; cargo watches them.
const WATCHED: [&str; 2] = ["HEAD", "logs/HEAD"];

/// The full id of the commit as a `&'static str`: the variable `REVISION` of the build where it is
/// set, as in the Dockerfile, else git's `HEAD`, else `unknown`.
///
/// It is the commit that was checked out: changes beside it are not told.
#[proc_macro]
pub fn commit(_: TokenStream) -> TokenStream {
    let head = git(&["rev-parse", "--verify", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let watched = WATCHED.iter().filter_map(|name| git(&["rev-parse", "--git-path", name]));
    let watched: String = watched
        .filter_map(|path| folder().join(path).canonicalize().ok())
        .map(|path| format!("const _: &[u8] = include_bytes!({path:?});"))
        .collect();
    let code = format!(
        "{{ {watched} match option_env!(\"REVISION\") {{ \
             Some(revision) if !revision.is_empty() => revision, _ => {head:?} }} }}"
    );
    code.parse().expect("a block, literals and a match are Rust")
}

/// What git says in the folder of the package that is built; none without git or a repository.
fn git(words: &[&str]) -> Option<String> {
    // A hook of another repository, which sets these, may run the build.
    let mut git = Command::new("git");
    git.current_dir(folder()).env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").args(words);
    let output = git.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

#[expect(clippy::disallowed_methods, reason = "cargo tells it to what it starts, by this name")]
fn folder() -> PathBuf {
    std::env::var("CARGO_MANIFEST_DIR").map_or_else(|_| PathBuf::from("."), PathBuf::from)
}
