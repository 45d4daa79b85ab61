//! What a service says of itself is what it does: nobody else would tell a newcomer who forgot a line.

#![allow(clippy::unwrap_used)]

mod tested;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use regex_lite::Regex;
use serde::Deserialize;
use serde_json::Value;
use tusk_config::{Loader, Unread, Variable, Vars};

/// Routes that every service has: the table of them stands at the head of `platform`.
const OF_ALL: [&str; 2] = ["/admin", "/debug"];

/// A service, as its files have it.
#[derive(Clone)]
struct Service {
    name: String,
    /// The comment at the head of `src/lib.rs`.
    head: String,
    /// The methods and paths of `openapi.json`.
    routes: BTreeSet<String>,
    /// The functions of the files in `tests/it` that are compiled.
    tests: Vec<String>,
}

/// What `message_queue.tsk` says of who reads what.
#[derive(Deserialize)]
struct Messaging {
    queues: BTreeMap<String, String>,
    subscriptions: BTreeMap<String, Vec<String>>,
    #[serde(flatten)]
    #[expect(clippy::zero_sized_map_values, reason = "the values are what is not read")]
    _more: BTreeMap<String, Unread>,
}

/// An event of `crates/contracts`.
#[derive(Clone, Default)]
struct Event {
    module: String,
    contract: String,
    full: String,
    version: String,
    is_mandatory: bool,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The comment at the head of a file, without its signs.
fn head(text: &str) -> String {
    let lines = text.lines().filter_map(|line| line.strip_prefix("//!"));
    lines.map(|line| line.trim_start().to_owned() + "\n").collect()
}

/// The methods and paths of an API document.
fn routes(document: &Value) -> impl Iterator<Item = String> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys();
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    })
}

/// The folders of all packages.
fn packages() -> Vec<PathBuf> {
    let folders = [".", "crates", "services", "dev", "dev/template"].map(|base| root().join(base));
    let inner = folders.iter().flat_map(|base| names(base).into_iter().map(|name| base.join(name)));
    inner.filter(|folder| folder.join("Cargo.toml").exists()).collect()
}

fn is_of_all(route: &str) -> bool {
    OF_ALL.iter().any(|own| route.contains(&format!(" {own}")))
}

impl Service {
    fn load(name: &str, folder: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(folder.join(path)).unwrap();
        let lib = text("src/lib.rs");
        let document: Value = serde_json::from_str(&text("openapi.json")).unwrap();
        let routes = routes(&document).filter(|route| !is_of_all(route));
        let tests = tested::compiled(&folder.join("tests/it/main.rs")).into_iter();
        Self {
            name: name.to_owned(),
            head: head(&lib),
            routes: routes.collect(),
            tests: tests.flat_map(|file| tested::functions(&file)).collect(),
        }
    }

    /// The platform, as if it were a service that has what all have.
    fn platform() -> Self {
        let text = |path: &str| fs::read_to_string(root().join(path)).unwrap();
        let document = text("dev/template/service/openapi.json");
        let document: Value = serde_json::from_str(&document).unwrap();
        Self {
            name: "platform".to_owned(),
            head: head(&text("crates/platform/src/lib.rs")),
            routes: routes(&document).filter(|route| is_of_all(route)).collect(),
            tests: Vec::new(),
        }
    }

    fn all() -> Vec<Self> {
        let folder = root().join("services");
        names(&folder).iter().map(|name| Self::load(name, &folder.join(name))).collect()
    }

    /// The events that the head names in sentences that begin so.
    fn said(&self, verb: &str) -> BTreeSet<String> {
        let event = Regex::new(r"`([a-z_]+\.[a-z_]+)`").unwrap();
        let begin = format!("\n{verb} ");
        let after = self.head.split(&begin).skip(1);
        let sentences = after.map(|text| {
            let ends = ["\nConsumes ", "\nPublishes ", "\nTables: ", "\nAsks ", "\n\n", " to `"];
            let end = ends.iter().filter_map(|end| text.find(end)).min();
            &text[..end.unwrap_or(text.len())]
        });
        let named = sentences.flat_map(|text| {
            event.captures_iter(text).map(|found| found[1].to_owned()).collect::<Vec<_>>()
        });
        named.collect()
    }
}

