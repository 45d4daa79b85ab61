//! What is written down about the service is true of it.

use chassis::Service;
use notification_service::NotificationService;

#[test]
fn the_api_document_is_the_committed_one() {
    let made = NotificationService::openapi().to_pretty_json().unwrap();
    let committed = include_str!("../../openapi.json");
    assert_eq!(made.trim(), committed.trim(), "run `cargo dev prepare`");
}

#[test]
fn the_domain_knows_neither_web_nor_database_nor_broker_nor_runtime() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/domain");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for file in files.chain([format!("{folder}.rs").into()]) {
        let source = std::fs::read_to_string(&file).unwrap();
        for outside in ["axum", "sqlx", "lapin", "tokio", "reqwest", "http", "lettre"] {
            let used = source.contains(&format!("use {outside}"))
                || source.contains(&format!("{outside}::"));
            assert!(!used, "{} uses {outside}", file.display());
        }
    }
}
