//! Any bytes as a file, read as typed settings and as a tree: an answer, never a panic, and no value
//! of a secret in it.
#![no_main]

use std::collections::BTreeMap;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use tusk_config::{ByteSize, HttpRequest, Loader, Secret, Vars};

#[derive(Deserialize)]
#[allow(dead_code)]
struct Settings {
    #[serde(default)]
    a: BTreeMap<String, Item>,
    #[serde(flatten)]
    flat: Flat,
    #[serde(rename = "service:*")]
    services: BTreeMap<String, Item>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Flat {
    key: Option<Secret>,
    timeout: Option<Duration>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Item {
    port: Option<u16>,
    size: Option<ByteSize>,
    request: Option<HttpRequest>,
    #[serde(default)]
    list: Vec<f64>,
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let vars = Vars::of([("X", "5"), ("KEY", "hunter2hunter2")]);
    let loader = Loader::new("config").text("a.tsk", &text).vars(vars);
    if let Err(errors) = loader.clone().load::<Settings>() {
        let shown = errors.to_string();
        assert!(!shown.contains("hunter2hunter2") || text.contains("hunter2hunter2"), "{shown}");
    }
    drop(loader.load::<BTreeMap<String, serde_json::Value>>());
});
