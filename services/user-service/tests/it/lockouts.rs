//! Second factors that somebody else would lock an owner out with, or that the owner has lost; and what a found session changes.

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
    let squatter = app.new_user().await;
    app.protected(&squatter).await;
    app.reset(&squatter, NEW).await;
    assert_eq!(app.sign_in(&squatter.email, NEW).await.status(), 201);
    let off =
        "select count(*) from audit where action = 'second-factor-off' and outcome = 'unproven'";
    assert_eq!(app.count(off).await, 1);

    let owner = app.new_user().await;
    app.prove(&owner).await;
    app.protected(&owner).await;
    app.reset(&owner, NEW).await;
    assert_eq!(app.sign_in(&owner.email, NEW).await.status(), 401, "its owner's stays");
}

/// Somebody else registers with an address, and its owner clicks the link of the first mail.
#[tokio::test]
async fn a_factor_of_before_the_address_was_proven_goes_by_a_reset_too() {
    let app = TestApp::start().await;
    let owner = app.new_user().await;
    app.protected(&owner).await;
    app.prove(&owner).await;
    app.reset(&owner, NEW).await;
    assert_eq!(app.sign_in(&owner.email, NEW).await.status(), 201);
    let off =
        "select count(*) from audit where action = 'second-factor-off' and outcome = 'unproven'";
    assert_eq!(app.count(off).await, 1);
}

#[tokio::test]
async fn an_enrolment_of_before_another_password_and_a_session_that_has_ended_switch_none_on() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
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
    let user = app.new_user().await;
    let path = format!("/api/users/{}", user.id);
    let change = json!({"email": "thief@example.com", "current_password": PASSWORD});
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
    let protected = app.new_user().await;
    let other = app.new_user().await;
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

#[tokio::test]
async fn an_administrator_lets_in_again_who_has_lost_the_app_and_the_recovery_codes() {
    let app = TestApp::start().await;
    app.plain.listen("user.events", "ear").await;
    let user = app.new_user().await;
    let other = app.new_user().await;
    app.protected(&user).await;
    let path = format!("/api/users/{}/second-factor/disable", user.id);
    assert_eq!(app.post_as(&user.token, &path, &json!({})).await.0, 403);
    assert_eq!(app.post_as(&other.token, &path, &json!({})).await.0, 403);

    // An administrator who has a second factor shows a code of it, and cannot switch it off this way.
    let admin = app.new_user().await;
    let promoted = app.administrator().await;
    let role = format!("/api/users/{}/role", admin.id);
    let promote = json!({"role": "admin", "current_password": PASSWORD});
    assert_eq!(app.put(&role, &promoted, &promote).await.status(), 200);
    let session: Value = app.sign_in(&admin.email, PASSWORD).await.json().await.unwrap();
    let token = session["access_token"].as_str().unwrap().to_owned();
    let admin = Signed { token, ..admin };
    let of_admin = app.protected(&admin).await;
    app.later().await;
    let own = format!("/api/users/{}/second-factor/disable", admin.id);
    let code = json!({"code": of_admin.code(0)});
    assert_eq!(app.post_as(&admin.token, &own, &code).await.0, 403);
    for body in [json!({}), json!({"code": "000000"})] {
        assert_eq!(app.post_as(&admin.token, &path, &body).await.0, 422);
    }
    assert_eq!(app.sign_in(&user.email, PASSWORD).await.status(), 401);
    assert_eq!(app.post_as(&admin.token, &path, &code).await.0, 204);
    assert!(!app.refreshes(&user.refresh_token).await, "all of the user's sessions end");
    assert_eq!(app.sign_in(&user.email, PASSWORD).await.status(), 201);
    assert_eq!(app.sign_in(&admin.email, PASSWORD).await.status(), 401, "the own one stays");
    // One without shows the password; of whom it is off there is nothing to switch off.
    let password = json!({"current_password": PASSWORD});
    assert_eq!(app.post_as(&promoted, &path, &password).await.0, 404);
    let nobody = format!("/api/users/{}/second-factor/disable", uuid::Uuid::now_v7());
    assert_eq!(app.post_as(&promoted, &nobody, &password).await.0, 404);
    let entries = sqlx::query_scalar(
        "select count(*) from audit where action = 'second-factor-off' and outcome = 'success'
         and actor = 'administrator:' || $1 and target = 'user:' || $2",
    );
    let entries = entries.bind(&admin.id).bind(&user.id);
    let entries: i64 = entries.fetch_one(&app.database.pool().await).await.unwrap();
    assert_eq!(entries, 1);
    loop {
        let message = app.plain.next("ear").await;
        if message.routing_key.as_str() == "user.second_factor_disabled" {
            let told: Value = serde_json::from_slice(&message.data).unwrap();
            assert_eq!(told["data"]["user_id"], user.id);
            break;
        }
    }
}

#[tokio::test]
async fn another_address_is_asked_for_with_the_password_where_no_code_is() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let path = format!("/api/users/{}", user.id);
    for (password, says) in [
        (Value::Null, "is needed for another address"),
        (json!("not the password"), "is not the password"),
    ] {
        let mut change = json!({"email": "thief@example.com", "name": "Thief"});
        if !password.is_null() {
            change["current_password"] = password;
        }
        let refused = app.patch(&path, &user.token, "*", &change).await;
        assert_eq!(refused.status(), 422);
        let refused: Value = refused.json().await.unwrap();
        let fault = &refused["errors"][0];
        assert_eq!(
            (&fault["pointer"], &fault["detail"]),
            (&json!("/current_password"), &json!(says))
        );
    }
    let me = app.me(&user.token).await;
    assert_eq!((&me["name"], me.get("pending_email")), (&json!("Ada"), None));
    let named = app.patch(&path, &user.token, "*", &json!({"name": "Ada L."})).await;
    assert_eq!(named.status(), 200, "a name is nobody's way in");
    let whole = json!({"name": "Ada", "email": user.email});
    let named = app.patch(&path, &user.token, "*", &whole).await;
    assert_eq!(named.status(), 200, "the address that it is already is no other one");
    let change = json!({"email": "new@example.com", "current_password": PASSWORD});
    assert_eq!(app.patch(&path, &user.token, "*", &change).await.status(), 200);
}
