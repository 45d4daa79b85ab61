//! The servers of `cargo dev test`, when a run of it is killed.

use crate::system::System;

#[test]
fn a_killed_run_of_the_tests_leaves_nothing_to_the_next() {
    // The broker takes longest to start: it is the one that all tests share.
    let system = System::new().with("TEST_POSTGRES_URL", "").with("TEST_REDIS_URL", "");
    let words = ["test", "--no-install", "--", "--package", "dev"];
    for program in ["redis-server", "postgres"] {
        let mut run = system.start(&words);
        system.until(program, || system.count(program) > 0);
        run.kill();
        // Those that help a server may outlive it for a moment.
        system.until("at most one of each is left", || {
            system.count("redis-server") <= 1 && system.count("postgres") <= 1
        });
    }
    system.succeeds(&words);
    system.until("everything has ended", || system.workers().is_empty());
}