impl Event {
    fn all() -> Vec<Self> {
        let folder = root().join("crates/contracts/src");
        let mut all = Vec::new();
        for file in names(&folder) {
            let text = fs::read_to_string(folder.join(&file)).unwrap_or_default();
            for item in syn::parse_file(&text).unwrap().items {
                let syn::Item::Impl(item) = item else { continue };
                let is_event = |path: &syn::Path| path.is_ident("Event");
                if !item.trait_.as_ref().is_some_and(|(path, _)| is_event(path)) {
                    continue;
                }
                let syn::Type::Path(kind) = &*item.self_ty else { continue };
                let contract = kind.path.segments.last().unwrap().ident.to_string();
                let mut event = Self {
                    module: file.trim_end_matches(".rs").to_owned(),
                    contract,
                    version: "1".to_owned(),
                    is_mandatory: true,
                    ..Self::default()
                };
                for item in &item.items {
                    let syn::ImplItem::Const(item) = item else { continue };
                    let syn::Expr::Lit(value) = &item.expr else { continue };
                    match (item.ident.to_string().as_str(), &value.lit) {
                        ("TYPE", syn::Lit::Str(full)) => event.full = full.value(),
                        ("VERSION", syn::Lit::Int(version)) => event.version = version.to_string(),
                        ("MANDATORY", syn::Lit::Bool(is)) => event.is_mandatory = is.value,
                        _ => {}
                    }
                }
                all.push(event);
            }
        }
        all
    }

    fn place(&self) -> String {
        format!("crates/contracts/src/{}.rs: {}", self.module, self.contract)
    }
}

fn messaging() -> Messaging {
    Loader::new(root().join("config")).file("message_queue").vars(Vars::empty()).load().unwrap()
}

/// The table of what all services have is written by hand; that of a service is made by `cargo dev prepare`.
fn each_route_has_a_row(service: &Service) -> Vec<String> {
    let row = Regex::new(r"(?m)^\| `([A-Z]+ /[^`]+)` \|").unwrap();
    let rows: BTreeSet<String> =
        row.captures_iter(&service.head).map(|row| row[1].to_owned()).collect();
    let place = format!("{}: the table at the head of src/lib.rs", service.name);
    let missing = service.routes.difference(&rows);
    let missing = missing.map(|route| format!("{place} lacks a row for `{route}`"));
    let gone = rows.difference(&service.routes);
    missing.chain(gone.map(|route| format!("{place} has `{route}`, which there is not"))).collect()
}

/// The tables that the migrations of shared crates make.
fn tables_of_all() -> BTreeSet<String> {
    let table = Regex::new(r"(?m)^create table (?:if not exists )?([a-z_]+)").unwrap();
    let folders = ["messaging", "platform"];
    let folders = folders.map(|name| root().join("crates").join(name).join("migrations"));
    let files = folders.iter().flat_map(|folder| {
        names(folder).into_iter().map(move |name| fs::read_to_string(folder.join(name)).unwrap())
    });
    let made = files.flat_map(|text| {
        table.captures_iter(&text).map(|found| found[1].to_owned()).collect::<Vec<_>>()
    });
    made.collect()
}

fn each_table_has_a_row(platform: &Service, tables: &BTreeSet<String>) -> Vec<String> {
    let has_row = |table: &&String| {
        let name = format!("`{table}`");
        platform.head.lines().any(|line| line.starts_with("| `") && line.contains(&name))
    };
    let missing = tables.iter().filter(|table| !has_row(table));
    let place = "platform: the table of tables at the head of src/lib.rs";
    missing.map(|table| format!("{place} lacks a row for `{table}`")).collect()
}

