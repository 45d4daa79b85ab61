//! Who may call what: every route of every service of services.tsk, called by everybody.
//!
//! [`matrix`] says more of user-service: whose it is that is asked for, and what becomes of it.
//!
//! The golden file is `[policy]` of auth.tsk as callers meet it, a line for each who is let in; so a
//! service brings lines, and changes none. When a change of it is meant, run
//! `UPDATE_GOLDEN=1 cargo dev test -- -p e2e policy` and look at the difference.

mod matrix;

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use testkit::{Environment, ServiceProcess, TestDatabase, eventually};
use tusk_config::{Loader, Vars};
use uuid::Uuid;

use crate::system::{self, Fixture, Signed, System};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/policy.txt");
const NOBODY: &str = "nobody";

#[tokio::test]
async fn every_route_lets_in_whom_the_policy_names_and_nobody_else() {
    let fixture = Fixture::set_up().await;
    let variables = fixture.environment(0);
    let more = more_services(&fixture).await;
    let system = fixture.start(variables.clone()).await;
    let more = start(&system, &more).await;
    let services = [&system.users, &system.payments, &system.notifications];
    let services: Vec<&ServiceProcess> = services.into_iter().chain(&more).collect();
    let callers = [NOBODY, "user", "admin"].into_iter();
    let callers: Vec<&str> = callers.chain(services.iter().map(|service| service.name())).collect();
    let ended = ended(&system, &services).await;

    let mut lines = BTreeSet::new();
    for service in &services {
        let tokens = callers.iter().map(|caller| token(&variables, caller, service.name()));
        let tokens: Vec<Option<String>> = tokens.collect();
        let elsewhere = services.iter().find(|other| other.name() != service.name());
        let elsewhere = elsewhere.map(|other| token(&variables, service.name(), other.name()));
        let elsewhere = elsewhere.flatten();
        let mut narrowed = BTreeMap::new();
        for Asks { method, path, says_token, scopes } in routes(&system, service).await {
            let mut let_in = Vec::new();
            for (caller, token) in callers.iter().zip(&tokens) {
                let url = service.url(&path.replace("{id}", &Uuid::now_v7().to_string()));
                let request = system.request(method.clone(), &url);
                let request = token.iter().fold(request, RequestBuilder::bearer_auth);
                if is_let_in(caller, &request.send().await.unwrap()) {
                    let_in.push(*caller);
                }
            }
            let route = format!("{} {method} {path}", service.name());
            let needs_token = !let_in.contains(&NOBODY);
            if needs_token {
                for good_for_nobody in [elsewhere.clone(), Some(ended.token.clone())] {
                    let url = service.url(&path.replace("{id}", &Uuid::now_v7().to_string()));
                    let request = system.request(method.clone(), &url);
                    let request = good_for_nobody.iter().fold(request, RequestBuilder::bearer_auth);
                    let answer = request.send().await.unwrap();
                    assert!(!is_let_in(NOBODY, &answer), "{} {method} {path}", service.name());
                }
            }
            assert_eq!(says_token, needs_token, "{route}: the document's `security` is wrong");
            // Who is let in is with the scopes that the document says, and not with all of the service but the first.
            for caller in let_in.iter().filter(|_| needs_token) {
                let needed = scopes.first().unwrap_or_else(|| panic!("{route} says no scope"));
                let others = scopes_of(service.name()).filter(|other| other != needed);
                for (scopes, expected) in [(scopes.join(" "), true), (join(others), false)] {
                    let make = || narrowed_token(&variables, caller, service.name(), &scopes);
                    let token = narrowed.entry((*caller, scopes.clone())).or_insert_with(make);
                    let url = service.url(&path.replace("{id}", &Uuid::now_v7().to_string()));
                    let request = system.request(method.clone(), &url).bearer_auth(token);
                    let answer = request.send().await.unwrap();
                    let is_in = is_let_in(caller, &answer);
                    assert_eq!(is_in, expected, "{route} by {caller} with {scopes}");
                    let said = answer.headers().get("www-authenticate");
                    let missing =
                        format!("Bearer error=\"insufficient_scope\", scope=\"{needed}\"");
                    let is_missing = said.is_some_and(|said| *said == *missing);
                    assert_eq!(is_missing, !expected, "{route} by {caller}: {said:?}");
                }
            }
            lines.extend(said(&route, &let_in, &callers));
        }
    }
    assert_golden(GOLDEN, &(Vec::from_iter(lines).join("\n") + "\n"), "");
}

/// What was found is what the golden file says, which `UPDATE_GOLDEN` rewrites; `head` explains the lines.
fn assert_golden(file: &str, found: &str, head: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file, found).unwrap();
    }
    let golden = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        found == golden,
        "{file} says otherwise:\n{}\nwhen that is meant: UPDATE_GOLDEN=1 cargo dev test -- -p e2e policy",
        difference(found, &golden, head)
    );
}

/// The lines that only one of them has, below the head.
fn difference(found: &str, golden: &str, head: &str) -> String {
    let [here, there] = [found, golden].map(|text| text.lines().collect::<BTreeSet<_>>());
    let more = here.difference(&there).map(|line| format!("+ {line}"));
    let less = there.difference(&here).map(|line| format!("- {line}"));
    let head = (!head.is_empty()).then(|| format!("  {head}"));
    head.into_iter().chain(less).chain(more).collect::<Vec<_>>().join("\n")
}

#[test]
fn of_two_tables_the_lines_that_differ_are_told() {
    let rows = |last: &str| format!("route  user\nGET /a  200\nGET /b  {last}\n");
    assert_eq!(
        difference(&rows("404"), &rows("403"), "route  user"),
        "  route  user\n- GET /b  403\n+ GET /b  404"
    );
}

