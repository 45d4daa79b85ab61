//! The ports of a system: the same after `down` and `up`, and said when they are not the usual ones.

use std::net::TcpListener;

use crate::system::{Servers, System};

const SERVICES: [&str; 3] = ["user-service", "payment-service", "notification-service"];

#[test]
fn ports_stay_over_down_and_up_and_give_way_only_to_who_holds_them() {
    let servers = Servers::start();
    let system = servers.system();
    let usual = system.usual_ports;
    let held = TcpListener::bind(("127.0.0.1", usual[0])).unwrap();

    let said = system.succeeds(&["up", "--detach"]);
    let first = ports(&system);
    assert_ne!(first[0], usual[0]);
    assert_eq!(first[1..], usual[1..]);
    let why = format!(
        "user-service is on {}, because {}, its usual port, is held by process {} (",
        first[0],
        usual[0],
        std::process::id()
    );
    assert!(said.contains(&why), "{said}");
    assert!(!said.contains("payment-service is on"), "{said}");

    system.succeeds(&["down"]);
    drop(held);
    let said = system.succeeds(&["up", "--detach"]);
    assert_eq!(ports(&system), first, "a page that is open in a browser still works");
    let free = format!("user-service is on {} as before; {}, its usual port", first[0], usual[0]);
    assert!(said.contains(&free), "{said}");

    system.succeeds(&["down"]);
    let held = TcpListener::bind(("127.0.0.1", first[0])).unwrap();
    let said = system.succeeds(&["up", "--detach"]);
    let moved = ports(&system);
    assert_eq!(moved, usual, "the usual one is free again");
    let told = format!(
        "user-service moves from {} to {}, because {} is held by process {} (",
        first[0],
        moved[0],
        first[0],
        std::process::id()
    );
    assert!(said.contains(&told), "{said}");
    drop(held);
    system.succeeds(&["down"]);
    system.is_down();
}

fn ports(system: &System) -> [u16; 3] {
    let status = system.status();
    SERVICES.map(|name| {
        let line = status.iter().find(|line| line["name"] == name).unwrap();
        line["url"].as_str().unwrap().rsplit_once(':').unwrap().1.parse().unwrap()
    })
}
