//! Tokens for other services, and the keys they verify tokens with.

use auth::Caller;
use chassis::Clock;
use platform::Service as _;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use user_service::UserService;

use crate::app::TestApp;

/// What the testkit's environment gives payment-service.
const SECRET: &str = "test-only-payment-service-token";
const FORM: &str = "application/x-www-form-urlencoded";

impl TestApp {
    fn oauth(&self, form: &str) -> RequestBuilder {
        let request = self.request(Method::POST, "/oauth/token");
        request.header("content-type", FORM).body(form.to_owned())
    }
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(answer.headers()["content-type"], "application/json");
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn basic(request: RequestBuilder, secret: &str) -> RequestBuilder {
    request.basic_auth("payment-service", Some(secret))
}

#[tokio::test]
async fn a_service_gets_a_token_for_its_own_secret_in_the_header_or_in_the_form() {
    let app = TestApp::start().await;
    let own = format!("client_id=payment-service&client_secret={SECRET}");
    for request in [
        basic(app.oauth("grant_type=client_credentials&audience=notification-service"), SECRET),
        app.oauth(&format!("grant_type=client_credentials&audience=notification-service&{own}")),
        // As a replica of the release before asks.
        basic(app.oauth("grant_type=client_credentials&scope=notification-service"), SECRET),
    ] {
        let (status, body) = answer(request).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(3_600)));
        assert_eq!(body["scope"], "notification:write");
        let target = app.tokens("notification-service", Clock::system());
        let caller = target.verify(body["access_token"].as_str().unwrap()).unwrap();
        assert!(matches!(caller, Caller::Service(service) if service.name == "payment-service"));
    }
}

/// RFC 6749 §2.3.1 wants name and secret form-encoded within Basic; `curl -u` sends them as they are.
#[tokio::test]
async fn a_secret_of_any_characters_is_taken_in_basic_form_encoded_or_as_it_is() {
    let secret = "a+secret/of=base64&more%41==";
    let app = TestApp::start_with(&[("PAYMENT_SERVICE_TOKEN", secret)]).await;
    let encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let ask = async |secret: &str| {
        let form = "grant_type=client_credentials&audience=user-service";
        answer(basic(app.oauth(form), secret)).await.0
    };
    for right in [secret, &encoded] {
        assert_eq!(ask(right).await, 200, "{right}");
    }
    for wrong in ["a+secret/of", "a secret/of=base64&moreA==", ""] {
        assert_eq!(ask(wrong).await, 401, "{wrong}");
    }
}

#[tokio::test]
async fn a_token_from_there_opens_what_the_policy_says_and_nothing_else() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let token = async |service: &str, secret: &str| {
        let request = app.oauth("grant_type=client_credentials&audience=user-service");
        let (_, body) = answer(request.basic_auth(service, Some(secret))).await;
        body["access_token"].as_str().unwrap().to_owned()
    };
    let payment = token("payment-service", SECRET).await;
    let notification = token("notification-service", "test-only-notification-service-token").await;
    let path = format!("/api/users/{}", user.id);
    assert_eq!(app.get(&path, &payment).await.status(), 200);
    assert_eq!(app.get("/api/users", &payment).await.status(), 403);
    assert_eq!(app.get(&path, &notification).await.status(), 403);
}

/// Without a list it gets all that the rules of the target give it, and never more with one.
#[tokio::test]
async fn a_service_gets_the_scopes_that_it_asks_for_of_those_that_the_rules_give_it() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let ask = async |audience: &str, scope: &str| {
        let form = format!("grant_type=client_credentials&audience={audience}{scope}");
        answer(basic(app.oauth(&form), SECRET)).await
    };
    for (audience, scope, expected) in [
        ("user-service", "", "user:read"),
        ("user-service", "&scope=", "user:read"),
        ("user-service", "&scope=user:read", "user:read"),
        ("user-service", "&scope=user:read+user:read", "user:read"),
        ("notification-service", "", "notification:write"),
        // No rule of its own names it.
        ("payment-service", "", ""),
    ] {
        let (status, body) = ask(audience, scope).await;
        assert_eq!((status, &body["scope"]), (200, &json!(expected)), "{audience}{scope}: {body}");
    }
    for scope in [
        "user:write",
        "user:read+user:write",
        "user:read+payment:read",
        "user:admin",
        "user:readwrite",
        "USER:READ",
        "user:*",
        "user:read++user:read",
    ] {
        let (status, body) = ask("user-service", &format!("&scope={scope}")).await;
        assert_eq!((status, &body["error"]), (400, &json!("invalid_scope")), "{scope}: {body}");
        let description = body["error_description"].as_str().unwrap();
        assert!(description.ends_with("there are user:read for you there"), "{description}");
    }
    let path = format!("/api/users/{}", user.id);
    let (_, body) = ask("user-service", "").await;
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(app.get(&path, token).await.status(), 200);
}