/// Somebody whose session has ended, which every service knows by now.
async fn ended(system: &System, services: &[&ServiceProcess]) -> Signed {
    let user = system.new_user().await;
    let sign_out = system.request(Method::DELETE, &system.users.url("/api/sessions"));
    assert_eq!(sign_out.bearer_auth(&user.token).send().await.unwrap().status(), 204);
    for service in services {
        eventually("the service refuses the session", async || {
            // Every service has it, for administrators: whoever is known is answered 403.
            let request = system.request(Method::GET, &service.url("/admin/queues"));
            let answer = request.bearer_auth(&user.token).send().await.unwrap();
            (answer.status() == 401).then_some(())
        })
        .await;
    }
    user
}

/// In the words of auth.tsk: `anybody`, `user` (administrators too), `admin`, a service's name.
fn said(route: &str, let_in: &[&str], callers: &[&str]) -> Vec<String> {
    assert!(!let_in.is_empty(), "{route} lets in nobody");
    if let_in == callers {
        return vec![format!("{route} <- anybody")];
    }
    assert!(!let_in.contains(&NOBODY), "{route} lets in whoever proves nothing, and not all");
    let is_users = let_in.contains(&"user");
    assert!(!is_users || let_in.contains(&"admin"), "{route} keeps administrators out");
    let told = let_in.iter().filter(|caller| !(is_users && **caller == "admin"));
    told.map(|caller| format!("{route} <- {caller}")).collect()
}

/// The policy's own answers: 401 to whoever proves nothing, 403 to all others. Whatever a handler
/// says comes from behind it, so the caller passed: `POST /oauth/token` has a 401 of its own, for
/// Basic.
fn is_let_in(caller: &str, answer: &Response) -> bool {
    let scheme = answer.headers().get("www-authenticate");
    let refused = match answer.status().as_u16() {
        500.. => panic!("a fault is no answer of the policy: {answer:?}"),
        401 if scheme.is_some_and(|scheme| scheme == "Bearer") => 401,
        403 => 403,
        _ => return true,
    };
    let expected = if caller == NOBODY { 401 } else { 403 };
    assert_eq!(refused, expected, "{caller}: {answer:?}");
    false
}

/// The services beside the three, each with a database and the variables of its own.
async fn more_services(fixture: &Fixture) -> Vec<(String, TestDatabase, Environment)> {
    let settings = Loader::new(testkit::config_dir()).file("services").vars(Vars::empty());
    let settings = settings.tree().unwrap();
    let services = settings.keys().filter_map(|key| key.strip_prefix("service:"));
    let mut more = Vec::new();
    for name in services.filter(|name| !system::THREE.contains(name)) {
        let database = testkit::database(&name.replace('-', "_")).await;
        let variables = testkit::environment(&database, &fixture.broker);
        more.push((name.to_owned(), database, variables));
    }
    more
}

async fn start(
    system: &System,
    more: &[(String, TestDatabase, Environment)],
) -> Vec<ServiceProcess> {
    let mut processes = Vec::new();
    for (name, _, variables) in more {
        let mut variables = variables.clone();
        for service in [&system.users, &system.payments, &system.notifications] {
            let name = service.name().replace('-', "_").to_uppercase();
            variables.insert(format!("{name}_HOST"), "127.0.0.1".to_owned());
            variables.insert(format!("{name}_PORT"), service.port().to_string());
        }
        processes.push(ServiceProcess::start(name, &variables).await);
    }
    processes
}

/// A route, as its service's document says it.
struct Asks {
    method: Method,
    path: String,
    /// Whether it asks for a token, and which scope that must carry where it is narrowed.
    says_token: bool,
    scopes: Vec<String>,
}

/// The routes of a service.
async fn routes(system: &System, service: &ServiceProcess) -> Vec<Asks> {
    let request = system.request(Method::GET, &service.url("/openapi.json"));
    let document: Value = request.send().await.unwrap().json().await.unwrap();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let mut security = operation["security"].as_array().into_iter().flatten();
            let bearer = security.find_map(|one| one.get("bearer"));
            let scopes = bearer.and_then(Value::as_array).into_iter().flatten();
            let scopes = scopes.map(|scope| scope.as_str().unwrap().to_owned()).collect();
            if let Ok(method) = method.to_uppercase().parse() {
                let (path, says_token) = (path.clone(), bearer.is_some());
                routes.push(Asks { method, path, says_token, scopes });
            }
        }
    }
    assert!(!routes.is_empty(), "{document}");
    routes
}

/// A caller's token for a service, by user-service's own command.
fn token(variables: &Environment, caller: &str, target: &str) -> Option<String> {
    (caller != NOBODY).then(|| made(variables, caller, target, &[]))
}

/// The same, narrowed to scopes.
fn narrowed_token(variables: &Environment, caller: &str, target: &str, scopes: &str) -> String {
    made(variables, caller, target, &["--scope", scopes])
}

fn made(variables: &Environment, caller: &str, target: &str, more: &[&str]) -> String {
    let id = Uuid::now_v7().to_string();
    let words = match caller {
        "user" => vec!["user", "--id", &id],
        "admin" => vec!["user", "--id", &id, "--role", "admin"],
        service => vec!["service", service, "--for", target],
    };
    system::token(variables, &[&words, more].concat())
}

fn scopes_of(service: &str) -> impl Iterator<Item = String> {
    let name = service.strip_suffix("-service").unwrap_or(service);
    ["read", "write", "admin"].into_iter().map(move |access| format!("{name}:{access}"))
}

fn join(scopes: impl Iterator<Item = String>) -> String {
    scopes.collect::<Vec<_>>().join(" ")
}
