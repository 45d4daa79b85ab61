//! Several systems in one checkout.

use std::collections::BTreeSet;

use crate::system::{Running, System};

#[test]
fn two_namespaces_and_the_system_without_one_run_at_the_same_time() {
    let system = System::new();
    let names = ["a", "a-name-of-thirty-two-characters-"];
    let of = |name: Option<&'static str>, word: &'static str| match name {
        Some(name) => vec!["--namespace", name, word],
        None => vec![word],
    };
    let all = [None, Some(names[0]), Some(names[1])];

    // All at once: none waits for another, and none takes what another has.
    let mut ups = all.map(|name| system.start(&[of(name, "up"), vec!["--detach"]].concat()));
    let outcomes = ups.each_mut().map(Running::wait);
    assert_eq!(outcomes, [true; 3], "{}", system.said());
    for program in ["redis-server", "beam.smp", "epmd", "user-service"] {
        assert_eq!(system.count(program), 3, "{program}");
    }

    let mut seen = BTreeSet::new();
    for name in all {
        system.succeeds(&of(name, "smoke"));
        let printed = system.succeeds(&[of(name, "status"), vec!["--json"]].concat());
        let lines: Vec<serde_json::Value> = serde_json::from_str(&printed).unwrap();
        for line in lines.iter().filter(|line| line["url"] != "") {
            assert!(seen.insert(line["url"].to_string()), "{line} is another's, too");
        }
        let shown = system.succeeds(&of(name, "status"));
        for other in all.into_iter().filter(|other| *other != name) {
            let line = match other {
                Some(other) => format!("namespace {other} is up, too"),
                None => "the system without a namespace is up, too".to_owned(),
            };
            assert!(shown.contains(&line), "{shown}");
        }
        // Its own mails, and secrets of its own.
        let folder = name.map_or(".dev".to_owned(), |name| format!(".dev/namespaces/{name}"));
        let mails = std::fs::read_dir(system.path(&folder).join("mail")).unwrap().count();
        assert!(mails > 0, "{folder}");
        let secrets = std::fs::read_to_string(system.path(&folder).join("secrets.json")).unwrap();
        assert!(seen.insert(secrets), "two systems have the same secrets");
    }

    // One ends while another is asked to come up: they do not meet.
    let mut both = [
        system.start(&of(all[1], "down")),
        system.start(&[of(all[2], "up"), vec!["--detach"]].concat()),
    ];
    assert_eq!(both.each_mut().map(Running::wait), [true; 2], "{}", system.said());
    assert_eq!(system.count("beam.smp"), 2);
    let system = system.with("DEV_NAMESPACE", names[1]);
    system.succeeds(&["status"]);
    system.succeeds(&["down"]);
    assert_eq!(system.count("beam.smp"), 1);
    let system = system.with("DEV_NAMESPACE", "");
    system.succeeds(&["down"]);
    system.is_down();
}

#[test]
fn a_namespace_that_is_no_name_is_refused() {
    let system = System::new();
    for name in ["../a", "", "A", "a b"] {
        let output = system.output(&["--namespace", name, "status"]);
        assert_eq!(output.status.code(), Some(2), "{name}");
    }
    let system = system.with("DEV_NAMESPACE", "a/b");
    let output = system.output(&["status"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("DEV_NAMESPACE"), "{error}");
    assert!(!system.path(".dev/namespaces").exists() && !system.path(".dev/run").exists());
}
