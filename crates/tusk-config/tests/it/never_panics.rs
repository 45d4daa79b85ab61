//! Whatever stands in a file, the answer is settings or faults: never a panic, never without end.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde::Deserialize;
use tusk_config::{HttpRequest, Loader, Secret, Vars};

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Settings {
    a: Option<BTreeMap<String, u16>>,
    #[serde(flatten)]
    flat: Flat,
    #[serde(rename = "service:*")]
    services: BTreeMap<String, Inner>,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Flat {
    b: Inner,
    #[serde(default)]
    either: Option<Either>,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Inner {
    key: Secret,
    timeout: Duration,
    #[serde(default)]
    list: Vec<f64>,
    request: Option<HttpRequest>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
#[allow(dead_code)]
enum Either {
    Number(u8),
    Map(BTreeMap<String, bool>),
}

/// Pieces of the grammar, whole and broken.
const TOKENS: [&str; 72] = [
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    ":",
    "=",
    "=>",
    ",",
    ";",
    "\n",
    "\r\n",
    "  ",
    "\t",
    "\"",
    "'",
    "\"\"\"",
    "'''",
    "\\",
    "\\x",
    "\\u{",
    "#",
    "#{",
    "${",
    "$",
    "}",
    ":-",
    "//",
    "/*",
    "*/",
    "@",
    "@env",
    "@env(",
    "@env.secure(",
    "@http(",
    "@query(",
    "@env.X",
    ".",
    "-",
    "- ",
    "|",
    "||",
    "??",
    "?",
    "<<",
    ">",
    "<",
    "a",
    "b",
    "key",
    "timeout",
    "list",
    "request",
    "either",
    "service:x",
    "\n[b]\n",
    "\n[service:x]\n",
    "\nkey: ",
    "\ntimeout: ",
    "\nlist: [",
    "\nb: {",
    "true",
    "null",
    "5",
    "-1e9",
    "0xFF",
    "250ms",
    "\u{feff}",
    "é",
    "\0",
    "X",
];

/// Reads the text in every way there is.
fn read(text: &str) {
    let vars = Vars::of([("X", "5"), ("key", "secret-value"), ("a", "")]);
    let loader = Loader::new("config").text("a.tsk", text).vars(vars);
    if let Err(errors) = loader.clone().load::<Settings>() {
        assert!(errors.len() > 0);
        let shown = errors.to_string();
        assert!(!shown.contains("secret-value"), "{shown}");
    }
    let _ = loader.clone().load::<BTreeMap<String, serde_json::Value>>();
    let _ = loader.load::<BTreeMap<String, BTreeMap<String, String>>>();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        read(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_recombinations_of_the_grammar(
        tokens in proptest::collection::vec(proptest::sample::select(&TOKENS[..]), 0..80),
    ) {
        read(&tokens.concat());
    }

    #[test]
    fn files_with_a_piece_cut_out_or_put_in(
        at in 0_usize..700,
        length in 0_usize..40,
        token in proptest::sample::select(&TOKENS[..]),
    ) {
        let text = include_str!("../fixtures/seed/services.tsk");
        let start = at.min(text.len());
        let end = (start + length).min(text.len());
        read(&format!("{}{token}{}", &text[..start], &text[end..]));
    }
}
