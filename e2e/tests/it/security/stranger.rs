//! What a stranger tries on a route.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use testkit::{Environment, ServiceProcess};

use crate::system::{Signed, System, token};

/// A trace that the stranger makes up.
pub(super) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
/// A request id that the stranger makes up.
pub(super) const REQUEST_ID: &str = "a-request-id-of-a-strangers-choice";
/// Stands in every text that the stranger writes.
pub(super) const MARK: &str = "strangers-own-text";
/// A body of more bytes than any route takes.
const LARGE: usize = 70 * 1024;

/// A route of a service, as its document says it.
#[derive(Debug, Clone)]
pub(super) struct Route {
    method: Method,
    path: String,
    has_body: bool,
}

/// Somebody who is registered, and has no business with the victim.
pub(super) struct Stranger {
    http: reqwest::Client,
    own: Signed,
    victim: String,
    /// Tokens that nobody may use: made up, changed, unsigned, for another service.
    bad_tokens: Vec<String>,
}

/// A request of the stranger's.
pub(super) struct Trick {
    name: &'static str,
    request: RequestBuilder,
    /// Where OAuth, and not a problem document, says how a refusal looks.
    is_oauth: bool,
}

/// What came of it.
pub(super) struct Answer {
    name: String,
    is_oauth: bool,
    response: Response,
}

impl Stranger {
    pub(super) async fn new(system: &System, users: &Environment, victim: &Signed) -> Self {
        let own = system.new_user().await;
        let for_nobody = token(users, &["service", "payment-service", "--for", "payment-service"]);
        let bad_tokens =
            vec![MARK.to_owned(), changed(&own.token), unsigned(&own.token), for_nobody];
        let http = reqwest::Client::new();
        Self { http, own, victim: victim.id.clone(), bad_tokens }
    }

    /// Everything that makes sense on a route.
    pub(super) fn tricks(&self, service: &ServiceProcess, route: &Route) -> Vec<Trick> {
        let mut tricks = Vec::new();
        let mut add = |name, request: RequestBuilder| {
            let is_oauth = route.path == "/oauth/token";
            tricks.push(Trick { name, request: forged(request), is_oauth });
        };
        let ask = || self.ask(service, route);
        let own = || ask().bearer_auth(&self.own.token);
        add("nobody", ask());
        for bad in &self.bad_tokens {
            // A token for payment-service itself is for nobody else.
            if service.name() != "payment-service" || bad != &self.bad_tokens[3] {
                add("a bad token", ask().bearer_auth(bad));
            }
        }
        add("two tokens", own().bearer_auth(&self.own.token));
        if route.path.contains("{id}") {
            add("another's", own().json(&json!({"name": MARK})).header("if-match", "*"));
        }
        if !route.has_body {
            return tricks;
        }
        for body in [
            json!([]),
            json!([null, null]),
            json!([777, "EUR", "pm_card_visa"]),
            json!(["array@example.com", MARK, "a-password-for-trying-things"]),
            json!({MARK: MARK}),
            json!({"amount": MARK, "email": 7, "name": null, "password": []}),
            json!(null),
            json!(MARK),
        ] {
            add("a body of another kind", own().json(&body));
            add("a body of another kind, by nobody", ask().json(&body));
        }
        add("a large body", own().json(&json!({"name": "x".repeat(LARGE)})));
        add("no JSON", own().header("content-type", "application/json").body("{"));
        add("no UTF-8", own().header("content-type", "application/json").body(vec![b'"', 0xff]));
        add("another media type", own().header("content-type", "text/html").body(MARK));
        add("a patch of another kind", {
            own().header("content-type", "application/json-patch+json").body("[]")
        });
        let twice = own().json(&json!({})).header("content-type", "application/json");
        add("two media types", twice);
        let keys = own()
            .json(&json!({"amount": 500, "currency": "EUR", "payment_method": "pm_card_visa"}));
        add("two keys", keys.header("idempotency-key", "one").header("idempotency-key", "other"));
        tricks
    }

    fn ask(&self, service: &ServiceProcess, route: &Route) -> RequestBuilder {
        let queue = format!("{}.events", service.name());
        let path = route.path.replace("{id}", &self.victim).replace("{queue}", &queue);
        self.http.request(route.method.clone(), service.url(&path))
    }
}

impl Trick {
    pub(super) async fn send(self) -> Answer {
        let Self { name, request, is_oauth } = self;
        let request = request.build().unwrap();
        let name = format!("{name}: {} {}", request.method(), request.url());
        let response = reqwest::Client::new().execute(request).await.unwrap();
        Answer { name, is_oauth, response }
    }
}

impl Answer {
    /// It is an answer of ours: no fault, an error as a problem document, under an id of our own.
    pub(super) fn assert_no_fault(&self) {
        let Self { name, is_oauth, response } = self;
        let status = response.status();
        let header = |name| response.headers().get(name);
        assert!(!status.is_server_error(), "{name}: {status}");
        let id = header("x-request-id").unwrap_or_else(|| panic!("{name} has no request id"));
        assert_ne!(id, REQUEST_ID, "{name}");
        if status.is_client_error() && !is_oauth {
            let kind = header("content-type").and_then(|kind| kind.to_str().ok());
            assert_eq!(kind, Some("application/problem+json"), "{name}: {status}");
        }
    }
}

/// With what services and proxies say of a request: a deadline that is over, a trace to be recorded,
/// a request id, another address.
fn forged(request: RequestBuilder) -> RequestBuilder {
    request
        .header("x-deadline-ms", "0")
        .header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01"))
        .header("x-request-id", REQUEST_ID)
        .header("x-forwarded-for", "127.0.0.1, 10.0.0.1")
        .header("x-forwarded-host", MARK)
        .header("x-http-method-override", "DELETE")
}

/// A token of which one sign of the signature is another one.
fn changed(token: &str) -> String {
    let (rest, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    format!("{rest}.{other}{}", &signature[1..])
}

/// A token that says that it needs no signature, and that its user is an administrator.
fn unsigned(token: &str) -> String {
    let claims = token.split('.').nth(1).unwrap();
    let mut claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    claims["role"] = json!("admin");
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}.", encode(&json!({"alg": "none", "typ": "JWT"})), encode(&claims))
}

/// The routes of a service, as its document says them. Not those that a stranger's own token may use
/// to change what is the stranger's own.
pub(super) async fn routes(system: &System, service: &ServiceProcess) -> Vec<Route> {
    let request = system.request(Method::GET, &service.management_url("/openapi.json"));
    let document: Value = request.send().await.unwrap().json().await.unwrap();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Ok(method) = method.to_uppercase().parse() else { continue };
            let has_body = operation.get("requestBody").is_some();
            routes.push(Route { method, path: path.clone(), has_body });
        }
    }
    assert!(!routes.is_empty(), "{document}");
    routes
}
