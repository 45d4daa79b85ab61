//! What the services get of the shell that `cargo dev up` is called in.

use std::{collections::BTreeMap, fs};

use crate::system::Servers;

/// What a company's laptop has; nobody listens on port 1.
const PROXY: &str = "http://127.0.0.1:1";

#[test]
fn a_system_behind_a_proxy_is_started_and_walked_through() {
    let servers = Servers::start();
    let mut system = servers.system();
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"] {
        system = system.with(name, PROXY);
    }
    system.succeeds(&["up", "--detach"]);
    system.succeeds(&["smoke", "--all"]);
    system.succeeds(&["down"]);
    system.is_down();
}

#[test]
fn a_service_gets_what_its_settings_read_and_nothing_else_of_the_shell() {
    let servers = Servers::start();
    let system = servers
        .system()
        .with("CARGO_PKG_NAME", "dev")
        .with("RUSTUP_TOOLCHAIN", "a-toolchain")
        .with("RUST_RECURSION_COUNT", "1")
        .with("LD_LIBRARY_PATH", "/a/toolchain/lib")
        .with("HTTP_PROXY", PROXY)
        .with("A_TOKEN_OF_THE_USER", "not for services")
        .with("TZ", "Europe/Vienna")
        // A setting of all services.
        .with("LOG_FILTER", "debug");
    system.succeeds(&["up", "--detach"]);
    let pids = system.pids();
    for pid in pids {
        let variables = environment(pid);
        for name in ["PATH", "HOME", "TZ", "PORT"] {
            assert!(variables.contains_key(name), "{name} of {pid} is not in {variables:?}");
        }
        for name in variables.keys() {
            let of_cargo =
                ["CARGO", "RUSTUP_", "RUST_RECURSION", "LD_", "DEV_", "TEST_", "NEXTEST"];
            let is_foreign = of_cargo.iter().any(|prefix| name.starts_with(prefix))
                || name.to_lowercase().ends_with("_proxy")
                || name == "A_TOKEN_OF_THE_USER";
            assert!(!is_foreign, "{name}={}", variables[name]);
        }
    }
    // The simulator has no settings.
    assert!(pids[..3].iter().all(|pid| environment(*pid)["LOG_FILTER"] == "debug"));
    // Nor do servers get what is not theirs; these were started for the system.
    system.succeeds(&["down"]);
    system.is_down();
}

/// The environment that a process was started with.
fn environment(pid: u64) -> BTreeMap<String, String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