#[tokio::test]
async fn each_fault_has_the_error_and_the_status_of_the_rfc() {
    let app = TestApp::start().await;
    let grant = "grant_type=client_credentials&audience=user-service";
    let in_form = format!("{grant}&client_id=payment-service&client_secret={SECRET}");
    let json = app.request(Method::POST, "/oauth/token").json(&json!({"grant_type": "x"}));
    let right = |form: &str| basic(app.oauth(form), SECRET);
    for (case, request, status, error) in [
        ("no form", json, 400, "invalid_request"),
        ("no grant", right("audience=user-service"), 400, "invalid_request"),
        ("another grant", right("grant_type=password"), 400, "unsupported_grant_type"),
        ("twice", right(&format!("{grant}&audience=user-service")), 400, "invalid_request"),
        ("both ways", right(&in_form), 400, "invalid_request"),
        ("no target", right("grant_type=client_credentials"), 400, "invalid_request"),
        (
            "scope alone",
            right("grant_type=client_credentials&scope=user:read"),
            400,
            "invalid_request",
        ),
        ("unknown target", right(&format!("{grant}s")), 400, "invalid_target"),
        ("two targets", right(&format!("{grant}&audience=x")), 400, "invalid_request"),
        (
            "a target as scope",
            right(&format!("{grant}&scope=payment-service")),
            400,
            "invalid_scope",
        ),
        ("nobody", app.oauth(grant), 401, "invalid_client"),
        ("wrong secret", basic(app.oauth(grant), "a wrong secret"), 401, "invalid_client"),
        ("no basic", app.oauth(grant).header("authorization", "Basic %"), 401, "invalid_client"),
        ("a bearer", app.oauth(grant).bearer_auth("x"), 401, "invalid_client"),
    ] {
        let (found, body) = answer(request).await;
        assert_eq!((found, &body["error"]), (status, &json!(error)), "{case}: {body}");
        assert!(!body.to_string().contains(SECRET), "{case}");
    }
}

#[tokio::test]
async fn wrong_secrets_are_slowed_down_and_the_right_one_still_gets_through() {
    let app = TestApp::start().await;
    let ask = async |secret: &str| -> Response {
        let form = "grant_type=client_credentials&audience=user-service";
        basic(app.oauth(form), secret).send().await.unwrap()
    };
    let first = ask("a wrong secret").await;
    assert_eq!(first.headers()["www-authenticate"], "Basic realm=\"services\"");
    let mut slowed = first;
    for _ in 0..100 {
        if slowed.status() == 429 {
            break;
        }
        assert_eq!(slowed.status(), 401);
        slowed = ask("a wrong secret").await;
    }
    assert_eq!(
        (slowed.status().as_u16(), &slowed.headers()["retry-after"]),
        (429, &"1".parse().unwrap())
    );
    assert_eq!(ask(SECRET).await.status(), 200);
}

#[tokio::test]
async fn with_hs256_the_key_set_is_empty_so_no_secret_is_published() {
    let app = TestApp::start().await;
    let answer = app.request(Method::GET, "/.well-known/jwks.json").send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/jwk-set+json");
    assert_eq!(answer.headers()["cache-control"], "public, max-age=30");
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"keys": []}));
}

#[tokio::test]
async fn with_eddsa_the_public_halves_are_published_and_nothing_private() {
    let folder = tempfile::tempdir().unwrap();
    let pem = ed25519();
    std::fs::write(folder.path().join("2026-01.pem"), &pem).unwrap();
    let folder = folder.path().display().to_string();
    let app = TestApp::start_with(&[("JWT_ALGORITHM", "EdDSA"), ("JWT_KEYS_DIR", &folder)]).await;
    let answer = app.request(Method::GET, "/.well-known/jwks.json").send().await.unwrap();
    let mut set: Value = answer.json().await.unwrap();
    let x = set["keys"][0].as_object_mut().unwrap().remove("x").unwrap();
    assert_eq!(x.as_str().unwrap().len(), 43);
    let key = json!({
        "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "2026-01",
    });
    assert_eq!(set, json!({"keys": [key]}));
    let user = app.new_user().await;
    assert_eq!(app.get("/api/users/me", &user.token).await.status(), 200);
    // HS256 is over: not even the secret's holder signs any more.
    let before = TestApp::start().await;
    assert_eq!(app.get("/api/users/me", &before.admin_token()).await.status(), 401);
}

/// Whoever may run a program in a pod would make himself an administrator, and no log would tell.
#[tokio::test]
async fn no_token_is_made_by_hand_outside_of_development() {
    let (database, broker) = tokio::join!(testkit::database("minting"), testkit::broker());
    let words =
        ["token", "user", "--id", "019aca00-0000-7000-8000-000000000000", "--role", "admin"];
    let words = words.map(str::to_owned);
    let mint = |environment: &str| {
        let vars = testkit::vars(&database, &broker).with("ENVIRONMENT", environment);
        let settings = platform::process::load::<UserService>(vars).unwrap();
        let words = &words;
        async move { UserService::command(&settings.own, &settings.platform, words).await }
    };
    assert!(mint("development").await.unwrap().starts_with("ey"));
    for environment in ["production", "staging", "prod"] {
        assert_eq!(
            mint(environment).await.unwrap_err().to_string(),
            "tokens are made by hand only where ENVIRONMENT is development: sign in"
        );
    }
}

fn ed25519() -> String {
    use aws_lc_rs::signature::Ed25519KeyPair;
    use base64::Engine;
    let der = Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
    let text = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}