fn each_route_is_asked_by_a_test(service: &Service) -> Vec<String> {
    let untested = service.routes.iter().filter(|route| !tested::is_asked(route, &service.tests));
    let missing = |route: &String| {
        let (method, _) = route.split_once(' ').unwrap();
        format!(
            "{}: no test in tests/it asks `{route}`: no function there has the path and `Method::{method}` or `{}(`",
            service.name,
            method.to_lowercase()
        )
    };
    untested.map(missing).collect()
}

fn events_are_said(service: &Service, messaging: &Messaging, events: &[Event]) -> Vec<String> {
    let queue = format!("{}.events", service.name);
    let key = messaging.queues.iter().find(|(_, name)| **name == queue).map(|(key, _)| key);
    let heard =
        messaging.subscriptions.iter().filter(|(_, keys)| keys.iter().any(|it| Some(it) == key));
    let heard: BTreeSet<String> = heard.map(|(event, _)| event.clone()).collect();
    let published = service.said("Publishes");
    let modules: BTreeSet<&str> =
        published.iter().filter_map(|event| event.split('.').next()).collect();
    let own = events.iter().filter(|event| modules.contains(event.module.as_str()));
    let own: BTreeSet<String> = own.map(|event| event.full.clone()).collect();
    let mut complaints = Vec::new();
    for (verb, said, true_ones) in
        [("Consumes", service.said("Consumes"), heard), ("Publishes", published, own)]
    {
        let place = format!("{}: `{verb}` at the head of src/lib.rs", service.name);
        let missing = true_ones.difference(&said).map(|event| format!("{place} lacks `{event}`"));
        complaints.extend(missing);
        let gone = said.difference(&true_ones);
        complaints.extend(gone.map(|event| format!("{place} has `{event}`, which it does not")));
    }
    complaints
}

/// Who calls `assert_golden` with one has it made by `cargo dev prepare`.
fn each_event_has_a_golden_message_and_a_schema(
    event: &Event,
    files: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let name = format!("{}.v{}.json", event.full, event.version);
    let folders = ["golden", "schemas"].map(|folder| format!("crates/contracts/{folder}/{name}"));
    let missing = folders.iter().filter(|path| !files(path));
    let mend = "call `assert_golden` with one in the tests of that file, and run `UPDATE_GOLDEN=1 cargo dev prepare`";
    missing.map(|path| format!("{} has no {path}: {mend}", event.place())).collect()
}

/// An event is kept until a queue is bound for it: one that nobody reads would be kept for ever.
fn an_event_is_kept_for_its_readers_alone(event: &Event, messaging: &Messaging) -> Vec<String> {
    let is_read = messaging.subscriptions.get(&event.full).is_some_and(|keys| !keys.is_empty());
    let place = event.place();
    match (event.is_mandatory, is_read) {
        (true, false) => vec![format!(
            "{place}: nobody reads it by [subscriptions] of message_queue.tsk, so that no outbox may wait for a \
             queue: const MANDATORY: bool = false;"
        )],
        (false, true) => vec![format!("{place}: somebody reads it: take MANDATORY away")],
        _ => Vec::new(),
    }
}

/// user-service waits for every reader of a deletion: one that is silent is asked again for ever, and an alert tells.
fn a_reader_of_a_deletion_confirms_it(service: &Service) -> Vec<String> {
    let reads = service.said("Consumes").contains("user.deleted");
    let confirms = service.said("Publishes").contains("erasure.confirmed");
    let complaint = format!(
        "{}: it reads `user.deleted`, and is waited for until it says that it has erased the user: enqueue \
         `contracts::erasure::ErasureConfirmed` in the transaction that erases, and say at the head of src/lib.rs that \
         it publishes `erasure.confirmed`",
        service.name
    );
    if reads && !confirms { vec![complaint] } else { Vec::new() }
}

/// What it is for stands in docs/settings.md, and is all that an operator knows of it.
fn each_setting_has_a_sentence(variables: &[Variable]) -> Vec<String> {
    let silent = variables.iter().filter(|variable| variable.meanings.is_empty());
    let place = |variable: &Variable| {
        let place = variable.locations.first().map(ToString::to_string).unwrap_or_default();
        format!("{place}: a comment behind {}, or above it, says what it is for", variable.name)
    };
    silent.map(place).collect()
}

