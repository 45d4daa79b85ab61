use std::fs;

use crate::pages::testing::{Fixture, fixture};

const TRACE: &str = "13a2124116acc68c586b5bc363e699b0";

fn with_logs(lines: &str) -> Fixture {
    let fixture = fixture();
    fs::create_dir_all(fixture.folder().join("logs")).unwrap();
    fs::write(fixture.folder().join("logs/user-service.log"), lines).unwrap();
    fixture
}

fn line(second: u32, rest: &str) -> String {
    format!("{{\"timestamp\":\"2026-01-15T12:00:{second:02}Z\",\"level\":\"WARN\",{rest}}}\n")
}

#[tokio::test]
async fn entries_of_the_files_are_found_escaped_and_lead_to_their_trace() {
    let fixture = with_logs(
        &(line(
            1,
            &format!("\"message\":\"<b>slow</b>\",\"payment.id\":\"p 1\",\"trace_id\":\"{TRACE}\""),
        ) + &line(2, "\"message\":\"quick\"")
            + &line(3, "\"message\":\"too late\"")),
    );
    let page = fixture.get("/logs?filter=level:warn+-quick&until=2026-01-15T12:00:03Z").await;
    assert!(page.contains("&lt;b&gt;slow&lt;/b&gt;") && !page.contains("<b>slow"), "{page}");
    assert!(page.contains(&format!("/traces/{TRACE}")), "{page}");
    assert!(page.contains("payment.id%3Ap+1%22"), "a click adds the field: {page}");
    assert!(!page.contains("quick</td>") && !page.contains("too late"), "{page}");
}

#[tokio::test]
async fn a_download_holds_what_the_filter_admits_in_both_forms() {
    let fixture = with_logs(
        &(line(1, "\"message\":\"one\",\"a\":1") + "and more\n" + &line(2, "\"message\":\"two\"")),
    );
    let text = fixture.get("/logs/download?filter=one").await;
    assert_eq!(text, "2026-01-15T12:00:01.000Z user-service  WARN one a=1\nand more\n");
    let lines = fixture.get("/logs/download?filter=one&as=ndjson").await;
    let read: serde_json::Value = serde_json::from_str(lines.trim()).unwrap();
    assert_eq!((&read["fields"]["a"], &read["more"][0]), (&1.into(), &"and more".into()));
}

#[tokio::test]
async fn a_word_that_cannot_be_read_is_reported_and_not_taken_for_another() {
    let page = with_logs("").get("/logs?filter=level:loud").await;
    assert!(page.contains("`loud` is no level"), "{page}");
}
