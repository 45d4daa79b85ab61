//! What follows from `other.heard`.

use serde_json::Value;
use testkit::eventually;

use crate::app::TestApp;

/// The event as its contract keeps it for ever.
const GOLDEN: &str = include_str!("../../../../crates/contracts/golden/other.heard.v1.json");

#[tokio::test]
async fn other_heard_delivered_twice_at_once_is_noted_once() {
    let app = TestApp::start().await;
    app.subscribed().await;
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let data = &golden["data"];
    tokio::join!(
        app.plain.publish("other.heard", data),
        app.plain.publish("other.heard", data),
    );
    app.plain.publish_at("other.heard", data, "2026-01-01T00:00:01Z").await;
    // Without an event id, the same words at the same time are the same message.
    eventually("both messages are noted", async || {
        let noted = app.count("select count(*) from messaging_inbox").await;
        (noted == 2).then_some(())
    })
    .await;
    assert_eq!(app.plain.waiting("sample-service.events.dead-letters").await, 0);
}