#[test]
fn what_a_service_says_of_itself_is_so() {
    let messaging = messaging();
    let events = Event::all();
    let mut complaints = Vec::new();
    let template = Service::load("sample-service", &root().join("dev/template/service"));
    for service in Service::all().iter().chain([&template]) {
        complaints.extend(each_route_is_asked_by_a_test(service));
        complaints.extend(a_reader_of_a_deletion_confirms_it(service));
    }
    let platform = Service::platform();
    complaints.extend(each_route_has_a_row(&platform));
    complaints.extend(each_table_has_a_row(&platform, &tables_of_all()));
    for service in &Service::all() {
        complaints.extend(events_are_said(service, &messaging, &events));
    }
    for event in &events {
        let is_there = |path: &str| root().join(path).exists();
        complaints.extend(each_event_has_a_golden_message_and_a_schema(event, &is_there));
        complaints.extend(an_event_is_kept_for_its_readers_alone(event, &messaging));
    }
    let variables = tusk_config::variables([root().join("config")]).unwrap();
    complaints.extend(each_setting_has_a_sentence(&variables));
    complaints.extend(packages().iter().flat_map(|package| tested::uncompiled(package)));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn what_somebody_forgot_is_reported_with_the_place_that_mends_it() {
    let messaging = messaging();
    let events = Event::all();
    let service =
        Service::all().into_iter().find(|one| one.name == "notification-service").unwrap();
    let without = |piece: &str| {
        let head = service.head.replace(piece, "");
        assert_ne!(head, service.head, "{piece}");
        Service { head, ..service.clone() }
    };
    let mut planted = service.clone();
    planted.routes.insert("GET /api/notifications/summary".to_owned());
    planted.routes.insert("DELETE /api/notifications/{id}".to_owned());
    let event = Event {
        module: "notification".to_owned(),
        contract: "NotificationOpened".to_owned(),
        full: "notification.opened".to_owned(),
        version: "1".to_owned(),
        is_mandatory: true,
    };
    let with_event = [&events[..], std::slice::from_ref(&event)].concat();
    let mut variables = tusk_config::variables([root().join("config")]).unwrap();
    variables[0].meanings.clear();
    let silent = format!("behind {}, or above it", variables[0].name);
    for (complaints, expected) in [
        (each_setting_has_a_sentence(&variables), silent.as_str()),
        (
            each_route_has_a_row(&Service { head: String::new(), ..Service::platform() }),
            "lacks a row for `GET /admin/audit`",
        ),
        (
            each_table_has_a_row(&Service::platform(), &["messaging_marks".to_owned()].into()),
            "lacks a row for `messaging_marks`",
        ),
        (
            each_route_is_asked_by_a_test(&planted),
            "no test in tests/it asks `GET /api/notifications/summary`",
        ),
        (
            each_route_is_asked_by_a_test(&planted),
            "no test in tests/it asks `DELETE /api/notifications/{id}`",
        ),
        (
            each_route_has_a_row(&Service { routes: BTreeSet::new(), ..Service::platform() }),
            "has `GET /admin/audit`, which there is not",
        ),
        (
            events_are_said(&without("`payment.failed`"), &messaging, &events),
            "`Consumes` at the head of src/lib.rs lacks `payment.failed`",
        ),
        (
            events_are_said(&service, &messaging, &with_event),
            "`Publishes` at the head of src/lib.rs lacks `notification.opened`",
        ),
        (
            a_reader_of_a_deletion_confirms_it(&without("Publishes `erasure.confirmed`")),
            "notification-service: it reads `user.deleted`, and is waited for",
        ),
        (
            each_event_has_a_golden_message_and_a_schema(&event, &|_| false),
            "golden/notification.opened.v1.json: call `assert_golden`",
        ),
        (
            an_event_is_kept_for_its_readers_alone(&event, &messaging),
            "const MANDATORY: bool = false;",
        ),
    ] {
        assert!(complaints.iter().any(|one| one.contains(expected)), "{expected}: {complaints:?}");
    }
}
