//! Ports that somebody takes between their choice and the start of the process that is to have them.

use std::net::TcpListener;

use testkit::native::port;

use crate::system::{Servers, System};

#[test]
fn a_broker_whose_port_is_taken_while_it_starts_comes_up_on_another() {
    let system = System::new();
    let wanted = port::free(None);
    system.had_ports(&[("rabbitmq", wanted)]);

    let mut up = system.start(&["up", "--detach"]);
    // Its port mapper runs: the ports are chosen, and the broker takes seconds to listen.
    system.until("the broker starts", || system.count("epmd") > 0);
    let held = TcpListener::bind(("127.0.0.1", wanted)).unwrap();
    assert!(up.wait(), "{}", system.said());
    let moved = format!("because {wanted} is held by process {} (", std::process::id());
    assert!(system.said().contains(&moved), "{}", system.said());
    system.succeeds(&["smoke"]);
    assert_eq!(system.count("beam.smp"), 1);
    drop(held);
    system.succeeds(&["down"]);
    system.is_down();
}

#[test]
fn a_service_whose_port_is_taken_while_it_starts_comes_up_on_another() {
    let servers = Servers::start();
    let system = servers.system();
    let wanted = port::free(None);
    system.had_ports(&[("payment-service", wanted)]);

    let mut up = system.start(&["up", "--detach"]);
    // The ports are chosen by then, and services migrate their databases before they listen.
    system.until("the first process", || system.count("payment-simulat") > 0);
    let held = TcpListener::bind(("127.0.0.1", wanted)).unwrap();
    assert!(up.wait(), "{}", system.said());
    let said = system.said();
    assert!(said.contains(&format!("cannot listen on 127.0.0.1:{wanted}")), "{said}");
    assert!(said.contains(&format!("payment-service moves from {wanted} to ")), "{said}");
    system.succeeds(&["status"]);
    drop(held);
    system.succeeds(&["down"]);
    system.is_down();
}
