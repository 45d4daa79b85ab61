//! What every route of user-service answers to everybody: strangers, a user about the own and about
//! another's, an administrator, each service, whose session has ended, whose token is for another service; and with a
//! token that is narrowed: a user who may read, a service that may write where it has something to read.
//!
//! Each request is one that the route would carry out for whoever may send it, so that the status says
//! what becomes of it. When a change is meant, run `UPDATE_GOLDEN=1 cargo dev test -- -p e2e policy` and
//! look at the difference.

use std::collections::BTreeMap;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::{Asks, assert_golden, ended, routes, token};
use crate::system::{self, Fixture, PASSWORD, System, THREE, without_an_issuer_to_ask};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/matrix.txt");
/// The columns: those that are let in last, who change most of what the others ask about, come last.
const CALLERS: [&str; 11] = [
    "nobody",
    "ended",
    "elsewhere",
    "user-service",
    "payment-service",
    "payment, user:write",
    "notification-service",
    "user, user:read",
    "other user",
    "administrator",
    "user",
];

/// A registered user, as whose own or another's something is asked for.
struct Somebody {
    id: String,
    email: String,
    token: String,
    refresh_token: String,
    session: String,
}

/// A system, and who asks it.
struct Asked {
    system: System,
    /// Of whoever is always the same.
    tokens: BTreeMap<&'static str, String>,
    /// The database of user-service, where others are made administrators.
    users: PgPool,
}

#[tokio::test]
async fn every_route_of_user_service_answers_everybody_as_the_table_says() {
    let fixture = Fixture::set_up().await;
    let mut variables = fixture.environment(0);
    variables.extend(without_an_issuer_to_ask());
    let users = fixture.databases[0].pool().await;
    let system = fixture.start(variables.clone()).await;
    let mut tokens = BTreeMap::from([("ended", ended(&system, &[&system.users]).await.token)]);
    let elsewhere = token(&variables, "payment-service", "notification-service");
    tokens.insert("elsewhere", elsewhere.unwrap());
    for service in THREE {
        tokens.insert(service, token(&variables, service, "user-service").unwrap());
    }
    let writes = ["service", "payment-service", "--for", "user-service", "--scope", "user:write"];
    tokens.insert("payment, user:write", system::token(&variables, &writes));
    let asked = Asked { system, tokens, users };

    let head = line("route", &CALLERS);
    let mut lines = vec![head.clone()];
    for Asks { method, path, .. } in routes(&asked.system, &asked.system.users).await {
        let statuses = asked.row(&method, &path).await;
        lines.push(line(&format!("{method} {path}"), &statuses));
    }
    assert_golden(GOLDEN, &(lines.join("\n") + "\n"), &head);
}

#[test]
fn every_route_that_requires_a_body_is_given_one() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../services/user-service/openapi.json");
    let mut api: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let none = Vec::<String>::new();
    assert_eq!(without_a_body(&api), none, "`body` in matrix.rs has no line for these routes");

    api["paths"]["/api/users/{id}/shoes"]["put"]["requestBody"]["required"] = json!(true);
    assert_eq!(without_a_body(&api), ["PUT /api/users/{id}/shoes"]);
}

/// The routes of an API document that answer 4xx to everybody, since nobody sends them what they require.
fn without_a_body(api: &Value) -> Vec<String> {
    let nobody = Somebody {
        id: String::new(),
        email: String::new(),
        token: String::new(),
        refresh_token: String::new(),
        session: String::new(),
    };
    let paths = api["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        let operations = item.as_object().unwrap().iter();
        operations.map(move |(method, operation)| (method.to_uppercase(), path, operation))
    });
    let requiring =
        operations.filter(|(.., operation)| operation["requestBody"]["required"] == true);
    let routes = requiring.map(|(method, path, _)| format!("{method} {}", in_a_queue(path)));
    routes.filter(|route| body(route, &nobody).is_none()).collect()
}

/// The path with a queue that there is.
fn in_a_queue(path: &str) -> String {
    path.replace("{queue}", "user-service.events")
}

fn line(route: &str, cells: &[impl AsRef<str>]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| format!("{:<21}", cell.as_ref())).collect();
    format!("{route:<50}{}", cells.concat()).trim_end().to_owned()
}

impl Asked {
    /// What each caller is answered.
    async fn row(&self, method: &Method, path: &str) -> Vec<String> {
        let mut statuses = Vec::new();
        let mut owner = self.somebody().await;
        for caller in CALLERS {
            if caller == "user" {
                // The administrator may have deleted the one before.
                owner = self.somebody().await;
            }
            let request = self.request(method, path, &owner);
            let token = self.token_of(caller, &owner).await;
            let request = token.iter().fold(request, RequestBuilder::bearer_auth);
            statuses.push(request.send().await.unwrap().status().as_u16().to_string());
        }
        statuses
    }

