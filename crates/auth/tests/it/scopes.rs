//! What a token that carries scopes opens, and what it does not.

use auth::policy::{PolicySettings, protect};
use auth::{Access, Caller, Role, Scope, Scopes, TokenScopes, Tokens, User};
use axum::body::Body;
use axum::response::Response;
use chassis::{Clock, Problem};
use http::{Method, Request};
use serde_json::{Value, json};
use tower::ServiceExt;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::fixture::{clock, tokens};
use crate::policy::{bearer, rules};
use crate::tokens::{changed, claims, forged, header, twice_signed};

const RULES: &str = r#"
[policy.user-service]
"GET /open": anybody
"GET /things": [user, payment-service]
"POST /things": user
"PUT /things": admin
"DELETE /things": [admin, payment-service]
"GET /all": user

[policy.payment-service]
"GET /nothing": user

[policy.notification-service]
"#;

/// Whom a handler sees.
fn shown(caller: Caller) -> String {
    match caller {
        Caller::User(user) if user.is_admin() => "an administrator".to_owned(),
        Caller::User(_) => "a user".to_owned(),
        Caller::Service(service) => service.name,
    }
}
#[utoipa::path(get, path = "/open", responses((status = 200)))]
async fn open() {}
#[utoipa::path(get, path = "/things", responses((status = 200)))]
async fn list(caller: Caller) -> String {
    shown(caller)
}
#[utoipa::path(post, path = "/things", responses((status = 200)))]
async fn create(caller: Caller) -> String {
    shown(caller)
}
#[utoipa::path(put, path = "/things", responses((status = 200)))]
async fn replace(caller: Caller) -> String {
    shown(caller)
}
#[utoipa::path(delete, path = "/things", responses((status = 200)))]
async fn delete(caller: Caller) -> String {
    shown(caller)
}
/// Reaches beyond its own service.
#[utoipa::path(get, path = "/all", responses((status = 200)))]
async fn all(scopes_of_token: TokenScopes) -> Result<(), Problem> {
    scopes_of_token.needs(&Scope::of("payment-service", Access::Read))
}

struct Server {
    router: axum::Router,
    policy: PolicySettings,
    clock: Clock,
}

impl Server {
    fn new() -> Self {
        let clock = clock();
        let policy = rules(RULES).unwrap();
        let routes = OpenApiRouter::new()
            .routes(routes!(open))
            .routes(routes!(list, create, replace, delete))
            .routes(routes!(all));
        let ours = tokens("user-service", &clock);
        let [routes] = protect([routes], "user-service", &policy, &ours).unwrap();
        Self { router: routes.into_parts().0, policy, clock }
    }

    fn tokens(&self, service: &'static str) -> Tokens {
        tokens(service, &self.clock).with_policy(&self.policy)
    }

    /// A user's token, narrowed to scopes if there are any.
    fn user(&self, role: Role, scopes: Option<&str>) -> String {
        let user = User { id: Uuid::nil(), role, session: Uuid::nil() };
        let end = self.clock.now() + chrono::TimeDelta::hours(1);
        let scopes = scopes.map(Scopes::read);
        let token = self.tokens("user-service").for_session(user, scopes.as_ref(), end);
        bearer(&token.unwrap())
    }

    fn service(&self, name: &'static str, scopes: &str) -> String {
        let scopes = Some(Scopes::read(scopes));
        bearer(&self.tokens(name).for_caller(name, "user-service", scopes).unwrap())
    }

