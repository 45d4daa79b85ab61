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
const TOKENS: [&str; 120] = [
    "`",
    "\\`",
    ".where(",
    "\n  .count()",
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
    "|",
    "||",
    "??",
    "&&",
    "==",
    "!=",
    "<=",
    ">=",
    "!",
    "?",
    "+",
    "-",
    "*",
    "/",
    "%",
    "<",
    ">",
    "<<",
    "<<EOT\n",
    "\nEOT\n",
    "<<<",
    ">>>",
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
    "@if(",
    "@date(",
    "@cache(",
    "@json(",
    "@file.read(",
    "@b.tsk.get(",
    "@a.b",
    "@env.X",
    "@lambda",
    "php(",
    ".",
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
    "\nkey:\n",
    "",
    "\nkey:",
    "\ntimeout:",
    "\nlist:",
    "[",
    "\nb:",
    "{",
    "\nb",
    ">\n",
    "\n<\n",
    "\n-",
    "\n\n\t",
    "true",
    "null",
    "5",
    "-1e9",
    "0xFF",
    "1-5",
    "250ms",
    "\u{feff}",
    "é",
    "\0",
    "X",
    "$key",
    "  ",
    "\t",
    "- ",
    " ? ",
    " : ",
    " == ",
    " ?? ",
    " + ",
    ": int = ",
    ": string = ",
    "\n  a: ",
    "\n  - ",
    "\n    ",
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
    let loader = loader.allow_files("/nowhere").environment("key").set("a.b", text);
    let _ = loader.clone().load::<BTreeMap<String, serde_json::Value>>();
    let _ = loader.load::<BTreeMap<String, BTreeMap<String, String>>>();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

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
        let text = include_str!("../fixtures/microservices/services.tsk");
        let start = at.min(text.len());
        let end = (start + length).min(text.len());
        read(&format!("{}{token}{}", &text[..start], &text[end..]));
    }
}

/// A million bytes that go on and on: deep, long, unfinished, in circles.
#[test]
fn a_megabyte_of_anything_is_answered() {
    const MEGABYTE: usize = 1 << 20;
    let repeated = [
        "[",
        "{",
        "(",
        "\"",
        "'",
        "\"\"\"",
        "a: [",
        "a: {",
        "a {",
        "a >\n",
        "? : ",
        "a ? b : ",
        "a: $x ? 1 : ",
        "1 + ",
        "!",
        "-(",
        "@if(",
        "@env(",
        "#{",
        "\"#{",
        "${",
        "\\",
        "/*",
        "<<",
        "<<E\n",
        "- ",
        "a:\n",
        "=>",
        "[a]\n",
        "[[",
        "a.",
        "a: 1\n",
        "a: @a\n",
        "$a: $a\n",
        "a: \"#{a}#{a}\"\n",
        "\r\n",
        " ",
        "\t",
        "\u{feff}",
        "é",
        "a: ,",
        "a: b c d e f \n",
        "a: x ?? \n",
        "a: 9-9\n",
        "# web {\n",
        "#!x\n",
        "@x.tsk.get(\"a\")\n",
    ];
    for piece in repeated {
        let value = format!("v: {}", piece.repeat(MEGABYTE / piece.len()));
        read_once(&value);
        read_once(&value["v: ".len()..]);
    }
    let deeper = (0..1_400).map(|depth| format!("{}a:\n", " ".repeat(depth)));
    read_once(&deeper.collect::<String>());
    let dashes = (0..1_400).map(|depth| format!("{}-\n", " ".repeat(depth)));
    read_once(&format!("a:\n{}", dashes.collect::<String>()));
    let chain = (0..40_000).map(|n| format!("k{n}: \"#{{k{}}}#{{k{}}}\"\n", n + 1, n + 1));
    read_once(&chain.collect::<String>());
}

fn read_once(text: &str) {
    let loader = Loader::new("config").size_max(2 << 20).text("a.tsk", text).vars(Vars::empty());
    let Err(errors) = loader.load::<BTreeMap<String, Option<Text>>>() else { return };
    let count = errors.len();
    let shown = errors.to_string().len();
    assert!(count <= 500 && shown < 1 << 20, "{count} faults, {shown} bytes of them");
}

/// Groups that hold themselves or each other, by any way round; and groups that double each other.
#[test]
fn groups_that_hold_each_other_end() {
    let doubling = (0..60).map(|n| format!("a{n}: [@a{}, @a{}]\n", n + 1, n + 1));
    let long = (0..20_000).map(|n| format!("a{n}: [@a{}]\n", n + 1));
    let files = [
        "a: [@b]\nb: [@a]\n".to_owned(),
        "a: [@a]\n".to_owned(),
        "a: {x: @b}\nb: {y: @a}\n".to_owned(),
        "$a: [$b]\n$b: {c: $a}\nc: $a\n".to_owned(),
        "a: [@b ?? 1]\nb: true ? [@a] : 1\n".to_owned(),
        "[s]\na: @s\n".to_owned(),
        format!("{}a60: 1\n", doubling.collect::<String>()),
        format!("{}a20000: 1\n", long.collect::<String>()),
    ];
    for text in files {
        let loader = || Loader::new("config").text("a.tsk", &text).vars(Vars::empty());
        let errors = loader().load::<BTreeMap<String, serde_json::Value>>().unwrap_err();
        assert!(errors.len() < 10, "{text:.60}: {errors}");
        let errors = loader().tree().unwrap().render(None, false).unwrap_err();
        assert!(errors.len() < 10, "{text:.60}: {errors}");
        if let Ok(explained) = loader().tree().unwrap().explain("a") {
            assert!(
                explained
                    .fault
                    .is_some_and(|fault| fault.contains("values") || fault.contains("holds it")),
                "{text:.60}"
            );
        }
    }
}

/// Any scalar.
#[derive(Debug, Deserialize)]
struct Text(#[allow(dead_code)] String);
