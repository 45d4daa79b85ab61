//! The scenario's steps, and how each is told.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use testkit::native::random_hex;

use super::{Further, Urls, documented};
use crate::{
    http::{Answer, Client},
    interrupt::Interrupt,
    project::Project,
};

/// How long a step waits for what another service does on an event.
const WAIT_LIMIT: Duration = Duration::from_secs(20);

/// What is being told, and what came of it so far.
pub(super) struct Scenario {
    client: Client,
    urls: Urls,
    trace_id: String,
    traceparent: String,
    as_json: bool,
    interrupt: Interrupt,
    steps: Vec<Value>,
}

/// Somebody with a login.
pub(super) struct User {
    pub(super) id: String,
    pub(super) bearer: String,
}

impl Scenario {
    pub(super) fn new(urls: Urls, as_json: bool, interrupt: Interrupt) -> Result<Self> {
        let trace_id = random_hex(16)?;
        let traceparent = format!("00-{trace_id}-{}-01", random_hex(8)?);
        let client = Client::new();
        Ok(Self { client, urls, trace_id, traceparent, as_json, interrupt, steps: Vec::new() })
    }

    /// The whole scenario; ends at the first step that does not happen.
    pub(super) fn walk(&mut self) -> Result<()> {
        let email = format!("smoke-{}@example.com", random_hex(6)?);
        let password = random_hex(12)?;
        let id = self.step("register a user", |s| s.register(&email, &password))?;
        let bearer = self.step("log in", |s| s.log_in(&email, &password))?;
        let user = User { id, bearer };

        self.step("payment-service opens a customer", |s| s.customer(&user))?;
        self.step("a welcome mail is sent", |s| s.mail(&user, "welcome"))?;

        let key = random_hex(16)?;
        let paid = self.step("pay with a good card", |s| s.pay(&user, &key))?;
        self.step("a receipt is sent", |s| s.mail(&user, "payment_receipt"))?;
        self.step("pay with a card that is declined", |s| s.pay_declined(&user))?;
        self.step("a failure notice is sent", |s| s.mail(&user, "payment_failure"))?;

        self.step("change the e-mail address", |s| s.change_email(&user, &password))?;
        self.step("the old address is told", |s| s.mail(&user, "email_change_requested"))?;
        self.step("ask for the mail that proves the new one", |s| {
            s.ask(&[("authorization", &user.bearer)], "/api/email-verifications", None)?;
            s.mail(&user, "email_change")
        })?;
        self.step("ask for a new password by mail", |s| {
            s.ask(&[], "/api/password-resets", Some(&json!({"email": email})))?;
            s.mail(&user, "password_reset")
        })?;
        self.step("the same payment again is answered, not repeated", |s| {
            s.replay(&user, &key, &paid)
        })?;

        let further = self.urls.further.clone();
        further.iter().try_for_each(|service| {
            let step = format!("{} does what its document shows", service.name);
            self.step(&step, |s| s.documented(&user, service))
        })
    }

