#![allow(clippy::unwrap_used, clippy::items_after_statements)]
use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Errors, HttpRequest, Loader, Secret, Vars};

fn load<T: DeserializeOwned>(text: &str, vars: &[(&str, &str)]) -> Result<T, Errors> {
    Loader::new("config").text("a.tsk", text).vars(Vars::of(vars.iter().copied())).load()
}

/// The faults as `line:column text`, or without a place `text`.
fn faults<T: DeserializeOwned>(text: &str, vars: &[(&str, &str)]) -> Vec<String> {
    let Err(errors) = load::<T>(text, vars) else { return Vec::new() };
    let shown = |fault: &crate::Fault| match fault.location() {
        Some(location) => format!("{}:{} {}", location.line(), location.column(), fault.text()),
        None => fault.text().to_owned(),
    };
    errors.iter().map(shown).collect()
}

#[derive(Debug, Deserialize, PartialEq)]
struct Server {
    host: String,
    port: u16,
    #[serde(default)]
    tls: bool,
    timeout: Option<Duration>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Settings {
    server: Server,
}

#[test]
fn scalars_are_lenient() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct All {
        whole: u64,
        negative: i8,
        fraction: f64,
        truth: bool,
        text: String,
        version: String,
        seconds: Duration,
        millis: Duration,
        plain: Duration,
        nothing: Option<u8>,
        letter: char,
        nonzero: std::num::NonZeroU16,
        address: std::net::IpAddr,
    }
    let text = r#"
        whole: "3600"
        negative: -5
        fraction: "0.25"
        truth: "TRUE"
        text: 42
        version: 1.10
        seconds: "30"
        millis: 250ms
        plain: 30
        nothing: null
        letter: x
        nonzero: "8"
        address: 127.0.0.1
    "#;
    let expected = All {
        whole: 3600,
        negative: -5,
        fraction: 0.25,
        truth: true,
        text: "42".to_owned(),
        version: "1.10".to_owned(),
        seconds: Duration::from_secs(30),
        millis: Duration::from_millis(250),
        plain: Duration::from_secs(30),
        nothing: None,
        letter: 'x',
        nonzero: 8.try_into().unwrap(),
        address: [127, 0, 0, 1].into(),
    };
    assert_eq!(load::<All>(text, &[]).unwrap(), expected);

    // The same through serde's buffer, which knows nothing of leniency.
    #[derive(Debug, Deserialize, PartialEq)]
    struct Outer {
        #[serde(flatten)]
        all: All,
    }
    assert_eq!(load::<Outer>(text, &[]).unwrap().all, expected);
}

