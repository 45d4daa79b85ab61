//! What is written down about the service is true of it.

use user_service::UserService;

use crate::app::TestApp;

#[test]
fn the_api_document_is_the_committed_one() {
    let made = testkit::document::<UserService>();
    let committed = include_str!("../../openapi.json");
    assert_eq!(made.trim(), committed.trim(), "run `cargo dev prepare`");
}

#[tokio::test]
async fn a_running_service_tells_the_same_document() {
    let app = TestApp::start().await;
    let told: serde_json::Value = app.get("/openapi.json", "").await.json().await.unwrap();
    let committed: serde_json::Value =
        serde_json::from_str(include_str!("../../openapi.json")).unwrap();
    assert_eq!(told, committed);
}

#[test]
fn the_domain_knows_neither_web_nor_database_nor_broker_nor_runtime() {
    testkit::assert_domain_is_pure(env!("CARGO_MANIFEST_DIR"));
}