    /// Prints how it ended, and makes that the exit code.
    pub(super) fn conclude(&self, outcome: Result<()>, project: &Project) -> Result<ExitCode> {
        let trace_id = &self.trace_id;
        if self.as_json {
            let ok = outcome.is_ok();
            let error = outcome.err().map(|error| format!("{error:#}"));
            let all = json!({"ok": ok, "trace_id": trace_id, "steps": self.steps, "error": error});
            println!("{}", serde_json::to_string_pretty(&all)?);
            return Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        println!("trace {trace_id}");
        let logs = project.command(&format!("logs --trace {trace_id}"));
        println!("what it did: {logs}");
        outcome.map(|()| {
            println!("all of it happened");
            ExitCode::SUCCESS
        })
    }

    /// Does one step and tells it: its name, how long it took, and the ids it gave.
    pub(super) fn step<T>(
        &mut self,
        name: &str,
        act: impl FnOnce(&Self) -> Result<(T, Value)>,
    ) -> Result<T> {
        let begin = Instant::now();
        let outcome = act(self);
        let elapsed_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (ok, detail) = match &outcome {
            Ok((_, detail)) => (true, detail.clone()),
            Err(error) => (false, json!({"error": format!("{error:#}")})),
        };
        if !self.as_json {
            let word = if ok { "ok  " } else { "FAIL" };
            let ids = detail.as_object().filter(|_| ok).into_iter().flatten();
            let ids: Vec<String> =
                ids.map(|(name, value)| format!("{name}={}", plain(value))).collect();
            println!("{word} {name} ({elapsed_ms} ms) {}", ids.join(" "));
        }
        self.steps
            .push(json!({"step": name, "ok": ok, "elapsed_ms": elapsed_ms, "detail": detail}));
        outcome.map(|(value, _)| value).with_context(|| name.to_owned())
    }

    pub(super) fn register(&self, email: &str, password: &str) -> Result<(String, Value)> {
        let body = json!({"email": email, "name": "Smoke Test", "password": password});
        let answer =
            self.send("POST", &format!("{}/api/users", self.urls.user), &[], Some(&body))?;
        let user = expect(&answer, 201)?;
        let id = text(&user, "user_id")?;
        Ok((id.clone(), json!({"user_id": id, "email": email})))
    }

    pub(super) fn log_in(&self, email: &str, password: &str) -> Result<(String, Value)> {
        let body = json!({"email": email, "password": password});
        let url = format!("{}/api/sessions", self.urls.user);
        let answer = self.send("POST", &url, &[], Some(&body))?;
        // A session is made (201) or given (200): both are right.
        let session = expect(&answer, if answer.status == 200 { 200 } else { 201 })?;
        let token = text(&session, "access_token")?;
        text(&session, "refresh_token")?;
        Ok((format!("Bearer {token}"), json!({"expires_in": session["expires_in"]})))
    }

    fn customer(&self, user: &User) -> Result<((), Value)> {
        let url = format!("{}/api/payments/customer", self.urls.payment);
        self.wait("payment-service has no customer for the user", || {
            let answer = self.get(user, &url)?;
            Ok((answer.status == 200).then(|| ((), answer.json())))
        })
    }

    pub(super) fn mail(&self, user: &User, kind: &str) -> Result<((), Value)> {
        let url = format!("{}/api/notifications", self.urls.notification);
        self.wait(&format!("no notification of kind `{kind}` was sent"), || {
            let answer = self.get(user, &url)?;
            let list = expect(&answer, 200)?;
            let items = list["items"].as_array().context("the list has no `items`")?;
            let sent = items.iter().find(|item| item["kind"] == kind && item["status"] == "sent");
            Ok(sent.map(|item| ((), json!({"notification_id": id_of(item, "notification_id")}))))
        })
    }

    fn pay(&self, user: &User, key: &str) -> Result<(Value, Value)> {
        let answer = self.post_payment(user, key, "pm_card_visa")?;
        let payment = expect(&answer, 201)?;
        let id = id_of(&payment, "payment_id");
        if payment["status"] == "processing" {
            self.wait("the payment is still processing", || self.settled(user, &id, "succeeded"))?;
        } else if payment["status"] != "succeeded" {
            bail!("the payment's status is {} instead of succeeded", payment["status"]);
        }
        Ok((payment, json!({"payment_id": id})))
    }

    fn settled(&self, user: &User, id: &Value, status: &str) -> Result<Option<((), Value)>> {
        let url = format!("{}/api/payments/{}", self.urls.payment, plain(id));
        let answer = self.get(user, &url)?;
        Ok((answer.json()["status"] == status).then_some(((), Value::Null)))
    }

    fn pay_declined(&self, user: &User) -> Result<((), Value)> {
        let card = "pm_card_visa_chargeDeclined";
        let payment = expect(&self.post_payment(user, &random_hex(16)?, card)?, 201)?;
        if payment["status"] != "requires_payment_method" {
            bail!("the status is {} instead of requires_payment_method", payment["status"]);
        }
        let code = text(&payment, "decline_code")?;
        let id = id_of(&payment, "payment_id");
        Ok(((), json!({"payment_id": id, "decline_code": code})))
    }

    pub(super) fn change_email(&self, user: &User, password: &str) -> Result<(String, Value)> {
        let url = format!("{}/api/users/{}", self.urls.user, user.id);
        let bearer = ("authorization", user.bearer.as_str());
        let current = self.get(user, &url)?;
        expect(&current, 200)?;
        let etag = current.header("etag");
        if etag.is_empty() {
            bail!("GET {url} gave no ETag");
        }
        let email = format!("moved-{}@example.com", random_hex(6)?);
        let body = json!({"email": email, "current_password": password});
        let answer = self.send("PATCH", &url, &[bearer, ("if-match", etag)], Some(&body))?;
        expect(&answer, 200)?;
        let detail = json!({"email": email, "etag": answer.header("etag")});
        Ok((email, detail))
    }

    /// Where user-service answers for a path.
    pub(super) fn at_users(&self, path: &str) -> String {
        format!("{}{path}", self.urls.user)
    }

    /// Asks user-service for a mail.
    fn ask(&self, headers: &[(&str, &str)], path: &str, body: Option<&Value>) -> Result<()> {
        let answer = self.send("POST", &format!("{}{path}", self.urls.user), headers, body)?;
        expect(&answer, 202).map(drop)
    }

    fn replay(&self, user: &User, key: &str, paid: &Value) -> Result<((), Value)> {
        let answer = self.post_payment(user, key, "pm_card_visa")?;
        let again = expect(&answer, 201)?;
        if again != *paid {
            bail!("the same key gave another body: {again} instead of {paid}");
        }
        if answer.header("idempotent-replayed") != "true" {
            bail!("the answer does not say `Idempotent-Replayed: true`");
        }
        let url = format!("{}/api/payments", self.urls.payment);
        let list = expect(&self.get(user, &url)?, 200)?;
        let count = list["items"].as_array().map_or(0, Vec::len);
        if count != 2 {
            bail!("the user has {count} payments instead of 2");
        }
        Ok(((), json!({"payments": count})))
    }

    /// Of a service that the scenario knows nothing about: what its document has an example of is made,
    /// and found where the answer says that it is.
    fn documented(&self, user: &User, service: &Further) -> Result<((), Value)> {
        let Further { url, document, .. } = service;
        self.wait("it is not healthy", || {
            let health = self.send("GET", &format!("{url}/health"), &[], None)?.json();
            Ok((health["status"] == "healthy").then_some(()))
        })?;
        let mut made = Vec::new();
        for (path, body) in documented::examples(document) {
            let key = random_hex(16)?;
            let bearer = ("authorization", user.bearer.as_str());
            let headers = [bearer, ("idempotency-key", key.as_str())];
            let answer =
                self.send("POST", &format!("{url}{path}"), &headers, Some(&Value::from(body)))?;
            expect(&answer, 201)?;
            let location = answer.header("location").to_owned();
            expect(&self.get(user, &format!("{url}{location}"))?, 200)?;
            made.push(location);
        }
        Ok(((), json!({"made": made})))
    }

    fn post_payment(&self, user: &User, key: &str, card: &str) -> Result<Answer> {
        let body = json!({"amount": 1999, "currency": "EUR", "payment_method": card});
        let headers = [("authorization", user.bearer.as_str()), ("idempotency-key", key)];
        self.send("POST", &format!("{}/api/payments", self.urls.payment), &headers, Some(&body))
    }

    fn get(&self, user: &User, url: &str) -> Result<Answer> {
        self.send("GET", url, &[("authorization", &user.bearer)], None)
    }

    pub(super) fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer> {
        let mut all = vec![("traceparent", self.traceparent.as_str())];
        all.extend(headers);
        self.client.send(method, url, &all, body)
    }

    /// Asks again and again. What goes wrong meanwhile is told only when the time is over.
    pub(super) fn wait<T>(
        &self,
        missing: &str,
        mut probe: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let mut last = None;
        let found = self.interrupt.poll(WAIT_LIMIT, || {
            Ok(probe().unwrap_or_else(|error| {
                last = Some(format!("{error:#}"));
                None
            }))
        })?;
        found.with_context(|| {
            let last = last.map(|error| format!(" ({error})")).unwrap_or_default();
            format!("{missing} within {} s{last}", WAIT_LIMIT.as_secs())
        })
    }
}

/// The body of an answer that has this status.
pub(super) fn expect(answer: &Answer, status: u16) -> Result<Value> {
    if answer.status != status {
        bail!("status {} instead of {status}: {}", answer.status, answer.text);
    }
    Ok(answer.json())
}

pub(super) fn text(body: &Value, field: &str) -> Result<String> {
    let value = body[field].as_str().with_context(|| format!("the answer has no `{field}`"))?;
    Ok(value.to_owned())
}

/// The id of a resource: under its long name, or as `id`.
fn id_of(body: &Value, long: &str) -> Value {
    body.get(long).or_else(|| body.get("id")).cloned().unwrap_or_default()
}

/// A value as people read it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