#[test]
fn every_fault_comes_out_at_once_with_its_place() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Two {
        server: Server,
        auth: Auth,
        missing: Server,
    }
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Auth {
        secret: Secret,
    }
    let text = "[server]\nhost: localhost\nport: @env(\"PORT\", 80)\ntimeout: soon\nprot: 5\n[auth]\nsecret: @env.secure(\"KEY\")\n";
    let found = faults::<Two>(text, &[("PORT", "abc")]);
    let expected = [
        "missing section `[missing]`",
        "3:7 PORT is \"abc\", not a number, which its default says it is",
        "4:10 `timeout` is \"soon\", not a duration (seconds, or for example 250ms, 5s, 2m, 1h)",
        "5:1 unknown key `prot`, did you mean `port`?",
        "7:9 KEY is not set",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_missing_key_is_reported_at_the_header_of_its_section() {
    let text = "\n[server]\nhost: a\n";
    assert_eq!(faults::<Settings>(text, &[]), ["2:1 missing key `port` in `server`"]);
}

#[test]
fn a_value_that_is_out_of_range_names_the_range() {
    let text = "[server]\nhost: a\nport: @env(\"P\", 1)";
    let found = faults::<Settings>(text, &[("P", "70000")]);
    assert_eq!(found, ["3:7 P is 70000, not a number from 0 to 65535"]);
}

#[derive(Debug, Deserialize, PartialEq)]
struct Flat {
    #[serde(flatten)]
    server: Settings,
    #[serde(flatten)]
    rest: Rest,
    name: String,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Rest {
    limits: Limits,
    #[serde(rename = "service:*", default)]
    services: BTreeMap<String, Server>,
    #[serde(default)]
    names: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Limits {
    #[serde(default = "ten")]
    max: u32,
    every: Duration,
    check: Option<HttpRequest>,
    kind: Option<Kind>,
    #[serde(default)]
    list: Vec<u16>,
}

fn ten() -> u32 {
    10
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Kind {
    RoundRobin,
    IpHash,
}

const FLAT: &str = r#"
name: x
[server]
host: a
port: @env("PORT", "80")
timeout: "5s"
[limits]
every: "250ms"
check: @http("GET", "http://#{server.host}/")
kind: ip_hash
list: ["1", 2]
[service:user-service]
host: u
port: 1
[names]
a: 1.50
[other]
secret: @env.secure("NEVER_SET")
number: abc
"#;

#[test]
fn flattened_structs_read_like_any_other() {
    let flat: Flat = load(FLAT, &[]).unwrap();
    assert_eq!(flat.server.server.port, 80);
    assert_eq!(flat.server.server.timeout, Some(Duration::from_secs(5)));
    let limits = &flat.rest.limits;
    assert_eq!((limits.max, limits.every), (10, Duration::from_millis(250)));
    assert_eq!(limits.check, Some(HttpRequest::get("http://a/")));
    assert_eq!((&limits.kind, &limits.list), (&Some(Kind::IpHash), &vec![1, 2]));
    assert_eq!(flat.rest.services["user-service"].port, 1);
    assert_eq!(flat.rest.names["a"], "1.50");
}

#[test]
fn faults_in_flattened_structs_have_their_places() {
    let text = FLAT
        .replace("timeout", "timout")
        .replace("\"250ms\"", "soon")
        .replace("ip_hash", "ip_hsh")
        .replace("list: [\"1\", 2]", "list: [\"1\", two]\nmaxx: 3")
        .replace("host: u\n", "")
        .replace("[names]", "[service:b]\nport: 2\n[service:c]\nport: x\n[names]");
    let found = faults::<Flat>(&text, &[("PORT", "99999")]);
    let expected = [
        "5:7 PORT is \"99999\", not a number from 0 to 65535",
        "6:1 unknown key `timout`",
        "8:8 `every` is \"soon\", not a duration (seconds, or for example 250ms, 5s, 2m, 1h)",
        "10:7 `kind` is \"ip_hsh\", not one of round_robin, ip_hash",
        "11:13 `list[1]` is \"two\", not a number from 0 to 65535",
        "12:1 unknown key `maxx`",
        "13:1 missing key `host` in `user-service`",
        "15:1 missing key `host` in `b`",
        "17:1 missing key `host` in `c`",
        "18:7 `port` is \"x\", not a number from 0 to 65535",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_missing_section_of_a_flattened_struct_is_reported_once() {
    let found = faults::<Flat>("name: x\n[server]\nhost: a\nport: 1\n", &[]);
    assert_eq!(found, ["missing section `[limits]`"]);
}

#[test]
fn wrong_kinds_in_flattened_structs_have_their_places() {
    let text = FLAT.replace("port: 1\n", "port: [1]\n").replace("host: a", "host: {x: 1}");
    let found = faults::<Flat>(&text.replace("list: [\"1\", 2]", "list: many"), &[]);
    let expected = [
        "4:7 `host` is a group of keys, not a text",
        "9:29 `server.host` is a group of keys, which cannot stand in a text",
        "11:7 `list` is \"many\", not a list",
        "14:7 `port` is a list, not a number from 0 to 65535",
    ];
    assert_eq!(found, expected);
}

#[test]
fn untagged_and_tagged_enums_read() {
    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(untagged)]
    enum Either {
        Number(u16),
        Pair { a: u16, b: String },
        Text(String),
    }
    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(tag = "type", rename_all = "snake_case")]
    enum Provider {
        Static,
        Consul { url: String, every: Duration },
    }
    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum External {
        Off,
        At { port: u16 },
        Named(String),
    }
    #[derive(Debug, Deserialize, PartialEq)]
    struct All {
        one: Either,
        two: Either,
        three: Either,
        provider: Provider,
        simple: Provider,
        externals: Vec<External>,
    }
    let text = "one: 5\ntwo: {a: 1, b: x}\nthree: word\nprovider: {type: consul, url: u, every: 5s}\n\
                simple: {type: static}\nexternals: [off, {at: {port: 1}}, {named: x}]";
    let all: All = load(text, &[]).unwrap();
    assert_eq!(all.one, Either::Number(5));
    assert_eq!(all.two, Either::Pair { a: 1, b: "x".to_owned() });
    assert_eq!(all.three, Either::Text("word".to_owned()));
    let every = Duration::from_secs(5);
    assert_eq!(all.provider, Provider::Consul { url: "u".to_owned(), every });
    assert_eq!(all.simple, Provider::Static);
    let named = External::Named("x".to_owned());
    assert_eq!(all.externals, [External::Off, External::At { port: 1 }, named]);

    let wrong = text.replace("every: 5s", "every: soon").replace("three: word", "three: []");
    let found = faults::<All>(&wrong, &[]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("3:8 `three`"), "{found:?}");
    assert!(found[1].starts_with("4:41 `every` is \"soon\""), "{found:?}");
}

#[test]
fn types_that_refuse_in_their_own_words_have_their_places() {
    #[derive(Debug, Deserialize)]
    #[serde(try_from = "u16")]
    struct Even(#[allow(dead_code)] u16);
    impl TryFrom<u16> for Even {
        type Error = String;
        fn try_from(value: u16) -> Result<Self, String> {
            if value.is_multiple_of(2) { Ok(Self(value)) } else { Err(format!("{value} is odd")) }
        }
    }
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Direct {
        a: Even,
        b: Even,
        c: std::net::SocketAddr,
    }
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Outer {
        #[serde(flatten)]
        inner: Direct,
    }
    let expected =
        ["1:4 `a`: 3 is odd", "2:4 `b`: 5 is odd", "3:4 `c`: invalid socket address syntax"];
    assert_eq!(faults::<Direct>("a: 3\nb: 5\nc: x", &[]), expected);
    assert_eq!(faults::<Outer>("a: 3\nb: 5\nc: x", &[]), expected);
}

#[test]
fn unknown_keys_are_found_on_request_of_the_type_too() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Strict {
        a: u8,
    }
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Outer {
        s: Strict,
        t: Vec<Strict>,
    }
    let found = faults::<Outer>("s: {a: 1, aa: 2}\nt: [{a: 1}, {a: x, b: 2}]", &[]);
    let expected = [
        "1:11 unknown key `aa`, did you mean `a`?",
        "2:17 `a` is \"x\", not a number from 0 to 255",
        "2:20 unknown key `b`, did you mean `a`?",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_type_that_contains_itself_ends() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Tree {
        name: u8,
        left: Option<Box<Tree>>,
        all: Vec<Tree>,
    }
    let found = faults::<Tree>("name: 1\nleft: {name: x, all: []}\nall: {}", &[]);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn secrets_stay_out_of_messages_of_types() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Key {
        number: Secret<u32>,
        kind: Kind,
        checked: Checked,
        list: Vec<u8>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(try_from = "String")]
    struct Checked;
    impl TryFrom<String> for Checked {
        type Error = String;
        fn try_from(value: String) -> Result<Self, String> {
            if value.len() > 32 {
                Ok(Self)
            } else {
                Err(format!("{value} is too short: {value:?}"))
            }
        }
    }
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Outer {
        #[serde(flatten)]
        key: Key,
    }
    let text = r##"
        number: @env.secure("K")
        kind: @env.secure("K")
        checked: @env.secure("K")
        list: ["#{number}"]
    "##;
    let direct = load::<Key>(text, &[("K", "hunter2\t")]).unwrap_err();
    let flat = load::<Outer>(text, &[("K", "hunter2\t")]).unwrap_err();
    assert_eq!((direct.len(), flat.len()), (4, 4), "{direct}\n\n{flat}");
    assert!(!format!("{direct} {flat} {direct:?} {flat:?}").contains("hunter2"), "{direct}{flat}");
}

#[test]
fn a_part_can_be_read_by_its_path() {
    let config = Loader::new("c").text("a.tsk", FLAT).vars(Vars::empty()).tree().unwrap();
    assert_eq!(config.get::<u16>("server.port").unwrap(), 80);
    assert_eq!(config.get::<HttpRequest>("limits.check").unwrap().url, "http://a/");
    assert_eq!(config.get::<Server>("service:user-service").unwrap().host, "u");
    let error = config.get::<u16>("serve").unwrap_err().to_string();
    assert!(error.contains("did you mean `server`?"), "{error}");
    let map: BTreeMap<String, serde_json::Value> = config.get("limits").unwrap();
    assert_eq!(map["kind"], "ip_hash");
}

#[test]
fn an_enum_with_a_tag_of_its_own_is_read_behind_two_flattened_structs() {
    #[derive(Debug, serde::Deserialize)]
    #[serde(tag = "algorithm")]
    enum Keys {
        Shared { secret: String },
        Pair { folder: String },
    }
    #[derive(Debug, serde::Deserialize)]
    struct Inner {
        keys: Keys,
    }
    #[derive(Debug, serde::Deserialize)]
    struct Middle {
        #[serde(flatten)]
        inner: Inner,
    }
    #[derive(Debug, serde::Deserialize)]
    struct Outer {
        #[serde(flatten)]
        middle: Middle,
    }
    let load = |text: &str| {
        let loader = Loader::new("").text("a.tsk", text).vars(Vars::empty());
        loader.load::<Outer>()
    };
    let shared = load("[keys]\nalgorithm: @env(\"A\", \"Shared\")\nsecret: s\n").unwrap();
    assert!(matches!(shared.middle.inner.keys, Keys::Shared { secret } if secret == "s"));
    let pair = load("[keys]\nalgorithm: Pair\nfolder: f\n").unwrap();
    assert!(matches!(pair.middle.inner.keys, Keys::Pair { folder } if folder == "f"));
    let fault = load("[keys]\nalgorithm: Other\n").unwrap_err().to_string();
    assert!(fault.contains("a.tsk:2:12") && fault.contains("Shared, Pair"), "{fault}");
}
