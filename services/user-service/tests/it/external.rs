//! Accounts at the external issuer: who is let in by them, who becomes a user, how they are linked and unlinked.

use reqwest::{Method, Url};
use serde_json::{Value, json};

use crate::app::{PASSWORD, Signed, TestApp};
use crate::issuer::{Callback, Issuer, Person, Signed as TokenSigned};

/// What is said of a flow that is not good any more, and where.
pub(crate) const EXPIRED: (&str, &str) =
    ("/state", "is not known, was used, is of another browser, or its time is up");

/// A browser that was sent to the issuer.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) url: String,
    pub(crate) secret: String,
}

impl Flow {
    pub(crate) fn of(begun: &Value) -> Self {
        let text = |key: &str| begun[key].as_str().unwrap().to_owned();
        Self { url: text("authorization_url"), secret: text("browser_secret") }
    }

    /// The state that the issuer is to give back.
    pub(crate) fn state(&self) -> String {
        let url = Url::parse(&self.url).unwrap();
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap();
        state.1.into_owned()
    }

    /// What the browser brings back from the issuer.
    pub(crate) fn body(&self, back: &Callback, iss: &str) -> Value {
        let Callback { code, state } = back;
        json!({"code": code, "state": state, "iss": iss, "browser_secret": self.secret})
    }
}

