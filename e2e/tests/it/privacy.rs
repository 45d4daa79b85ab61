//! What people trust the system with reaches no log, no span, no metric and no error: canaries go
//! through the whole scenario, through every kind of refusal and through messages that are dead-lettered, with
//! everything logged that can be and every trace recorded.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use testkit::collector::Collector;
use testkit::{ServiceProcess, eventually};
use uuid::Uuid;

use crate::system::{Fixture, System, administrator, code_of_app, token};
use crate::traces::{exporting, flush};

/// Values that may be seen nowhere, each with what it is.
struct Canaries(Vec<(&'static str, String)>);

impl Canaries {
    fn add(&mut self, what: &'static str, value: &str) {
        self.0.push((what, value.to_owned()));
    }

    /// What is seen in a text, by what it is: whatever the case, and escaped as in an address or in
    /// JSON.
    fn seen_in(&self, text: &str) -> Vec<&'static str> {
        let text = text.to_lowercase();
        let is_seen = |value: &str| {
            let value = value.to_lowercase();
            let escaped = value.replace('@', "%40").replace(' ', "%20");
            text.contains(&value) || text.contains(&escaped)
        };
        let seen = self.0.iter().filter(|(_, value)| is_seen(value));
        seen.map(|(what, _)| *what).collect()
    }

    /// The lines of a text in which something is seen.
    fn leaks(&self, place: &str, text: &str) -> Vec<String> {
        let leak = |line: &str| match self.seen_in(line)[..] {
            [] => None,
            ref seen => Some(format!("{seen:?} in {place}: {line}")),
        };
        text.lines().filter_map(leak).collect()
    }
}

/// Who the canaries are about, and who asks with them.
struct Person {
    id: String,
    token: String,
    email: String,
    name: String,
    password: String,
}

const CARD: &str = "4111111111111111";
const SPACED_CARD: &str = "4111 1111 1111 1111";

impl Person {
    fn new() -> (Self, Canaries) {
        let id = Uuid::now_v7().simple().to_string();
        let person = Self {
            id: String::new(),
            token: String::new(),
            email: format!("canary.{id}@example.com"),
            name: format!("Zephyrine Canary{id}"),
            password: format!("secret-{id}-horse"),
        };
        let mut canaries = Canaries(Vec::new());
        // The part that no other address has; the domain alone says nothing.
        canaries.add("e-mail address", &format!("canary.{id}"));
        canaries.add("name", &format!("Canary{id}"));
        canaries.add("name", "Zephyrine");
        canaries.add("password", &person.password);
        canaries.add("card number", CARD);
        canaries.add("card number", SPACED_CARD);
        canaries.add("card number", "4111-1111-1111-1111");
        // How every token in the JWT format begins, those between services too.
        canaries.add("token", "eyJ");
        (person, canaries)
    }

    /// JSON and what is none, with the person's data where it should not be.
    fn bad_bodies(&self) -> Vec<String> {
        let Self { email, name, password, .. } = self;
        vec![
            format!("{{\"email\": \"{email}\", \"name\": \"{name}\", \"password\": \"{password}\""),
            format!("{email} {password} {CARD}"),
            json!({"email": [email], "name": {"is": name}, "password": CARD}).to_string(),
            json!({"email": email, "name": name, "password": [password]}).to_string(),
            json!({"email": email, "name": name, "password": password, CARD: CARD}).to_string(),
            json!({"email": email, "name": name, "password": password, email: name}).to_string(),
            json!({"email": format!("{email} {CARD}"), "name": name, "password": password})
                .to_string(),
            json!({"email": format!("a-{email}"), "name": format!("{name}\n{email}"),
                "password": password})
            .to_string(),
            json!({"amount": email, "currency": "EUR", "payment_method": CARD}).to_string(),
            json!({"amount": 1, "currency": name, "payment_method": SPACED_CARD}).to_string(),
            json!({"amount": 1, "currency": "EUR", "payment_method": "pm_card_visa",
                "description": format!("{CARD} of {email}")})
            .to_string(),
            json!({"amount": 1, "currency": "EUR", "payment_method": email}).to_string(),
            json!({"refresh_token": password, "more": email}).to_string(),
            json!({"refresh_token": email}).to_string(),
            json!({"current_password": password, "new_password": CARD, email: name}).to_string(),
            json!({"token": email, "password": [password]}).to_string(),
            json!({"password": email, "code": [password]}).to_string(),
            json!({"password": name, "code": password}).to_string(),
            json!({"filter": {"type": email}, "confirmation": CARD}).to_string(),
        ]
    }
}

/// Sends what must fail, and looks at the answer.
async fn refused(canaries: &Canaries, request: RequestBuilder) {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    assert!(status.is_client_error(), "{status} from {}", answer.url());
    let place = format!("the {status} of a request");
    let head = format!("{:?}", answer.headers());
    assert_eq!(canaries.leaks(&place, &head), [""; 0]);
    assert_eq!(canaries.leaks(&place, &answer.text().await.unwrap()), [""; 0]);
}

/// Every route that takes a body, every kind of bad one.
async fn bad_bodies(
    system: &System,
    person: &Person,
    [admin, service]: [&str; 2],
    canaries: &Canaries,
) {
    let own = format!("/api/users/{}", person.id);
    let dlq = "/admin/queues/payment-service.events";
    let users = &system.users;
    let payments = &system.payments;
    for (target, method, path, token) in [
        (users, Method::POST, "/api/users", ""),
        (users, Method::POST, "/api/sessions", ""),
        (users, Method::POST, "/api/sessions/refresh", ""),
        (users, Method::POST, "/oauth/token", ""),
        (users, Method::PATCH, &own, &person.token),
        (users, Method::PUT, &format!("{own}/password"), &person.token),
        (users, Method::POST, "/api/second-factor", &person.token),
        (users, Method::POST, "/api/second-factor/complete", &person.token),
        (users, Method::POST, "/api/second-factor/disable", &person.token),
        (users, Method::POST, "/api/email-verifications/complete", ""),
        (users, Method::POST, "/api/password-resets/complete", ""),
        (payments, Method::POST, "/api/payments", &person.token),
        (&system.notifications, Method::POST, "/api/notifications", service),
        (payments, Method::POST, &format!("{dlq}/replay"), admin),
        (payments, Method::POST, &format!("{dlq}/discard"), admin),
    ] {
        for body in person.bad_bodies() {
            let request = system.request(method.clone(), &target.url(path)).bearer_auth(token);
            let request = request.header("idempotency-key", "a-key").header("if-match", "\"1\"");
            let request = request.header("content-type", "application/json").body(body);
            refused(canaries, request).await;
        }
    }
}

/// Paths, queries and headers with data in them; tokens that are none; refusals by what is stored.
async fn refusals(system: &System, person: &Person, canaries: &Canaries) {
    let users = &system.users;
    let payments = &system.payments;
    let notifications = &system.notifications;
    let Person { email, name, password, token, id } = person;
    let get = |service: &ServiceProcess, path: String| {
        system.request(Method::GET, &service.url(&path)).bearer_auth(token)
    };
    for value in [email, name, password, CARD, token] {
        refused(canaries, get(users, format!("/{value}?{value}={value}"))).await;
        refused(canaries, get(users, format!("/api/users/{value}"))).await;
        refused(canaries, get(payments, format!("/api/payments/{value}"))).await;
        refused(canaries, get(payments, format!("/api/payments?cursor={value}"))).await;
        refused(canaries, get(notifications, format!("/api/notifications/{value}"))).await;
        refused(canaries, get(notifications, format!("/api/notifications?limit={value}"))).await;
        refused(canaries, get(notifications, format!("/admin/queues/{value}/dead-letters"))).await;
        let bearer = system.request(Method::GET, &users.url("/api/users/me"));
        refused(canaries, bearer.bearer_auth(format!("{value}.{value}.x"))).await;
        let basic = system.request(Method::POST, &users.url("/oauth/token"));
        refused(canaries, basic.basic_auth(value, Some(password)).body("grant_type=x")).await;
        let form = format!("grant_type={value}&client_secret={password}&{email}={value}");
        let request = system.request(Method::POST, &users.url("/oauth/token")).body(form);
        let form = request.header("content-type", "application/x-www-form-urlencoded");
        refused(canaries, form).await;
    }
    for version in [email, "\"99\""] {
        let change =
            system.request(Method::PATCH, &users.url(&format!("/api/users/{id}?a={email}")));
        let change = change.bearer_auth(token).header("if-match", version);
        refused(canaries, change.json(&json!({"name": name}))).await;
    }
    let taken = json!({"email": email, "name": name, "password": password});
    refused(canaries, system.request(Method::POST, &users.url("/api/users")).json(&taken)).await;
    let wrong = json!({"email": email, "password": format!("not {password}")});
    refused(canaries, system.request(Method::POST, &users.url("/api/sessions")).json(&wrong)).await;
    let nobody = json!({"email": format!("x{email}"), "password": password});
    refused(canaries, system.request(Method::POST, &users.url("/api/sessions")).json(&nobody))
        .await;
}

/// Proves the address, moves to another one and sets another password, each by what came by mail; then
/// signs in again. All of it is a canary.
async fn by_mail(system: &System, person: &mut Person, canaries: &mut Canaries) {
    let users = |path: &str| system.users.url(path);
    let proof = system.mailed_token(&person.email, "verify-email");
    canaries.add("token of a mail", &proof);
    system.complete("email-verifications", &json!({"token": proof})).await;

    let moved = format!("moved.{}", person.email);
    let change = system.request(Method::PATCH, &users(&format!("/api/users/{}", person.id)));
    let change = change.bearer_auth(&person.token).header("if-match", "*");
    let changed = change
        .json(&json!({"email": moved, "current_password": person.password}))
        .send()
        .await
        .unwrap();
    assert_eq!(changed.status(), 200);
    system.until_sent(&person.token, "email_change").await;
    let proof = system.mailed_token(&moved, "verify-email");
    canaries.add("token of a mail", &proof);
    system.complete("email-verifications", &json!({"token": proof})).await;
    person.email = moved;

    let ask = system.request(Method::POST, &users("/api/password-resets"));
    let asked = ask.json(&json!({"email": person.email})).send().await.unwrap();
    assert_eq!(asked.status(), 202);
    system.until_sent(&person.token, "password_reset").await;
    let proof = system.mailed_token(&person.email, "reset-password");
    canaries.add("token of a mail", &proof);
    person.password = format!("another-{}", person.password);
    let reset = json!({"token": proof, "password": person.password});
    system.complete("password-resets", &reset).await;

    let login = json!({"email": person.email, "password": person.password});
    let session = system.request(Method::POST, &users("/api/sessions")).json(&login);
    let session: Value = session.send().await.unwrap().json().await.unwrap();
    session["access_token"].as_str().unwrap().clone_into(&mut person.token);
    let change = system.request(Method::PUT, &users(&format!("/api/users/{}/password", person.id)));
    let next = format!("changed-{}", person.password);
    let body = json!({"current_password": person.password, "new_password": next});
    let changed = change.bearer_auth(&person.token).json(&body).send().await.unwrap();
    assert_eq!(changed.status(), 204);
    person.password = next;
}

/// Switches the second factor on and signs in with a recovery code; the secret and the codes are canaries.
async fn by_code(system: &System, person: &Person, canaries: &mut Canaries) {
    let path = "/api/second-factor";
    let body = json!({"password": person.password});
    let enrolled = system.ask(Method::POST, path, &person.token, &body).await;
    let secret = enrolled["secret"].as_str().unwrap();
    canaries.add("secret of an authenticator app", secret);
    let body = json!({"code": code_of_app(secret, 0)});
    let codes = system.ask(Method::POST, &format!("{path}/complete"), &person.token, &body).await;
    for code in codes["recovery_codes"].as_array().unwrap() {
        let code = code.as_str().unwrap();
        canaries.add("recovery code", code);
        canaries.add("recovery code", &code.replace('-', ""));
    }
    system.until_sent(&person.token, "second_factor_enabled").await;
    for (code, status) in [(&codes["recovery_codes"][0], 201), (&codes["recovery_codes"][0], 401)] {
        let login = json!({"email": person.email, "password": person.password, "code": code});
        let session = system.request(Method::POST, &system.users.url("/api/sessions")).json(&login);
        let session = session.send().await.unwrap();
        assert_eq!(session.status(), status);
    }
    system.until_sent(&person.token, "recovery_code_used").await;
}

/// Messages that no service can handle, full of data, into every queue.
async fn poison(system: &System, vhost: &str, person: &Person) {
    let Person { email, name, .. } = person;
    let envelope = |event_type: &str, data: Value| {
        json!({"event_type": event_type, "data": data, "timestamp": "2026-01-15T09:30:00Z",
            "service": email})
        .to_string()
    };
    let bodies = [
        format!("{email} {name} {CARD}"),
        format!("{{\"event_type\": \"user.created\", \"data\": {{\"email\": \"{email}\""),
        envelope("user.promoted", json!({"email": email, "name": name})),
        envelope(email, json!({"card": CARD})),
        envelope("user.created", json!({"user_id": email, "email": CARD, "name": name})),
        envelope("notification.failed", json!({"notification_id": email, "user_id": CARD})),
        envelope("payment.completed", json!({"payment_id": name, "user_id": CARD})),
        envelope("user.created", json!([email, name])),
        json!({"event_type": "user.created", "data": {}, "timestamp": email}).to_string(),
    ];
    let api = &testkit::addresses().rabbitmq_api;
    let url = format!("{api}/api/exchanges/{vhost}/amq.default/publish");
    for service in [&system.users, &system.payments, &system.notifications] {
        let queue = format!("{}.events", service.name());
        for body in &bodies {
            let headers = json!({"x-note": email});
            let message = json!({"properties": {"headers": headers, "message_id": email},
                "routing_key": queue, "payload": body, "payload_encoding": "string"});
            let sent = reqwest::Client::new().post(&url).json(&message).send().await.unwrap();
            assert_eq!(sent.json::<Value>().await.unwrap()["routed"], true);
        }
        eventually("all of them are dead-lettered", async || {
            let metrics = reqwest::get(service.url("/metrics")).await.ok()?.text().await.ok()?;
            let depth = format!("messaging_dead_letters{{queue=\"{queue}\"}} {}", bodies.len());
            metrics.lines().any(|line| line == depth).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_people_trust_us_with_is_in_no_log_span_metric_or_error() {
    let collector = Collector::start();
    let mut fixture = Fixture::set_up().await;
    fixture.settings.extend(exporting(&collector.endpoint(), "1"));
    fixture.settings.push(("LOG_FILTER", "trace".to_owned()));
    let users = fixture.environment(0);
    let vhost = fixture.broker.vhost.clone();
    let (mut person, mut canaries) = Person::new();
    for (name, value) in &users {
        if name.ends_with("_TOKEN")
            || ["JWT_SECRET", "SECOND_FACTOR_KEYS", "STRIPE_API_KEY"].contains(&name.as_str())
        {
            canaries.add("secret of the settings", value);
        }
    }
    for database in &fixture.databases {
        let login = database.url().split('@').next().unwrap_or_default();
        canaries.add("login of a server", login.rsplit(':').next().unwrap_or_default());
    }
    let admin = administrator(&users);
    let service = token(&users, &["service", "user-service", "--for", "notification-service"]);
    let mut system = fixture.start(users).await;

    let registered = json!({"email": person.email, "name": person.name,
        "password": person.password});
    let post = |path: &str| system.request(Method::POST, &system.users.url(path));
    let user: Value =
        post("/api/users").json(&registered).send().await.unwrap().json().await.unwrap();
    user["user_id"].as_str().unwrap().clone_into(&mut person.id);
    let login = json!({"email": person.email, "password": person.password});
    let session: Value =
        post("/api/sessions").json(&login).send().await.unwrap().json().await.unwrap();
    let token = session["access_token"].as_str().unwrap().to_owned();
    token.clone_into(&mut person.token);
    canaries.add("token", &token);
    canaries.add("token", session["refresh_token"].as_str().unwrap());
    system.until_sent(&token, "welcome").await;
    assert_eq!(system.mails_to(&person.email).len(), 1, "the canary went the whole way");
    by_mail(&system, &mut person, &mut canaries).await;
    by_code(&system, &person, &mut canaries).await;
    let token = person.token.clone();

    assert_eq!(system.pay(&token, "order-1", "pm_card_visa").await.status(), 201);
    let declined = system.pay(&token, "order-2", "pm_card_visa_chargeDeclined").await;
    assert_eq!(declined.status(), 201);
    system.until_sent(&token, "payment_failure").await;
    bad_bodies(&system, &person, [&admin, &service], &canaries).await;
    refusals(&system, &person, &canaries).await;
    poison(&system, &vhost, &person).await;

    let mut leaks = Vec::new();
    for service in [&system.users, &system.payments, &system.notifications] {
        let metrics = reqwest::get(service.url("/metrics")).await.unwrap().text().await.unwrap();
        assert!(metrics.contains("service_requests_total"), "{metrics}");
        leaks.extend(canaries.leaks(&format!("the metrics of {}", service.name()), &metrics));
    }
    flush(&mut system).await;
    let spans = collector.spans();
    for service in [&system.users, &system.payments, &system.notifications] {
        let exported = spans.iter().filter(|span| span.service() == service.name());
        assert!(exported.count() > 10, "{} exports", service.name());
        let log = service.log();
        assert!(log.contains("\"level\":\"TRACE\""), "everything is logged");
        leaks.extend(canaries.leaks(&format!("the log of {}", service.name()), &log));
    }
    for span in &spans {
        leaks.extend(canaries.leaks(&format!("the span {}", span.name), &span.whole));
    }
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}

#[test]
fn a_leak_would_be_seen() {
    let (person, mut canaries) = Person::new();
    canaries.add("token", "opaque.value");
    let Person { email, name, password, .. } = &person;
    for (text, what) in [
        (format!("to {email}"), "e-mail address"),
        (format!("/api/users/{}", email.replace('@', "%40")), "e-mail address"),
        (format!("TO {}", email.to_uppercase()), "e-mail address"),
        (json!({"name": name}).to_string(), "name"),
        (format!("hello {}", name.split(' ').next().unwrap()), "name"),
        (format!("{password}!"), "password"),
        (format!("card={CARD}&x"), "card number"),
        ("4111%201111%201111%201111".to_owned(), "card number"),
        ("authorization: Bearer eyJhbGciOi".to_owned(), "token"),
        ("refresh_token: opaque.value".to_owned(), "token"),
    ] {
        assert_eq!(canaries.seen_in(&text).first(), Some(&what), "{text}");
    }
    assert_eq!(canaries.seen_in("GET /api/users/me answered 200 for canary"), [""; 0]);
}
