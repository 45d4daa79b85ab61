//! A PostgreSQL that two systems are told to use.

use crate::system::Servers;

#[test]
fn a_role_that_another_system_has_made_keeps_its_password() {
    let servers = Servers::start();
    let first = servers.system();
    first.succeeds(&["up", "--detach"]);

    let second = servers.system();
    let output = second.output(&["up", "--detach"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(error.contains("has a role user_service that this workspace has not made"), "{error}");
    second.is_down();

    // Services of the first can still sign in, which they do anew at a start.
    first.succeeds(&["down"]);
    first.succeeds(&["up", "--detach"]);
    first.succeeds(&["smoke"]);
    first.succeeds(&["down"]);

    // What the error says to do hands it over.
    for role in ["user_service", "payment_service", "notification_service"] {
        let output = second.output(&["up", "--detach"]);
        let error = String::from_utf8(output.stderr).unwrap();
        let (_, statement) = error.rsplit_once("statement: ").unwrap();
        assert!(statement.starts_with(&format!("comment on role {role} is ")), "{error}");
        servers.query(statement);
    }
    second.succeeds(&["up", "--detach"]);
    second.succeeds(&["down"]);
    second.is_down();
}
