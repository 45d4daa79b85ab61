//! What is written down about the service is true of it.

use sample_service::SampleService;

#[test]
fn the_api_document_is_the_committed_one() {
    let made = testkit::document::<SampleService>();
    let committed = include_str!("../../openapi.json");
    assert_eq!(made.trim(), committed.trim(), "run `cargo dev prepare`");
}

#[test]
fn the_domain_knows_neither_web_nor_database_nor_broker_nor_runtime() {
    testkit::assert_domain_is_pure(env!("CARGO_MANIFEST_DIR"));
}