    async fn token_of(&self, caller: &str, owner: &Somebody) -> Option<String> {
        match caller {
            "other user" => Some(self.somebody().await.token),
            "administrator" => Some(self.appointed().await),
            "user" => Some(owner.token.clone()),
            "user, user:read" => {
                let session = self.sign_in_with(&owner.email, json!({"scope": "user:read"})).await;
                Some(session["access_token"].as_str().unwrap().to_owned())
            }
            always_the_same => self.tokens.get(always_the_same).cloned(),
        }
    }

    async fn somebody(&self) -> Somebody {
        let email = format!("{}@example.com", Uuid::now_v7().simple());
        let body = json!({"email": email, "name": "Ada", "password": PASSWORD});
        let user = self.post("/api/users", &body).await;
        let session = self.sign_in(&email).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let token = text(&session["access_token"]);
        let open = self.system.get(&self.system.users.url("/api/sessions"), &token).await;
        Somebody {
            id: text(&user["user_id"]),
            session: text(&open["items"][0]["session_id"]),
            refresh_token: text(&session["refresh_token"]),
            email,
            token,
        }
    }

    /// The token of somebody who was made an administrator.
    async fn appointed(&self) -> String {
        let user = self.somebody().await;
        sqlx::query("update users set admin = true where id = $1::uuid")
            .bind(&user.id)
            .execute(&self.users)
            .await
            .unwrap();
        self.sign_in(&user.email).await["access_token"].as_str().unwrap().to_owned()
    }

    async fn sign_in(&self, email: &str) -> Value {
        self.sign_in_with(email, json!({})).await
    }

    async fn sign_in_with(&self, email: &str, mut body: Value) -> Value {
        body["email"] = json!(email);
        body["password"] = json!(PASSWORD);
        self.post("/api/sessions", &body).await
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.system.request(Method::POST, &self.system.users.url(path)).json(body);
        request.send().await.unwrap().json().await.unwrap()
    }

    /// A request about `owner` that the route would carry out.
    fn request(&self, method: &Method, path: &str, owner: &Somebody) -> RequestBuilder {
        let id = if path.contains("/sessions/") { &owner.session } else { &owner.id };
        let path = in_a_queue(path).replace("{id}", id);
        let url = self.system.users.url(&path.replace("{target}", "payment-service"));
        let request = self.system.request(method.clone(), &url);
        let request = request.header("if-match", "*");
        match body(&format!("{method} {path}").replace(id, "{id}"), owner) {
            Some(Body::Json(body)) => request.json(&body),
            Some(Body::Form(body)) => {
                request.header("content-type", "application/x-www-form-urlencoded").body(body)
            }
            None => request,
        }
    }
}

/// What a request says.
enum Body {
    Json(Value),
    Form(&'static str),
}

/// The body of a route, if it takes one; a route that requires one has it here.
fn body(route: &str, owner: &Somebody) -> Option<Body> {
    let new = format!("{}@example.com", Uuid::now_v7().simple());
    let body = match route {
        "POST /api/users" => json!({"email": new, "name": "Ada", "password": PASSWORD}),
        "PATCH /api/users/{id}" => {
            json!({"name": "Ada Lovelace", "email": new, "current_password": PASSWORD})
        }
        "PUT /api/users/{id}/password" => {
            json!({"current_password": PASSWORD, "new_password": "battery staple horse"})
        }
        "PUT /api/users/{id}/role" => json!({"role": "admin", "current_password": PASSWORD}),
        "POST /api/sessions" => json!({"email": owner.email, "password": PASSWORD}),
        "POST /api/sessions/refresh" | "POST /api/sessions/sign-out" => {
            json!({"refresh_token": owner.refresh_token})
        }
        "POST /api/password-resets" => json!({"email": owner.email}),
        "POST /api/password-resets/complete" => {
            json!({"token": "none", "password": "battery staple horse"})
        }
        "POST /api/email-verifications/complete" => json!({"token": "none"}),
        "POST /api/external-accounts/complete" | "POST /api/external-sessions/complete" => {
            json!({"code": "none", "state": "none", "browser_secret": "none"})
        }
        "POST /api/external-accounts"
        | "POST /api/external-accounts/{id}/unlink"
        | "POST /api/second-factor" => json!({"password": PASSWORD}),
        "POST /api/second-factor/complete" => json!({"code": "123456"}),
        "POST /api/second-factor/disable" | "POST /api/second-factor/recovery-codes" => {
            json!({"password": PASSWORD, "code": "123456"})
        }
        "POST /oauth/token" => return Some(Body::Form("grant_type=client_credentials")),
        "PUT /admin/log" => json!({"filter": "info", "seconds": 1}),
        "PUT /admin/calls/{target}/breaker" => json!({"state": "automatic"}),
        "POST /admin/events/republish" => json!({"filter": {}, "target": "all"}),
        "POST /admin/queues/user-service.events/discard" => json!({"filter": {}}),
        "POST /api/users/{id}/second-factor/disable" => json!({"current_password": PASSWORD}),
        "POST /admin/queues/user-service.events/replay" => json!({}),
        _ => return None,
    };
    Some(Body::Json(body))
}
