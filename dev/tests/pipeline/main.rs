//! What the workflows of `.github` are held to. `cargo dev check` runs this by itself.
//!
//! Each rule reads the whole repository and gives its complaints. `violations` plants one violation
//! of each into the real files, so that no rule is there that cannot fail.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod deploy;
mod repository;
mod rules;
#[path = "../shared/texts.rs"]
mod texts;
mod violations;

use repository::Repository;

#[test]
fn the_workflows_keep_every_rule() {
    let complaints = rules::complaints(&Repository::load());
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
