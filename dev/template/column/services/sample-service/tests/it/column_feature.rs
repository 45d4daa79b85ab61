//! `feature` of samples: kept, and not missed in rows that were written without it.

// template: if shown
use serde_json::{Value, json};

// template: end
use crate::app::TestApp;

#[tokio::test]
async fn feature_has_its_default_and_is_read_as_it_is_saved() {
    let app = TestApp::start().await;
    let (id, token) = app.one().await;
    // As a row of the version before has it, which knows no such column.
    let first = "select count(*) from samples where feature is not distinct from FEATURE_FIRST";
    assert_eq!(app.count(first).await, 1);
    let changed = "with changed as (update samples set feature = FEATURE_OTHER returning 1)
                   select count(*) from changed";
    assert_eq!(app.count(changed).await, 1);
    let shown = app.get(&format!("/api/samples/{id}"), &token).await;
    assert_eq!(shown.status(), 200);
    // template: if shown
    let shown: Value = shown.json().await.unwrap();
    assert_eq!(shown["feature"], json!(FEATURE_SHOWN));
    // template: end
}
