//! A deletion whose request is cut off: whatever became of it, a payment after it is decided by what
//! the database says.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use testkit::eventually;

use crate::system::{Fixture, System};

/// The longest time after which a caller goes away, in milliseconds.
const PATIENCE_MAX_MS: u64 = 12;

#[tokio::test]
async fn nobody_pays_after_a_deletion_that_was_cut_off_at_whatever_moment_and_took_place() {
    let fixture = Fixture::set_up().await;
    let pool = fixture.databases[0].pool().await;
    let variables = fixture.environment(0);
    let system: System = fixture.start(variables).await;
    let mut deleted = 0;
    for patience in (0..=PATIENCE_MAX_MS).chain([1_000]) {
        let user = system.new_user().await;
        let paid = system.pay(&user.token, &format!("before-{patience}"), "pm_card_visa").await;
        assert_eq!(paid.status(), StatusCode::CREATED);
        let url = system.users.url(&format!("/api/users/{}", user.id));
        let delete = system.request(Method::DELETE, &url).bearer_auth(&user.token);
        let delete = delete.header("x-deadline-ms", patience.to_string());
        let _ = tokio::time::timeout(Duration::from_millis(patience), delete.send()).await;
        eventually("no change of a user is under way", async || {
            let query =
                "select not exists (select from pg_locks where relation = 'users'::regclass)";
            let none: bool = sqlx::query_scalar(query).fetch_one(&pool).await.unwrap();
            none.then_some(())
        })
        .await;
        let paid = system.pay(&user.token, &format!("after-{patience}"), "pm_card_visa").await;
        let status: String = sqlx::query_scalar("select status from users where id = $1::uuid")
            .bind(&user.id)
            .fetch_one(&pool)
            .await
            .unwrap();
        if status == "deleted" {
            deleted += 1;
            // One that was on its way to the service when nothing was locked may come after it.
            let again = system.pay(&user.token, &format!("again-{patience}"), "pm_card_visa").await;
            // Within two seconds of the end of the sessions the token alone is reason enough.
            let refused = [StatusCode::UNPROCESSABLE_ENTITY, StatusCode::UNAUTHORIZED];
            assert!(refused.contains(&again.status()), "{} after {patience} ms", again.status());
        } else {
            assert_eq!(paid.status(), StatusCode::CREATED, "after {patience} ms");
        }
    }
    assert!(deleted > 0, "no deletion took place");
}
