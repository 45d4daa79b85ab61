//! The page of the language in the README is a file that loads, and means what it says.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::json;
use tusk_config::{Config, Loader, Vars};

/// The first block of text below the heading.
fn page() -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (_, below) = readme.split_once("## The language on one page").unwrap();
    let (_, block) = below.split_once("```text\n").unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

fn config() -> (tempfile::TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("page.tsk"), page()).unwrap();
    fs::write(folder.path().join("database.tsk"), "[database]\nurl: \"db://#{host}\"\nhost: h")
        .unwrap();
    fs::write(folder.path().join("motd.txt"), "hello").unwrap();
    let vars = Vars::of([("KEY", "hunter2"), ("COUNT", "12")]);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_768_469_405);
    let loader = Loader::new(folder.path()).file("page").vars(vars).now(now);
    let config = loader.allow_files(folder.path()).tree().unwrap();
    (folder, config)
}

#[test]
fn the_page_of_the_language_means_what_it_says() {
    let (_folder, config) = config();
    let server = serde_json::to_value(config.render(Some("server"), false).unwrap()).unwrap();
    let expected = json!({
        "port": 3001,
        "host": "db.example.com",
        "url": "http://db.example.com:3001/eu",
        "raw": "as #{it} stands",
        "code": "id = ${x}, ${() => 1}",
        "size": "64KiB",
        "mask": 255,
        "ports": "8000-9000",
        "tags": ["a", "b", "c, d"],
        "limits": {"cpu": 2, "memory": "64Mi", "zones": ["eu", {"name": "us", "weight": 2}]},
        "motd": "  Hello.",
        "level": "info",
        "key": "[secret]",
        "health": {"method": "GET", "url": "http://db.example.com:3001/eu/health"},
        "home": "/tmp",
        "count": 12,
        "workers": 8,
        "name": "untitled",
        "mode": "quiet",
        "built": "2026-01-15",
        "other": "db://h",
        "text": "hello",
        "cached": 3001,
        "users": {"name": "query", "arguments": ["select 1"]},
        "active": {
            "name": "query",
            "arguments": ["Users"],
            "then": [
                {"name": "where", "arguments": ["active", true]},
                {"name": "count", "arguments": []},
            ],
        },
    });
    assert_eq!(server, expected);
}

#[test]
fn what_the_page_writes_thrice_is_odd_and_nothing_else_is() {
    let (_folder, config) = config();
    let warnings: Vec<&str> = config.warnings().map(tusk_config::Fault::text).collect();
    assert_eq!(warnings, ["`cpu` is given twice; this one counts"; 3]);
}
