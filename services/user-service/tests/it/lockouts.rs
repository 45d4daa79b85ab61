//! Second factors that somebody else would lock an owner out with.

use serde_json::{Value, json};

use crate::app::{PASSWORD, Signed, TestApp};

impl TestApp {
    /// Proves a user's address, as the owner of the mailbox does.
    async fn prove(&self, user: &Signed) {
        let token = self.mail_token(&user.id, "verification").await;
        assert_eq!(self.verify(&token).await.status(), 204);
    }

    /// Sets another password, as the owner of the mailbox does.
    async fn reset(&self, user: &Signed, password: &str) {
        self.post("/api/password-resets", &json!({"email": user.email})).await;
        let token = self.mail_token(&user.id, "password_reset").await;
        let body = json!({"token": token, "password": password});
        assert_eq!(self.post("/api/password-resets/complete", &body).await.status(), 204);
    }
}

const NEW: &str = "another long password";

#[tokio::test]
async fn who_proves_an_address_by_a_reset_is_rid_of_the_factor_of_who_had_not_proven_it() {
    let app = TestApp::start().await;
    let squatter = app.somebody().await;
    app.protected(&squatter).await;
    app.reset(&squatter, NEW).await;
    assert_eq!(app.sign_in(&squatter.email, NEW).await.status(), 201);
    let off =
        "select count(*) from audit where action = 'second-factor-off' and outcome = 'unproven'";
    assert_eq!(app.count(off).await, 1);

    let owner = app.somebody().await;
    app.prove(&owner).await;
    app.protected(&owner).await;
    app.reset(&owner, NEW).await;
    assert_eq!(app.sign_in(&owner.email, NEW).await.status(), 401, "its owner's stays");
}

#[tokio::test]
async fn an_enrolment_of_before_another_password_and_a_session_that_has_ended_switch_none_on() {
    let app = TestApp::start().await;
    let user = app.somebody().await;
    let before = app.enrolled(&user).await;
    app.reset(&user, NEW).await;
    assert_eq!(app.count("select count(*) from second_factors").await, 0);

    let session: Value = app.sign_in(&user.email, NEW).await.json().await.unwrap();
    let token = session["access_token"].as_str().unwrap();
    let complete = async |token: &str, code: String| {
        app.post_as(token, "/api/second-factor/complete", &json!({"code": code})).await.0
    };
    assert_eq!(complete(token, before.code(0)).await, 404);

    let body = json!({"password": NEW});
    let (status, _) = app.post_as(token, "/api/second-factor", &body).await;
    assert_eq!(status, 201);
    // As a replica sees it that has not heard yet: nothing is told of this end.
    let pool = app.database.pool().await;
    let end = "alter table sessions disable trigger user; delete from sessions";
    sqlx::raw_sql(end).execute(&pool).await.unwrap();
    assert_eq!(complete(token, "000000".to_owned()).await, 401);
    assert_eq!(app.post_as(token, "/api/second-factor", &body).await.0, 401);
    let path = format!("/api/users/{}/password", user.id);
    let passwords = json!({"current_password": NEW, "new_password": PASSWORD});
    assert_eq!(app.put(&path, token, &passwords).await.status(), 401);
}

#[tokio::test]
async fn another_address_that_was_asked_for_before_the_factor_was_on_is_asked_for_no_more() {
    let app = TestApp::start().await;
    let user = app.somebody().await;
    let path = format!("/api/users/{}", user.id);
    let change = json!({"email": "thief@example.com"});
    assert_eq!(app.patch(&path, &user.token, "*", &change).await.status(), 200);
    let pool = app.database.pool().await;
    let of_thief = "select id from mail_tokens where email = 'thief@example.com'";
    let of_thief: uuid::Uuid = sqlx::query_scalar(of_thief).fetch_one(&pool).await.unwrap();
    app.protected(&user).await;
    let me = app.me(&user.token).await;
    assert!(me.get("pending_email").is_none(), "{me}");
    assert_eq!(app.verify(&crate::app::mail_token(of_thief)).await.status(), 422);
    // The user's own address can be proven still.
    app.prove(&user).await;
}

/// It runs beside this version, or in its place after a way back.
#[tokio::test]
async fn the_version_that_asks_for_no_codes_opens_no_session_where_one_is_needed() {
    let app = TestApp::start().await;
    let protected = app.somebody().await;
    let other = app.somebody().await;
    app.protected(&protected).await;
    let pool = app.database.pool().await;
    let open = async |user: &Signed| {
        let insert =
            "insert into sessions (id, user_id, refresh_hash, created_at, expires_at, device)
                      values (gen_random_uuid(), $1::uuid, sha256($1::bytea), now(),
                              now() + interval '1 day', '')";
        sqlx::query(insert).bind(&user.id).execute(&pool).await
    };
    assert!(open(&protected).await.unwrap_err().to_string().contains("second factor"));
    open(&other).await.unwrap();
}