impl TestApp {
    pub(crate) async fn with_issuer(variables: &[(&'static str, &str)]) -> (Self, Issuer) {
        let issuer = Issuer::start().await;
        let all = [&issuer.variables()[..], variables].concat();
        (Self::start_with(&all).await, issuer)
    }

    pub(crate) async fn begin(&self) -> Flow {
        let answer = self.request(Method::POST, "/api/external-sessions").send().await.unwrap();
        assert_eq!(answer.status(), 201);
        Flow::of(&answer.json().await.unwrap())
    }

    pub(crate) async fn completed(&self, body: &Value) -> (u16, Value) {
        let answer = self.post("/api/external-sessions/complete", body).await;
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    pub(crate) async fn complete(&self, flow: &Flow, back: &Callback, iss: &str) -> (u16, Value) {
        self.completed(&flow.body(back, iss)).await
    }

    /// What a person is answered who goes the whole way.
    pub(crate) async fn let_in(&self, issuer: &Issuer, person: &Person) -> (u16, Value) {
        let flow = self.begin().await;
        let back = issuer.agrees(&flow.url, person);
        self.complete(&flow, &back, &issuer.url).await
    }

    pub(crate) async fn begin_link(&self, user: &Signed) -> Flow {
        let body = json!({"password": PASSWORD});
        let begun = self.post_as(&user.token, "/api/external-accounts", &body).await;
        assert_eq!(begun.0, 201, "{}", begun.1);
        Flow::of(&begun.1)
    }

    /// What a signed-in user is answered who links a person's account.
    pub(crate) async fn link(
        &self,
        issuer: &Issuer,
        user: &Signed,
        person: &Person,
    ) -> (u16, Value) {
        let flow = self.begin_link(user).await;
        let body = flow.body(&issuer.agrees(&flow.url, person), &issuer.url);
        self.post_as(&user.token, "/api/external-accounts/complete", &body).await
    }

    pub(crate) async fn accounts(&self, token: &str) -> Vec<Value> {
        let shown: Value = self.get("/api/external-accounts", token).await.json().await.unwrap();
        shown["items"].as_array().unwrap().clone()
    }

    pub(crate) async fn unlink(&self, token: &str, account: &Value) -> (u16, Value) {
        self.unlink_by(token, account, &json!({"password": PASSWORD})).await
    }

    async fn unlink_by(&self, token: &str, account: &Value, shown: &Value) -> (u16, Value) {
        self.post_as(token, &unlinking(account), shown).await
    }

    /// A flow that links, of a user's session, as it stands in the table.
    pub(crate) async fn pending_link(&self, user: &Signed) {
        let begun = "insert into external_flows
                       (id, issuer, state_hash, browser_hash, session_id, created_at, expires_at)
                     values (gen_random_uuid(), '', 'state', 'browser',
                             replace($1, 'session:', '')::uuid, now(), now() + interval '1 hour')";
        let begun = sqlx::query(begun).bind(user.session());
        begun.execute(&self.database.pool().await).await.unwrap();
    }

    /// What the next event of this type says.
    pub(crate) async fn next_event(&self, kind: &str) -> Value {
        loop {
            let message = self.plain.next("ear").await;
            if message.routing_key.as_str() == kind {
                let event: Value = serde_json::from_slice(&message.data).unwrap();
                return event["data"].clone();
            }
        }
    }

    /// How often something stands in the audit trail.
    pub(crate) async fn noted(&self, action: &str, outcome: &str) -> i64 {
        let times = "select coalesce(sum(times), 0)::bigint from audit
                     where action = $1 and outcome = $2";
        let times = sqlx::query_scalar(times).bind(action).bind(outcome);
        times.fetch_one(&self.database.pool().await).await.unwrap()
    }
}

/// The route that unlinks an account.
pub(crate) fn unlinking(account: &Value) -> String {
    format!("/api/external-accounts/{}/unlink", account["account_id"].as_str().unwrap())
}

/// The type of a problem.
pub(crate) fn kind(problem: &Value) -> &str {
    problem["type"].as_str().unwrap_or_default().trim_start_matches("/problems/")
}

pub(crate) fn signed(session: &Value, person: &Person) -> Signed {
    let text = |key: &str| session[key].as_str().unwrap().to_owned();
    let (token, refresh_token) = (text("access_token"), text("refresh_token"));
    Signed { id: String::new(), email: person.email.clone(), token, refresh_token }
}

#[tokio::test]
async fn somebody_new_becomes_a_user_without_a_password_and_is_let_in_again_by_the_same_account() {
    let (app, issuer) = TestApp::with_issuer(&[]).await;
    app.plain.listen("user.events", "ear").await;
    let person = Person::new();
    let (status, session) = app.let_in(&issuer, &person).await;
    assert_eq!(status, 201, "{session}");
    let user = signed(&session, &person);
    let me = app.me(&user.token).await;
    assert_eq!((&me["email"], &me["name"]), (&json!(person.email), &json!("Grace Hopper")));
    assert_eq!((&me["email_verified"], &me["version"]), (&json!(true), &json!(1)));
    let created: Value = serde_json::from_slice(&app.plain.next("ear").await.data).unwrap();
    assert_eq!(created["data"]["user_id"], me["user_id"]);
    assert!(created["data"].get("token_id").is_none(), "there is nothing to prove: {created}");

    // The account counts, not the address: that may be another one by now.
    let moved = Person { email: "moved@elsewhere.example.com".to_owned(), ..person.clone() };
    let (status, session) = app.let_in(&issuer, &moved).await;
    assert_eq!(status, 201);
    assert_eq!(app.me(&signed(&session, &moved).token).await, me);
    assert!(app.refreshes(session["refresh_token"].as_str().unwrap()).await);
    let sessions: Value = app.get("/api/sessions", &user.token).await.json().await.unwrap();
    assert_eq!(sessions["items"].as_array().unwrap().len(), 2);
    let accounts = app.accounts(&user.token).await;
    assert_eq!(accounts.len(), 1);
    assert_eq!(accounts[0]["issuer"], issuer.url);
    assert!(accounts[0]["last_used_at"].is_string());
    assert_eq!(app.count("select count(*) from external_flows").await, 0);

    // No password lets anybody in, nor changes anything, until a reset by mail has set one.
    assert_eq!(app.sign_in(&person.email, PASSWORD).await.status(), 401);
    assert_eq!(app.sign_in(&person.email, "").await.status(), 401);
    let path = format!("/api/users/{}/password", me["user_id"].as_str().unwrap());
    let body = json!({"current_password": "", "new_password": PASSWORD});
    let refused = app.put(&path, &user.token, &body).await;
    assert_eq!(refused.status(), 422);
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["errors"][0]["pointer"], "/current_password");
    let last = app.unlink(&user.token, &accounts[0]).await;
    assert_eq!((last.0, &last.1["errors"][0]["pointer"]), (422, &json!("/password")));
    assert_eq!(app.accounts(&user.token).await.len(), 1, "nothing else lets them in");
    app.post("/api/password-resets", &json!({"email": person.email})).await;
    let id = me["user_id"].as_str().unwrap();
    let reset = app.mail_token(id, "password_reset").await;
    let body = json!({"token": reset, "password": PASSWORD});
    assert_eq!(app.post("/api/password-resets/complete", &body).await.status(), 204);
    let session: Value = app.sign_in(&person.email, PASSWORD).await.json().await.unwrap();
    let token = session["access_token"].as_str().unwrap();
    // The issuer's word for an address may be of yesterday: who reads its mail now decides anew.
    assert_eq!(app.accounts(token).await.len(), 0);
    assert_eq!(app.let_in(&issuer, &person).await.0, 409);
    assert_eq!(app.noted("registration", "external").await, 1);
    assert_eq!(app.noted("sign-in", "external").await, 2);
    assert_eq!(app.noted("external-unlink", "reset").await, 1);
}

#[tokio::test]
async fn without_a_proven_address_nobody_becomes_a_user_and_a_taken_one_is_not_taken_over() {
    let (app, issuer) = TestApp::with_issuer(&[]).await;
    let unproven: [fn(&mut Value); 5] = [
        |claims| claims["email_verified"] = json!(false),
        |claims| claims["email_verified"] = json!("false"),
        |claims| drop(claims.as_object_mut().unwrap().remove("email_verified")),
        |claims| drop(claims.as_object_mut().unwrap().remove("email")),
        |claims| claims["email"] = json!("no address"),
    ];
    for change in unproven {
        let flow = app.begin().await;
        let back = issuer.says(&flow.url, &Person::new(), TokenSigned::Well, change);
        let refused = app.complete(&flow, &back, &issuer.url).await;
        assert_eq!((refused.0, kind(&refused.1)), (422, "external-email-unproven"));
        assert!(!refused.1.to_string().contains("elsewhere"), "{}", refused.1);
    }
    assert_eq!(app.count("select count(*) from users").await, 0);

    let owner = app.new_user().await;
    let person = Person { email: owner.email.to_uppercase(), ..Person::new() };
    let refused = app.let_in(&issuer, &person).await;
    assert_eq!((refused.0, kind(&refused.1)), (409, "external-email-taken"));
    assert_eq!(app.accounts(&owner.token).await.len(), 0);
    assert!(app.refreshes(&owner.refresh_token).await);

    // A name that cannot be shown is none.
    let person = Person::new();
    let flow = app.begin().await;
    let change = |claims: &mut Value| claims["name"] = json!("\u{202e}evil");
    let back = issuer.says(&flow.url, &person, TokenSigned::Well, change);
    let (status, session) = app.complete(&flow, &back, &issuer.url).await;
    assert_eq!(status, 201);
    let me = app.me(&signed(&session, &person).token).await;
    assert_eq!(me["name"].as_str().unwrap(), person.subject);
}

#[tokio::test]
async fn a_signed_in_user_links_an_account_by_the_password_and_unlinks_it_and_is_told() {
    let (app, issuer) = TestApp::with_issuer(&[]).await;
    let [user, other] = [app.new_user().await, app.new_user().await];
    let person = Person { email: user.email.clone(), ..Person::new() };
    for body in [json!({"password": "not it"}), json!({"password": ""})] {
        assert_eq!(app.post_as(&user.token, "/api/external-accounts", &body).await.0, 422);
    }
    // A flow that links is of the session that began it, and signs nobody in.
    let flow = app.begin_link(&user).await;
    let body = flow.body(&issuer.agrees(&flow.url, &person), &issuer.url);
    let complete = "/api/external-accounts/complete";
    let second: Value = app.sign_in(&user.email, PASSWORD).await.json().await.unwrap();
    let second = second["access_token"].as_str().unwrap();
    assert_eq!(app.completed(&body).await.0, 422);
    assert_eq!(app.post_as(&other.token, complete, &body).await.0, 422);
    assert_eq!(app.post_as(second, complete, &body).await.0, 422);
    // Nor does one that signs in link.
    let sign_in = app.begin().await;
    let back = sign_in.body(&issuer.agrees(&sign_in.url, &person), &issuer.url);
    assert_eq!(app.post_as(&user.token, complete, &back).await.0, 422);
    assert_eq!(issuer.tokens_asked(), 0);

    app.plain.listen("user.events", "ear").await;
    let linked = app.post_as(&user.token, complete, &body).await;
    assert_eq!(linked.0, 201, "{}", linked.1);
    assert_eq!(app.next_event("user.external_account_linked").await, json!({"user_id": user.id}));
    let (status, session) = app.let_in(&issuer, &person).await;
    assert_eq!(status, 201);
    let token = session["access_token"].as_str().unwrap();
    assert_eq!(app.me(token).await["user_id"], user.id);

    // An account is one user's, and a user has one there.
    let taken = app.link(&issuer, &other, &person).await;
    assert_eq!((taken.0, kind(&taken.1)), (409, "external-account-taken"));
    let taken = app.link(&issuer, &user, &Person::new()).await;
    assert_eq!((taken.0, kind(&taken.1)), (409, "external-account-taken"));

    let account = &app.accounts(&user.token).await[0];
    assert_eq!(account["account_id"], linked.1["account_id"]);
    assert_eq!(app.unlink(&other.token, account).await.0, 404);
    let wrong = app.unlink_by(&user.token, account, &json!({"password": "not it"})).await;
    assert_eq!((wrong.0, &wrong.1["errors"][0]["pointer"]), (422, &json!("/password")));
    // Of two at once, one finds it gone.
    let two = tokio::join!(app.unlink(&user.token, account), app.unlink(&user.token, account));
    let mut two = [two.0.0, two.1.0];
    two.sort_unstable();
    assert_eq!(two, [204, 404]);
    assert_eq!(app.next_event("user.external_account_unlinked").await, json!({"user_id": user.id}));
    assert!(app.refreshes(&user.refresh_token).await, "the own session goes on");
    assert!(!app.refreshes(session["refresh_token"].as_str().unwrap()).await, "others end");
    assert_eq!(app.unlink(&user.token, account).await.0, 404);
    let refused = app.let_in(&issuer, &person).await;
    assert_eq!((refused.0, kind(&refused.1)), (409, "external-email-taken"));
    assert_eq!(app.noted("external-link", "success").await, 1);
    assert_eq!(app.noted("external-link", "wrong-password").await, 2);
    assert_eq!(app.noted("external-unlink", "success").await, 1);
    assert_eq!(app.noted("external-unlink", "wrong-password").await, 1);
}

#[tokio::test]
async fn the_second_factor_is_asked_for_here_as_well_and_the_issuer_is_asked_once() {
    let (app, issuer) = TestApp::with_issuer(&[]).await;
    let user = app.new_user().await;
    let person = Person { email: user.email.clone(), ..Person::new() };
    assert_eq!(app.link(&issuer, &user, &person).await.0, 201);
    let factor = app.protected(&user).await;
    let flow = app.begin().await;
    let mut body = flow.body(&issuer.agrees(&flow.url, &person), &issuer.url);
    let asked = issuer.tokens_asked();
    let needed = app.completed(&body).await;
    assert_eq!((needed.0, kind(&needed.1)), (401, "second-factor"));
    body["second_factor_code"] = json!("000000");
    let wrong = app.completed(&body).await;
    assert_eq!((wrong.0, kind(&wrong.1)), (401, "second-factor"));
    // Whoever has not the browser's secret has nothing of it.
    let mut stranger = body.clone();
    stranger["browser_secret"] = json!("x".repeat(43));
    assert_eq!(app.completed(&stranger).await.0, 422);
    app.later().await;
    body["second_factor_code"] = json!(factor.code(0));
    let all = (0..4).map(|_| app.completed(&body));
    let all: Vec<u16> =
        futures_util::future::join_all(all).await.into_iter().map(|answer| answer.0).collect();
    assert_eq!(all.iter().filter(|status| **status == 201).count(), 1, "{all:?}");
    assert_eq!(issuer.tokens_asked(), asked + 1);

    // Nor is another account linked without a code.
    let link = json!({"password": PASSWORD});
    assert_eq!(app.post_as(&user.token, "/api/external-accounts", &link).await.0, 422);
    app.later().await;
    let link = json!({"password": PASSWORD, "code": factor.code(0)});
    assert_eq!(app.post_as(&user.token, "/api/external-accounts", &link).await.0, 201);

    // Nor is one unlinked; a code for what is not there stays good.
    let account = &app.accounts(&user.token).await[0];
    for wrong in [json!({"password": PASSWORD}), json!({"password": PASSWORD, "code": "000000"})] {
        let refused = app.unlink_by(&user.token, account, &wrong).await;
        assert_eq!((refused.0, &refused.1["errors"][0]["pointer"]), (422, &json!("/code")));
    }
    app.later().await;
    let both = json!({"password": PASSWORD, "code": factor.code(0)});
    let none = json!({"account_id": user.id});
    assert_eq!(app.unlink_by(&user.token, &none, &both).await.0, 404);
    assert_eq!(app.unlink_by(&user.token, account, &both).await.0, 204);
    assert_eq!(app.accounts(&user.token).await.len(), 0);
}

#[tokio::test]
async fn without_an_issuer_none_of_it_is_there() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    for (method, path) in [
        (Method::POST, "/api/external-sessions"),
        (Method::POST, "/api/external-sessions/complete"),
        (Method::GET, "/api/external-accounts"),
        (Method::POST, "/api/external-accounts"),
        (Method::POST, "/api/external-accounts/complete"),
        (Method::POST, "/api/external-accounts/019aca00-0000-7000-8000-000000000000/unlink"),
    ] {
        let request = app.request(method.clone(), path).bearer_auth(&user.token);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 404, "{method} {path}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(kind(&problem), "not-found", "{method} {path}");
    }
}

#[tokio::test]
async fn a_stranger_begins_and_completes_so_often_and_no_oftener() {
    let issuer = Issuer::start().await;
    let all = [&issuer.variables()[..], &[("RATE_LIMIT_ENABLED", "true")]].concat();
    let app = TestApp::start_with(&all).await;
    let body = json!({"code": "x", "state": "x", "browser_secret": "x"});
    for path in ["/api/external-sessions", "/api/external-sessions/complete"] {
        let mut refused = 0;
        for _ in 0..60 {
            let answer = app.post(path, &body).await;
            refused += usize::from(answer.status() == 429);
        }
        assert!(refused > 0, "{path}");
    }
    assert!(app.count("select count(*) from external_flows").await < 60);
}
