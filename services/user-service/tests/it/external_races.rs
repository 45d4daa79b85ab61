//! Sign-ins and links by the external issuer while something else happens, each made certain by a lock that a test holds.

use serde_json::json;

use crate::app::{PASSWORD, TestApp};
use crate::external::kind;
use crate::issuer::{Issuer, Person};

/// Both find nobody linked, and both make a user: one has to wait for the other's row.
#[tokio::test]
async fn of_two_first_sign_ins_of_one_person_both_are_let_in_to_one_account() {
    let (app, issuer) = TestApp::with_issuer(&[]).await;
    // The address that the issuer knows may have changed between the two.
    for moved in [None, Some("moved")] {
        let person = Person::new();
        let pool = app.database.pool().await;
        let mut lock = pool.begin().await.unwrap();
        sqlx::query("lock table users in share mode").execute(&mut *lock).await.unwrap();
        let other = moved.map_or(person.email.clone(), |to| format!("{to}-{}", person.email));
        let other = Person { email: other, ..person.clone() };
        let both =
            async { tokio::join!(app.let_in(&issuer, &person), app.let_in(&issuer, &other)) };
        let release = async {
            app.waiting(2).await;
            lock.rollback().await.unwrap();
        };
        let (both, ()) = tokio::join!(both, release);
        let mut users = Vec::new();
        for (status, session) in [both.0, both.1] {
            assert_eq!(status, 201, "{session}");
            let me = app.me(session["access_token"].as_str().unwrap()).await;
            users.push(me["user_id"].clone());
        }
        assert_eq!(users[0], users[1]);
    }
    assert_eq!(app.count("select count(*) from users").await, 2);
    assert_eq!(app.count("select count(*) from external_flows").await, 0);
    assert_eq!(app.noted("registration", "external").await, 2);
    assert_eq!(app.noted("sign-in", "external").await, 4);
    assert_eq!(app.noted("sign-in", "external-taken").await, 0);
}

#[tokio::test]
async fn an_account_that_is_unlinked_while_its_owner_is_back_lets_nobody_in_and_is_no_fault() {
    let (app, issuer, person) = linked().await;
    let pool = app.database.pool().await;
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("delete from external_accounts").execute(&mut *tx).await.unwrap();
    let unlink = async {
        app.waiting(1).await;
        tx.commit().await.unwrap();
    };
    let (refused, ()) = tokio::join!(app.let_in(&issuer, &person), unlink);
    assert_eq!((refused.0, kind(&refused.1)), (409, "external-email-taken"), "{}", refused.1);
}

#[tokio::test]
async fn an_account_that_is_unlinked_while_its_owner_is_signed_in_opens_no_session() {
    let (app, issuer, person) = linked().await;
    let pool = app.database.pool().await;
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("select from users for update").execute(&mut *tx).await.unwrap();
    let unlink = async {
        // It has found the account, and waits for the user's row.
        app.waiting(1).await;
        sqlx::query("delete from external_accounts").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    };
    let (refused, ()) = tokio::join!(app.let_in(&issuer, &person), unlink);
    assert_eq!((refused.0, kind(&refused.1)), (422, "validation"), "{}", refused.1);
    assert_eq!(app.count("select count(*) from sessions").await, 1);
}

#[tokio::test]
async fn a_session_that_ends_while_it_begins_to_link_begins_nothing_and_is_told_so() {
    let (app, _issuer) = TestApp::with_issuer(&[]).await;
    let user = app.new_user().await;
    let pool = app.database.pool().await;
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("delete from sessions").execute(&mut *tx).await.unwrap();
    let end = async {
        app.waiting(1).await;
        tx.commit().await.unwrap();
    };
    let body = json!({"password": PASSWORD});
    let begun = app.post_as(&user.token, "/api/external-accounts", &body);
    let (refused, ()) = tokio::join!(begun, end);
    assert_eq!((refused.0, kind(&refused.1)), (401, "unauthorized"), "{}", refused.1);
    assert_eq!(app.count("select count(*) from external_flows").await, 0);
}

/// Somebody with a password whose account at the issuer is linked.
async fn linked() -> (TestApp, Issuer, Person) {
    let (app, issuer) = TestApp::with_issuer(&[]).await;
    let user = app.new_user().await;
    let person = Person { email: user.email.clone(), ..Person::new() };
    assert_eq!(app.link(&issuer, &user, &person).await.0, 201);
    (app, issuer, person)
}
