//! Any bytes as a file to format: formatting twice is formatting once, and the values stay.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use tusk_config::{Loader, Vars, format};

type Tree = BTreeMap<String, serde_json::Value>;

fn tree(text: &str) -> Result<Tree, usize> {
    let loader = Loader::new("config").text("a.tsk", text).vars(Vars::empty());
    loader.load().map_err(|errors| errors.len())
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(once) = format("a.tsk", text) else { return };
    assert_eq!(tree(text), tree(&once), "formatting changes no value");
    assert_eq!(format("a.tsk", &once).ok().as_deref(), Some(once.as_str()), "and is done once");
});
