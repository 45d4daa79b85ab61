//! What is made compiles, passes its lints, and its tests on real servers.

use crate::workspace::{THREE, Workspace};

#[test]
#[ignore = "takes minutes; the job `template` runs it"]
fn services_of_all_options_are_green() {
    let workspace = Workspace::copy();
    for (name, more) in THREE {
        let words = [&["new-service", name, "--offline"], more].concat();
        workspace.succeeds("", &words);
    }
    for (name, _) in THREE {
        workspace.succeeds("", &["remove-service", name, "--offline"]);
    }
    assert_eq!(workspace.status(), "");
}
