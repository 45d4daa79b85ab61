//! Passwords and codes that are shown for a change are looked at when nobody else changes the user any more.

use std::future::Future;

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{PASSWORD, Signed, TestApp};
use crate::issuer::Person;

/// What else happens to a user.
const PASSWORD_REPLACED: &str =
    "update users set password_version = password_version + 1 where id = $1::uuid";
const ANOTHER_PENDING: &str = "update users set pending_email = 'another@example.com', version = version + 1 where id = $1::uuid";
const OTHER_PENDING: &str = "update users set pending_email = 'other@example.com', version = version + 1 where id = $1::uuid";
const FACTOR_ON: &str = "update second_factors set enabled_at = now() where user_id = $1::uuid";
const FACTOR_OFF: &str = "delete from second_factors where user_id = $1::uuid";

/// What is said of a code that is missing.
const CODE_NEEDED: &str = "is needed: the second factor is on";

impl TestApp {
    /// What `asked` comes to when `meanwhile` is committed after the first look at the user and before the user's row
    /// is locked.
    async fn raced<T>(
        &self,
        user: &Signed,
        meanwhile: &'static str,
        asked: impl Future<Output = T>,
    ) -> T {
        let mut tx = self.database.pool().await.begin().await.unwrap();
        let lock = "select from users where id = $1::uuid for update";
        sqlx::query(lock).bind(&user.id).execute(&mut *tx).await.unwrap();
        let happens = async {
            self.waiting(1).await;
            sqlx::query(meanwhile).bind(&user.id).execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
        };
        tokio::join!(asked, happens).0
    }

    /// What a user is answered who sends this.
    async fn sent(&self, user: &Signed, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let request = self.request(method, path).bearer_auth(&user.token).header("if-match", "*");
        let answer = request.json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }
}

/// The field that a problem is about, and what it says of it.
fn field(problem: &Value) -> (&str, &str) {
    let text = |key| problem["errors"][0][key].as_str().unwrap_or_default();
    (text("pointer"), text("detail"))
}

/// All that a user does by the password, and what is sent for it.
async fn changes(app: &TestApp, user: &Signed) -> Vec<(Method, String, Value)> {
    let account = app.accounts(&user.token).await.remove(0);
    let account = account["account_id"].as_str().unwrap();
    let own = format!("/api/users/{}", user.id);
    let new = json!({"current_password": PASSWORD, "new_password": "battery staple horse"});
    let moved = json!({"current_password": PASSWORD, "email": format!("new-{}", user.email)});
    let both = json!({"password": PASSWORD, "code": "123456"});
    let alone = json!({"password": PASSWORD});
    let post = |path: &str, body: &Value| (Method::POST, path.to_owned(), body.clone());
    vec![
        (Method::PUT, format!("{own}/password"), new),
        (Method::PATCH, own, moved),
        post("/api/second-factor", &alone),
        post("/api/second-factor/disable", &both),
        post("/api/second-factor/recovery-codes", &both),
        post("/api/external-accounts", &alone),
        post(&format!("/api/external-accounts/{account}/unlink"), &alone),
    ]
}

/// Makes sure that none of [`changes`] has come about.
async fn nothing_has_changed(app: &TestApp, user: &Signed, before: &Value) {
    assert_eq!(app.me(&user.token).await, *before);
    assert_eq!(app.accounts(&user.token).await.len(), 1);
    assert_eq!(app.count("select count(*) from second_factors").await, 0);
    assert_eq!(app.count("select count(*) from external_flows").await, 0);
}

#[tokio::test]
async fn a_password_that_is_replaced_while_it_is_compared_is_good_for_nothing() {
    let (app, issuer) = TestApp::with_issuer(&[]).await;
    let user = app.new_user().await;
    assert_eq!(app.link(&issuer, &user, &Person::new()).await.0, 201);
    let before = app.me(&user.token).await;
    for (method, path, body) in changes(&app, &user).await {
        let asked = app.sent(&user, method, &path, &body);
        let (status, problem) = app.raced(&user, PASSWORD_REPLACED, asked).await;
        assert_eq!((status, field(&problem).1), (422, "is not the password"), "{path}: {problem}");
    }
    nothing_has_changed(&app, &user, &before).await;
}

/// The token is good still: no replica has heard that its session has ended.
#[tokio::test]
async fn a_right_password_changes_nothing_in_a_session_that_has_ended() {
    let (app, issuer) = TestApp::with_issuer(&[]).await;
    let user = app.new_user().await;
    assert_eq!(app.link(&issuer, &user, &Person::new()).await.0, 201);
    let before = app.me(&user.token).await;
    let end = "alter table sessions disable trigger user; delete from sessions";
    sqlx::raw_sql(end).execute(&app.database.pool().await).await.unwrap();
    for (method, path, body) in changes(&app, &user).await {
        assert_eq!(app.sent(&user, method, &path, &body).await.0, 401, "{path}");
    }
    nothing_has_changed(&app, &user, &before).await;
}

/// What was counted is mailed: another address that is asked for at the same moment takes no mail with it.
#[tokio::test]
async fn an_address_that_was_not_counted_is_not_mailed_whatever_is_asked_for_beside_it() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let asked = format!("new-{}", user.email);
    let path = format!("/api/users/{}", user.id);
    let body = json!({"email": asked, "current_password": PASSWORD});
    assert_eq!(app.sent(&user, Method::PATCH, &path, &body).await.0, 200);
    let nothing = json!({});
    let tokens = async || app.count("select count(*) from mail_tokens").await;
    assert_eq!(tokens().await, 2);

    let again = app.sent(&user, Method::PATCH, &path, &body);
    let (status, answer) = app.raced(&user, ANOTHER_PENDING, again).await;
    assert_eq!(status, 412, "{answer}");
    let resend = app.sent(&user, Method::POST, "/api/email-verifications", &nothing);
    let (status, answer) = app.raced(&user, OTHER_PENDING, resend).await;
    assert_eq!(status, 202, "{answer}");
    assert_eq!(tokens().await, 2);
    // What nobody asks for beside it goes out.
    let resend = app.sent(&user, Method::POST, "/api/email-verifications", &nothing);
    assert_eq!((resend.await.0, tokens().await), (202, 3));
}

/// A session asks for another address while the same session switches the second factor off, or on.
#[tokio::test]
async fn another_address_is_had_with_neither_proof_by_no_interleaving() {
    let app = TestApp::start().await;
    let needed = ("/current_password", "is needed for another address");
    for (is_on, meanwhile, shown, expected) in [
        (true, FACTOR_OFF, json!({}), needed),
        (true, FACTOR_OFF, json!({"code": "123456"}), needed),
        // It was not looked at, as a code was to come.
        (true, FACTOR_OFF, json!({"current_password": PASSWORD}), needed),
        (false, FACTOR_ON, json!({"current_password": PASSWORD}), ("/code", CODE_NEEDED)),
    ] {
        let user = app.new_user().await;
        app.enrolled(&user).await;
        if is_on {
            sqlx::query(FACTOR_ON)
                .bind(&user.id)
                .execute(&app.database.pool().await)
                .await
                .unwrap();
        }
        let mut body = json!({"email": format!("new-{}", user.email)});
        body.as_object_mut().unwrap().extend(shown.as_object().unwrap().clone());
        let path = format!("/api/users/{}", user.id);
        let asked = app.sent(&user, Method::PATCH, &path, &body);
        let (status, answer) = app.raced(&user, meanwhile, asked).await;
        assert_eq!((status, field(&answer)), (422, expected), "{meanwhile} {shown}: {answer}");
        assert!(app.me(&user.token).await.get("pending_email").is_none());
    }
}