    async fn call(&self, method: &str, path: &str, token: &str) -> Response {
        let method: Method = method.parse().unwrap();
        let request = Request::builder().method(method).uri(path).header("authorization", token);
        let request = request.body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Whom the handler saw, or the status and the scope that the answer says is missing.
    async fn outcome(&self, method: &str, path: &str, token: &str) -> String {
        let answer = self.call(method, path, token).await;
        let status = answer.status().as_u16();
        let challenge = answer.headers().get("www-authenticate").cloned();
        let body = axum::body::to_bytes(answer.into_body(), 4096).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        if status == 200 {
            return body;
        }
        let problem: Value = serde_json::from_str(&body).unwrap();
        let Some(challenge) = challenge else {
            assert_eq!(problem["type"], "/problems/forbidden");
            return status.to_string();
        };
        assert_eq!(problem["type"], "/problems/insufficient-scope");
        let scope = challenge
            .to_str()
            .unwrap()
            .strip_prefix(r#"Bearer error="insufficient_scope", scope=""#);
        let scope = scope.unwrap().strip_suffix('"').unwrap();
        let detail = format!("a token with the scope {scope} is needed");
        assert_eq!(problem["detail"], detail);
        format!("{status} {scope}")
    }
}

#[tokio::test]
async fn a_narrowed_token_opens_what_caller_and_scopes_both_may_and_the_answer_names_what_is_missing()
 {
    let server = Server::new();
    let [user, admin] = [Role::User, Role::Admin].map(|role| {
        let server = &server;
        move |scopes| server.user(role, Some(scopes))
    });
    let payment = |scopes| server.service("payment-service", scopes);
    let (a_user, administrator, service) = ("a user", "an administrator", "payment-service");
    let missing = |access: &str| format!("403 user:{access}");
    let [read, write, administer] = ["read", "write", "admin"].map(missing);
    let [read, write, administer] = [read.as_str(), &write, &administer];
    // GET, HEAD, POST, PUT and DELETE.
    for (who, token, expected) in [
        ("user, all", server.user(Role::User, None), [a_user, "", a_user, "403", "403"]),
        ("user, read", user("user:read"), [a_user, "", write, "403", "403"]),
        ("user, write", user("user:write"), [read, "403", a_user, "403", "403"]),
        ("user, admin", user("user:admin"), [read, "403", write, "403", "403"]),
        ("user, elsewhere", user("payment:read payment:write"), [read, "403", write, "403", "403"]),
        ("user, none", user(""), [read, "403", write, "403", "403"]),
        (
            "administrator, all",
            server.user(Role::Admin, None),
            [administrator, "", administrator, administrator, administrator],
        ),
        ("administrator, read", admin("user:read"), [a_user, "", write, administer, write]),
        (
            "administrator, write",
            admin("user:write"),
            [read, "403", a_user, administer, administer],
        ),
        ("administrator, admin", admin("user:admin"), [read, "403", write, administrator, write]),
        (
            "administrator, read and admin",
            admin("user:read user:admin"),
            [administrator, "", write, administrator, write],
        ),
        (
            "administrator, admin elsewhere",
            admin("user:read user:write payment:admin"),
            [a_user, "", a_user, administer, administer],
        ),
        ("service, read", payment("user:read"), [service, "", "403", "403", write]),
        ("service, write", payment("user:write"), [read, "403", "403", "403", service]),
        ("service, none", payment(""), [read, "403", "403", "403", write]),
        (
            "service that no rule names",
            server.service("notification-service", "user:read user:write user:admin"),
            ["403", "403", "403", "403", "403"],
        ),
    ] {
        for (method, expected) in ["GET", "HEAD", "POST", "PUT", "DELETE"].into_iter().zip(expected)
        {
            let case = format!("{method} by {who}");
            if method == "HEAD" {
                let status = if expected.is_empty() { 200 } else { 403 };
                assert_eq!(server.call(method, "/things", &token).await.status(), status, "{case}");
            } else {
                assert_eq!(server.outcome(method, "/things", &token).await, expected, "{case}");
            }
        }
        assert_eq!(server.call("GET", "/open", &token).await.status(), 200, "{who}");
        assert_eq!(server.call("GET", "/nowhere", &token).await.status(), 404, "{who}");
    }
}

#[tokio::test]
async fn a_handler_that_reaches_beyond_its_service_asks_for_the_scope_of_the_other_one_too() {
    let server = Server::new();
    for (scopes, expected) in [
        (None, ""),
        (Some("user:read payment:read"), ""),
        (Some("user:read payment:write"), "403 payment:read"),
        (Some("payment:read"), "403 user:read"),
    ] {
        let token = server.user(Role::User, scopes);
        assert_eq!(server.outcome("GET", "/all", &token).await, expected, "{scopes:?}");
    }
}

#[tokio::test]
async fn a_token_that_is_remembered_keeps_its_scopes_and_gives_them_to_no_other_of_its_session() {
    let server = Server::new();
    let narrow = server.user(Role::User, Some("user:read"));
    let wide = server.user(Role::User, None);
    for _ in 0..3 {
        assert_eq!(server.outcome("POST", "/things", &narrow).await, "403 user:write");
        assert_eq!(server.outcome("POST", "/things", &wide).await, "a user");
        assert_eq!(server.outcome("GET", "/things", &narrow).await, "a user");
    }
}

#[tokio::test]
async fn a_claim_that_is_no_list_of_scopes_opens_nothing_and_none_opens_what_it_did() {
    let server = Server::new();
    let get = async |claims: &Value| {
        let token = format!("Bearer {}", forged(&header(), claims));
        server.outcome("GET", "/things", &token).await
    };
    assert_eq!(get(&claims()).await, "a user", "tokens of the release before have no claim");
    assert_eq!(get(&changed("scope", "openid user:read")).await, "a user");
    for claim in [
        Value::Null,
        json!(""),
        json!(" "),
        json!("*"),
        json!("user:*"),
        json!("USER:READ"),
        json!("user:readwrite"),
        json!("user:read  user:write"),
        json!("user:read\n"),
        json!(["user:read"]),
        json!({"user": "read"}),
        json!(true),
        json!(7),
        json!("user:read ".repeat(200)),
    ] {
        assert_eq!(get(&changed("scope", claim.clone())).await, "403 user:read", "{claim}");
    }
    let twice = changed("scope", "user:read").to_string();
    let twice = twice.replacen('{', r#"{"scope":"user:write","#, 1);
    let answer = server.call("GET", "/things", &format!("Bearer {}", twice_signed(&twice))).await;
    assert_eq!(answer.status(), 401);
}

#[test]
fn a_service_signs_itself_what_the_rules_of_its_target_name_it_for() {
    let server = Server::new();
    for (service, expected) in
        [("payment-service", json!("user:read user:write")), ("notification-service", json!(""))]
    {
        let token = server.tokens(service).for_service("user-service").unwrap();
        assert_eq!(claimed(&token), expected, "{service}");
    }
    let unruled = tokens("payment-service", &server.clock).for_service("user-service").unwrap();
    assert_eq!(claimed(&unruled), Value::Null, "where no rules are known it is not narrowed");
}

/// What a token claims.
fn claimed(token: &auth::Token) -> Value {
    use base64::Engine;
    let body = token.value.expose().split('.').nth(1).unwrap().to_owned();
    let body = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(body).unwrap();
    serde_json::from_slice::<Value>(&body).unwrap()["scope"].take()
}
