//! Whether everybody who knew something of a deleted user has erased it: user-service asks until they say so.

use reqwest::{Method, StatusCode};
use serde_json::json;
use tempfile::TempDir;
use testkit::{Environment, ServiceProcess, eventually};

use crate::faults::dead_letters::discard;
use crate::system::{Fixture, Signed, System, administrator, config_with};

/// The variables of a user-service that waits for the other two alone, whoever else may read `user.deleted` by
/// now; and their folder, which stays as long as it is held.
fn waiting_for_two(fixture: &Fixture) -> (Environment, TempDir) {
    let file = testkit::config_dir().join("message_queue.tsk");
    let settings = std::fs::read_to_string(file).unwrap();
    let readers = settings.lines().find(|line| line.starts_with("\"user.deleted\":")).unwrap();
    let two = "\"user.deleted\": [payment_events, notification_events]";
    let folder = config_with("message_queue.tsk", readers, two);
    let mut variables = fixture.environment(0);
    variables.insert("CONFIG_DIR".to_owned(), folder.path().display().to_string());
    (variables, folder)
}

async fn delete(system: &System, user: &Signed) {
    let url = system.users.url(&format!("/api/users/{}", user.id));
    let delete = system.request(Method::DELETE, &url).bearer_auth(&user.token);
    assert_eq!(delete.send().await.unwrap().status(), StatusCode::NO_CONTENT);
}

/// What a series of user-service shows.
async fn shown(users: &ServiceProcess, series: &str) -> Option<u64> {
    let text = reqwest::get(users.url("/metrics")).await.ok()?.text().await.ok()?;
    text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

async fn until_shown(users: &ServiceProcess, series: &str, is_it: impl Fn(u64) -> bool) {
    eventually(&format!("{series} is as expected"), async || {
        is_it(shown(users, series).await?).then_some(())
    })
    .await;
}

const COMPLETED: &str = "user_erasures_total{outcome=\"completed\"}";
const ASKED_AGAIN: &str = "user_erasures_total{outcome=\"asked_again\"}";
const OVERDUE: &str = "user_erasures_overdue";

#[tokio::test]
async fn the_erasure_of_a_deleted_user_completes_once_all_services_have_confirmed() {
    let fixture = Fixture::set_up().await;
    let pool = fixture.databases[0].pool().await;
    let (variables, _config) = waiting_for_two(&fixture);
    let system = fixture.start(variables).await;
    let user = system.new_user().await;
    system.until_sent(&user.token, "welcome").await;
    delete(&system, &user).await;
    until_shown(&system.users, COMPLETED, |count| count == 1).await;
    let left =
        "select state->>'missing', ended_at is not null from messaging_processes where key = $1";
    let left: (String, bool) = sqlx::query_as(left).bind(&user.id).fetch_one(&pool).await.unwrap();
    assert_eq!(left, ("[]".to_owned(), true));
    assert_eq!(shown(&system.users, ASKED_AGAIN).await, Some(0));
    assert_eq!(shown(&system.users, OVERDUE).await, Some(0));
}

#[tokio::test]
async fn a_service_whose_dead_letter_was_discarded_is_asked_again_and_the_erasure_completes() {
    let mut fixture = Fixture::set_up().await;
    fixture.settings.push(("CONSUMER_MAX_ATTEMPTS", "1".to_owned()));
    fixture.settings.push(("ERASURE_CONFIRM_WITHIN", "2s".to_owned()));
    let payments = testkit::database("payments_that_fail").await;
    fixture.database_urls[1] = payments.url().to_owned();
    let (variables, _config) = waiting_for_two(&fixture);
    let admin = administrator(&variables);
    let system = fixture.start(variables).await;
    let user = system.new_user().await;
    let pool = payments.pool().await;
    eventually("the customer is open", async || {
        let open = sqlx::query_scalar("select count(*) = 1 from customers").fetch_one(&pool);
        open.await.unwrap_or(false).then_some(())
    })
    .await;
    payments.refuse_commits("customers").await;

    delete(&system, &user).await;
    let letters = "/admin/queues/payment-service.events/dead-letters?type=user.deleted";
    let id = eventually("the deletion is dead-lettered", async || {
        let listed = system.get(&system.payments.url(letters), &admin).await;
        Some(listed["items"].as_array()?.first()?["id"].clone())
    })
    .await;
    let filter = json!({"id": id});
    let asked = discard(&system, &admin, json!({"filter": filter})).await;
    let confirmed = json!({"filter": filter, "confirmation": asked["confirmation"]});
    assert_eq!(discard(&system, &admin, confirmed).await["discarded"], 1);
    until_shown(&system.users, ASKED_AGAIN, |count| count > 0).await;
    until_shown(&system.users, OVERDUE, |count| count == 1).await;
    assert_eq!(shown(&system.users, COMPLETED).await, Some(0));
    let log = system.users.log();
    let line = log.lines().find(|line| line.contains("they are asked again")).unwrap();
    assert!(line.contains("payment-service") && !line.contains("notification-service"), "{line}");

    payments.allow_commits().await;
    until_shown(&system.users, COMPLETED, |count| count == 1).await;
    until_shown(&system.users, OVERDUE, |count| count == 0).await;
}
