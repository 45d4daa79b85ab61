//! What an operator's collector gets of the whole system: one scenario as one trace, with its edges.

use std::collections::BTreeMap;
use std::net::TcpListener;

use serde_json::Value;
use testkit::collector::{Collector, Span};
use testkit::{Environment, ServiceProcess, eventually};

use crate::system::{Fixture, System};

const USERS: &str = "user-service";
const PAYMENTS: &str = "payment-service";
const NOTIFICATIONS: &str = "notification-service";
/// The span of the caller that every request of a system names.
const CALLER: &str = "00f067aa0ba902b7";

/// The variables by which a service exports to an endpoint.
pub(crate) fn exporting(endpoint: &str, probability: &str) -> [(&'static str, String); 3] {
    [
        ("TRACING_ENABLED", "true".to_owned()),
        ("TRACING_ENDPOINT", endpoint.to_owned()),
        ("TRACING_SAMPLING_PROBABILITY", probability.to_owned()),
    ]
}

/// Ends the services one after the other: each sends what still waits.
pub(crate) async fn flush(system: &mut System) {
    for service in [&mut system.payments, &mut system.notifications, &mut system.users] {
        assert!(service.terminate().await.success(), "{}", service.log_tail());
    }
}

/// The spans of one trace.
struct Trace(Vec<Span>);

impl Trace {
    /// The one span of a service and name below a span of the given id.
    fn below(&self, parent: &str, service: &str, name: &str) -> &Span {
        let of_parent = self.0.iter().filter(|span| span.parent_id == parent);
        let mut found = of_parent.filter(|span| span.service() == service && span.name == name);
        match (found.next(), found.next()) {
            (Some(span), None) => span,
            (None, _) => panic!("no {service} {name} below {parent}:\n{self}"),
            _ => panic!("more than one {service} {name} below {parent}:\n{self}"),
        }
    }

    /// Goes down from a span, by service and name.
    fn path(&self, from: &str, steps: &[(&str, &str)]) -> &Span {
        let mut span = None;
        for (service, name) in steps {
            let parent = span.map_or(from, |span: &Span| span.span_id.as_str());
            span = Some(self.below(parent, service, name));
        }
        span.unwrap()
    }

    fn write(&self, parent: &str, depth: usize, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        for span in self.0.iter().filter(|span| span.parent_id == parent) {
            writeln!(out, "{:depth$}{} {} [{}]", "", span.service(), span.name, span.kind)?;
            self.write(&span.span_id, depth + 2, out)?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Trace {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.write(CALLER, 0, out)
    }
}

/// Asserts the kind of a span, and some of its attributes.
fn assert_is(span: &Span, kind: &str, attributes: &[(&str, &str)]) {
    assert_eq!(span.kind, kind, "{span:?}");
    for (name, value) in attributes {
        assert_eq!(span.attribute(name), *value, "{name} of {span:?}");
    }
}

#[tokio::test]
async fn the_scenario_is_one_trace_from_the_request_over_http_and_broker_to_the_mail() {
    let collector = Collector::start();
    let mut fixture = Fixture::set_up().await;
    fixture.settings.extend(exporting(&collector.endpoint(), "1"));
    let database = fixture.databases[0].name().to_owned();
    let environment = fixture.environment(0);
    let mut system = fixture.start(environment).await;
    let user = system.new_user().await;
    system.until_sent(&user.token, "welcome").await;
    assert_eq!(system.pay(&user.token, "order-1", "pm_card_visa").await.status(), 201);
    system.until_sent(&user.token, "payment_receipt").await;
    system.get(&system.users.url(&format!("/api/users/{}", user.id)), &user.token).await;
    let users_port = system.users.port().to_string();
    let provider = system.simulator.url();
    let trace_id = system.traceparent.split('-').nth(1).unwrap().to_owned();
    flush(&mut system).await;

    let spans = collector.spans();
    let scenario = spans.iter().filter(|span| span.trace_id == trace_id).cloned();
    let scenario = Trace(scenario.collect());
    assert!(scenario.0.iter().all(|span| !span.failed), "{:?}", scenario.0);
    let known: Vec<&str> = scenario.0.iter().map(|span| span.span_id.as_str()).collect();
    for span in &scenario.0 {
        let parent = span.parent_id.as_str();
        assert!(parent == CALLER || known.contains(&parent), "an orphan: {span:?}\n{scenario}");
        assert!(span.began <= span.ended, "{span:?}");
    }

    registration(&scenario, &database);
    payment(&scenario, &users_port, &provider);
    profile(&scenario);
    relays(&scenario, &spans);
    instances(&scenario);
}

/// Request → row and event in one transaction → each reader of the event → mail.
fn registration(scenario: &Trace, database: &str) {
    let request = scenario.below(CALLER, USERS, "POST /api/users");
    assert_is(
        request,
        "server",
        &[
            ("http.request.method", "POST"),
            ("http.route", "/api/users"),
            ("http.response.status_code", "201"),
            ("url.scheme", "http"),
            ("url.path", "/api/users"),
            ("network.protocol.version", "1.1"),
        ],
    );
    let row = scenario.below(&request.span_id, USERS, "insert users");
    assert_is(
        row,
        "client",
        &[
            ("db.system.name", "postgresql"),
            ("db.namespace", database),
            ("db.query.summary", "insert users"),
            ("server.address", "127.0.0.1"),
        ],
    );
    assert!(row.attribute("db.query.text").starts_with("insert into users ("), "{row:?}");
    assert!(row.attributes.contains_key("server.port"), "{row:?}");

    let event = scenario.below(&request.span_id, USERS, "create user.events");
    assert_is(event, "producer", &[("messaging.destination.name", "user.events:user.created")]);
    scenario.below(&event.span_id, USERS, "select insert messaging_outbox select numbered");
    let opened = scenario.below(&event.span_id, PAYMENTS, "process payment-service.events");
    assert_is(
        opened,
        "consumer",
        &[
            ("messaging.system", "rabbitmq"),
            ("messaging.operation.type", "process"),
            ("messaging.message.id", event.attribute("messaging.message.id")),
        ],
    );
    scenario.below(&opened.span_id, PAYMENTS, "insert messaging_inbox select");
    scenario.below(&opened.span_id, PAYMENTS, "insert customers select");

    let told = [(NOTIFICATIONS, "process notification-service.events"), (NOTIFICATIONS, "notify")];
    let notify = scenario.path(&event.span_id, &told);
    let mail = scenario.below(&notify.span_id, NOTIFICATIONS, "send mail");
    assert_is(mail, "client", &[]);
    scenario.below(&notify.span_id, NOTIFICATIONS, "update notifications");
    scenario.below(&notify.span_id, NOTIFICATIONS, "create notification.events");
}

/// Request → the other service and its database → provider → event → mail.
fn payment(scenario: &Trace, users_port: &str, provider: &str) {
    let request = scenario.below(CALLER, PAYMENTS, "POST /api/payments");
    let call = scenario.below(&request.span_id, PAYMENTS, "service_call.user-service.get_user");
    assert_is(call, "internal", &[("peer.service", USERS)]);
    let attempt = scenario.below(&call.span_id, PAYMENTS, "GET");
    assert_is(
        attempt,
        "client",
        &[
            ("http.request.method", "GET"),
            ("http.response.status_code", "200"),
            ("server.port", users_port),
        ],
    );
    assert!(attempt.attribute("url.full").contains("/api/users/"), "{attempt:?}");
    assert!(!attempt.attributes.contains_key("http.request.resend_count"), "{attempt:?}");
    let answer = scenario.below(&attempt.span_id, USERS, "GET /api/users/{id}");
    assert_is(answer, "server", &[]);
    scenario.below(&answer.span_id, USERS, "select users");

    scenario.below(&request.span_id, PAYMENTS, "insert payments");
    let charge = scenario.below(&request.span_id, PAYMENTS, "charge");
    let asked =
        scenario.path(&charge.span_id, &[(PAYMENTS, "payment_gateway.charge"), (PAYMENTS, "POST")]);
    let url = format!("{provider}/v1/payment_intents");
    assert_is(asked, "client", &[("url.full", &url), ("http.response.status_code", "200")]);
    scenario.below(&charge.span_id, PAYMENTS, "update payments");
    scenario.path(
        &charge.span_id,
        &[
            (PAYMENTS, "create payment.events"),
            (NOTIFICATIONS, "process notification-service.events"),
            (NOTIFICATIONS, "notify"),
            (NOTIFICATIONS, "send mail"),
        ],
    );
}

/// Request → cache, in vain → database → cache.
fn profile(scenario: &Trace) {
    let request = scenario.below(CALLER, USERS, "GET /api/users/{id}");
    let cached = scenario.below(&request.span_id, USERS, "GET 0");
    assert_is(
        cached,
        "client",
        &[("db.system.name", "redis"), ("db.operation.name", "GET"), ("db.namespace", "0")],
    );
    scenario.below(&request.span_id, USERS, "select users");
    scenario.below(&request.span_id, USERS, "SET 0");
}

/// A relay sends rows of many traces at once: its span is of none of them, and linked to each.
fn relays(scenario: &Trace, spans: &[Span]) {
    let created = scenario.0.iter().filter(|span| span.name.starts_with("create "));
    for create in created {
        let link = (create.trace_id.clone(), create.span_id.clone());
        let sent = spans.iter().find(|span| span.links.contains(&link));
        let sent = sent.unwrap_or_else(|| panic!("nobody sent {create:?}"));
        let exchange = create.name.trim_start_matches("create ");
        assert_eq!(sent.name, format!("send {exchange}"));
        assert_ne!(sent.trace_id, create.trace_id);
        assert_is(sent, "client", &[("messaging.destination.name", exchange)]);
    }
}

/// Every span says which process made it.
fn instances(scenario: &Trace) {
    let mut instances = BTreeMap::new();
    for span in &scenario.0 {
        let resource = |name| span.resource[name].as_str();
        assert_eq!(resource("service.version"), "1.0.0");
        assert_eq!(resource("deployment.environment.name"), "development");
        let instance = instances.entry(span.service()).or_insert(resource("service.instance.id"));
        assert_eq!(*instance, resource("service.instance.id"));
    }
    assert_eq!(instances.len(), 3, "{instances:?}");
}

#[tokio::test]
async fn a_strangers_trace_is_linked_and_not_continued_and_he_does_not_decide_on_its_recording() {
    for probability in ["0", "1"] {
        let collector = Collector::start();
        let mut fixture = Fixture::set_up().await;
        fixture.settings = exporting(&collector.endpoint(), probability).into();
        let environment = fixture.environment(0);
        let mut system = fixture.start(environment).await;
        let user = system.new_user().await;
        assert_eq!(system.pay(&user.token, "order-1", "pm_card_visa").await.status(), 201);
        system.until_sent(&user.token, "payment_receipt").await;
        let stranger = system.traceparent.split('-').nth(1).unwrap().to_owned();
        flush(&mut system).await;

        let spans = collector.spans();
        assert!(spans.iter().all(|span| span.trace_id != stranger), "{spans:?}");
        one_trace_in_all_logs(&system, &stranger);
        if probability == "0" {
            assert!(spans.is_empty(), "{spans:?}");
            continue;
        }
        let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
        let request = named("POST /api/payments");
        let asked = named("GET /api/users/{id}");
        assert_eq!(request.links, [(stranger, CALLER.to_owned())]);
        assert!(request.parent_id.is_empty());
        // From one service to another the trace goes on.
        assert_eq!((asked.service(), &asked.trace_id), (USERS, &request.trace_id));
        assert!(asked.links.is_empty(), "{asked:?}");
    }
}

/// Asserts that a payment is one trace in the logs of all services, recorded or not: over the call of
/// another service, the rows and the messages. It is not the stranger's.
fn one_trace_in_all_logs(system: &System, stranger: &str) {
    let traces = |service: &ServiceProcess, name: &str, value: &str| -> Vec<String> {
        let log = service.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let lines = lines.filter(|line| line[name] == value);
        lines.filter_map(|line| line["trace_id"].as_str().map(str::to_owned)).collect()
    };
    let paid = traces(&system.payments, "http.route", "/api/payments");
    let [trace] = &paid[..] else { panic!("one payment: {paid:?}") };
    assert_ne!(trace, stranger);
    let asked = traces(&system.users, "http.route", "/api/users/{id}");
    assert!(asked.contains(trace), "{trace} is not among {asked:?}");
    let told = traces(&system.notifications, "message", "notification worked on");
    assert!(told.contains(trace), "{trace} is not among {told:?}");
}

/// One user-service alone, exporting to an endpoint.
async fn users(fixture: &Fixture, endpoint: &str, probability: &str) -> ServiceProcess {
    let mut environment: Environment = fixture.environment(0);
    let settings = exporting(endpoint, probability);
    environment.extend(settings.map(|(name, value)| (name.to_owned(), value)));
    ServiceProcess::start(USERS, &environment).await
}

#[tokio::test]
async fn whether_a_trace_is_recorded_is_the_decision_of_a_proxy_that_began_it() {
    let fixture = Fixture::set_up().await;
    let collector = Collector::start();
    let [no, yes] =
        [("0af7651916cd43dd8448eb211c80319c", "00"), ("1af7651916cd43dd8448eb211c80319c", "01")];
    for probability in ["0", "1"] {
        let before = collector.spans().len();
        let mut users = users(&fixture, &collector.endpoint(), probability).await;
        let callers = [no, yes].map(|(trace, flags)| format!("00-{trace}-{CALLER}-{flags}"));
        for caller in callers.map(Some).into_iter().chain([None]) {
            let mut request = reqwest::Client::new().get(users.url("/api/users/me"));
            if let Some(caller) = caller {
                request = request.header("traceparent", caller);
            }
            assert_eq!(request.send().await.unwrap().status(), 401);
        }
        assert!(users.terminate().await.success());
        let spans = collector.spans().split_off(before);
        assert!(spans.iter().all(|span| span.trace_id != no.0), "at {probability}: {spans:?}");
        let recorded = spans.iter().filter(|span| span.trace_id == yes.0);
        let names: Vec<&str> = recorded.map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["GET /api/users/me"], "at {probability}");
        let own = spans.iter().any(|span| span.trace_id != yes.0 && span.name == names[0]);
        assert_eq!(own, probability == "1", "a trace that no caller decided on: {spans:?}");
    }
}

#[tokio::test]
async fn a_collector_that_never_answers_costs_no_answer_and_what_is_dropped_is_counted() {
    // Connections are taken into the backlog, and nobody ever reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let fixture = Fixture::set_up().await;
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let mut users = users(&fixture, &endpoint, "1").await;
    let http = reqwest::Client::new();
    eventually("spans are dropped", async || {
        for _ in 0..500 {
            let answer = http.get(users.url("/api/users/me")).send().await.unwrap();
            assert_eq!(answer.status(), 401);
        }
        let metrics = http.get(users.url("/metrics")).send().await.ok()?.text().await.ok()?;
        let dropped = "telemetry_spans_total{outcome=\"dropped\"} ";
        let count = metrics.lines().find_map(|line| line.strip_prefix(dropped))?;
        (count != "0").then_some(())
    })
    .await;
    assert!(users.terminate().await.success(), "{}", users.log_tail());
}
