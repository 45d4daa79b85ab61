//! What is made compiles, passes its lints and tests, and works together with the others, in a
//! workspace that has a name of its own.

use crate::workspace::Workspace;

/// Services of different options, one whose name says nothing of its thing.
const THREE: [(&str, &[&str]); 3] = [
    ("kites", &[]),
    ("kite-tails", &["--events", "user,payment"]),
    ("foxes", &["--aggregate", "x-ray-image", "--events", "payment"]),
];
const POLICY: [&str; 5] = ["test", "--", "-p", "e2e", "policy"];

#[test]
#[ignore = "takes a quarter of an hour; the job `template` runs it"]
fn services_of_all_options_are_green_alone_and_together() {
    let workspace = Workspace::compiled();
    workspace.succeeds("", &["rename", "acme-shop"]);
    workspace.commit();
    for (name, more) in THREE {
        workspace.runs(&[&["new-service", name, "--offline"], more].concat());
    }
    run_together(&workspace);
    workspace.runs(&POLICY);
    refuse_a_route_without_a_line(&workspace);
    // All that the workspace is held to, with the three.
    workspace.runs(&["check"]);
    for (name, _) in THREE {
        workspace.succeeds("", &["remove-service", name, "--offline"]);
    }
    assert_eq!(workspace.status(), "");
}

/// With the real ones, as processes of this machine: each makes what its document shows.
fn run_together(workspace: &Workspace) {
    struct Up<'a>(&'a Workspace);
    impl Drop for Up<'_> {
        fn drop(&mut self) {
            let _nothing_more_can_be_done = self.0.dev("", &["down"]).status();
        }
    }
    let _up = Up(workspace);
    workspace.runs(&["up", "--detach"]);
    let told = workspace.succeeds("", &["smoke"]);
    for (name, _) in THREE {
        let step = format!("ok   {name}-service does what its document shows");
        let line = told.lines().find(|line| line.starts_with(&step));
        assert!(line.is_some_and(|line| line.contains(&format!("/api/{name}/"))), "{told}");
    }
}

/// Who is let in is asserted for each route of theirs, too.
fn refuse_a_route_without_a_line(workspace: &Workspace) {
    let golden = workspace.text("e2e/golden/policy.txt");
    let line = "kites-service GET /api/kites/{id} <- user\n";
    assert!(golden.contains(line), "{golden}");
    workspace.write("e2e/golden/policy.txt", &golden.replace(line, ""));
    workspace.fails("", &POLICY);
    workspace.write("e2e/golden/policy.txt", &golden);
}
