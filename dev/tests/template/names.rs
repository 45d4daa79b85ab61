//! Names that cannot be.

use crate::workspace::Workspace;

#[test]
fn a_name_that_cannot_be_says_why_and_changes_nothing() {
    let workspace = Workspace::copy();
    for (words, expected) in [
        (vec!["Lanterns"], "such as `lanterns`"),
        (vec!["users"], "another service publishes events of `user`"),
        (vec!["user"], "was not made of the template"),
        (vec!["telemetry"], "`telemetry` is the name of crates/telemetry"),
        (vec!["tests"], "cannot name a value in Rust"),
        (vec!["lanterns", "--aggregate", "store"], "the template itself has"),
        (vec!["a-very-long-name-for-a-service-that-nobody-types"], "Kubernetes takes 63"),
        (vec!["lanterns", "--events", "lanterns"], "invalid value 'lanterns'"),
    ] {
        let words = [vec!["new-service"], words].concat();
        let error = workspace.fails("", &words);
        assert!(error.contains(expected), "{words:?}: {error}");
    }
    let error = workspace.fails("", &["remove-service", "payment"]);
    assert!(error.contains("is no service that"), "{error}");
    assert_eq!(workspace.status(), "");
}
