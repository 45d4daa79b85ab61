//! One instance of a service inside the test's process, and what a test asks it.

use std::path::PathBuf;

use auth::{AuthSettings, KeyRing, KeySettings, PolicySettings, Role, Scopes, Tokens, User};
use chassis::{CancellationToken, Clock};
use platform::{Service, process};
use reqwest::{Method, RequestBuilder, Response};
use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinHandle;
use tusk_config::{Loader, Vars};
use uuid::Uuid;

use crate::{config_with_template, eventually};

/// A running instance. It is told to end when this value is dropped.
#[derive(Debug)]
pub struct Instance {
    /// `http://127.0.0.1:port`.
    pub address: String,
    settings: TokenSettings,
    http: reqwest::Client,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

/// The sections of auth.tsk that tokens are made by.
#[derive(Debug, Deserialize)]
struct TokenSettings {
    auth: AuthSettings,
    keys: KeySettings,
    policy: PolicySettings,
}

impl Instance {
    /// Starts the service; it listens when this returns.
    pub async fn start<S: Service>(vars: Vars) -> Self {
        let folder = PathBuf::from(vars.get("CONFIG_DIR").unwrap_or("config"));
        let settings = Loader::new(folder).file("auth").vars(vars.clone()).load();
        let settings = settings.unwrap_or_else(|faults| panic!("auth.tsk: {faults}"));
        let loaded = process::load::<S>(vars).unwrap_or_else(|faults| panic!("{faults}"));
        let app = process::open::<S>(&loaded).await;
        let app = app.unwrap_or_else(|error| panic!("{} cannot start: {error}", S::NAME));
        let (address, shutdown) = (format!("http://{}", app.address()), CancellationToken::new());
        let stop = shutdown.clone();
        let task = tokio::spawn(async move {
            app.run(stop).await.unwrap_or_else(|error| panic!("{} ended: {error}", S::NAME));
        });
        Self { address, settings, http: reqwest::Client::new(), shutdown, task }
    }

    /// Ends in order: what is in hand is finished, so that what is not there by then never comes.
    pub async fn stop(&mut self) {
        self.shutdown.cancel();
        (&mut self.task).await.unwrap_or_else(|error| panic!("it did not end in order: {error}"));
    }

    /// Ends as a crash does: nothing that was under way is finished.
    pub async fn crash(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// Waits until the service's queue is bound, so that what is published reaches it.
    pub async fn subscribed(&self) {
        eventually("the service is subscribed", async || {
            let health = self.request(Method::GET, "/health").send().await.ok()?;
            let health: Value = health.json().await.ok()?;
            (health["checks"]["rabbitmq"] == true).then_some(())
        })
        .await;
    }

    /// A request, to be filled and sent.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.address))
    }

    /// What is there for the bearer of a token.
    pub async fn get(&self, path: &str, token: &str) -> Response {
        let sent = self.request(Method::GET, path).bearer_auth(token).send().await;
        sent.unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// Tokens as `service` makes and reads them at the time that `clock` tells.
    pub fn tokens(&self, service: &'static str, clock: Clock) -> Tokens {
        let TokenSettings { auth, keys, policy } = &self.settings;
        let keys = KeyRing::open(keys, clock.clone());
        let keys = keys.unwrap_or_else(|error| panic!("no keys: {error}"));
        Tokens::new(auth, keys, service, clock).with_policy(policy)
    }

    /// A token of a user who is signed in.
    pub fn user_token(&self, id: Uuid, role: Role) -> String {
        let made = self.tokens("user-service", Clock::system()).for_user(id, role, Uuid::now_v7());
        made.unwrap_or_else(|error| panic!("no token: {error}")).value.expose().clone()
    }

    /// The same, of a session that is narrowed to these scopes.
    pub fn narrowed_token(&self, id: Uuid, role: Role, scopes: &str) -> String {
        let user = User { id, role, session: Uuid::now_v7() };
        let clock = Clock::system();
        let tokens = self.tokens("user-service", clock.clone());
        let end = clock.now() + tokens.user_lifetime();
        let made = tokens.for_session(user, Some(&Scopes::read(scopes)), end);
        made.unwrap_or_else(|error| panic!("no token: {error}")).value.expose().clone()
    }

    /// A token with which `caller` comes to `target`.
    pub fn service_token(&self, caller: &'static str, target: &str) -> String {
        let made = self.tokens(caller, Clock::system()).for_service(target);
        made.unwrap_or_else(|error| panic!("no token: {error}")).value.expose().clone()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// The API's document of a service, or of the template's, by the settings of the workspace.
pub fn document<S: Service>() -> String {
    let config = config_with_template();
    let vars = Vars::of([("CONFIG_DIR", config.path().display().to_string())]);
    process::document::<S>(&vars).unwrap_or_else(|fault| panic!("{fault}"))
}

/// The status and body of an answer that is a problem document, as every error has to be.
pub async fn problem(request: RequestBuilder) -> (u16, Value) {
    let sent = request.send().await;
    let answer = sent.unwrap_or_else(|error| panic!("no answer: {error}"));
    let status = answer.status().as_u16();
    let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok());
    assert_eq!(kind, Some("application/problem+json"), "{status}");
    let body = answer.json::<Value>().await;
    let body = body.unwrap_or_else(|error| panic!("{status} has no JSON: {error}"));
    assert_eq!(body["status"], status);
    (status, body)
}
